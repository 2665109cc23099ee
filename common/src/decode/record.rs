//! The context of a value, and the record that is read from it.

use crate::{Reject, Symbol, Tick, TimeBounds, Timestamp};

/// The Kafka position that an archive line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The partition of Kafka's topic.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// The context that Kafka keeps of a value; most lines of an archive have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordContext<'a> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The name of the topic.
    pub topic: Option<&'a str>,
    /// The record's own time.
    pub time: Option<Timestamp>,
}

impl RecordContext<'_> {
    /// No context: only the value is known.
    pub const NOTHING: Self = Self { key: None, topic: None, time: None };
}

/// A decoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodedTick<'a> {
    /// The tick that it is.
    pub tick: Tick<'a>,
    /// The line's own Kafka position; `None` where it has none, as in Kafka itself.
    pub provenance: Option<Provenance>,
}

/// A message, or an element of one, that was read.
#[derive(Debug)]
pub struct Element<'a> {
    /// Which of the message's elements it is; 0 where the message is the tick.
    pub index: u16,
    /// The text that was read: an element's own.
    pub value: &'a [u8],
    /// The tick that it is, or why it is none.
    pub read: Result<DecodedTick<'a>, Reject>,
    /// The Kafka position that the line names, even where it is no tick.
    pub provenance: Option<Provenance>,
}

/// The parts of a tick that are known before its value is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) symbol: Option<Symbol<'a>>,
    /// The key, which holds the symbol of a value that has none.
    pub(super) key: Option<&'a [u8]>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) bounds: TimeBounds,
    /// The lowest price that is one, in units of 10^-9.
    pub(super) lowest: i64,
    /// Whether the strict path is to make symbols upper case.
    pub(super) is_upper: bool,
}
