//! `batch-layer verify`: do Kafka, `realtime_stock` and the archive hold the same ticks?
//!
//! [`crate::holdings`] has what one side holds in a form that can be compared: sets of offsets, and
//! checksums of neighbouring offsets. [`archive`] and [`tables`] read the two sides of each
//! [`topic`], [`lost`] asks [`log`] (Kafka) about offsets that are on neither, and [`compare`]
//! judges. [`bars`] has what minute and hour bars must be, and [`repair`] makes them so. [`report`]
//! prints the outcomes, [`store`] writes them to PostgreSQL.

mod archive;
mod args;
mod bars;
mod compare;
mod earlier;
mod gathered;
mod indicators;
mod kept;
mod lake;
mod late;
// Without Kafka nothing makes what it would have told.
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod log;
mod lost;
mod minutes;
mod nothing;
mod outcome;
mod reach;
mod recorded;
mod rejects;
mod repair;
mod repeated;
mod report;
mod store;
mod stretches;
mod symbols;
mod tables;
mod there;
mod topic;

pub use args::VerifyArgs;

use crate::archive::Store;
use crate::flags::Plan;
use crate::holdings::{HourHoldings, Share};
use crate::hour::Hour;
use crate::index::Index;
use crate::lake::look::Look;
use crate::reader::{Others, Reader};
use crate::scan::{Conflicts, Offsets};
use crate::shared::{self, Shared};
use crate::stop::stopped_comparing;
use crate::totals::MAX_SYMBOLS;
use archive::{Archive, News};
use common::Timestamp;
use compare::{Sides, Unplaced};
use kept::Kept;
use lake::{Expected, Found};
use late::Late;
use outcome::{HourOutcome, PartitionOutcome, Status};
use recorded::Recorded;
use repair::Repair;
use report::{Outcomes, Printer};
use service::Failure;
use service::words::inflected;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use stretches::Stretches;
use symbols::Named;
use tables::{ANEW, Computed, Derived, Sources};
use there::There;
use tokio_util::sync::CancellationToken;
use topic::{Part, Sum, Topic, kafka_ranges};

/// Compares the hours that `args` asks for. `stop` ends it between two stretches of hours.
///
/// # Errors
/// [`Failure::Difference`] where something differs, [`Failure::Partial`] where something could not
/// be compared.
pub async fn run(mut args: VerifyArgs, stop: CancellationToken) -> Result<(), Failure> {
    args.kafka.check()?;
    let mut plan = args.hours.plan(Timestamp::now())?;
    let asked = nothing::Asked {
        window: plan.window.clone(),
        due: plan.due,
        grace: args.hours.grace,
        is_default: plan.is_default,
    };
    let store = Store::open(&args.archive.store()).await?;
    let mut index = args.database.open("batch-layer verify", true).await?;
    topic::name(&mut index, &mut args.kafka).await?;
    let has_kafka = args.kafka.kafka_brokers.is_some();
    let mut sources =
        reach::Sources { index: &mut index, store: &store, templates: &args.prefix, has_kafka };
    let mut there = sources.shorten(&mut plan).await?;
    let before = sources.before(&plan).await?;
    let (topics, is_away) = topic::open_all(&mut index, &args.kafka).await?;
    if let Some(there) = &mut there {
        there.ask(&mut index, &topics).await?;
    }
    let broken = index.broken().await?.into_values().flatten();
    let others = Others::of(&mut index, &args.prefix, &plan.window).await?;
    let reader =
        Reader::new(store.clone(), args.archive.format(), stop.clone()).expecting_broken(broken);
    let mut verification = Verification {
        is_repairing: args.repair,
        archive: Archive {
            templates: args.prefix.clone(),
            reader: reader.beside(others),
            store,
            plan: plan.clone(),
            topics: args.kafka.topic.clone(),
            stop: stop.clone(),
        },
        topics,
        index,
        before,
        there,
        late: Late::default(),
        tickless: None,
        stop: stop.clone(),
    };
    let mut report =
        Printer::new(args.format, args.kafka.topic.len() > 1).map_err(Failure::Infrastructure)?;
    let compared = verification.compare_all(&plan, &mut report, &stop).await;
    verification.say_late();
    report.finish().map_err(Failure::Infrastructure)?;
    compared.and_then(|()| conclude(&report.totals))?;
    match is_away {
        true => Err(Failure::Partial(
            "Kafka could not be asked: what it alone holds was not compared".into(),
        )),
        false if report.totals.have_ticks() => Ok(()),
        false if report.totals.rejected > 0 => {
            asked.explain_rejected(&mut verification.index, report.totals.rejected).await
        }
        false => verification.explain(&asked).await,
    }
}

fn conclude(totals: &Outcomes) -> Result<(), Failure> {
    let Outcomes { hours, open, mismatch, .. } = totals;
    match totals.status() {
        Status::Ok | Status::Purged => Ok(()),
        Status::Open => Err(Failure::Partial(format!(
            "{open} of {hours} hours could not be compared to the end"
        ))),
        Status::Mismatch => Err(Failure::Difference(format!("{mismatch} of {hours} hours differ"))),
    }
}

