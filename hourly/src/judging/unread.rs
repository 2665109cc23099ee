//! [`JudgeObstacle`]: why an hour is not judged now.

use crate::archive::Object;
use crate::reader::ReadError;
use crate::stop::stopped;
use service::Failure;

/// Why an hour is not judged now.
pub enum JudgeObstacle {
    /// It stays due.
    Skipped(String),
    Failed(Failure),
}

/// The effect on an hour of an object that was not read.
pub fn unread(object: &Object, error: ReadError) -> JudgeObstacle {
    let key = &object.key;
    match error {
        ReadError::Moved => JudgeObstacle::Skipped(format!("{key} has changed meanwhile")),
        ReadError::Broken(broken) => JudgeObstacle::Skipped(format!("{key}: {}", broken.why)),
        ReadError::Wide => {
            JudgeObstacle::Skipped(format!("{key} has more symbols than there is memory for"))
        }
        ReadError::Outage(failure) => JudgeObstacle::Failed(failure),
        ReadError::Stopped => JudgeObstacle::Failed(stopped()),
    }
}
