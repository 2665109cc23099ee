//! Kafka's clients: the one that reads and what it reports, and those that ask and send.

mod consumer;
mod dead_letters;
mod inquiry;
mod leaders;
mod leave;
mod queue;
mod readable;
mod settings;

pub use consumer::{
    Consumer, Context, End, Rebalance, Reports, assign, consumer, subscribe, unassign,
};
pub use dead_letters::DeadLetters;
pub use inquiry::{Finding, Inquiry};
pub use leave::{drop_with_timeout, leave};
pub use queue::{MessageQueues, Polled, commit};
pub use readable::is_damage_code;