/// What all hours have in common.
struct Verification {
    topics: Vec<Topic>,
    archive: Archive,
    index: Index,
    /// Hours before the window that are compared, too.
    before: Vec<Hour>,
    /// What may be there of the window's hours; `None`: each of them is looked at.
    there: Option<There>,
    /// What some hours were compared without.
    late: Late,
    /// An object of the hours whose lines are no ticks.
    tickless: Option<Arc<str>>,
    stop: CancellationToken,
    /// Whether bars are brought in line with the ticks.
    is_repairing: bool,
}

/// What the tables say of an hour's symbols that does not follow from the ticks.
#[derive(Debug, Default)]
struct Strays {
    /// That --repair cannot mend.
    others: Vec<String>,
    /// Of minute and hour bars beside `realtime_stock`.
    bars: Vec<String>,
    /// What may be so, and cannot be told.
    unsure: Option<String>,
    /// That the hour was computed by other rules of messages.
    rules: Option<String>,
}

impl Strays {
    /// `cure`: what to do about bars.
    fn judge(&self, outcome: &mut HourOutcome, cure: Option<&str>) {
        self.unsure.iter().for_each(|unsure| outcome.find(Status::Open, unsure.clone()));
        self.others.iter().for_each(|stray| outcome.find(Status::Mismatch, stray.clone()));
        find_bars(outcome, &self.bars, cure);
        if let (Some(rules), Status::Open | Status::Mismatch) = (&self.rules, outcome.status) {
            outcome.find(Status::Open, rules.clone());
        }
    }
}

/// What became of the hours whose bars were wrong, try by try.
type Repaired = BTreeMap<Hour, Vec<Repair>>;

/// What was read of a stretch of hours.
struct Stretch {
    hours: Range<Hour>,
    /// Of each topic.
    parts: Vec<Part>,
    computed: BTreeMap<Hour, Computed>,
    /// Of hours of which objects have expired.
    kept: BTreeMap<Hour, Kept>,
    /// Of which moment the tables were read, and when reading the archive began.
    read_at: Timestamp,
    began_at: Timestamp,
    strays: BTreeMap<Hour, Strays>,
    /// What readers of the lake find.
    lake: BTreeMap<Hour, Found>,
    /// What the sums of hours have of other hours' records.
    shared: BTreeMap<Hour, Vec<Shared>>,
    /// Topics that are not compared, and share hours with those that are: bars and summaries count
    /// their ticks, too.
    others: BTreeMap<Hour, BTreeSet<String>>,
}

