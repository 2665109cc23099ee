//! What is known beside a value, and what is read of it.

use crate::{Reject, Symbol, Tick, TimeBounds, Timestamp};

/// Where a line of the archive came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The partition of Kafka's topic.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// What Kafka keeps beside a value; nothing of it is known of most lines of an archive.
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
    /// Of a value of which nothing else is known.
    pub const NOTHING: Self = Self { key: None, topic: None, time: None };
}

/// A decoded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The tick that it is.
    pub tick: Tick<'a>,
    /// What the line says of its origin; `None` where it says nothing, as in Kafka itself.
    pub provenance: Option<Provenance>,
}

/// A message, or an element of one, read.
#[derive(Debug)]
pub struct Element<'a> {
    /// Which of the message's elements it is; 0 where the message is the tick.
    pub index: u16,
    /// What was read: an element's own text.
    pub value: &'a [u8],
    /// The tick that it is, or why it is none.
    pub read: Result<Record<'a>, Reject>,
    /// What the line says of its message's origin, of what is no tick as well.
    pub provenance: Option<Provenance>,
}

/// What is known of a tick before its value is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) symbol: Option<Symbol<'a>>,
    /// What holds the symbol of a value that has none.
    pub(super) key: Option<&'a [u8]>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) bounds: TimeBounds,
    /// The lowest price that is one, in units of 10^-9.
    pub(super) lowest: i64,
    /// Whether the strict path is to make symbols upper case.
    pub(super) is_upper: bool,
}
