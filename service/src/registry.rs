//! A schema registry of Confluent's interface: where it is, and one question to it.

mod args;
mod client;
mod login;
mod trouble;

pub use args::RegistryArgs;
pub use client::Client;
pub use trouble::Trouble;