impl Stretch {
    fn realtime(&self, hour: Hour) -> Sum<'_> {
        Sum::of(self.parts.iter().filter_map(|part| part.realtime.hours.get(&hour)))
    }

    fn archive(&self, hour: Hour) -> Sum<'_> {
        Sum::of(self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour)))
    }

    /// What objects hold of it that no run has read yet.
    fn news(&self, hour: Hour) -> News {
        let mut all = News::default();
        self.parts
            .iter()
            .filter_map(|part| part.archived.news.get(&hour))
            .for_each(|news| all.join(news));
        all
    }

    /// What was seen of an hour in the archive.
    fn seen(&self, hour: Hour) -> Seen {
        Seen {
            archived: self.archived(hour),
            is_unread: self.unread(hour).is_some(),
            news: self.news(hour),
            conflicts: self.conflicts(hour),
            is_read_otherwise: self.strays[&hour].rules.is_some(),
        }
    }

    /// Records of which its lines tell different things.
    fn conflicts(&self, hour: Hour) -> Conflicts {
        let mut all = Conflicts::default();
        self.parts
            .iter()
            .filter_map(|part| part.archived.conflicts.get(&hour))
            .for_each(|found| all.add(*found));
        all
    }

    /// Whether lines without offsets may be of records that others tell, or that the lake has,
    /// which no run has taken in.
    fn may_be_twice(&self, hour: Hour) -> bool {
        let there = || self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour));
        let tell_offsets = || there().any(|held| held.shares.values().any(Share::tells_offsets));
        self.computed[&hour].is_stale
            && there().any(HourHoldings::is_placeless)
            && (self.covered(hour) > 0 || self.expired_tell_offsets(hour) || tell_offsets())
    }

    /// Whether objects that are gone told offsets of its ticks.
    fn expired_tell_offsets(&self, hour: Hour) -> bool {
        self.parts.iter().any(|part| part.expired.keys().any(|(of, _)| *of == hour))
    }

    /// How many raw objects were deleted because the lake has them, which was read in their place.
    fn covered(&self, hour: Hour) -> u32 {
        self.parts.iter().filter_map(|part| part.archived.covered.get(&hour)).sum()
    }

    /// How many ticks the archive has, or has had.
    fn archived(&self, hour: Hour) -> u64 {
        let there = self.archive(hour).ticks;
        let Some(kept) = self.kept.get(&hour) else {
            return there;
        };
        let Some(ticks) = kept.ticks else {
            return there.max(self.computed[&hour].summary_ticks.unwrap_or_default());
        };
        let holdings = self.parts.iter().filter_map(|part| part.archived.holdings.hours.get(&hour));
        let placeless: u64 =
            holdings.flat_map(|held| held.shares.values()).map(|share| share.placeless).sum();
        ticks - kept.placeless + self.new_places(hour) + placeless.max(kept.placeless)
    }

    /// How many ticks the archive has at places that are not in the hour's sums, of which something
    /// has expired.
    fn new_places(&self, hour: Hour) -> u64 {
        let of_part = |part: &Part| -> u64 {
            let there = part.archived.holdings.hours.get(&hour);
            let places = there.into_iter().flat_map(|held| held.offsets.iter());
            places
                .map(|(_, partition, places)| match part.expired.get(&(hour, partition)) {
                    Some(kept) => places.difference_len(kept),
                    None => places.len(),
                })
                .sum()
        };
        self.parts.iter().map(of_part).sum()
    }

    /// What is known of expired ticks whose lines told no places.
    fn expired_unplaced(&self, hour: Hour) -> Unplaced {
        let (computed, there) = (&self.computed[&hour], self.archive(hour).ticks);
        let gone = self.archived(hour) - there;
        match gone.saturating_sub(self.expired_placed(hour)) {
            _ if computed.gone_objects == 0 => Unplaced::None,
            _ if computed.is_stale => Unplaced::Unknown,
            _ if self.kept.get(&hour).is_some_and(|kept| kept.is_attributed) => {
                Unplaced::ByPartition
            }
            0 => Unplaced::None,
            _ if self.realtime(hour).ticks == there + gone => Unplaced::AsMany,
            unplaced => Unplaced::Otherwise(unplaced),
        }
    }

    /// How many ticks of an hour have expired whose places are known.
    fn expired_placed(&self, hour: Hour) -> u64 {
        let of_part = |part: &Part| -> u64 {
            let there = part.archived.holdings.hours.get(&hour);
            let expired = part.expired.iter().filter(|((of, _), _)| *of == hour);
            expired
                .map(|((_, partition), offsets)| match there {
                    Some(there) => (offsets - there.offsets(*partition)).len(),
                    None => offsets.len(),
                })
                .sum()
        };
        self.parts.iter().map(of_part).sum()
    }

    /// Why not all of the archive could be read.
    fn unread(&self, hour: Hour) -> Option<&str> {
        self.parts.iter().find_map(|part| part.archived.unread.get(&hour)).map(String::as_str)
    }

    /// Why an hour's bars are better left alone: `realtime_stock` lacks ticks that are known
    /// elsewhere, or may lack some, or has others than the archive.
    fn why_left(&self, outcome: &HourOutcome) -> Option<&'static str> {
        let has = |is_so: fn(&PartitionOutcome) -> bool| outcome.partitions.iter().any(is_so);
        if has(|partition| partition.missing_in_realtime > 0 || partition.missing_everywhere > 0) {
            return Some(repair::SHORT);
        }
        if has(|partition| partition.missing_in_archive > 0 || partition.differing_blocks > 0) {
            return Some(repair::CONTRADICTED);
        }
        let is_contradicted = |kept: &Kept| {
            let has_as_many = outcome.realtime_ticks == kept.ticks;
            !kept.other_values.is_empty() || (has_as_many && !kept.other_counts.is_empty())
        };
        if self.kept.get(&outcome.hour).is_some_and(is_contradicted) {
            return Some(repair::CONTRADICTED);
        }
        let computed = &self.computed[&outcome.hour];
        let counted = computed.minute_bar_ticks.max(computed.hour_bar_ticks);
        let is_read = self.unread(outcome.hour).is_none();
        let is_confirmed = |ticks| is_read && self.archived(outcome.hour) == ticks;
        let holes = || self.parts.iter().flat_map(|part| part.lost.unaccounted.keys());
        match outcome.realtime_ticks? {
            0 => Some(repair::EMPTY),
            ticks if counted > ticks && !is_confirmed(ticks) => Some(repair::UNSURE),
            ticks if counted > ticks && holes().any(|(hour, _)| *hour == outcome.hour) => {
                Some(repair::UNASKED)
            }
            _ => None,
        }
    }
}

