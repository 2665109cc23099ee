//! [`Unread`]: why an hour is not judged now.

use crate::archive::Object;
use crate::reader::ReadError;
use crate::stop::stopped;
use service::Failure;

/// Why an hour is not judged now.
pub enum Unread {
    /// It stays due.
    Skipped(String),
    Failed(Failure),
}

/// What it means for an hour that one of its objects was not read.
pub fn unread(object: &Object, error: ReadError) -> Unread {
    let key = &object.key;
    match error {
        ReadError::Moved => Unread::Skipped(format!("{key} has changed meanwhile")),
        ReadError::Broken(broken) => Unread::Skipped(format!("{key}: {}", broken.why)),
        ReadError::Wide => {
            Unread::Skipped(format!("{key} has more symbols than there is memory for"))
        }
        ReadError::Outage(failure) => Unread::Failed(failure),
        ReadError::Stopped => Unread::Failed(stopped()),
    }
}
