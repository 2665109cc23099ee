//! Against the running local stack: `cargo xtask test`.
mod equipment;
