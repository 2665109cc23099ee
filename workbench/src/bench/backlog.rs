//! [`Backlog`]: messages that are to be drained.

use testing::TestTopic;

/// What is to be drained, and how.
#[derive(Clone, Copy)]
pub(super) struct Backlog<'a> {
    pub topic: &'a TestTopic,
    pub messages: u64,
    pub batch_rows: u32,
    /// Instances.
    pub workers: u32,
    /// Connections that each writes through.
    pub writers: u32,
    /// Whether anomalies are looked for meanwhile.
    pub anomalies: bool,
    /// How its values are read.
    pub reading: &'a [&'a str],
}
