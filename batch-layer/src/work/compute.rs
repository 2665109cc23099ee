//! Computing the hours that are stale.

use super::{ROUNDS, Work, stopped};
use crate::archive::{Folder, Object};
use crate::hour::Hour;
use crate::index::Stale;
use crate::reader::{IN_FLIGHT, ReadError};
use crate::summary::{self, Summary};
use crate::survey::{Change, ChangeKind};
use common::Failure;
use futures::stream::{self, StreamExt};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What became of the attempt to bring an hour's total together.
enum Total {
    Complete,
    /// An object was no longer the one that the index knows; it has been indexed anew.
    Moved,
    /// An object cannot be read; the hour is noted as failed.
    Failed,
}

impl Work {
    /// Computes stale hours until there are none left but those that failed and those of later stretches.
    pub(super) async fn compute_stale(&mut self, stretch: &Range<Hour>) -> Result<(), Failure> {
        loop {
            let mut stale = self.index.stale(self.plan.due, &self.plan.window).await?;
            let later = stretch.end..self.plan.window.end;
            stale.retain(|stale| !self.failed.contains(&stale.hour) && !later.contains(&stale.hour));
            if stale.is_empty() {
                return Ok(());
            }
            // An hour outside of the stretch may have objects that this run has not seen.
            let unseen = self.unseen_folders(&stale);
            if !unseen.is_empty() {
                self.index_folders(unseen).await?;
                continue;
            }
            let mut pending: FxHashSet<Hour> = stale.iter().map(|stale| stale.hour).collect();
            for stale in stale {
                self.check_stop()?;
                self.compute(stale, &pending).await?;
                pending.remove(&stale.hour);
            }
        }
    }

    /// The folders around hours that this run has not indexed yet.
    fn unseen_folders(&self, stale: &[Stale]) -> Vec<Folder> {
        let hours: BTreeSet<Hour> =
            stale.iter().flat_map(|stale| Hour::each(self.plan.around(&(stale.hour..stale.hour.plus(1))))).collect();
        let mut folders: Vec<Folder> = Vec::new();
        for folder in hours.into_iter().flat_map(|hour| self.template.folders(hour..hour.plus(1))) {
            match folders.last_mut() {
                Some(last) if last.prefix == folder.prefix => last.hours.end = folder.hours.end,
                _ if self.surveyed.contains(&folder.prefix) => {}
                _ => folders.push(folder),
            }
        }
        folders
    }

    /// Computes one hour, unless it failed or changed meanwhile. `pending`: hours that will be computed after it.
    async fn compute(&mut self, stale: Stale, pending: &FxHashSet<Hour>) -> Result<(), Failure> {
        let hour = stale.hour;
        let mut objects = self.index.objects_of(hour).await?;
        objects.retain(|(_, folder)| self.template.owns(folder));
        if objects.is_empty() {
            return self.empty(stale).await;
        }
        let fingerprint = summary::fingerprint(objects.iter().map(|(object, _)| object));
        let is_forced = self.recompute && self.plan.window.contains(&hour);
        let computed = self.index.computed(hour).await?;
        if !is_forced && computed.is_some_and(|computed| computed.fingerprint == fingerprint) {
            return self.index.settle(hour).await;
        }
        self.totals.forget_before(hour);
        match self.complete(hour, &objects, pending).await? {
            Total::Complete => {}
            Total::Moved => return self.note_retry(hour, &objects[0].0),
            Total::Failed => return Ok(()),
        }
        let total = self.totals.take(hour);
        if total.objects.len() != objects.len() {
            return self.note_retry(hour, &objects[0].0);
        }
        let summary = Summary { hour, sum: total.sum, fingerprint, objects: objects.len(), run_id: self.run_id };
        summary.write(&mut self.index).await?;
        self.note_written(&summary);
        Ok(())
    }

    fn note_written(&mut self, summary: &Summary) {
        let Summary { hour, sum, objects, .. } = summary;
        self.counts.hours_computed += 1;
        self.counts.ticks += sum.ticks;
        self.counts.duplicates += sum.duplicates;
        self.progress.say(format_args!(
            "hour {hour}: {} ticks of {} symbols from {objects} objects, {} duplicates left out",
            sum.ticks,
            sum.bars.len(),
            sum.duplicates
        ));
    }

    /// An hour without objects: its ticks were withdrawn, or have expired.
    async fn empty(&mut self, stale: Stale) -> Result<(), Failure> {
        let Stale { hour, withdrawn } = stale;
        if self.index.computed(hour).await?.is_none() {
            return self.index.settle(hour).await;
        }
        if withdrawn {
            self.progress
                .say(format_args!("hour {hour}: its objects were replaced by others without its ticks; deleted"));
            return summary::withdraw(&mut self.index, hour).await;
        }
        self.progress.warn(format_args!("hour {hour}: all its objects are gone from the archive; its summary stays"));
        self.index.settle(hour).await
    }

    /// Reads those objects of an hour that its total lacks.
    async fn complete(
        &mut self,
        hour: Hour,
        objects: &[(Object, Arc<str>)],
        pending: &FxHashSet<Hour>,
    ) -> Result<Total, Failure> {
        let missing = objects.iter().filter(|(object, _)| !self.totals.holds(hour, &object.key));
        let missing: Vec<_> = missing.cloned().collect();
        let reader = self.reader.clone();
        let mut reads = stream::iter(missing)
            .map(|(object, folder)| {
                let reader = reader.clone();
                async move {
                    let scan = reader.read(&object, None).await;
                    (object, folder, scan)
                }
            })
            .buffered(IN_FLIGHT);
        while let Some((object, folder, scan)) = self.unless_stopped(reads.next()).await? {
            match scan {
                Ok(scan) => {
                    self.count_read(&object);
                    self.absorb(&object, scan.hours, |hour| pending.contains(&hour)).await?;
                }
                Err(ReadError::Moved) => {
                    let folder = Folder { prefix: folder, hours: hour..hour.plus(1) };
                    self.index_again(vec![Change { object, folder, kind: ChangeKind::Replaced }]).await?;
                    return Ok(Total::Moved);
                }
                Err(ReadError::Broken { why, hours }) => {
                    self.fail(&object, &why, hours.into_iter().chain([hour]).collect());
                    return Ok(Total::Failed);
                }
                Err(ReadError::Unavailable(error)) => return Err(Failure::Infrastructure(error)),
                Err(ReadError::Stopped) => return Err(stopped()),
            }
        }
        Ok(Total::Complete)
    }

    /// The hour stays stale and is tried again, but not for ever.
    fn note_retry(&mut self, hour: Hour, object: &Object) -> Result<(), Failure> {
        let retries = self.retries.entry(hour).or_default();
        *retries += 1;
        if *retries > ROUNDS {
            self.fail(object, "the objects of the hour change again and again while they are read", [hour].into());
        }
        Ok(())
    }
}
