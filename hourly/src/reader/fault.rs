//! Why an object could not be read: finds out whether the object is damaged, the store fails, or
//! access is denied to one object or to this user altogether, by trying other objects.

use super::broken::BrokenKind;
use super::{OUTAGE, ReadError, Reader};
use crate::archive::{FileName, Object, StoreError};
use service::Failure;
use std::sync::atomic::Ordering;

/// How many objects of a folder are asked for.
const OF_A_FOLDER: usize = 20;

impl Reader {
    /// Whether the store still gives what it gave before.
    async fn gives_others(&self) -> bool {
        match self.health.given() {
            Some(object) => self.store.read(&object, &self.stop).await.is_ok(),
            None => false,
        }
    }

    /// Whether a failure is the object's or the store's: a store that lists the object, and gives
    /// others, is there.
    pub(super) async fn sort(&self, object: &Object, error: StoreError) -> ReadError {
        if self.stop.is_cancelled() {
            return ReadError::Stopped;
        }
        let kind = match &error {
            StoreError::Moved => return ReadError::Moved,
            StoreError::Frozen => return ReadError::broken(BrokenKind::Frozen, &error),
            StoreError::Caller(_) => return ReadError::Outage(self.of_caller(object, error)),
            StoreError::Refused(_) => return self.sort_refused(object, error).await,
            StoreError::Unavailable(_) | StoreError::TooMany | StoreError::FalseListing(_) => {
                BrokenKind::Unavailable
            }
        };
        let news = u32::from(!self.health.known_broken.contains(&*object.key));
        let in_a_row = self.health.failures.fetch_add(news, Ordering::Relaxed) + news;
        if in_a_row >= OUTAGE && self.gives_others().await {
            self.health.failures.store(0, Ordering::Relaxed);
        } else if in_a_row >= OUTAGE && news > 0 {
            let what =
                format!("{in_a_row} objects in a row could not be read, {} the last", object.key);
            return ReadError::Outage(Failure::Infrastructure(
                anyhow::Error::new(error).context(what),
            ));
        }
        match self.store.list(&object.key).await {
            Ok(_) => ReadError::broken(kind, &error),
            Err(error) => ReadError::Outage(error.into()),
        }
    }

    /// Whether a refusal is the object's or the caller's: who may read others may read this
    /// archive.
    async fn sort_refused(&self, object: &Object, error: StoreError) -> ReadError {
        match self.can_read_another(object).await {
            Ok(true) => ReadError::broken(BrokenKind::Refused, &error),
            Ok(false) => {
                let (location, key) = (self.store.location(), &object.key);
                let what = format!(
                    "the store lists objects and gives none that was asked for, {location}{key} \
                     for one"
                );
                ReadError::Outage(Failure::Configuration(anyhow::Error::new(error).context(what)))
            }
            Err(error) => ReadError::Outage(error.into()),
        }
    }

    fn of_caller(&self, object: &Object, error: StoreError) -> Failure {
        let what = format!("reading {}{}", self.store.location(), object.key);
        Failure::Configuration(anyhow::Error::new(error).context(what))
    }

    /// Whether the store gives another object than a refused one: the one that it gave last, some
    /// that were read before, or some of the refused one's folder and of the window's last one.
    ///
    /// # Errors
    /// Where the store fails, which tells nothing.
    async fn can_read_another(&self, refused: &Object) -> Result<bool, StoreError> {
        // Several objects may be refused at the same time. What one of them finds out serves the
        // others.
        let _search = self.health.search.lock().await;
        if let Some(given) = self.health.given()
            && self.may_read(&given).await?
        {
            return Ok(true);
        }
        if self.can_read_any(&self.others.known, refused).await? {
            return Ok(true);
        }
        let own = refused.key.rfind('/').map_or("", |end| &refused.key[..=end]);
        if self.can_read_any(&self.last_of(own).await?, refused).await? {
            return Ok(true);
        }
        for folder in self.others.folders.iter().filter(|folder| ***folder != *own) {
            let objects = self.last_of(folder).await?;
            if !objects.is_empty() {
                return self.can_read_any(&objects, refused).await;
            }
        }
        Ok(false)
    }

    async fn can_read_any(&self, objects: &[Object], refused: &Object) -> Result<bool, StoreError> {
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
