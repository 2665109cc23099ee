//! What the intake asks of the store and what comes back: the words that both sides share.

use crate::batch::Batch;
use crate::source::{Source, SourcePartition, TopicIdentity};
use std::time::{Duration, Instant};

/// What the intake asks of the store.
#[derive(Debug)]
pub enum Command {
    /// Which source the topic is.
    Identify(TopicIdentity),
    /// Where to begin with partitions.
    Locate(Vec<Question>),
    Write(Box<Batch>),
    /// The group has taken these back. No answer is needed.
    GiveUp(Vec<SourcePartition>),
    /// Whether the database is there, and still stands where it was left.
    Check(Vec<Position>),
}

/// What the store answers. One that can go on no more says so by [`Reply::Ended`].
#[derive(Debug)]
pub enum Reply {
    Identified(Source),
    /// PostgreSQL does not take what is to be written of the topic; in its words, and when it is to
    /// be asked again.
    NotIdentified(TopicIdentity, String, Duration),
    Located(Vec<Answer>),
    /// The batch is committed; it comes back so that its memory serves again.
    Written(Box<Batch>),
    /// Of these partitions nothing more is written until they are located again. The batch that
    /// [`Reply::Written`] brings next is without them.
    HeldBack(Vec<HeldBack>),
    Checked,
    /// The session knows why.
    Ended,
}

/// A partition whose next message the database does not take is tried again after this time.
pub const TRY_AGAIN: Duration = Duration::from_secs(3);

/// What comes next of a partition is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    pub at: SourcePartition,
    /// The offset that it stands at.
    pub next: i64,
    /// In PostgreSQL's words.
    pub why: String,
    /// When it is to be asked for again.
    pub again: Duration,
}

/// The next offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub at: SourcePartition,
    pub next: i64,
}

/// What Kafka has of a partition: the offsets [low, high).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    pub low: i64,
    pub high: i64,
}

/// Where Kafka's log ended when it was asked, while it was not known where to begin: an offset that
/// was stored before that and lies behind it is of a log that was truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenEnd {
    pub offset: i64,
    pub asked: Instant,
}

/// Where to begin with a partition?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub at: SourcePartition,
    /// Comes back with the answer, so that one about an assignment that has ended is known.
    pub assignment: u64,
    /// Whether --start latest counts for it.
    pub is_first: bool,
    /// What Kafka has, where it was asked; the store does not need it for what it knows.
    pub watermarks: Option<Watermarks>,
    /// The offset that Kafka has refused as out of its range.
    pub refused: Option<i64>,
    /// Where Kafka's log ended when it was seen to be truncated before that offset.
    pub truncated_at: Option<i64>,
    /// Where it ended meanwhile, whatever the offset is.
    pub seen_end: Option<SeenEnd>,
}

impl Question {
    pub fn answered(&self, start: Begin) -> Answer {
        Answer { at: self.at, assignment: self.assignment, start }
    }
}

/// The store's answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub at: SourcePartition,
    pub assignment: u64,
    pub start: Begin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// With this offset.
    At(i64),
    /// The same, behind a gap that was recorded.
    Behind(i64),
    /// A batch of the instance that had it is being written: ask again in a moment.
    Busy,
    /// It was never read: what Kafka has of it decides.
    AskKafka,
    /// PostgreSQL does not take what that needs; in its words, and when it is to be asked again.
    NotTaken { why: String, again: Duration },
    /// Offsets are gone, and `--on-gap stop` leaves it to a person what to do about them. The text
    /// says which.
    Gap(String),
}
