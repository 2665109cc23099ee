//! Reading a span of hours: the archive, the tables, Kafka and the lake.

use crate::hour_span::{HourSpan, TableDifferences};
use crate::kept::StoredSums;
use crate::lake::{self, Expected, LakeComparison};
use crate::rejects;
use crate::tables;
use crate::topic::{ComparedTopic, TopicHoldings};
use crate::verification::Verification;
use common::Timestamp;
use hourly::hour::Hour;
use hourly::lake::look::LakeReader;
use hourly::scan::Offsets;
use hourly::shared;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

impl Verification {
    /// Reads both sides, and what Kafka has of the hours. The archive comes first: what is archived
    /// while it is read is then at worst in `realtime_stock` alone, and newer than everything that
    /// was read.
    ///
    /// `None` where several hours hold more together than there is memory for.
    pub(super) async fn read(&mut self, hours: Range<Hour>) -> Result<Option<HourSpan>, Failure> {
        let began_at = Timestamp::now();
        let mut parts = Vec::new();
        for topic in &self.topics {
            let Some(archived) =
                self.archive.read(&mut self.db, &hours, topic.of_objects()).await?
            else {
                return Ok(None);
            };
            parts.push(TopicHoldings { archived, ..TopicHoldings::default() });
        }
        self.note_late(&hours, &mut parts);
        let read_at = tables::begin_snapshot(&mut self.db).await?;
        let mut span = HourSpan {
            hours,
            parts,
            computed: BTreeMap::new(),
            kept: BTreeMap::new(),
            read_at,
            began_at,
            strays: BTreeMap::new(),
            lake: BTreeMap::new(),
            shared: BTreeMap::new(),
            others: BTreeMap::new(),
        };
        let is_complete = self.read_tables(&mut span).await?;
        tables::end_snapshot(&mut self.db).await?;
        if !is_complete {
            return Ok(None);
        }
        for part in &mut span.parts {
            let missing = rejects::missing(&part.realtime, &part.archived.holdings, &part.expired);
            let asked = (&missing, &part.lost.unaccounted);
            let found = Box::pin(self.archive.read_rejects(&part.archived, asked));
            part.non_ticks = found.await?;
            part.lost.explain(&part.non_ticks);
        }
        for part in span.parts.iter_mut().filter(|part| !part.blurred.is_empty()) {
            part.blurred_holdings[1] =
                self.archive.read_among(&part.archived, &part.blurred).await?;
        }
        for (topic, part) in self.topics.iter().zip(&mut span.parts) {
            let differing = Arc::new(part.differing());
            if !differing.is_empty() {
                let archived = self.archive.read_among(&part.archived, &differing).await?;
                part.differing_values =
                    [topic.read_among(&mut self.db, &differing).await?, archived];
            }
        }
        for hour in Hour::each(span.hours.clone()) {
            let found = self.read_lake(hour, &span).await?;
            span.lake.insert(hour, found);
        }
        Ok(Some(span))
    }

    async fn read_lake(&mut self, hour: Hour, span: &HourSpan) -> Result<LakeComparison, Failure> {
        let computed = &span.computed[&hour];
        let is_as_computed = !computed.is_stale && span.news(hour).objects == 0;
        let is_complete =
            span.unread(hour).is_none() && !span.kept.contains_key(&hour) && is_as_computed;
        let parts = self.topics.iter().zip(&span.parts);
        let archive = is_complete.then(|| {
            parts
                .map(|(topic, part)| (topic.name.clone(), part.archived.holdings.hours.get(&hour)))
                .collect()
        });
        let expected = Expected { archive, computed_at: computed.computed_at };
        let folder = std::env::temp_dir();
        let look = LakeReader { store: &self.archive.store, folder: &folder, stop: &self.stop };
        // On the heap: as a part of this one it would nest deeper than the compiler follows.
        Box::pin(lake::compare(&mut self.db, look, hour, &expected)).await
    }

