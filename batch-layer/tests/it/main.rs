//! Against the running local stack: `cargo xtask test`. Tests of the crates `hourly` and
//! `reconciliation` that run the program are here, too.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot go on has found the failure"
)]

mod access;
mod aiven;
mod archives;
mod backfill;
mod changes;
mod completeness;
mod cover;
mod damage;
mod elsewhere;
mod expired;
mod export;
mod failures;
mod faults;
mod from_lake;
mod gaps;
mod growth;
mod holes;
mod identity;
mod indicators;
mod judging;
mod lake;
mod layouts;
mod lost;
mod odd_bars;
mod rebuild;
mod rules;
mod runs;
mod secure;
mod shared;
mod sharing;
#[cfg(feature = "spark")]
mod spark;
mod sql;
mod support;
mod together;
mod verify;
