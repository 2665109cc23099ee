//! [`ComparedTopic`]: what is known of one topic, and what its two sides hold of a span of hours.

use crate::archive::{Archive, Archived};
use crate::args::KafkaArgs;
use crate::compare::{ExpiredWithoutOffsets, ValueComparison};
use crate::log::{KafkaAccess, Log, LogRange};
use crate::lost::{Lost, LostSearch};
use crate::previous_span::PreviousSpan;
use crate::rejects::NonTicks;
use crate::tables::{self, Gaps, Sources};
use anyhow::Context;
use common::decode::{Decoder, RecordContext, Rules};
use common::{Bar, SymbolMap, Timestamp};
use hourly::holdings::{
    Holdings, HourHoldings, MAX_KEPT_VALUES, OffsetsByHour, common_in_blurred_blocks,
};
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::pending_hours::MAX_BARS;
use hourly::scan::Offsets;
use roaring::RoaringTreemap;
use service::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The default topic, if the database does not name one either.
const USUAL_TOPIC: &str = "stock_prices";

pub struct ComparedTopic {
    pub name: String,
    /// Its sources, where it is told apart from others. `None`: all that there is belongs to it.
    sources: Option<Vec<i16>>,
    /// All that it has by `kafka_sources`, the newest last; none where nobody has read it.
    known_sources: Vec<i16>,
    /// No other one is compared.
    is_only_one: bool,
    pub gaps: Gaps,
    pub next_offsets: BTreeMap<i32, u64>,
    /// Ticks of the hours that were compared right before.
    earlier: PreviousSpan,
    log: Option<Arc<Log>>,
    /// The topic's id as it was read last, where Kafka has another one now: its offsets are others.
    read_last: Option<String>,
}

/// A topic's ticks, as they were read.
#[derive(Default)]
pub struct TopicHoldings {
    pub realtime: Holdings,
    pub archived: Archived,
    /// Ticks that were archived once, of hours of which objects have expired.
    pub expired: OffsetsByHour,
    /// Objects that have expired and had no offsets, by the same hours and by partition.
    pub expired_without_offsets: ExpiredWithoutOffsets,
    /// Places that both sides have, in blocks in which one of them has others, too.
    pub blurred: Arc<OffsetsByHour>,
    /// What the sides hold at those, read once more: `realtime_stock` and the archive.
    pub blurred_holdings: [Holdings; 2],
    /// Values of some of the ticks in blocks whose values differ.
    pub differing_values: [Holdings; 2],
    pub spans: BTreeMap<i32, LogRange>,
    /// What Kafka has of a topic that was created again since it was read: no offset of it is one
    /// of those that are known.
    pub of_new_topic: BTreeMap<i32, LogRange>,
    pub lost: Lost,
    /// Ticks of `realtime_stock` that are none in the archive.
    pub non_ticks: NonTicks,
    /// Ticks of the archive that the speed layer has rejected.
    pub parsed_otherwise: OffsetsByHour,
    /// Such that are ticks by the flags of this comparison.
    pub rejected_ticks: OffsetsByHour,
    /// Such of which that is not known.
    pub rejected_unread: OffsetsByHour,
}

impl TopicHoldings {
    /// What was read again of an hour, where both sides have something of it.
    pub fn blurred_holdings(&self, hour: Hour) -> Option<[&HourHoldings; 2]> {
        both(&self.blurred_holdings, hour)
    }

    /// Differing values of an hour, from both sides.
    pub fn differing_values(&self, hour: Hour) -> Option<[&HourHoldings; 2]> {
        both(&self.differing_values, hour)
    }

    /// Places in blocks whose values differ, the first of them.
    pub fn differing(&self) -> OffsetsByHour {
        let (mut found, mut left) = (OffsetsByHour::new(), MAX_KEPT_VALUES);
        for (hour, ours) in &self.realtime.hours {
            let theirs = self.archived.holdings.hours.get(hour).map(|theirs| [ours, theirs]);
            for partition in ours.partitions.keys() {
                let mut values = ValueComparison::default();
                for sides in theirs.into_iter().chain(self.blurred_holdings(*hour)) {
                    values.compare_sides(sides, *partition);
                }
                let first: RoaringTreemap = values.differing.iter().take(left).collect();
                left -= usize::try_from(first.len()).unwrap_or(left);
                if !first.is_empty() {
                    found.insert((*hour, *partition), first);
                }
            }
        }
        found
    }

