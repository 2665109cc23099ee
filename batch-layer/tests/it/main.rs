//! Against the running local stack: `cargo xtask test`.

mod archives;
mod changes;
mod damage;
mod failures;
mod runs;
mod support;