impl Verification {
    async fn compare_all(
        &mut self,
        plan: &Plan,
        report: &mut Printer,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let indicators = indicators::strays(&mut self.index, &plan.window);
        let indicators =
            stop.run_until_cancelled(indicators).await.ok_or_else(stopped_comparing)??;
        let mut stretches = Stretches::of(&self.before, plan.window.clone());
        let mut repaired = Repaired::new();
        self.there.iter_mut().for_each(|there| there.add(indicators.strays.keys().copied()));
        while let Some(hours) = stretches.current() {
            if stretches.are_apart() {
                self.topics.iter_mut().for_each(Topic::begin_anew);
            }
            if self.is_empty(&hours).await? {
                stretches.advance();
                continue;
            }
            let Some(stretch) = self.read_and_repair(&hours, &mut repaired, stop).await? else {
                stretches.shorten();
                continue;
            };
            self.note(plan, &stretch, report).await?;
            for hour in Hour::each(hours.clone()) {
                let repairs = repaired.remove(&hour).unwrap_or_default();
                let mut outcome = self.judge(hour, &stretch, &repairs);
                if let Some(stray) = indicators.strays.get(&hour) {
                    outcome.find(Status::Mismatch, stray.describe());
                }
                let waiting = indicators.waiting(hour);
                if !waiting.is_empty() && !outcome.is_empty() {
                    let what =
                        "batch-layer has still to compute indicators, which were not compared";
                    outcome.find(Status::Open, format!("{what}: of {waiting}"));
                }
                repairs.iter().for_each(|repair| outcome.find(Status::Ok, repair.describe()));
                store::write(&mut self.index, &outcome, stretch.read_at).await?;
                if !outcome.is_empty() {
                    report.add(&outcome).map_err(Failure::Infrastructure)?;
                }
            }
            stretches.advance();
        }
        Ok(())
    }

    /// Notes of hours what was found before that they are compared without: the archive is not read
    /// whole.
    fn note_late(&self, hours: &Range<Hour>, parts: &mut [Part]) {
        for hour in Hour::each(hours.clone()) {
            let Some(object) = self.late.of(&self.archive.plan, hour, hours) else { continue };
            for (topic, part) in self.topics.iter().zip(&mut *parts) {
                if topic.of_objects().is_none_or(|topic| self.archive.is_of(&object.key, topic)) {
                    part.archived.note_unread([hour], &object.describe());
                }
            }
        }
    }

    /// Notes what a stretch tells of hours that are compared later. Those that were before are
    /// open after all.
    async fn note(
        &mut self,
        plan: &Plan,
        stretch: &Stretch,
        report: &mut Printer,
    ) -> Result<(), Failure> {
        for (topic, part) in self.topics.iter_mut().zip(&stretch.parts) {
            topic.note_messages(&stretch.hours, part);
        }
        let before: BTreeSet<Hour> = self.before.iter().copied().collect();
        let is_asked = |hour: Hour| plan.window.contains(&hour) || before.contains(&hour);
        for part in &stretch.parts {
            self.tickless = self.tickless.take().or_else(|| part.archived.tickless.clone());
            let behind = self.late.note((plan, &stretch.hours), &part.archived.far, is_asked);
            for (hour, object) in behind {
                store::open(&mut self.index, hour, &object.describe()).await?;
                report.open(hour);
            }
        }
        self.late.note_compared(stretch.hours.clone());
        if let Some(there) = &mut self.there {
            there.add(self.late.ahead());
        }
        Ok(())
    }

    /// Says why no tick was compared, and no message that is none.
    async fn explain(&mut self, asked: &nothing::Asked) -> Result<(), Failure> {
        match &self.tickless {
            Some(key) => {
                let example = format!("{}{key}", self.archive.store.location());
                asked.explain_lines(&mut self.index, &example).await
            }
            None => asked.explain(&mut self.index).await,
        }
    }

    /// Says that hours are open of which an object was read too late: their lines stand already.
    fn say_late(&self) {
        if let Some((hour, object)) = self.late.behind().first_key_value() {
            let hours = self.late.behind().len();
            let what = "hour[s] [was|were] compared without all of [its|their] ticks";
            let (what, why) = (inflected(hours as u64, what), object.describe());
            tracing::warn!(hours, %hour, key = &*object.key, "{what}, {hour} the first: {why}");
        }
    }

    /// Whether it is known that no side has anything of some hours.
    async fn is_empty(&mut self, hours: &Range<Hour>) -> Result<bool, Failure> {
        match &mut self.there {
            Some(_) if self.stop.is_cancelled() => Err(stopped_comparing()),
            Some(there) => there.is_empty(&mut self.index, hours).await,
            None => Ok(false),
        }
    }

    /// What a stretch holds, after its bars were repaired where that is asked for; `None` where it
    /// is too much at once. What was repaired stays so, and stands in `repaired`, either way.
    async fn read_and_repair(
        &mut self,
        hours: &Range<Hour>,
        repaired: &mut Repaired,
        stop: &CancellationToken,
    ) -> Result<Option<Stretch>, Failure> {
        let Some(stretch) = stop
            .run_until_cancelled(self.read(hours.clone()))
            .await
            .ok_or_else(stopped_comparing)??
        else {
            return Ok(None);
        };
        if !self.repair(&stretch, repaired, stop).await? {
            return Ok(Some(stretch));
        }
        drop(stretch);
        stop.run_until_cancelled(self.read(hours.clone())).await.ok_or_else(stopped_comparing)?
    }

