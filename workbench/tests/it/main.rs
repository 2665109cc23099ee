//! Against the running local stack: `cargo xtask test`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should panic"
)]

mod archive;
mod avro;
mod connector;
mod equipment;
mod forms;
mod fuzz;
mod grafana;
mod levels;
mod market;
mod pipeline;
mod prometheus;
mod proof;
mod reader;
mod recording;
mod serving;
mod several;
mod shapes;
mod statements;
mod volume;
