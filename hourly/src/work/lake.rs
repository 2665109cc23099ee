//! Hours out of the lake, in the place of the raw objects that it was made of.
//!
//! It is a source where an hour is to be computed again and nothing has changed: its sums are what
//! was kept of it, read from the ticks. What the lake does not tell, rejected lines and how many
//! records came twice, is known from when the objects were read. An object of the lake that is not
//! what it was is not believed; then the raw objects are read.

use super::WindowRun;
use super::due::{HourToCompute, LakeSums};
use crate::archive::Folder;
use crate::hour::Hour;
use crate::index::{Computed, Indexed, Stale};
use crate::lake::look::{LakeReadError, LakeReader};
use crate::lake::source::{self, Required};
use crate::lake::table::PublishedObject;
use crate::pending_hours;
use crate::scan::HourBars;
use crate::stop::stopped;
use crate::summary::changed_symbols;
use rustc_hash::FxHashSet;
use service::Failure;
use service::words::counted;
use std::ops::Range;

impl WindowRun {
    /// The objects of a folder that need not be read again where all of them would be: the lake has
    /// what they hold of the window, and what is known of them was read by the same rules.
    pub(super) async fn objects_kept_for_lake(
        &mut self,
        folder: &Folder,
    ) -> Result<FxHashSet<String>, Failure> {
        let Some(lake) = self.lake.clone().filter(|_| !self.allow_shrink) else {
            return Ok(FxHashSet::default());
        };
        let Range { start, end } = self.plan.around(&folder.hours);
        let hours = start.max(self.plan.window.start)..end.min(self.plan.window.end);
        let required =
            Required { decode_rules: &self.decode_rules, location: &self.store.location() };
        let covered = lake.covered(&mut self.db, &hours, required).await?;
        if covered.is_empty() {
            return Ok(FxHashSet::default());
        }
        lake.objects_kept_for_lake(&mut self.db, (&folder.prefix, &self.plan.window), &covered)
            .await
    }

    /// If the lake's copy of the hour matches what the index knows, reads it and uses it instead of
    /// the stored sums.
    pub(super) async fn read_lake(
        &mut self,
        stale: &Stale,
        known: &mut Computed,
    ) -> Result<Option<LakeSums>, Failure> {
        let Some(lake) = self.lake.clone() else { return Ok(None) };
        if stale.is_replaced || stale.is_reread || self.may_shrink(stale.hour) {
            return Ok(None);
        }
        let location = self.store.location();
        let required = Required { decode_rules: &self.decode_rules, location: &location };
        let Some(objects) = lake.objects(&mut self.db, stale.hour, required).await? else {
            return Ok(None);
        };
        let read = self.sum_up_lake(&objects, &lake.folder).await;
        let read = read.and_then(|sum| {
            believed(sum, stale.hour, known).map_err(|why| (None, LakeReadError::Damaged(why)))
        });
        match read {
            Ok(mut sum) => {
                if self.contradicts_summary(stale.hour, known, &mut sum) {
                    return Ok(None);
                }
                known.sum = Some(HourBars { duplicates: known.duplicates, ..sum });
                Ok(Some(LakeSums {
                    keys: objects.into_iter().map(|published| published.key).collect(),
                }))
            }
            Err(_) if self.stop.is_cancelled() => Err(stopped()),
            Err((key, unread)) => {
                self.note_unread(stale.hour, key.as_deref(), &unread);
                Ok(None)
            }
        }
    }

    /// Whether the lake has the hour's records with other numbers than those that were kept of it,
    /// which has been noted then. It may be older: an object was replaced by one with the same
    /// places, which `compact` has not read, and that or others have expired since.
    fn contradicts_summary(&self, hour: Hour, known: &Computed, sum: &mut HourBars) -> bool {
        let Some(kept) = &known.sum else { return false };
        let changed = changed_symbols(kept, sum);
        let Some(first) = changed.first() else { return false };
        let symbols = counted(changed.len() as u64, "symbol");
        let gone_objects = known.gone_objects;
        let text = match gone_objects {
            0 => "its objects are read instead (batch-layer compact mends the lake)",
            _ => {
                "the summary's stay, because some of its objects are gone, and nothing tells which \
                 of the two is right (batch-layer verify compares them)"
            }
        };
        self.progress.log(|| {
            tracing::warn!(
                %hour,
                symbols = changed.len(),
                first,
                gone_objects,
                "hour {hour}: the lake is not believed: it tells other numbers of {symbols} than \
                 the summary, {first} the first; {text}"
            );
        });
        true
    }

    async fn sum_up_lake(
        &mut self,
        objects: &[PublishedObject],
        folder: &std::path::Path,
    ) -> Result<HourBars, (Option<String>, LakeReadError)> {
        let mut sum = HourBars::default();
        for published in objects {
            let look = LakeReader { store: &self.store, folder, stop: &self.stop };
            let of_object = |unread| (Some(published.key.clone()), unread);
            let part = source::sum_up(look, published).await.map_err(of_object)?;
            if !sum.offsets.is_disjoint(&part.offsets) {
                return Err(of_object(LakeReadError::Damaged(
                    "another object has some of its records".to_owned(),
                )));
            }
            let joined = pending_hours::joined(sum, part);
            sum = joined.ok_or_else(|| {
                of_object(LakeReadError::Damaged("it has too many symbols".to_owned()))
            })?;
            self.counts.lake_objects_read += 1;
            self.progress.object(published.size);
        }
        sum.offsets.flush();
        Ok(sum)
    }

    fn note_unread(&self, hour: Hour, key: Option<&str>, unread: &LakeReadError) {
        const MENDS: &str = " (batch-layer compact mends the lake)";
        let (why, advice) = match unread {
            LakeReadError::Moved => ("is gone".to_owned(), MENDS),
            LakeReadError::Damaged(why) => (format!("is not believed: {why}"), MENDS),
            // Nothing says that the lake is wrong: the store, or the folder for temporary files.
            LakeReadError::Away(failure) => (format!("could not be read: {failure}"), ""),
        };
        let location = self.store.location();
        let what = key.map_or_else(|| "the lake".to_owned(), |key| format!("{location}{key}"));
        let text = format!("{what} {why}; what the lake was made of is read instead{advice}");
        self.progress.log(|| {
            tracing::warn!(%hour, location, key, error = why, "hour {hour}: {text}");
        });
    }

    /// What an hour was computed from, in words. `added`: objects that came to what was known;
    /// `None`: all.
    pub(super) fn origin(&self, due: &HourToCompute<'_>, added: Option<&[&Indexed]>) -> String {
        let objects = |count: usize| counted(count as u64, "object");
        match (due.from_lake, added) {
            (Some(lake), Some([])) => format!("{} of the lake", objects(lake.keys.len())),
            (Some(lake), Some(added)) => {
                format!("{} of the lake and {}", objects(lake.keys.len()), objects(added.len()))
            }
            _ => objects(due.objects.len()),
        }
    }
}

/// # Errors
/// Why what the lake has of an hour is not what is known of it.
fn believed(sum: HourBars, hour: Hour, known: &Computed) -> Result<HourBars, String> {
    if !sum.may_be_of(hour, known.ticks) {
        return Err(format!("it has {} ticks where {} were computed", sum.ticks, known.ticks));
    }
    let places = known.sum.as_ref().map(|known| &known.offsets);
    match places.map_or(0, |places| places.missing_in(&sum.offsets)) {
        0 => Ok(sum),
        missing => Err(format!("it lacks {} that the summary has", counted(missing, "record"))),
    }
}