    /// Repairs the hours of a stretch whose bars do not follow from the ticks, if that is asked
    /// for. Whether any were tried.
    async fn repair(
        &mut self,
        stretch: &Stretch,
        repaired: &mut Repaired,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        let mut is_tried = false;
        let wrong = stretch
            .strays
            .iter()
            .filter(|(_, strays)| self.is_repairing && !strays.bars.is_empty());
        for (hour, _) in wrong {
            if stop.is_cancelled() {
                return Err(stopped_comparing());
            }
            let has_ticks = stretch.realtime(*hour).ticks > 0;
            let repair = match stretch.why_left(&self.judge(*hour, stretch, &[])) {
                Some(why) if has_ticks => Repair::Left(why),
                _ => {
                    is_tried = true;
                    // Minutes that are missing altogether were trimmed, as long as the hours are
                    // there.
                    let computed = &stretch.computed[hour];
                    let with_minutes =
                        computed.minute_bar_ticks > 0 || computed.hour_bar_ticks == 0;
                    let repair = repair::repair(&mut self.index, *hour, with_minutes).await?;
                    tracing::info!(hour = %hour, "hour {hour}: {}", repair.describe());
                    repair
                }
            };
            // Of an hour that is looked at again only what is new is said.
            let known = repaired.entry(*hour).or_default();
            if known.last() != Some(&repair) {
                known.push(repair);
            }
        }
        Ok(is_tried)
    }

    /// Reads both sides, and what Kafka has of the hours. The archive comes first: what is archived
    /// while it is read is then at worst in `realtime_stock` alone, and newer than everything that
    /// was read.
    ///
    /// `None` where several hours hold more together than there is memory for.
    async fn read(&mut self, hours: Range<Hour>) -> Result<Option<Stretch>, Failure> {
        let began_at = Timestamp::now();
        let mut parts = Vec::new();
        for topic in &self.topics {
            let Some(archived) =
                self.archive.read(&mut self.index, &hours, topic.of_objects()).await?
            else {
                return Ok(None);
            };
            parts.push(Part { archived, ..Part::default() });
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
        let is_whole = self.read_tables(&mut stretch).await?;
        tables::end_snapshot(&mut self.index).await?;
        if !is_whole {
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
                part.told = [topic.read_among(&mut self.index, &differing).await?, archived];
            }
        }
        for hour in Hour::each(stretch.hours.clone()) {
            let found = self.read_lake(hour, &stretch).await?;
            stretch.lake.insert(hour, found);
        }
        Ok(Some(stretch))
    }

