//! Whether the store refuses one object, or whoever asks for it: what it does with others tells.

use super::Reader;
use crate::archive::{FileName, Object, PrefixTemplate, StoreError};
use crate::hour::Hour;
use crate::index::Index;
use service::Failure;
use std::ops::Range;
use std::sync::Arc;

/// How many objects that were read before are asked for.
const KNOWN: i64 = 3;
/// How many objects of a folder are asked for.
const OF_A_FOLDER: usize = 20;
/// How far back before the window's end its newest objects are looked for.
const HOURS_BACK: i64 = 72;

/// Objects that may be asked for beside one that is refused.
#[derive(Debug, Default)]
pub struct Others {
    /// Earlier runs have read them.
    known: Vec<Object>,
    /// The window's last folders, the last one first.
    folders: Vec<Arc<str>>,
}

impl Others {
    /// Those of an archive.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn of(
        index: &mut Index,
        templates: &[PrefixTemplate],
        window: &Range<Hour>,
    ) -> Result<Self, Failure> {
        let last = window.start.max(window.end.plus(-HOURS_BACK))..window.end;
        let mut others = Self::default();
        for template in templates {
            others.known.extend(index.last_objects(template.stem(), KNOWN).await?);
            others.folders.extend(
                template.folders(last.clone()).into_iter().rev().map(|folder| folder.prefix),
            );
        }
        Ok(others)
    }
}

impl Reader {
    /// Whether the store gives another object than a refused one: the one that it gave last, some
    /// that were read before, or some of the refused one's folder and of the window's last one.
    ///
    /// # Errors
    /// Where the store fails, which tells nothing.
    pub(super) async fn gives_another(&self, refused: &Object) -> Result<bool, StoreError> {
        // Several objects may be refused at the same time. What one of them finds out serves the
        // others.
        let _search = self.health.search.lock().await;
        if let Some(given) = self.health.given()
            && self.may_read(&given).await?
        {
            return Ok(true);
        }
        if self.gives_one_of(&self.others.known, refused).await? {
            return Ok(true);
        }
        let own = refused.key.rfind('/').map_or("", |end| &refused.key[..=end]);
        if self.gives_one_of(&self.last_of(own).await?, refused).await? {
            return Ok(true);
        }
        for folder in self.others.folders.iter().filter(|folder| ***folder != *own) {
            let objects = self.last_of(folder).await?;
            if !objects.is_empty() {
                return self.gives_one_of(&objects, refused).await;
            }
        }
        Ok(false)
    }

    async fn gives_one_of(&self, objects: &[Object], refused: &Object) -> Result<bool, StoreError> {
        for object in objects.iter().filter(|object| object.key != refused.key) {
            if self.may_read(object).await? {
                self.health.note_given(object);
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn may_read(&self, object: &Object) -> Result<bool, StoreError> {
        match self.store.read(object, &self.stop).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused(_) | StoreError::Moved | StoreError::Frozen) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last objects of a folder by key; none where it cannot be listed for its own sake.
    async fn last_of(&self, folder: &str) -> Result<Vec<Object>, StoreError> {
        let mut listed = match self.store.list(folder).await {
            Err(error) if error.is_of_one_folder() => return Ok(Vec::new()),
            listed => listed?,
        };
        listed.retain(|object| matches!(self.name(&object.key), FileName::Records(_)));
        Ok(listed.into_iter().rev().take(OF_A_FOLDER).collect())
    }
}
