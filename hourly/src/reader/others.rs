//! Objects that the store is asked for where it refuses another.

use crate::archive::{Object, PrefixTemplate};
use crate::hour::Hour;
use crate::index::BatchDb;
use service::Failure;
use std::ops::Range;
use std::sync::Arc;

/// How many objects that were read before are asked for.
const KNOWN: i64 = 3;
/// How far back before the window's end its newest objects are looked for.
const HOURS_BACK: i64 = 72;

/// Objects that may be asked for instead of one that is refused.
#[derive(Debug, Default)]
pub struct Others {
    /// Earlier runs have read them.
    pub(super) known: Vec<Object>,
    /// The window's last folders, the last one first.
    pub(super) folders: Vec<Arc<str>>,
}

impl Others {
    /// The other objects of an archive.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(
        db: &mut BatchDb,
        templates: &[PrefixTemplate],
        window: &Range<Hour>,
    ) -> Result<Self, Failure> {
        let last = window.start.max(window.end.plus(-HOURS_BACK))..window.end;
        let mut others = Self::default();
        for template in templates {
            others.known.extend(db.last_objects(template.stem(), KNOWN).await?);
            others.folders.extend(
                template.folders(last.clone()).into_iter().rev().map(|folder| folder.prefix),
            );
        }
        Ok(others)
    }
}
