//! Records of which the archive has several lines: whether they all say the same.

use crate::archive::{Archive, Archived, OffsetSpan};
use crate::stop::stopped_comparing;
use hourly::archive::Object;
use hourly::conflicts::ConflictSearch;
use hourly::hour::Hour;
use hourly::reader::ReadError;
use hourly::scan::{Conflicts, Offsets};
use service::Failure;

impl Archive {
    /// Counts the records of which several lines tell different things. What has changed meanwhile,
    /// or cannot be read, is not counted.
    ///
    /// # Errors
    /// Where the store fails, or the run is stopped.
    pub(super) async fn count_conflicts(&self, archived: &mut Archived) -> Result<(), Failure> {
        let repeated = std::mem::take(&mut archived.repeated);
        for ((hour, topic, partition), places) in repeated {
            let objects = archived.objects_of(hour);
            let search = ConflictSearch { reader: &self.reader, hour, objects: &objects };
            let asked = Offsets::of_partition(&topic, partition, places);
            match search.run(&asked, &mut Vec::new()).await {
                Ok(found) => archived.conflicts.entry(hour).or_default().add(found),
                Err((_, ReadError::Moved | ReadError::Broken(_) | ReadError::Wide)) => {}
                Err((_, ReadError::Outage(failure))) => return Err(failure),
                Err((_, ReadError::Stopped)) => return Err(stopped_comparing()),
            }
        }
        Ok(())
    }
}

impl Archived {
    /// The objects that hold places of an hour, with the span of those.
    fn objects_of(&self, hour: Hour) -> Vec<(Object, Option<(u64, u64)>)> {
        let span = |spans: &[OffsetSpan]| {
            let own = spans.iter().filter(|span| span.hour == hour);
            own.map(|span| (span.first, span.last))
                .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
        };
        let holding = self
            .read
            .iter()
            .filter_map(|read| Some((read.object.clone(), Some(span(&read.spans)?))));
        holding.collect()
    }
}

/// What there is to say of an hour. `counted`: by batch-layer.
#[must_use]
pub fn describe(found: Conflicts, counted: u64) -> Option<String> {
    let records = |count| service::words::counted(count, "record");
    match found.records {
        0 if counted == 0 => None,
        own if own == counted || own == 0 => Some(format!(
            "of {} several objects tell different things, as batch-layer has counted; the first by \
             key counts",
            records(counted)
        )),
        own => Some(format!(
            "of {} several lines of the archive tell different things, and batch-layer has counted \
             {counted} such; the first object by key counts",
            records(own)
        )),
    }
}