    /// Whether ticks of the archive in an hour are in rejected_ticks.
    pub fn has_parsed_otherwise(&self, hour: Hour) -> bool {
        self.parsed_otherwise.keys().any(|(of, _)| *of == hour)
    }
}

/// An hour's ticks of both sides.
fn both(sides: &[Holdings; 2], hour: Hour) -> Option<[&HourHoldings; 2]> {
    let [realtime, archive] = sides.each_ref().map(|side| side.hours.get(&hour));
    Some([realtime?, archive?])
}

/// Fills in the topic where none is given: the one that the speed layer has read, else the usual
/// one.
///
/// # Errors
/// Where the database fails.
pub async fn name(db: &mut BatchDb, args: &mut KafkaArgs) -> Result<(), Failure> {
    if !args.topic.is_empty() {
        return Ok(());
    }
    let mut read = tables::topics_beside(db, &[]).await?;
    args.topic = match read.as_slice() {
        [_] => std::mem::take(&mut read),
        _ => vec![USUAL_TOPIC.into()],
    };
    if !read.is_empty() && !read.iter().any(|topic| topic == USUAL_TOPIC) {
        let topics = read.join(",");
        tracing::warn!(
            topics,
            "--topic is not given, and nothing of {} was read: --topic {topics}",
            USUAL_TOPIC
        );
    }
    Ok(())
}

/// The topics that are asked for, and whether Kafka could be asked about them where it was to be.
///
/// # Errors
/// Where the database fails, or a topic is not there.
pub async fn open_all(
    db: &mut BatchDb,
    args: &KafkaArgs,
) -> Result<(Vec<ComparedTopic>, bool), Failure> {
    let (mut topics, mut is_away) = (Vec::new(), false);
    let is_alone =
        args.topic.len() == 1 && tables::topics_beside(db, &args.topic).await?.is_empty();
    for name in &args.topic {
        // Brokers that are away are waited for once.
        let log = if is_away { KafkaAccess::Unreachable } else { connect(args, name).await? };
        is_away |= matches!(log, KafkaAccess::Unreachable);
        let groups = read_groups(db, args, name).await?;
        let log = match log {
            KafkaAccess::Connected(log) => Some(Arc::new(log)),
            KafkaAccess::Unreachable | KafkaAccess::NotConfigured => None,
        };
        let newest = tables::newest_topic_id(db, name).await?;
        let is_other = |log: &Arc<Log>| {
            ![&log.topic_id, &newest].contains(&&String::new()) && log.topic_id != newest
        };
        let known_sources = tables::sources(db, name).await?;
        topics.push(ComparedTopic {
            name: name.clone(),
            sources: (!is_alone).then(|| known_sources.clone()),
            known_sources,
            is_only_one: args.topic.len() == 1,
            gaps: tables::gaps(db, &groups, name).await?,
            next_offsets: tables::next_offsets(db, &groups, name).await?,
            earlier: PreviousSpan::default(),
            read_last: log.as_ref().is_some_and(is_other).then_some(newest),
            log,
        });
    }
    Ok((topics, is_away))
}

/// The consumer groups that tell how far a topic is written: what none of those asked for has
/// written another has.
async fn read_groups(
    db: &mut BatchDb,
    args: &KafkaArgs,
    topic: &str,
) -> Result<Vec<String>, Failure> {
    let asked = &args.group_id;
    let known = tables::groups(db, topic).await?;
    if known.is_empty() || known.iter().any(|group| asked.contains(group)) {
        return Ok(asked.clone());
    }
    let (groups, written_by) = (asked.join(", "), known.join(", "));
    tracing::warn!(
        topic,
        groups,
        written_by,
        "group {groups} has never written topic {topic} here: what {written_by} has written is \
         compared (--group-id)"
    );
    Ok(known)
}

