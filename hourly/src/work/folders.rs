//! Which folders there are at all: a listing by folders, instead of one for each hour of a long
//! window.

use super::WindowRun;
use crate::archive::{Folder, StoreError};
use crate::hour::Hour;
use common::Timestamp;
use service::Failure;
use std::collections::BTreeSet;

/// A window of more hours is looked at by folders first.
const LONG_HOURS: usize = 500;

/// A folder of an hour so far ahead is no producer's clock.
const FAR_HOURS: i64 = 48;

impl WindowRun {
    /// Looks which folders there are, where the window is long, and lets the window begin where
    /// there is anything.
    pub(super) async fn find_folders(&mut self) -> Result<(), Failure> {
        if Hour::each(self.plan.window.clone()).count() <= LONG_HOURS {
            return Ok(());
        }
        let (store, stem) = (self.store.clone(), self.template.stem().to_owned());
        let folders = match self.unless_stopped(store.folders(&stem, "", true)).await? {
            // Who may not list there lists hour by hour.
            Err(StoreError::Refused(_)) => return Ok(()),
            folders => folders?,
        };
        let oldest: Option<Hour> =
            folders.iter().filter_map(|folder| self.template.hour_of(folder)).min();
        let known = self.db.oldest_hour().await?;
        // Where a folder on this level stands for no hour, as one of a whole year, its first hour
        // is not known.
        if folders.iter().all(|folder| self.template.hour_of(folder).is_some()) {
            let oldest = oldest.map(|hour| hour.plus(-self.plan.slack));
            let begin = [oldest, known].into_iter().flatten().min().unwrap_or(self.plan.window.end);
            let window = &mut self.plan.window;
            window.start = window.start.max(begin).min(window.end);
        }
        self.folders.existing = Some(folders.into_iter().collect());
        Ok(())
    }

    /// Folders appear while a long run is at work, so those from the first of some on are looked
    /// for once more: one page.
    pub(super) async fn find_new_folders(&mut self, folders: &[Folder]) -> Result<(), Failure> {
        let (Some(first), true) = (folders.first(), self.folders.existing.is_some()) else {
            return Ok(());
        };
        let (store, stem) = (self.store.clone(), self.template.stem().to_owned());
        // Where a listing begins after a name, that is not shown itself.
        let from = self.template.level(&first.prefix).trim_end_matches('/');
        let new = self.unless_stopped(store.folders(&stem, from, false)).await??;
        self.folders.existing.iter_mut().for_each(|there| there.extend(new.iter().cloned()));
        Ok(())
    }

    /// Logs which folders lie so far from now that no usual window covers them, and this one does
    /// not: a record time in another unit, for one.
    pub(super) async fn name_far_folders(&mut self) -> Result<(), Failure> {
        let (store, stem) = (self.store.clone(), self.template.stem().to_owned());
        let far_hour = Hour::of(Timestamp::now()).plus(FAR_HOURS);
        let far = self.template.prefix(far_hour);
        // Names need not sort by time.
        let is_near =
            |folder: &str| self.template.hour_of(folder).is_some_and(|hour| hour <= far_hour);
        let ahead =
            self.unless_stopped(store.folders(&stem, self.template.level(&far), false)).await?;
        let ahead = ahead.unwrap_or_default();
        let ahead = ahead
            .iter()
            .filter(|folder| **folder != *self.template.level(&far) && !is_near(folder))
            .find(|folder| self.is_within_time_range(folder));
        let first = self.unless_stopped(store.folders(&stem, "", false)).await?.unwrap_or_default();
        let read = self.plan.around(&self.plan.window);
        let is_old = |folder: &&String| {
            let hour = self.template.hour_of(folder);
            hour.is_some_and(|hour| hour < Hour::OLDEST && !read.contains(&hour))
        };
        let named: BTreeSet<&String> = ahead.into_iter().chain(first.iter().find(is_old)).collect();
        for folder in named {
            let location = self.store.location();
            self.progress.log(|| {
                tracing::warn!(
                    location,
                    prefix = %folder,
                    "{location}{folder}: a folder of a time far from now, which no run looks at: \
                     is the record time of its producer or sink in another unit?"
                );
            });
        }
        Ok(())
    }

    /// Whether a folder's name begins as one of the template, and a number follows.
    fn is_within_time_range(&self, folder: &str) -> bool {
        let rest = folder.strip_prefix(self.template.stem());
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    }
}
