//! Messages between the intake and the stores.

use crate::batch::Batch;
use crate::source::{Source, SourcePartition, TopicIdentity};
use std::time::{Duration, Instant};

/// A command from the intake to a store.
#[derive(Debug)]
pub enum StoreCommand {
    /// Which source the topic is.
    Identify(TopicIdentity),
    /// Where to begin with partitions.
    ResolveStarts(Vec<StartQuery>),
    Write(Box<Batch>),
    /// The group has taken these back. No answer is needed.
    Release(Vec<SourcePartition>),
    /// Whether the database is there, and still has the offsets that were committed.
    Check(Vec<Position>),
}

/// A store's reply. A store that cannot go on says so by [`StoreReply::Ended`].
#[derive(Debug)]
pub enum StoreReply {
    Identified(Source),
    /// PostgreSQL does not take what is to be written of the topic.
    NotIdentified {
        identity: TopicIdentity,
        /// The reason, in PostgreSQL's words.
        why: String,
        retry_after: Duration,
    },
    Starts(Vec<StartAnswer>),
    /// The batch is committed; it comes back so that its memory serves again.
    Written(Box<Batch>),
    /// Nothing more is written of these partitions until their starts are resolved again. The batch
    /// that [`StoreReply::Written`] brings next is without them.
    HeldBack(Vec<HeldBackPartition>),
    Checked,
    /// The session knows why.
    Ended,
}

/// A partition whose next message the database does not take is tried again after this time.
pub const HELD_BACK_RETRY: Duration = Duration::from_secs(3);

/// PostgreSQL does not take the next messages of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBackPartition {
    pub at: SourcePartition,
    /// The offset that is stored, and is not taken.
    pub next: i64,
    /// The reason, in PostgreSQL's words.
    pub why: String,
    /// After this time the store is to be asked about it again.
    pub retry_after: Duration,
}

/// The next offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub at: SourcePartition,
    pub next: i64,
}

/// The offsets [low, high) that Kafka has of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    pub low: i64,
    pub high: i64,
}

/// The log's end, measured before the start offset was known. A stored offset that is older than
/// the measurement and higher than this end means that the log was truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenEnd {
    pub offset: i64,
    pub asked: Instant,
}

/// The question to the store, where to begin with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartQuery {
    pub at: SourcePartition,
    /// Comes back with the answer, so that one about an assignment that has ended is known.
    pub assignment: u64,
    /// Whether --start latest counts for it.
    pub is_first: bool,
    /// The offsets that Kafka has, if it was asked; the store needs them only where it knows
    /// nothing.
    pub watermarks: Option<Watermarks>,
    /// The offset that Kafka has refused as out of its range.
    pub refused: Option<i64>,
    /// Where Kafka's log ended when it was seen to be truncated before that offset.
    pub truncated_end: Option<i64>,
    /// Where the log was seen to end before the start was known, whatever the offset is.
    pub earliest_end: Option<SeenEnd>,
}

impl StartQuery {
    pub fn answer(&self, resolution: StartResolution) -> StartAnswer {
        StartAnswer { at: self.at, assignment: self.assignment, resolution }
    }
}

/// The store's answer to a [`StartQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartAnswer {
    pub at: SourcePartition,
    pub assignment: u64,
    pub resolution: StartResolution,
}

/// The start of a partition, as far as that could be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartResolution {
    /// With this offset.
    At(i64),
    /// With this offset, after a gap that was recorded.
    AfterGap(i64),
    /// A batch of the instance that had it is being written: ask again in a moment.
    Locked,
    /// It was never read: the offsets that Kafka has decide.
    NeverRead,
    /// PostgreSQL does not take what that needs.
    Failed {
        /// The reason, in PostgreSQL's words.
        why: String,
        retry_after: Duration,
    },
    /// Offsets are gone, and `--on-gap stop` leaves it to a person what to do about them. The text
    /// says which.
    GapNeedsDecision(String),
}
