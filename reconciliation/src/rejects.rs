//! [`NonTicks`]: ticks of `realtime_stock`, and offsets that no table has, whose lines the archive
//! has, and which are no ticks by the flags of this comparison. Nothing will ever come of them.

use crate::archive::{Archive, Archived};
use crate::lost::{Holes, Lost};
use crate::stop::stopped_comparing;
use common::decode::DecodedTick;
use common::{Reason, Reject};
use futures::stream::{self, StreamExt};
use hourly::archive::Body;
use hourly::holdings::{Holdings, OffsetsByHour};
use hourly::reader::{IN_FLIGHT, ReadError};
use hourly::scan::{self, Line, LinePosition, Runs, ScanError, ScanOptions, Visitor, places};
use roaring::RoaringTreemap;
use service::Failure;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The messages of some rejected lines, by partition and reason.
#[derive(Debug, Default)]
pub struct NonTicks(BTreeMap<(i32, Reason), Lines>);

#[derive(Debug, Default)]
struct Lines {
    messages: RoaringTreemap,
    /// The sentences of the first of them by offset.
    first: Option<(u64, String)>,
}

/// Messages that are asked for, by partition.
#[derive(Default)]
struct Asked {
    ticks: BTreeMap<i32, RoaringTreemap>,
    holes: Vec<(i32, Runs)>,
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.ticks.is_empty() && self.holes.is_empty()
    }

    fn contains(&self, partition: i32, offset: u64) -> bool {
        let is_within = |(of, holes): &(i32, Runs)| *of == partition && holes.contains(offset);
        self.ticks.get(&partition).is_some_and(|ticks| ticks.contains(offset))
            || self.holes.iter().any(is_within)
    }
}

impl Lost {
    /// Forgets offsets that are accounted for after all: the archive has their lines, which are no
    /// ticks.
    pub(crate) fn explain(&mut self, lines: &NonTicks) {
        for ((_, partition), offsets) in &mut self.unaccounted {
            *offsets = std::mem::take(offsets).without(&lines.of(*partition));
        }
        self.unaccounted.retain(|_, offsets| !offsets.is_empty());
    }
}

impl NonTicks {
    /// The places, of some, whose lines were rejected, by reason, each with the sentence of one.
    pub fn among(&self, partition: i32, asked: &RoaringTreemap) -> Vec<(RoaringTreemap, String)> {
        let of_partition = self.0.iter().filter(|((of, _), _)| *of == partition);
        let mut left = asked.clone();
        let mut found = Vec::new();
        for (_, Lines { messages, first }) in of_partition {
            let places = places::of_messages(&left, messages);
            left -= &places;
            if let (false, Some((_, why))) = (places.is_empty(), first) {
                found.push((places, why.clone()));
            }
        }
        found
    }

    /// The messages of a partition.
    pub(super) fn of(&self, partition: i32) -> RoaringTreemap {
        let of_partition = self.0.iter().filter(|((of, _), _)| *of == partition);
        of_partition.fold(RoaringTreemap::new(), |all, (_, lines)| all | &lines.messages)
    }

    pub(super) fn add(&mut self, partition: i32, offset: u64, reject: &Reject) {
        let lines = self.0.entry((partition, reject.reason)).or_default();
        lines.messages.insert(offset);
        if lines.first.as_ref().is_none_or(|(first, _)| offset < *first) {
            lines.first = Some((offset, reject.to_string()));
        }
    }

    fn join(&mut self, other: Self) {
        for (key, Lines { messages, first }) in other.0 {
            let known = self.0.entry(key).or_default();
            known.messages |= messages;
            known.first = known.first.take().into_iter().chain(first).min();
        }
    }
}