    async fn read_lake(&mut self, hour: Hour, stretch: &Stretch) -> Result<Found, Failure> {
        let computed = &stretch.computed[&hour];
        let is_as_computed = !computed.is_stale && stretch.news(hour).objects == 0;
        let is_whole =
            stretch.unread(hour).is_none() && !stretch.kept.contains_key(&hour) && is_as_computed;
        let parts = self.topics.iter().zip(&stretch.parts);
        let archive = is_whole.then(|| {
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
            let (mut kept, places) = Kept::read(&mut self.index, hour, &computed, bars).await?;
            if let Some(others) = self.topics_beside(&places) {
                stretch.others.insert(hour, others);
            }
            let placeless = self.index.gone_placeless(hour).await?;
            let mut left: u64 = placeless.iter().map(|object| object.ticks).sum();
            for (topic, part) in self.topics.iter().zip(&mut stretch.parts) {
                part.expired.extend(topic.own_places(hour, &places));
                let vanished = part.archived.vanished_placeless.get(&hour);
                let of_topic = placeless
                    .iter()
                    .chain(vanished.into_iter().flatten())
                    .filter_map(|object| self.archive.presumed(object, &topic.name));
                for (partition, presumed) in of_topic {
                    left = left.saturating_sub(presumed.ticks);
                    part.expired_placeless.entry((hour, partition)).or_default().push(presumed);
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

    /// What the tables that follow from the ticks say otherwise.
    async fn strays(
        &mut self,
        hour: Hour,
        stretch: &Stretch,
        sources: Sources<'_>,
    ) -> Result<Strays, Failure> {
        let (archive, realtime, mut found) =
            (stretch.archive(hour), stretch.realtime(hour), Strays::default());
        let computed = &stretch.computed[&hour];
        let is_as_computed = !computed.is_stale && stretch.news(hour).objects == 0;
        let is_compared = !archive.is_too_wide && is_as_computed && stretch.unread(hour).is_none();
        let counted = [computed.summary_ticks.unwrap_or_default(), computed.summed.0];
        let is_counted = counted.contains(&archive.ticks);
        if let Some(kept) = stretch.kept.get(&hour) {
            note_strays(&mut found.others, Derived::Summary.name(), &kept.summary, ANEW);
        } else if is_compared && is_counted {
            let symbols =
                tables::differing(&mut self.index, hour, Derived::Summary, archive.bars()).await?;
            note_strays(&mut found.others, Derived::Summary.name(), &symbols, ANEW);
        }
        if let Some(recorded) = Recorded::read(&mut self.index, hour).await? {
            found.others.extend(recorded.falsehoods());
            found.unsure = recorded.is_elsewhere(&self.archive.store.location());
            found.rules = recorded.is_read_otherwise(&self.archive.reader.describe_format());
        }
        let is_all_there = is_compared && !stretch.kept.contains_key(&hour);
        let unwritten = self.unwritten(hour, stretch);
        if computed.is_purged()
            && is_all_there
            && computed.hour_bar_ticks + unwritten == archive.ticks
        {
            let has_places = |part: &Part| {
                let there = part.archived.holdings.hours.get(&hour);
                there.is_none_or(|held| held.shares.values().all(|share| share.placeless == 0))
            };
            let derived = Derived::Archived { is_ordered: stretch.parts.iter().all(has_places) };
            let symbols = tables::differing(&mut self.index, hour, derived, archive.bars()).await?;
            // Each tick that was never written makes its symbol's bar another one.
            if symbols.len() as u64 > unwritten {
                note_strays(
                    &mut found.others,
                    derived.name(),
                    &symbols,
                    "the archive says otherwise",
                );
            }
        }
        if computed.is_purged() && computed.minute_bar_ticks > 0 {
            let symbols = tables::minutes_beside_hours(&mut self.index, hour).await?;
            note_strays(&mut found.others, "minute_bars", &symbols, "hour_bars say otherwise");
        }
        if !computed.is_purged() && !realtime.is_too_wide {
            let why = "they do not follow from realtime_stock";
            if computed.hour_bar_ticks > 0 || realtime.ticks > 0 {
                let symbols =
                    tables::differing(&mut self.index, hour, Derived::HourBars, realtime.bars())
                        .await?;
                note_strays(&mut found.bars, Derived::HourBars.name(), &symbols, why);
            }
            // Minutes may be trimmed; the hours are kept.
            if computed.minute_bar_ticks > 0 {
                let symbols =
                    minutes::differing(&mut self.index, (hour, sources), realtime.bars()).await?;
                note_strays(&mut found.bars, "minute_bars", &symbols, why);
            }
        }
        Ok(found)
    }

    /// How many ticks the speed layer never wrote of an hour whose ticks retention has dropped, for
    /// reasons that are known.
    fn unwritten(&self, hour: Hour, stretch: &Stretch) -> u64 {
        let topics = self.topics.iter().zip(&stretch.parts);
        let partitions =
            topics.flat_map(|(topic, part)| self.judge_topic((hour, topic), part, stretch));
        partitions.map(|partition| partition.unwritten).sum()
    }

    /// `repairs`: what became of the hour's bars before.
    fn judge(&self, hour: Hour, stretch: &Stretch, repairs: &[Repair]) -> HourOutcome {
        let computed = stretch.computed[&hour];
        let (archive, realtime, unread) =
            (stretch.archive(hour), stretch.realtime(hour), stretch.unread(hour));
        let topics = self.topics.iter().zip(&stretch.parts);
        let partitions: Vec<_> = topics
            .flat_map(|(topic, part)| self.judge_topic((hour, topic), part, stretch))
            .collect();
        let mut outcome = HourOutcome {
            hour,
            status: partitions.iter().map(|partition| partition.status).max().unwrap_or(Status::Ok),
            realtime_ticks: (!computed.is_purged()).then_some(realtime.ticks),
            minute_bar_ticks: computed.minute_bar_ticks,
            archive_ticks: archive.ticks,
            summary_ticks: computed.summary_ticks,
            lake_ticks: stretch.lake[&hour].ticks,
            details: Vec::new(),
            partitions,
        };
        if let Some(what) = unread.map(compare::not_all_read)
            && !outcome.partitions.iter().any(|partition| partition.details.contains(&what))
        {
            // No partition says it.
            outcome.find(Status::Open, what);
        }
        for (topic, part) in self.topics.iter().zip(&stretch.parts) {
            if let Some(anew) = topic.describe_anew(hour, &stretch.hours, part) {
                outcome.find(Status::Open, anew);
            }
            if let Some(strange) = topic.describe_strange_sources(hour, part) {
                outcome.find(Status::Mismatch, strange);
            }
        }
        if let Some(others) = stretch.others.get(&hour) {
            outcome.find(Status::Open, self.describe_others(others));
        }
        if archive.is_too_wide || realtime.is_too_wide {
            let detail =
                format!("its bars are not compared: they are of more than {MAX_SYMBOLS} symbols");
            outcome.find(Status::Open, detail);
        }
        if !stretch.others.contains_key(&hour) {
            judge_computed(&mut outcome, &computed, &stretch.seen(hour));
            self.judge_kept(&mut outcome, stretch);
        }
        for (status, detail) in &stretch.lake[&hour].details {
            outcome.find(*status, detail.clone());
        }
        for shared in &stretch.shared[&hour] {
            let is_stale = computed.is_stale || shared.is_stale;
            outcome.find(if is_stale { Status::Open } else { Status::Mismatch }, shared.describe());
        }
        let is_said = repairs.iter().any(|repair| !matches!(repair, Repair::Done { .. }));
        let cure = (!is_said)
            .then(|| stretch.why_left(&outcome).unwrap_or("--repair brings them in line"));
        stretch.strays[&hour].judge(&mut outcome, cure);
        let is_computed_since = computed.computed_at.is_some_and(|at| at >= stretch.began_at);
        if is_computed_since || stretch.others.contains_key(&hour) {
            // What differs may be new to one side alone, or another topic's.
            outcome.status = outcome.status.min(Status::Open);
        }
        if is_computed_since {
            outcome.find(
                Status::Open,
                "batch-layer has computed the hour while it was compared: verify again".into(),
            );
        }
        outcome
    }

    fn describe_others(&self, others: &BTreeSet<String>) -> String {
        let others = others.iter().map(String::as_str).collect::<Vec<_>>();
        format!(
            "bars and summaries of this hour count, or may count, ticks of {}, too, and are not compared: --topic {},{} \
             compares all of them",
            others.join(", "),
            self.archive.topics.join(","),
            others.join(",")
        )
    }

    /// What there is to say of ticks whose objects have expired.
    fn judge_kept(&self, outcome: &mut HourOutcome, stretch: &Stretch) {
        let covered = stretch.covered(outcome.hour);
        if covered > 0 {
            let objects = inflected(
                covered.into(),
                "raw object[s] that [was|were] deleted because it has their ticks",
            );
            outcome.find(Status::Ok, format!("the lake stands for {objects}"));
        }
        let (hour, worst) =
            (outcome.hour, outcome.partitions.iter().map(|partition| partition.status).max());
        let tables::Computed { gone_objects: count, deleted_objects, unsummed_objects, .. } =
            stretch.computed[&hour];
        if unsummed_objects > 0 {
            let detail = format!(
                "{} before the hour was written with their ticks, which it lacks. Restore them, as from the bucket's versions, \
                 or let the sink write them again; table deleted_objects names them",
                inflected(unsummed_objects.into(), "object[s] of the archive [was|were] gone")
            );
            outcome.find(Status::Open, detail);
        }
        let deleted = deleted_objects.saturating_sub(unsummed_objects);
        let Some(kept) = stretch.kept.get(&hour) else {
            return;
        };
        if deleted > 0 {
            let detail = format!(
                "{}: the summary keeps their ticks, which a rebuild would lack. Restore them, as from the bucket's versions, or let \
                 the sink write them again; table deleted_objects names them, and each name the first offset",
                inflected(deleted.into(), DELETED)
            );
            outcome.find(Status::Open, detail);
        }
        let Some(ticks) = kept.ticks else {
            let detail = format!(
                "{}, and what batch-layer has kept of the ticks is of another version, or lost: they are not compared",
                inflected(count.into(), EXPIRED)
            );
            return outcome.find(Status::Open, detail);
        };
        let expired = count.saturating_sub(deleted);
        let detail = format!(
            "{}; the summary keeps their ticks, which are compared by their places and by the sums of each symbol",
            inflected(expired.into(), EXPIRED)
        );
        if expired > 0 {
            outcome.find(Status::Ok, detail);
        }
        // Where one side has ticks that the other lacks, or may lack, its sums are others.
        let is_known = stretch.news(hour).objects == 0 && stretch.archived(hour) == ticks;
        if worst.is_some_and(|worst| worst > Status::Purged) || !is_known {
            return;
        }
        if !kept.other_values.is_empty() {
            let symbols = &kept.other_values;
            let detail = format!(
                "the speed layer and the archive have other sums of as many ticks of {symbols}"
            );
            outcome.find(Status::Mismatch, detail);
        }
        if !kept.other_counts.is_empty() {
            let symbols = &kept.other_counts;
            let skipped: u64 = outcome.partitions.iter().map(|partition| partition.skipped).sum();
            let lacks =
                skipped > 0 || stretch.parts.iter().any(|part| part.has_parsed_otherwise(hour));
            let (status, why) = match lacks {
                true => (
                    Status::Open,
                    "so the values of those whose objects have expired could not be compared",
                ),
                false => (Status::Mismatch, "and nothing explains it"),
            };
            outcome.find(
                status,
                format!(
                    "the speed layer and the archive do not have as many ticks of {symbols}, {why}"
                ),
            );
        }
    }

    fn judge_topic(
        &self,
        (hour, topic): (Hour, &Topic),
        part: &Part,
        stretch: &Stretch,
    ) -> Vec<PartitionOutcome> {
        let nothing = HourHoldings::default();
        let is_purged = stretch.computed[&hour].is_purged();
        let sides = Sides {
            hour,
            topic: &topic.name,
            realtime: (!is_purged).then(|| part.realtime.hours.get(&hour).unwrap_or(&nothing)),
            archive: part.archived.holdings.hours.get(&hour).unwrap_or(&nothing),
            unread: part.archived.unread.get(&hour).map(String::as_str),
            lost: &part.lost,
            gaps: &topic.gaps.at(hour),
            next_offsets: &topic.next_offsets,
            newest: &part.archived.newest,
            kafka: kafka_ranges(hour, &stretch.hours, &part.spans),
            kafka_ends: part
                .spans
                .iter()
                .map(|(partition, span)| (*partition, span.high))
                .collect(),
            expired: &part.expired,
            expired_unplaced: stretch.expired_unplaced(hour),
            expired_placeless: &part.expired_placeless,
            may_be_twice: stretch.may_be_twice(hour),
            parsed_otherwise: &part.parsed_otherwise,
            rejected_ticks: &part.rejected_ticks,
            rejected_unread: &part.rejected_unread,
            again: part.again(hour),
            told: part.told(hour),
            presumed_ends: &part.archived.presumed_ends,
            no_ticks: &part.no_ticks,
        };
        sides.compare()
    }
}

const EXPIRED: &str = "object[s] of the archive [has|have] expired";
const DELETED: &str = "object[s] of the archive [was|were] deleted, though [it|they] had not expired (stored within --lookback)";

fn note_strays(found: &mut Vec<String>, table: &str, symbols: &Named, what: &str) {
    if !symbols.is_empty() {
        found.push(symbols.describe_rows(table, what));
    }
}

/// What is wrong with bars, and behind it, once, what to do.
fn find_bars(outcome: &mut HourOutcome, strays: &[String], cure: Option<&str>) {
    let Some((last, others)) = strays.split_last() else {
        return;
    };
    others.iter().for_each(|stray| outcome.find(Status::Mismatch, stray.clone()));
    let last = cure.map_or_else(|| last.clone(), |cure| format!("{last}; {cure}"));
    outcome.find(Status::Mismatch, last);
}

/// What was seen of an hour in the archive.
struct Seen {
    /// How many ticks it has, or has had.
    archived: u64,
    /// Not all of it could be read.
    is_unread: bool,
    news: News,
    conflicts: Conflicts,
    /// The hour was computed by other rules of messages.
    is_read_otherwise: bool,
}

/// Whether what was computed from the ticks has counted them all.
fn judge_computed(outcome: &mut HourOutcome, computed: &Computed, seen: &Seen) {
    let Seen { archived, is_unread, conflicts, .. } = seen;
    let (archived, is_unread) = (*archived, *is_unread);
    // Minutes may be trimmed; the hours are kept.
    let is_trimmed = computed.minute_bar_ticks == 0 && computed.hour_bar_ticks > 0;
    let (bars, table) = match is_trimmed {
        true => (computed.hour_bar_ticks, "hour_bars"),
        false => (computed.minute_bar_ticks, "minute_bars"),
    };
    if let Some(detail) = repeated::describe(*conflicts, computed.conflicts) {
        outcome.find(Status::Ok, detail);
    }
    let rows: u64 = outcome.partitions.iter().map(|partition| partition.realtime_duplicates).sum();
    let unwritten: u64 = outcome.partitions.iter().map(|partition| partition.unwritten).sum();
    match outcome.realtime_ticks.map(|ticks| ticks + rows) {
        Some(rows) if rows != bars => {
            outcome.find(
                Status::Mismatch,
                format!("{table} count {bars} ticks, realtime_stock has {rows}"),
            );
        }
        None if bars + unwritten != archived && !is_unread => {
            let less = if unwritten > 0 {
                format!(" and {unwritten} that were never written")
            } else {
                String::new()
            };
            outcome.find(
                Status::Mismatch,
                format!("{table} count {bars} ticks{less}, the archive has {archived}"),
            );
        }
        None if unwritten > 0 => {
            let detail = format!(
                "{}, as kafka_gaps and rejected_ticks say; the values of their symbols could not be compared",
                inflected(unwritten, "tick[s] of the archive [was|were] never written")
            );
            outcome.find(Status::Ok, detail);
        }
        _ => {}
    }
    if let Some(detail) = computed.misrecorded(archived) {
        outcome.find(Status::Mismatch, detail);
    }
    if !is_unread {
        judge_summed(outcome, computed, seen);
    }
}

/// Whether the summaries have counted all of the archive's ticks.
fn judge_summed(outcome: &mut HourOutcome, computed: &Computed, seen: &Seen) {
    let Seen { archived, news, is_read_otherwise, .. } = seen;
    let archived = *archived;
    match computed.summary_ticks {
        None if computed.summed.0 > 0 => {}
        _ if computed.is_stale => {
            outcome.find(
                Status::Open,
                "the archive has changed since batch-layer computed the hour: run it over this hour (--hour)".into(),
            );
        }
        None if outcome.archive_ticks > 0 => {
            outcome.find(
                Status::Open,
                "batch-layer has not computed the hour: run it over this hour (--hour)".into(),
            );
        }
        // Nor are rows of as many ticks compared before they are read.
        Some(summed) if news.objects > 0 && news.explain(summed, archived) => {
            let came = "object[s] came since the last run of batch-layer, or [was|were] replaced, and no run has read [it|them] yet";
            let detail = format!(
                "{}, {} the first: hourly_stock_summary counts {summed} ticks, the archive has {archived}; run \
                 batch-layer over this hour (--hour)",
                inflected(news.objects.into(), came),
                news.first
            );
            outcome.find(Status::Open, detail);
        }
        // Where the rows are right, what batch_hours says of them is not.
        Some(summed) if summed != archived && computed.summed.0 != archived => {
            let cure = match is_read_otherwise {
                true => " by these flags",
                false => ": run batch-layer over this hour (--hour)",
            };
            let detail = format!(
                "hourly_stock_summary counts {summed} ticks, the archive has {archived}{cure}"
            );
            outcome.find(Status::Mismatch, detail);
        }
        _ => {}
    }
}