async fn connect(args: &KafkaArgs, topic: &str) -> Result<KafkaAccess, Failure> {
    let (args, topic) = (args.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || Log::connect(&args, &topic))
        .await
        .context("asking Kafka");
    asked.map_err(Failure::Infrastructure)?
}

impl ComparedTopic {
    /// The name that its objects have; `None` where all objects are its own.
    pub fn of_objects(&self) -> Option<&str> {
        self.sources.as_ref().map(|_| &*self.name)
    }

    pub fn sources(&self) -> Sources<'_> {
        self.sources.as_deref()
    }

    /// The one that it is now, where it has several.
    const fn newest_source(&self) -> Option<i16> {
        match self.known_sources.as_slice() {
            [_, .., newest] => Some(*newest),
            _ => None,
        }
    }

    /// What there is to say of rows of an hour whose source `kafka_sources` does not have: a tick's
    /// identity is wrong.
    pub fn describe_strange_sources(&self, hour: Hour, part: &TopicHoldings) -> Option<String> {
        let named = part.realtime.sources.get(&hour)?;
        let strange: Vec<String> = named
            .iter()
            .filter(|source| !self.known_sources.contains(source))
            .map(i16::to_string)
            .collect();
        (!self.known_sources.is_empty() && !strange.is_empty()).then(|| {
            format!(
                "rows of realtime_stock have source {}, which kafka_sources does not have: put \
                 right whose they are",
                strange.join(", ")
            )
        })
    }

    /// Reads `realtime_stock`; `None` where several hours hold more together than there is memory
    /// for.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_realtime(
        &self,
        db: &mut BatchDb,
        hours: &Range<Hour>,
    ) -> Result<Option<Holdings>, Failure> {
        let mut realtime = Holdings::default();
        for hour in Hour::each(hours.clone()) {
            tables::read_realtime(db, hour, self.sources(), &mut realtime).await?;
            if hours.start.plus(1) < hours.end && realtime.bars() > MAX_BARS {
                return Ok(None);
            }
        }
        realtime.flush();
        Ok(Some(realtime))
    }

    /// Reads those ticks of `realtime_stock` once more whose block tells nothing of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_blurred(
        &self,
        db: &mut BatchDb,
        part: &mut TopicHoldings,
    ) -> Result<(), Failure> {
        let mut blurred = OffsetsByHour::new();
        for (hour, ours) in &part.realtime.hours {
            let Some(theirs) = part.archived.holdings.hours.get(hour) else {
                continue;
            };
            for (_, partition, offsets) in ours.offsets.iter() {
                let others = theirs.offsets.partition(partition);
                let common = others
                    .map(|others| common_in_blurred_blocks(offsets, others))
                    .unwrap_or_default();
                if !common.is_empty() {
                    blurred.insert((*hour, partition), common);
                }
            }
        }
        part.blurred_holdings[0] = self.read_among(db, &blurred).await?;
        part.blurred = Arc::new(blurred);
        Ok(())
    }

    /// Reads the ticks of `realtime_stock` at some places.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read_among(
        &self,
        db: &mut BatchDb,
        places: &OffsetsByHour,
    ) -> Result<Holdings, Failure> {
        let hours: BTreeSet<Hour> = places.keys().map(|(hour, _)| *hour).collect();
        let mut found = Holdings::default();
        for hour in hours {
            tables::read_among(db, hour, self.sources(), (places, &mut found)).await?;
        }
        found.flush();
        Ok(found)
    }

    /// Whether ticks of objects whose names tell a topic, or none, belong to this one.
    pub fn owns(&self, of: &str) -> bool {
        self.of_objects().is_none_or(|name| name == of || (of.is_empty() && self.is_only_one))
    }

    /// The places of an hour that are its own, by partition.
    pub fn own_places(&self, hour: Hour, all: &Offsets) -> OffsetsByHour {
        let mut own = OffsetsByHour::new();
        for (_, partition, offsets) in all.iter().filter(|(of, ..)| self.owns(of)) {
            *own.entry((hour, partition)).or_default() |= offsets;
        }
        own
    }

    /// Notes what hours hold that were compared, for those that follow.
    pub fn note_messages(&mut self, hours: &Range<Hour>, part: &TopicHoldings) {
        for (partition, messages) in &part.lost.messages {
            self.earlier.add(*partition, messages);
        }
        self.earlier.note_realtime(hours.clone(), &part.realtime);
    }

    /// The hours that are compared next do not follow those before.
    pub fn begin_anew(&mut self) {
        self.earlier.forget();
    }

    /// Asks Kafka and the tables about what the sides do not tell.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn ask(
        &self,
        db: &mut BatchDb,
        archive: &Archive,
        (hours, purged): (&Range<Hour>, &BTreeSet<Hour>),
        part: &mut TopicHoldings,
    ) -> Result<(), Failure> {
        let spans = self.spans(hours).await?;
        let log = self.log.as_ref().filter(|_| self.read_last.is_none());
        match self.read_last {
            None => part.spans = spans,
            Some(_) => part.of_new_topic = spans,
        }
        let search = LostSearch {
            topic: &self.name,
            sources: self.sources(),
            newest_source: self.newest_source(),
            hours,
            realtime: &part.realtime,
            archived: &part.archived,
            expired: &part.expired,
            gaps: &self.gaps.at(hours.start),
            earlier: &self.earlier,
            next_offsets: &self.next_offsets,
            purged,
            log,
            spans: &part.spans,
            rules: archive.reader.rules(),
        };
        part.lost = search.run(db).await?;
        for hour in Hour::each(hours.clone()) {
            self.find_parsed_otherwise(db, hour, archive.reader.rules(), part).await?;
        }
        Ok(())
    }

    /// Whether Kafka has answered.
    pub const fn is_log_known(&self) -> bool {
        self.log.is_some()
    }

    /// What there is to say of an hour of which Kafka has messages of a topic that was created
    /// again since it was read.
    pub fn describe_anew(
        &self,
        hour: Hour,
        hours: &Range<Hour>,
        part: &TopicHoldings,
    ) -> Option<String> {
        let (read, log) = (self.read_last.as_ref()?, self.log.as_ref()?);
        let messages: u64 = kafka_ranges(hour, hours, &part.of_new_topic)
            .values()
            .map(|(from, to)| to - from)
            .sum();
        let Self { name, .. } = self;
        let now = &log.topic_id;
        (messages > 0).then(|| {
            format!(
                "{messages} messages of the topic {name} as it is now in Kafka ({now}) were not \
                 compared: the speed layer has read another one of that name ({read}), whose \
                 offsets say nothing of them; see docs/operations.md under SpeedLayerDown, A topic \
                 that was made anew"
            )
        })
    }

    /// The hours, of some, of which Kafka may have anything, in spans.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn held(&self, hours: &Range<Hour>) -> Result<Vec<Range<Hour>>, Failure> {
        self.ask_kafka(hours, Log::held).await
    }

    async fn spans(&self, hours: &Range<Hour>) -> Result<BTreeMap<i32, LogRange>, Failure> {
        self.ask_kafka(hours, Log::spans).await
    }

    /// Kafka's answer about some hours; the default if it is not asked.
    async fn ask_kafka<T: Default + Send + 'static>(
        &self,
        hours: &Range<Hour>,
        question: fn(&Log, &Range<Hour>) -> anyhow::Result<T>,
    ) -> Result<T, Failure> {
        let Some(log) = self.log.clone() else {
            return Ok(T::default());
        };
        let hours = hours.clone();
        let asked = tokio::task::spawn_blocking(move || question(&log, &hours)).await;
        asked.context("asking Kafka").and_then(|answer| answer).map_err(Failure::Infrastructure)
    }

    /// Ticks of the archive that are not in realtime_stock because they are in rejected_ticks.
    async fn find_parsed_otherwise(
        &self,
        db: &mut BatchDb,
        hour: Hour,
        rules: &Arc<Rules>,
        part: &mut TopicHoldings,
    ) -> Result<(), Failure> {
        let nothing = HourHoldings::default();
        let TopicHoldings {
            archived,
            realtime,
            expired: gone,
            parsed_otherwise,
            rejected_ticks,
            rejected_unread,
            ..
        } = part;
        let [archive, realtime] =
            [&archived.holdings, realtime].map(|side| side.hours.get(&hour).unwrap_or(&nothing));
        let expired = gone.keys().filter(|(of, _)| *of == hour).map(|(_, partition)| *partition);
        let partitions: BTreeSet<i32> = archive.partitions.keys().copied().chain(expired).collect();
        for partition in partitions {
            let mut missing = archive.offsets(partition);
            if let Some(expired) = gone.get(&(hour, partition)) {
                missing |= expired;
            }
            missing -= realtime.offsets(partition);
            let Some(messages) = tables::hull(&missing) else { continue };
            let mut rejected =
                tables::rejected(db, &self.name, partition, messages).await? & missing;
            if rejected.is_empty() {
                continue;
            }
            let (ticks, others) = self.ticks_among(db, partition, rules, &rejected).await?;
            rejected -= &ticks;
            rejected -= &others;
            let sorted = [
                (&mut *parsed_otherwise, others),
                (&mut *rejected_ticks, ticks),
                (&mut *rejected_unread, rejected),
            ];
            for (found, places) in sorted {
                if !places.is_empty() {
                    found.insert((hour, partition), places);
                }
            }
        }
        Ok(())
    }

    /// The rejected values, of some, that are ticks by this comparison's flags, as far as the
    /// values alone tell it, and those that are none. Not every value was kept whole.
    async fn ticks_among(
        &self,
        db: &mut BatchDb,
        partition: i32,
        rules: &Arc<Rules>,
        rejected: &RoaringTreemap,
    ) -> Result<(RoaringTreemap, RoaringTreemap), Failure> {
        let mut decoder = Decoder::new(Arc::clone(rules), Timestamp::now());
        let context = RecordContext { topic: Some(&self.name), ..RecordContext::NOTHING };
        let (mut ticks, mut others) = (RoaringTreemap::new(), RoaringTreemap::new());
        for (place, value) in tables::rejected_values(db, &self.name, partition, rejected).await? {
            let mut is_tick = false;
            // What is no message holds no tick.
            let _ = decoder
                .decode_each(&value, &context, &mut |element| is_tick |= element.read.is_ok());
            if is_tick {
                ticks.insert(place)
            } else {
                others.insert(place)
            };
        }
        Ok((ticks, others))
    }
}

