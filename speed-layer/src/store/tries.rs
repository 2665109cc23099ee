//! [`Try`]: what came of one try, and what follows from several.

/// What came of one try.
pub(super) enum Try<T> {
    Done(T),
    /// Trying the same again may do.
    Again,
    /// Somebody has not given up a lock in time.
    Locked(String),
    Refused(String),
    /// By a message, or by anything else.
    Broken(String),
    TooMuch(String),
    /// There was no answer in time, nor to the try before it.
    Unanswered(String),
    /// The connection has ended, which was waited for.
    Cut(String),
}

/// So many times in a row it is no accident that a batch's connection ends.
pub(super) const CUTS: u32 = 3;

/// What became of the tries of one batch before this one.
#[derive(Debug)]
pub(super) struct Failures {
    /// So many of them make it smaller.
    pub(super) tries: u32,
    /// One of them does.
    pub(super) is_on_trial: bool,
    pub(super) refused: u32,
    pub(super) locked: u32,
    cuts: u32,
    others: u32,
}

impl Failures {
    /// None yet.
    pub(super) fn none(tries: u32, is_on_trial: bool) -> Self {
        Self { tries, is_on_trial, refused: 0, locked: 0, cuts: 0, others: 0 }
    }

    /// Counts one more connection that has ended while rows were on their way. Of a part of a batch
    /// at which that was found one is enough.
    pub(super) fn are_cuts_enough(&mut self) -> bool {
        self.cuts += 1;
        self.is_on_trial || self.tries == 1 || self.cuts >= CUTS
    }

    /// Counts one more that was neither a lock nor a message that can be kept aside.
    pub(super) fn is_enough(&mut self) -> bool {
        self.others += 1;
        self.is_on_trial || self.others >= self.tries
    }
}

impl<T> Try<T> {
    /// Why it has failed, for people; nothing where that was said.
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

    /// The same of something that comes after it.
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

/// Why a batch must be made smaller.
pub(super) enum Smaller {
    Locked(String),
    /// Of one message it is known which can be kept aside.
    Refused(String),
    /// One message of it cannot be written at this time, or none can.
    NotTaken(String),
    TooMuch(String),
    /// What the detectors know of a partition cannot be read.
    NotJudged(Why),
    /// The same, and fewer messages would not help.
    TooLong(String),
}

impl Smaller {
    pub(super) fn why(&self) -> Why {
        let (words, kind) = match self {
            Self::NotJudged(why) => return why.clone(),
            Self::Locked(words) => (words, Kind::Locked),
            Self::Refused(words) | Self::NotTaken(words) => (words, Kind::NotTaken),
            Self::TooMuch(words) | Self::TooLong(words) => (words, Kind::Slow),
        };
        Why { words: words.clone(), kind }
    }
}

/// Why something of a partition is not taken.
#[derive(Debug, Clone)]
pub(super) struct Why {
    /// For people.
    pub(super) words: String,
    pub(super) kind: Kind,
}

/// What kind of reason that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody has not given up a lock.
    Locked,
    /// It takes too long.
    Slow,
    /// PostgreSQL does not take it.
    NotTaken,
}