/// The places that `realtime_stock` has, and neither the archive nor what has expired of it.
#[must_use]
pub fn missing(realtime: &Holdings, archive: &Holdings, expired: &OffsetsByHour) -> OffsetsByHour {
    let mut missing = OffsetsByHour::new();
    for (hour, ours) in &realtime.hours {
        for (_, partition, places) in ours.offsets.iter() {
            let mut left = places.clone();
            if let Some(theirs) = archive.hours.get(hour) {
                left -= theirs.offsets(partition);
            }
            if let Some(expired) = expired.get(&(*hour, partition)) {
                left -= expired;
            }
            if !left.is_empty() {
                *missing.entry((*hour, partition)).or_default() |= left;
            }
        }
    }
    missing
}

impl Archive {
    /// Looks for lines at some places, and in some holes, among those that are no ticks. What is no
    /// longer there as it was is left out.
    ///
    /// # Errors
    /// Where the store fails, or the run is stopped.
    pub async fn read_rejects(
        &self,
        archived: &Archived,
        (places, holes): (&OffsetsByHour, &Holes),
    ) -> Result<NonTicks, Failure> {
        let mut asked = Asked::default();
        for ((_, partition), places) in places {
            *asked.ticks.entry(*partition).or_default() |= places::messages(places);
        }
        let holes = holes.iter().map(|((_, partition), holes)| (*partition, holes.clone()));
        asked.holes = holes.collect();
        let asked = Arc::new(asked);
        let objects: Vec<_> =
            if asked.is_empty() { Vec::new() } else { archived.with_rejects().cloned().collect() };
        let mut reads = stream::iter(objects)
            .map(async |object| {
                let asked = Arc::clone(&asked);
                let scan =
                    move |body: Body, options: &ScanOptions| of_object(body, options, &asked);
                self.reader.read_with(&object, None, scan).await
            })
            .buffered(IN_FLIGHT);
        let mut found = NonTicks::default();
        while let Some(read) = reads.next().await {
            match read {
                Ok(part) => found.join(part),
                Err(ReadError::Moved | ReadError::Broken(_) | ReadError::Wide) => {}
                Err(ReadError::Outage(failure)) => return Err(failure),
                Err(ReadError::Stopped) => return Err(stopped_comparing()),
            }
        }
        Ok(found)
    }
}

fn of_object(body: Body, options: &ScanOptions, asked: &Asked) -> Result<NonTicks, ScanError> {
    let mut looking = Looking { options, asked, found: NonTicks::default() };
    match scan::visit(body, options, &mut looking) {
        Ok(()) => Ok(looking.found),
        Err(error) => Err(ScanError { error, hours: Vec::new() }),
    }
}

struct Looking<'a> {
    options: &'a ScanOptions,
    asked: &'a Asked,
    found: NonTicks,
}

impl Visitor for Looking<'_> {
    fn record(&mut self, _: &DecodedTick<'_>, _: LinePosition) {}

    fn reject(&mut self, line: &Line<'_>, _: u16, reject: Reject) {
        let Some(position) = scan::kafka_position_of(line, self.options) else { return };
        let Ok(offset) = u64::try_from(position.offset) else { return };
        if self.asked.contains(position.partition, offset) {
            self.found.add(position.partition, offset, &scan::of_archive(reject));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(reason: Reason, detail: &str) -> Reject {
        Reject { reason, detail: detail.to_owned() }
    }

    #[test]
    fn ticks_are_found_by_their_messages_and_told_by_the_first_line_of_each_reason() {
        let (mut one, mut other) = (NonTicks::default(), NonTicks::default());
        one.add(0, 5, &reject(Reason::OtherKind, "five"));
        other.add(0, 3, &reject(Reason::OtherKind, "three"));
        other.add(0, 4, &reject(Reason::MissingField, "four"));
        other.add(1, 6, &reject(Reason::MissingField, "six"));
        one.join(other);
        let asked = [3, 4, places::number(5, 2), 6].into_iter().collect();
        let found = one.among(0, &asked);
        let expected: [(RoaringTreemap, String); 2] = [
            ([4].into_iter().collect(), "missing_field: four".to_owned()),
            ([3, places::number(5, 2)].into_iter().collect(), "other_kind: three".to_owned()),
        ];
        assert_eq!(found, expected);
        assert!(one.among(2, &asked).is_empty());
    }
}
