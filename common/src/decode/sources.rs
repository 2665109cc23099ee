//! Where a tick's symbol and its time come from.

use crate::Named;

/// Where a tick's symbol comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SymbolFrom {
    /// From the message.
    #[default]
    Value,
    /// From the record's key.
    Key,
    /// From the message, and where that has none from the record's key, unless this is plainly
    /// something else.
    ValueOrKey,
    /// From the topic's name.
    Topic,
}

impl Named for SymbolFrom {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Value, "value", "A member of the message"),
        (Self::Key, "key", "The record's key: text, or text in JSON's quotes"),
        (
            Self::ValueOrKey,
            "value-or-key",
            "A member of the message; where it has none the record's key",
        ),
        (Self::Topic, "topic", "The topic's name"),
    ];
}

/// Where a tick's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampFrom {
    /// From the message.
    #[default]
    Value,
    /// From the record.
    Record,
}

impl Named for TimestampFrom {
    const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Value, "value", "A member of the message"),
        (Self::Record, "record", "The record's own time in Kafka"),
    ];
}
