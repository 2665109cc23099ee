//! The speed layer as a process, against a real Kafka and PostgreSQL (`cargo xtask test`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing test may say so with a panic"
)]

mod abandoned;
mod anomalies;
mod bars;
mod compacted;
mod configuration;
mod connecting;
mod damage;
mod days;
mod dead_letters;
mod doctor;
mod elections;
mod exactly_once;
mod extras;
mod failover;
mod gaps;
mod identity;
mod large;
mod leaving;
mod membership;
mod outages;
mod refused;
mod registry;
mod retention;
mod rights;
mod roles;
mod scene;
mod secure;
mod several;
mod shutdown;
mod statements;
mod strangers;
mod throttling;
mod transactions;