    /// `false` where several hours hold more together than there is memory for.
    async fn read_tables(&mut self, span: &mut HourSpan) -> Result<bool, Failure> {
        let hours = span.hours.clone();
        for (topic, part) in self.topics.iter().zip(&mut span.parts) {
            let Some(realtime) = topic.read_realtime(&mut self.db, &hours).await? else {
                return Ok(false);
            };
            part.realtime = realtime;
            topic.read_blurred(&mut self.db, part).await?;
        }
        for hour in Hour::each(hours.clone()) {
            self.read_computed(hour, span).await?;
        }
        let purged = span
            .computed
            .iter()
            .filter(|(_, computed)| computed.is_purged())
            .map(|(hour, _)| *hour);
        let purged = purged.collect();
        for (topic, part) in self.topics.iter().zip(&mut span.parts) {
            topic.ask(&mut self.db, &self.archive, (&hours, &purged), part).await?;
        }
        let sources: Option<Vec<i16>> = self
            .topics
            .iter()
            .map(ComparedTopic::sources)
            .collect::<Option<Vec<_>>>()
            .map(|sources| sources.concat());
        for hour in Hour::each(hours) {
            match &sources {
                Some(sources) => self.find_others(hour, sources, span).await?,
                None => {
                    let others = self.archive.topics_among(&mut self.db, hour).await?;
                    if !others.is_empty() {
                        span.others.entry(hour).or_default().extend(others);
                    }
                }
            }
            let strays = if span.others.contains_key(&hour) {
                TableDifferences::default()
            } else {
                self.strays(hour, span, sources.as_deref()).await?
            };
            span.strays.insert(hour, strays);
        }
        Ok(true)
    }

    /// Looks for topics that share an hour. `sources`: of those that are compared.
    async fn find_others(
        &mut self,
        hour: Hour,
        sources: &[i16],
        span: &mut HourSpan,
    ) -> Result<(), Failure> {
        let mut others = self.archive.other_topics(&mut self.db, hour).await?;
        others.extend(tables::other_topics(&mut self.db, hour, sources).await?);
        let computed = &span.computed[&hour];
        if computed.is_purged() && computed.hour_bar_ticks > span.archived(hour) {
            // Nothing tells any more whose ticks were dropped.
            others.extend(tables::topics_beside(&mut self.db, &self.archive.topics).await?);
        }
        if !others.is_empty() {
            span.others.entry(hour).or_default().extend(others);
        }
        Ok(())
    }

    /// What was computed of an hour, and what was kept of it, where objects have expired.
    async fn read_computed(&mut self, hour: Hour, span: &mut HourSpan) -> Result<(), Failure> {
        let mut computed =
            tables::computed(&mut self.db, hour, &self.archive.store.location()).await?;
        if computed.is_of_this_archive {
            // Those that batch-layer has not missed yet.
            let vanished = span.parts.iter().filter_map(|part| part.archived.vanished.get(&hour));
            computed.gone_objects += vanished.sum::<u32>();
            let deleted = span.parts.iter().filter_map(|part| part.archived.deleted.get(&hour));
            computed.deleted_objects += deleted.sum::<u32>();
            // The lake was read in their place.
            computed.gone_objects = computed.gone_objects.saturating_sub(span.covered(hour));
        }
        if computed.gone_objects > 0 {
            let realtime = span.realtime(hour);
            let is_asked = !computed.is_purged() && !realtime.is_too_wide;
            let bars = is_asked.then_some(realtime.bars());
            let (mut kept, places) = StoredSums::read(&mut self.db, hour, &computed, bars).await?;
            if let Some(others) = self.topics_beside(&places) {
                span.others.insert(hour, others);
            }
            let without_offsets = self.db.gone_without_offsets(hour).await?;
            let mut left: u64 = without_offsets.iter().map(|object| object.ticks).sum();
            for (topic, part) in self.topics.iter().zip(&mut span.parts) {
                part.expired.extend(topic.own_places(hour, &places));
                let vanished = part.archived.vanished_without_offsets.get(&hour);
                let of_topic = without_offsets
                    .iter()
                    .chain(vanished.into_iter().flatten())
                    .filter_map(|object| self.archive.presumed(object, &topic.name));
                for (partition, presumed) in of_topic {
                    left = left.saturating_sub(presumed.ticks);
                    part.expired_without_offsets
                        .entry((hour, partition))
                        .or_default()
                        .push(presumed);
                }
            }
            // What is there of them is of the object's own partition.
            kept.is_attributed &= left == 0;
            span.kept.insert(hour, kept);
        }
        span.computed.insert(hour, computed);
        span.shared.insert(hour, shared::of_computed(&mut self.db, hour).await?);
        Ok(())
    }

    /// The topics of some places that are not compared, if there are any.
    fn topics_beside(&self, places: &Offsets) -> Option<BTreeSet<String>> {
        let is_other = |of: &str| !self.topics.iter().any(|topic| topic.owns(of));
        let others: BTreeSet<String> =
            places.iter().map(|(of, ..)| of).filter(|of| is_other(of)).map(str::to_owned).collect();
        (!others.is_empty()).then_some(others)
    }
}
