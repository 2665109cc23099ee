//! Reading a stretch of hours: the archive, the tables, Kafka and the lake.

use super::kept::StoredSums;
use super::lake::{self, Expected, LakeComparison};
use super::rejects;
use super::stretch::{Strays, Stretch};
use super::tables;
use super::topic::{Topic, TopicHoldings};
use super::verification::Verification;
use common::Timestamp;
use hourly::hour::Hour;
use hourly::lake::look::Look;
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
    pub(super) async fn read(&mut self, hours: Range<Hour>) -> Result<Option<Stretch>, Failure> {
        let began_at = Timestamp::now();
        let mut parts = Vec::new();
        for topic in &self.topics {
            let Some(archived) =
                self.archive.read(&mut self.index, &hours, topic.of_objects()).await?
            else {
                return Ok(None);
            };
            parts.push(TopicHoldings { archived, ..TopicHoldings::default() });
        }
        self.note_late(&hours, &mut parts);
        let read_at = tables::begin_snapshot(&mut self.index).await?;
        let mut stretch = Stretch {
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
        let is_complete = self.read_tables(&mut stretch).await?;
        tables::end_snapshot(&mut self.index).await?;
        if !is_complete {
            return Ok(None);
        }
        for part in &mut stretch.parts {
            let missing = rejects::missing(&part.realtime, &part.archived.holdings, &part.expired);
            let found = Box::pin(self.archive.read_rejects(&part.archived, &missing));
            part.no_ticks = found.await?;
        }
        for part in stretch.parts.iter_mut().filter(|part| !part.blurred.is_empty()) {
            part.again[1] = self.archive.read_among(&part.archived, &part.blurred).await?;
        }
        for (topic, part) in self.topics.iter().zip(&mut stretch.parts) {
            let differing = Arc::new(part.differing());
            if !differing.is_empty() {
                let archived = self.archive.read_among(&part.archived, &differing).await?;
                part.differing_values =
                    [topic.read_among(&mut self.index, &differing).await?, archived];
            }
        }
        for hour in Hour::each(stretch.hours.clone()) {
            let found = self.read_lake(hour, &stretch).await?;
            stretch.lake.insert(hour, found);
        }
        Ok(Some(stretch))
    }

    async fn read_lake(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
    ) -> Result<LakeComparison, Failure> {
        let computed = &stretch.computed[&hour];
        let is_as_computed = !computed.is_stale && stretch.news(hour).objects == 0;
        let is_complete =
            stretch.unread(hour).is_none() && !stretch.kept.contains_key(&hour) && is_as_computed;
        let parts = self.topics.iter().zip(&stretch.parts);
        let archive = is_complete.then(|| {
            parts
                .map(|(topic, part)| (topic.name.clone(), part.archived.holdings.hours.get(&hour)))
                .collect()
        });
        let expected = Expected { archive, computed_at: computed.computed_at };
        let folder = std::env::temp_dir();
        let look = Look { store: &self.archive.store, folder: &folder, stop: &self.stop };
        // On the heap: as a part of this one it would nest deeper than the compiler follows.
        Box::pin(lake::compare(&mut self.index, look, hour, &expected)).await
    }

    /// `false` where several hours hold more together than there is memory for.
    async fn read_tables(&mut self, stretch: &mut Stretch) -> Result<bool, Failure> {
        let hours = stretch.hours.clone();
        for (topic, part) in self.topics.iter().zip(&mut stretch.parts) {
            let Some(realtime) = topic.read_realtime(&mut self.index, &hours).await? else {
                return Ok(false);
            };
            part.realtime = realtime;
            topic.read_blurred(&mut self.index, part).await?;
        }
        for hour in Hour::each(hours.clone()) {
            self.read_computed(hour, stretch).await?;
        }
        let purged = stretch
            .computed
            .iter()
            .filter(|(_, computed)| computed.is_purged())
            .map(|(hour, _)| *hour);
        let purged = purged.collect();
        for (topic, part) in self.topics.iter().zip(&mut stretch.parts) {
            topic.ask(&mut self.index, &self.archive, (&hours, &purged), part).await?;
        }
        let sources: Option<Vec<i16>> = self
            .topics
            .iter()
            .map(Topic::sources)
            .collect::<Option<Vec<_>>>()
            .map(|sources| sources.concat());
        for hour in Hour::each(hours) {
            match &sources {
                Some(sources) => self.find_others(hour, sources, stretch).await?,
                None => {
                    let others = self.archive.topics_among(&mut self.index, hour).await?;
                    if !others.is_empty() {
                        stretch.others.entry(hour).or_default().extend(others);
                    }
                }
            }
            let strays = match stretch.others.contains_key(&hour) {
                true => Strays::default(),
                false => self.strays(hour, stretch, sources.as_deref()).await?,
            };
            stretch.strays.insert(hour, strays);
        }
        Ok(true)
    }

    /// Looks for topics that share an hour. `sources`: of those that are compared.
    async fn find_others(
        &mut self,
        hour: Hour,
        sources: &[i16],
        stretch: &mut Stretch,
    ) -> Result<(), Failure> {
        let mut others = self.archive.other_topics(&mut self.index, hour).await?;
        others.extend(tables::other_topics(&mut self.index, hour, sources).await?);
        let computed = &stretch.computed[&hour];
        if computed.is_purged() && computed.hour_bar_ticks > stretch.archived(hour) {
            // Nothing tells any more whose ticks were dropped.
            others.extend(tables::topics_beside(&mut self.index, &self.archive.topics).await?);
        }
        if !others.is_empty() {
            stretch.others.entry(hour).or_default().extend(others);
        }
        Ok(())
    }

    /// What was computed of an hour, and what was kept of it, where objects have expired.
    async fn read_computed(&mut self, hour: Hour, stretch: &mut Stretch) -> Result<(), Failure> {
        let mut computed =
            tables::computed(&mut self.index, hour, &self.archive.store.location()).await?;
        if computed.is_of_this_archive {
            // Those that batch-layer has not missed yet.
            let vanished =
                stretch.parts.iter().filter_map(|part| part.archived.vanished.get(&hour));
            computed.gone_objects += vanished.sum::<u32>();
            let deleted = stretch.parts.iter().filter_map(|part| part.archived.deleted.get(&hour));
            computed.deleted_objects += deleted.sum::<u32>();
            // The lake was read in their place.
            computed.gone_objects = computed.gone_objects.saturating_sub(stretch.covered(hour));
        }
        if computed.gone_objects > 0 {
            let realtime = stretch.realtime(hour);
            let is_asked = !computed.is_purged() && !realtime.is_too_wide;
            let bars = is_asked.then_some(realtime.bars());
            let (mut kept, places) =
                StoredSums::read(&mut self.index, hour, &computed, bars).await?;
            if let Some(others) = self.topics_beside(&places) {
                stretch.others.insert(hour, others);
            }
            let without_offsets = self.index.gone_without_offsets(hour).await?;
            let mut left: u64 = without_offsets.iter().map(|object| object.ticks).sum();
            for (topic, part) in self.topics.iter().zip(&mut stretch.parts) {
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
            stretch.kept.insert(hour, kept);
        }
        stretch.computed.insert(hour, computed);
        stretch.shared.insert(hour, shared::of_computed(&mut self.index, hour).await?);
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
