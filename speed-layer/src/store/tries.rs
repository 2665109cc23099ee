//! [`Try`]: the result of one try, and the consequences of several.

/// Result of one try.
pub(super) enum Try<T> {
    Done(T),
    /// Trying the same again may do.
    Again,
    /// Somebody has not given up a lock in time.
    Locked(String),
    Refused(String),
    /// Broken by a message, or by anything else.
    Broken(String),
    TooMuch(String),
    /// There was no answer in time, nor to the try before it.
    Unanswered(String),
    /// The connection has ended, which was waited for.
    Cut(String),
}

/// A batch whose connection ends this many times in a row is the cause of that.
pub(super) const CUTS: u32 = 3;

/// Failures of earlier tries of this batch.
#[derive(Debug)]
pub(super) struct Failures {
    /// This many failures make it smaller.
    pub(super) tries: u32,
    /// The batch is a probe: one failure makes it smaller.
    pub(super) is_probe: bool,
    pub(super) refused: u32,
    pub(super) locked: u32,
    cuts: u32,
    others: u32,
}

impl Failures {
    /// No failure yet.
    pub(super) fn none(tries: u32, is_probe: bool) -> Self {
        Self { tries, is_probe, refused: 0, locked: 0, cuts: 0, others: 0 }
    }

    /// Counts one more connection that has ended while rows were on their way. Returns whether the
    /// batch is now made smaller: for a part of a batch that is a probe one is enough.
    pub(super) fn note_cut(&mut self) -> bool {
        self.cuts += 1;
        self.is_probe || self.tries == 1 || self.cuts >= CUTS
    }

    /// Counts one more that was neither a lock nor a message that can become a reject. Returns
    /// whether the batch is now made smaller.
    pub(super) fn note_failure(&mut self) -> bool {
        self.others += 1;
        self.is_probe || self.others >= self.tries
    }
}

impl<T> Try<T> {
    /// Why it has failed, for people; `None` where that was logged.
    pub(super) fn why(self) -> Option<String> {
        match self {
            Self::Done(_) | Self::Again => None,
            Self::Locked(words)
            | Self::Refused(words)
            | Self::Broken(words)
            | Self::TooMuch(words)
            | Self::Unanswered(words) => Some(words),
            Self::Cut(_) => None,
        }
    }

    /// This failure as that of something that was to come after it.
    pub(super) fn without<U>(self) -> Try<U> {
        match self {
            Self::Done(_) | Self::Again => Try::Again,
            Self::Locked(words) => Try::Locked(words),
            Self::Refused(words) => Try::Refused(words),
            Self::Broken(words) => Try::Broken(words),
            Self::TooMuch(words) => Try::TooMuch(words),
            Self::Unanswered(words) => Try::Unanswered(words),
            Self::Cut(words) => Try::Cut(words),
        }
    }
}

/// The outcome for a batch that was tried as a whole.
pub(super) enum WholeOutcome {
    Written,
    MustBeSplit(SplitReason),
}

/// Why a batch must be split, and what is known of the cause.
pub(super) enum SplitReason {
    Locked(String),
    /// PostgreSQL refuses the data of some message, which can become a reject.
    Refused(String),
    /// A message of it cannot be written at this time, or none can.
    Failed(String),
    /// Fewer messages may be taken.
    TooMuch(String),
    /// The detectors' states of a partition cannot be read.
    NoDetectorState(Cause),
    /// It takes too long, however few messages it has.
    TooLong(String),
}

impl SplitReason {
    pub(super) fn cause(&self) -> Cause {
        let (words, kind) = match self {
            Self::NoDetectorState(cause) => return cause.clone(),
            Self::Locked(words) => (words, CauseKind::Locked),
            Self::Refused(words) | Self::Failed(words) => (words, CauseKind::Failed),
            Self::TooMuch(words) | Self::TooLong(words) => (words, CauseKind::Slow),
        };
        Cause { words: words.clone(), kind }
    }
}

/// Why something of a partition is not taken.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// The words for people.
    pub(super) words: String,
    pub(super) kind: CauseKind,
}

/// The kind of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CauseKind {
    /// Somebody has not given up a lock.
    Locked,
    /// It takes too long.
    Slow,
    /// PostgreSQL does not take it, for another reason.
    Failed,
}
