//! [`StoreError`]: why the store did not do what was asked.

use super::object::MAX_OBJECTS;
use service::Failure;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is no longer the one that was listed: replaced, or gone.
    #[error("it was replaced or deleted after it had been listed")]
    Moved,
    /// The object is in cold storage, from which it must be restored before it can be read.
    #[error("it lies in cold storage")]
    Frozen,
    /// A folder holds more objects than there is memory for.
    #[error(
        "more than {MAX_OBJECTS} objects lie in it, for which there is no memory: let the sink \
         write larger ones"
    )]
    TooMany,
    /// The listing of a folder goes round in circles, or on and on, or says what cannot be.
    #[error("the store's fault: {0}")]
    FalseListing(String),
    /// The store has something against who asks, and nothing against what is asked for: keys that
    /// have expired.
    #[error("{0:#}")]
    Caller(anyhow::Error),
    /// A person must change something: a right, a key, the name of the bucket.
    #[error("{0:#}")]
    Refused(anyhow::Error),
    /// Trying again later may do.
    #[error("{0:#}")]
    Unavailable(anyhow::Error),
}

impl StoreError {
    /// Whether it is the fault of the one folder that was listed, and no other need wait.
    #[must_use]
    pub fn is_of_one_folder(&self) -> bool {
        matches!(self, Self::TooMany | Self::FalseListing(_))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(error) | StoreError::Caller(error) => Self::Configuration(error),
            StoreError::Unavailable(error) => Self::Infrastructure(error),
            StoreError::Moved
            | StoreError::Frozen
            | StoreError::TooMany
            | StoreError::FalseListing(_) => Self::Infrastructure(error.into()),
        }
    }
}
