//! [`Verdict`]: what a comparison has come to as a whole, as its exit code says it, too.

use serde::Serialize;
use service::Failure;

/// The one word about a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The exit code is 0, and it is with no other verdict.
    Ok,
    Mismatch,
    /// Something could not be compared to its end.
    Open,
    /// Nothing was compared, though something was asked for.
    Nothing,
    /// A signal came before the end.
    Stopped,
    /// It has failed before the end, or could not write what it has found.
    Failed,
}

/// Why a comparison is no success.
#[derive(Debug)]
pub struct Unsuccessful {
    pub verdict: Verdict,
    pub failure: Failure,
}

impl Verdict {
    /// Whether hours may be left of which nothing was said.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

impl Unsuccessful {
    pub const fn open(what: String) -> Self {
        Self { verdict: Verdict::Open, failure: Failure::Partial(what) }
    }

    /// Of a failure to explain why nothing was compared, which is the explanation as a rule.
    pub fn with_nothing(failure: Failure) -> Self {
        match failure {
            Failure::Partial(_) => Self { verdict: Verdict::Nothing, failure },
            failure => failure.into(),
        }
    }
}

/// Of work that has not come to its end: it was stopped, or has failed.
impl From<Failure> for Unsuccessful {
    fn from(failure: Failure) -> Self {
        let verdict = match failure {
            Failure::Difference(_) => Verdict::Mismatch,
            Failure::Partial(_) => Verdict::Stopped,
            Failure::Configuration(_) | Failure::Infrastructure(_) => Verdict::Failed,
        };
        Self { verdict, failure }
    }
}
