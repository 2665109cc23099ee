//! Against the running local stack: `cargo xtask test`.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a helper that cannot go on has found the failure")]

mod archives;
mod changes;
mod damage;
mod failures;
mod indicators;
mod runs;
mod support;