/// Kafka's offsets of an hour, by partition.
pub fn kafka_ranges(
    hour: Hour,
    hours: &Range<Hour>,
    spans: &BTreeMap<i32, LogRange>,
) -> BTreeMap<i32, (u64, u64)> {
    let number = Hour::each(hours.start..hour).count();
    let range = |span: &LogRange| Some((*span.starts.get(number)?, *span.starts.get(number + 1)?));
    spans.iter().filter_map(|(partition, span)| Some((*partition, range(span)?))).collect()
}

/// Ticks of one side in an hour, all topics together.
pub struct Sum<'a> {
    pub ticks: u64,
    /// Not all of the bars are there.
    pub is_too_wide: bool,
    one: Option<&'a SymbolMap<Bar>>,
    many: HourHoldings,
}

impl<'a> Sum<'a> {
    pub fn of(sides: impl Iterator<Item = &'a HourHoldings> + Clone) -> Self {
        let ticks =
            sides.clone().flat_map(|side| side.partitions.values()).map(|held| held.ticks).sum();
        let mut sum = Self { ticks, is_too_wide: false, one: None, many: HourHoldings::default() };
        let several = sides.clone().nth(1).is_some();
        for side in sides {
            sum.is_too_wide |= side.is_too_wide;
            if several { sum.many.merge_bars(side) } else { sum.one = Some(&side.bars) }
        }
        sum.is_too_wide |= sum.many.is_too_wide;
        sum
    }

    pub fn bars(&self) -> &SymbolMap<Bar> {
        self.one.unwrap_or(&self.many.bars)
    }
}
