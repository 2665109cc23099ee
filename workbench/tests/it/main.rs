//! Against the running local stack: `cargo xtask test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should panic")]

mod archive;
mod connector;
mod equipment;
mod grafana;
mod market;
<<<<<<< HEAD
mod reader;
=======
mod pipeline;
mod proof;
>>>>>>> 63b4b55 (A lost partition's unwritten batch is dropped, a stop does not wait for a Kafka that is away; the protocol as a model; soak, live view, checks of the checker)
mod recording;
mod serving;
