//! A part of the window, while other runs are at work on the rest.

use super::{OwnStretch, WindowRun};
use crate::archive::Folder;
use crate::completeness;
use crate::hour::Hour;
use crate::index::{BatchDb, Indexed};
use service::Failure;
use std::ops::Range;
use std::time::Duration;

impl WindowRun {
    pub(crate) const fn db(&mut self) -> &mut BatchDb {
        &mut self.db
    }

    /// A run of the whole window after those that shared it.
    pub(crate) fn closing(mut self) -> Self {
        self.is_closing = true;
        self
    }

    /// Brings a stretch of the window up to date, whose folders no other run indexes meanwhile.
    /// What cannot be done stays stale, for the run that closes.
    pub(crate) async fn run_stretch(&mut self, stretch: &Range<Hour>) -> Result<(), Failure> {
        let folders = self.template.folders(self.plan.around(stretch));
        let prefixes = folders.iter().map(|folder| folder.prefix.clone()).collect();
        self.own_stretch = Some(OwnStretch { hours: stretch.clone(), folders: prefixes });
        self.index_folders(folders).await?;
        self.mark_asked(stretch).await?;
        self.compute_stale(stretch).await?;
        self.name_deleted().await?;
        completeness::archive_lag(&mut self.db, self.archive_delay).await?;
        let (from, to) = (stretch.start, stretch.end);
        self.progress
            .log_done(|| tracing::info!(%from, %to, "the hours from {from} to {to} are done"));
        // What was kept for later hours may be another's now.
        self.engine.forget_all();
        // Folders on either side may be of its next stretch, which reads them for its own hours.
        self.folders.listed.clear();
        Ok(())
    }

    /// How many hours the folders of a stretch reach beyond it.
    pub(crate) fn reach(&self) -> i64 {
        let hour = self.plan.window.start;
        let folders = self.template.folders(hour..hour.plus(1));
        self.plan.slack
            + folders
                .iter()
                .map(|folder| Hour::each(folder.hours.clone()).count() as i64)
                .max()
                .unwrap_or(1)
    }

    /// # Errors
    /// Where the run is to end meanwhile.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        self.unless_stopped(tokio::time::sleep(pause)).await
    }

    pub(super) fn is_own(&self, folder: &str) -> bool {
        self.own_stretch.as_ref().is_none_or(|own| own.folders.contains(folder))
    }

    /// Whether all objects of a folder are to be read: another run sees to that in the neighbours'
    /// folders.
    pub(super) fn is_read_anew(&self, folder: &Folder) -> bool {
        let is_of = |own: &OwnStretch| {
            folder.hours.start < own.hours.end && own.hours.start < folder.hours.end
        };
        self.recompute && !self.is_closing && self.own_stretch.as_ref().is_none_or(is_of)
    }

    /// Forgets what was read of objects that other runs may have replaced since.
    pub(super) fn forget_others(&mut self, objects: &[Indexed]) {
        let others = objects
            .iter()
            .filter(|indexed| self.own_stretch.is_some() && !self.is_own(&indexed.folder));
        let others: Vec<_> = others.map(|indexed| indexed.object.key.clone()).collect();
        others.iter().for_each(|key| self.engine.forget_object(key));
    }
}
