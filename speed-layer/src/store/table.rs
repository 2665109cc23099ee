//! [`Table`]: what a batch is written to, and whether it took all that it was given.

/// The tables of a batch, each of which may be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The partitions of `realtime_stock`, which are made when they are needed.
    Days,
    /// The transaction begins, and nothing of it depends on messages.
    Begin,
    RealtimeStock,
    MinuteBars,
    HourBars,
    Detectors,
    RejectedTicks,
    KafkaGaps,
    KafkaOffsets,
}

impl Table {
    /// Whether a refusal may be one message's fault, which can become a reject. A bar or an offset
    /// follows from all of them: it is refused because of the table's state.
    pub const fn is_of_messages(self) -> bool {
        matches!(self, Self::RealtimeStock | Self::RejectedTicks)
    }

    /// Whether a batch's rows were on their way.
    pub const fn is_written(self) -> bool {
        !matches!(self, Self::Days | Self::Begin)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Days => "realtime_days",
            Self::Begin => "the beginning of a transaction",
            Self::RealtimeStock => "realtime_stock",
            Self::MinuteBars => "minute_bars",
            Self::HourBars => "hour_bars",
            Self::Detectors => "anomalies or detector_log",
            Self::RejectedTicks => "rejected_ticks",
            Self::KafkaGaps => "kafka_gaps",
            Self::KafkaOffsets => "kafka_offsets",
        }
    }
}

/// Why the rows of a batch are not all in.
pub(super) enum WriteError {
    Sql(sqlx::Error),
    LeftOut(String),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<WriteError> for sqlx::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Sql(error) => error,
            WriteError::LeftOut(words) => Self::Protocol(words),
        }
    }
}

/// Fails where a table took fewer rows than it was given: a trigger or a rule that passes over rows
/// raises no error.
pub(super) fn all_in(table: Table, taken: u64, given: usize) -> Result<(), WriteError> {
    if taken == given as u64 {
        return Ok(());
    }
    let name = table.name();
    Err(WriteError::LeftOut(format!(
        "{name} took {taken} of {given} rows without an error: a trigger or a rule is in the way"
    )))
}
