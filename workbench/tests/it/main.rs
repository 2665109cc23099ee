//! Against the running local stack: `cargo xtask test`.
mod archive;
mod equipment;
mod market;
mod recording;
