//! Verdicts: what was found in ticks as they came is looked at again, with what came after it.
//!
//! An hour is judged when it was computed, and again when it or an hour next to it was computed
//! again. The ticks come from the archive, which has them all, or from the lake where raw objects
//! are gone; some symbols at a time, so that memory does not grow with the hour.
//! `docs/anomalies.md` says what is confirmed and what is withdrawn.

mod collect;
mod groups;
mod settings;
mod sources;
pub(crate) mod store;
mod unread;
mod verdicts;

use crate::args::Args;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::lake::source::Lake;
use crate::reader::{IN_FLIGHT, Reader};
use crate::stop::stopped;
use anomalies::Kind;
use anomalies::conditions::Conditions;
use collect::{
    CollectedTick, CollectedTicks, GatheredTicks, Interrupted, ObjectRank, Pause, Pauses,
    TickSelection, UNKNOWN_TOPIC, margins,
};
use common::Timestamp;
use futures::stream::{self, StreamExt};
use groups::{Group, Groups};
use rustc_hash::{FxHashMap, FxHashSet};
use service::Failure;
use service::words::counted;
use sources::{DueHours, HourSources, TickSource};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use store::{Added, FindingRow, Judged, VerdictCounts};
use tokio_util::sync::CancellationToken;
use unread::JudgeObstacle;
use verdicts::{Provisional, Rules};

/// What judges hours, one after the other.
pub struct Judging<'a> {
    reader: Reader,
    /// The decode rules of this run, as stored in `batch_hours.decode_rules`.
    decode_rules: String,
    /// `None`: nothing is read from there.
    lake: Option<Arc<Lake>>,
    rules: Rules,
    conditions: Arc<Conditions>,
    /// Names, versions and flags of the detectors. A change makes every hour due.
    detectors: String,
    stop: &'a CancellationToken,
    topics: Vec<String>,
    /// The sources of each of them, newer ones after older ones.
    sources: Vec<(String, i16)>,
    /// The last ticks of the hour that was judged last.
    ends: Option<(Hour, Vec<CollectedTicks>)>,
    changed: VerdictCounts,
    hours: u64,
}

/// Which neighbouring hours depend on ticks of this hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourHours {
    pub before: bool,
    pub after: bool,
}

impl NeighbourHours {
    pub const BOTH: Self = Self { before: true, after: true };

    /// `spans`: between which times those ticks of `hour` lie.
    pub fn of<'s>(
        hour: Hour,
        mut spans: impl Iterator<Item = &'s RangeInclusive<Timestamp>> + Clone,
    ) -> Self {
        let (_, until) = margins(hour.plus(-1));
        let (from, _) = margins(hour.plus(1));
        let before = spans.clone().any(|span| *span.start() < until);
        Self { before, after: spans.any(|span| *span.end() >= from) }
    }
}

/// Hours outside of a run's window that it judges: another version of the detectors makes all of
/// them due.
const OLDER_AT_ONCE: usize = 24;

/// Judges the hours of the window that are due, and some older ones; none where there are to be no
/// verdicts.
///
/// # Errors
/// Where the database or the store fails, or `stop` is cancelled; what is not done stays due.
pub async fn refresh(
    db: &mut BatchDb,
    reader: Reader,
    (args, window): (&Args, &Range<Hour>),
    stop: &CancellationToken,
) -> Result<(), Failure> {
    judge(db, reader, args, (window, OLDER_AT_ONCE), stop).await
}

/// Judges those of a stretch of hours that no other run is at work next to: the first and the
/// last one are left.
///
/// # Errors
/// As [`refresh`].
pub async fn refresh_stretch(
    db: &mut BatchDb,
    reader: Reader,
    (args, hours): (&Args, &Range<Hour>),
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let within = hours.start.plus(1)..hours.end.plus(-1);
    judge(db, reader, args, (&within, 0), stop).await
}

async fn judge(
    db: &mut BatchDb,
    reader: Reader,
    args: &Args,
    (window, older): (&Range<Hour>, usize),
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let Some(parameters) = args.anomalies.hindsight() else { return Ok(()) };
    let (sessions, conditions) = (args.anomalies.sessions(), args.anomalies.condition_codes());
    let detectors = settings::describe(parameters.price_step, &sessions, &conditions);
    let decode_rules = args.archive.format().describe();
    let lake = Lake::of(&args.lake).map(Arc::new);
    let DueHours { now, later } = sources::find_due_hours(
        db,
        (lake.as_deref(), &reader),
        (&detectors, &decode_rules),
        (window, older),
    )
    .await?;
    if now.is_empty() {
        return Ok(());
    }
    if older > 0 {
        settings::report_others(db, &detectors, &now).await?;
    }
    let Some(as_they_come) = args.anomalies.settings() else { return Ok(()) };
    let sources = db.sources().await?;
    let mut judging = Judging {
        reader,
        decode_rules,
        lake,
        rules: Rules { prices: parameters, as_they_come },
        conditions: Arc::new(args.anomalies.conditions()),
        detectors,
        stop,
        topics: Vec::new(),
        sources,
        ends: None,
        changed: VerdictCounts::default(),
        hours: 0,
    };
    for hour in now {
        judging.judge(db, hour).await?;
    }
    judging.report(later);
    Ok(())
}

/// Logs which of the hours to which a run has added `late` ticks cannot be judged any more.
///
/// # Errors
/// Where the database fails.
pub async fn report_late(
    db: &mut BatchDb,
    reader: &Reader,
    (args, late): (&Args, &[Hour]),
) -> Result<(), Failure> {
    if late.is_empty() || args.anomalies.hindsight().is_none() {
        return Ok(());
    }
    let lake = Lake::of(&args.lake);
    let mut hours = db.judged_without_raw(late).await?;
    let decode_rules = args.archive.format().describe();
    let judged = sources::lake_hours(db, (lake.as_ref(), reader), &decode_rules, &hours).await?;
    hours.retain(|hour| !judged.contains(hour));
    if let Some(first) = hours.first() {
        let text = counted(hours.len() as u64, "hour");
        tracing::warn!(
            hours = hours.len(),
            first = %first,
            "late ticks have come to {text}, the first {first}, of which objects are gone, and \
             which the lake does not have whole: such hours cannot be judged again, and the clean \
             views show the raw bars of those ticks' symbols"
        );
    }
    Ok(())
}

/// Between which times ticks are read. A pause may reach further back than the margin, of which the
/// ends of the hour before are enough.
fn reach_of(hour: Hour, pauses: &Pauses) -> (Timestamp, Timestamp) {
    let (margin, until) = margins(hour);
    (pauses.since().map_or(margin, |since| since.min(margin)), until)
}

fn log_unjudged(hour: Hour, why: &str) {
    tracing::warn!(%hour, error = why, "hour {hour}: not judged with hindsight: {why}");
}

impl Judging<'_> {
    /// `later`: how many hours wait for later runs.
    fn report(&self, later: usize) {
        let VerdictCounts { confirmed, withdrawn, added, removed } = self.changed;
        let hours = counted(self.hours, "hour");
        let text = match later {
            0 => String::new(),
            later => format!(
                "; {} more to be judged, at most {OLDER_AT_ONCE} a run: --from and --to take those \
                 of their window at once",
                counted(later as u64, "hour")
            ),
        };
        tracing::info!(
            hours = self.hours,
            confirmed,
            withdrawn,
            added,
            removed,
            later,
            "{hours} judged with hindsight: of anomalies {confirmed} confirmed, {withdrawn} \
             withdrawn, {added} added, {removed} taken away{text}"
        );
    }

    async fn judge(&mut self, db: &mut BatchDb, hour: Hour) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(stopped());
        }
        let from = (self.lake.as_deref(), &self.reader);
        let [before, own, after] =
            sources::read_three_hours(db, from, &self.decode_rules, hour).await?;
        // What another run reads by other rules is left to that.
        if own.is_empty()
            || own.raw.iter().any(|indexed| *indexed.decode_rules != *self.decode_rules)
        {
            return Ok(());
        }
        let mut rows = self.read_findings(db, hour).await?;
        let pauses = Arc::new(self.pauses(hour, &rows));
        let Some(groups) = self.read_groups(db, hour, &rows).await? else { return Ok(()) };
        let is_one_group = groups.iter().any(|group| group.symbols.is_none());
        if !is_one_group
            && pauses.since().is_none()
            && db.is_still_judged(hour, &self.detectors).await?
        {
            return Ok(());
        }
        let (from, until) = reach_of(hour, &pauses);
        let has_before = pauses.since().is_none_or(|since| since >= hour.start())
            && self.ends.as_ref().is_some_and(|(of, _)| of.plus(1) == hour);
        let is_of_lake = !own.lake.is_empty();
        let ticks = groups.iter().map(|group| group.ticks).sum::<u64>();
        let before = if has_before {
            HourSources::default()
        } else {
            before.only(|span| *span.end() >= from)
        };
        let near = [before, own, after.only(|span| *span.start() < until)];
        let reads = sources::reads(near, &self.decode_rules);
        let template = TickSelection {
            hour,
            ticks: 0,
            symbols: None,
            margin: self.rules.prices.neighbours / 2,
            conditions: Arc::clone(&self.conditions),
            with_before: !has_before,
            pauses,
        };
        let Some((judged, ends)) = self.judge_groups(groups, &template, &reads, &mut rows).await?
        else {
            return Ok(());
        };
        if is_of_lake && judged.ticks != ticks {
            let have = "the lake and what is left of its raw objects have";
            log_unjudged(hour, &format!("{have} {} of {ticks} ticks", judged.ticks));
            return Ok(());
        }
        let changed = db.write_verdicts((hour, &self.detectors), &rows, &judged).await?;
        self.ends = is_one_group.then_some((hour, ends));
        self.note(changed);
        Ok(())
    }

    /// Judges the groups of an hour's symbols, one after the other. Gives the verdicts and the
    /// hour's last ticks; `None` if ticks could not be read and the hour is left out, which has
    /// been logged.
    async fn judge_groups(
        &mut self,
        groups: Vec<Group>,
        template: &TickSelection,
        reads: &[TickSource],
        rows: &mut [FindingRow],
    ) -> Result<Option<(Judged, Vec<CollectedTicks>)>, Failure> {
        let (hour, mut judged, mut ends) = (template.hour, Judged::default(), Vec::new());
        for Group { symbols, ticks } in groups {
            let wanted = TickSelection {
                ticks: usize::try_from(ticks).unwrap_or(0),
                symbols: symbols.clone(),
                ..template.clone()
            };
            match self.gather(wanted, reads, ticks).await {
                Ok(gathered) => {
                    note_interruptions(rows, &gathered.interrupted);
                    let part =
                        self.judge_group(hour, (&gathered, symbols.as_deref()), rows, &mut judged);
                    ends.push(part);
                }
                Err(JudgeObstacle::Failed(failure)) => return Err(failure),
                Err(JudgeObstacle::Skipped(why)) => {
                    log_unjudged(hour, &why);
                    return Ok(None);
                }
            }
        }
        Ok(Some((judged, ends)))
    }

    /// What was found in an hour's ticks as they came.
    async fn read_findings(
        &self,
        db: &mut BatchDb,
        hour: Hour,
    ) -> Result<Vec<FindingRow>, Failure> {
        let mut rows = db.findings_of(hour).await?;
        for row in rows.iter_mut().filter(|row| row.finding.is_silence()) {
            row.finding.place_in(&self.rules.as_they_come.calendar);
        }
        note_interrupted(db, hour, &mut rows).await?;
        Ok(rows)
    }

    fn note(&mut self, changed: VerdictCounts) {
        self.hours += 1;
        self.changed.confirmed += changed.confirmed;
        self.changed.withdrawn += changed.withdrawn;
        self.changed.added += changed.added;
        self.changed.removed += changed.removed;
    }

    /// The hour's symbols, some at a time; `None` where the hour's sums cannot be read.
    async fn read_groups(
        &self,
        db: &mut BatchDb,
        hour: Hour,
        rows: &[FindingRow],
    ) -> Result<Option<Vec<Group>>, Failure> {
        let Some(sum) = db.computed(hour).await?.and_then(|computed| computed.sum) else {
            return Ok(None);
        };
        let symbols =
            sum.bars.iter().map(|(symbol, bar)| (symbol.as_str().into(), bar.ticks)).collect();
        let Groups { groups, left } =
            groups::split_symbols(symbols, &rows.iter().map(|row| &*row.symbol).collect());
        if left > 0 {
            tracing::warn!(
                %hour,
                symbols = left,
                "hour {hour}: too large; what was found in {left} symbols is not judged with \
                 hindsight"
            );
        }
        Ok(Some(groups))
    }

    /// Reads what is wanted of the objects.
    async fn gather(
        &mut self,
        wanted: TickSelection,
        reads: &[TickSource],
        ticks: u64,
    ) -> Result<GatheredTicks, JudgeObstacle> {
        let (hour, margin) = (wanted.hour, wanted.margin);
        let mut gathered = GatheredTicks::with_room(usize::try_from(ticks).unwrap_or(0));
        if let Some((_, ends)) = self.ends.as_ref().filter(|_| !wanted.with_before) {
            ends.iter().for_each(|part| gathered.add(part.only(wanted.symbols.as_deref())));
        }
        let asked: Vec<(TickSource, ObjectRank)> = (0..)
            .zip(reads)
            .map(|(rank, source)| {
                let topic = source.topic(&self.reader).to_owned();
                (source.clone(), ObjectRank { topic: self.topic(&topic), rank })
            })
            .collect();
        let (reader, lake, stop) = (self.reader.clone(), self.lake.clone(), self.stop.clone());
        let mut parts = stream::iter(asked)
            .map(|(source, whose)| {
                let (reader, lake, wanted, stop) =
                    (reader.clone(), lake.clone(), wanted.clone(), stop.clone());
                async move {
                    match source {
                        TickSource::Raw(object) => {
                            sources::read_raw(&reader, &object, (wanted, whose)).await
                        }
                        TickSource::Lake(published) => {
                            sources::read_lake(
                                (&reader, lake.as_deref(), &stop),
                                &published,
                                (wanted, whose),
                            )
                            .await
                        }
                    }
                }
            })
            .buffer_unordered(IN_FLIGHT.min(4));
        while let Some(part) = self
            .stop
            .run_until_cancelled(parts.next())
            .await
            .ok_or_else(|| JudgeObstacle::Failed(stopped()))?
        {
            gathered.add(part?);
        }
        gathered.put_in_order(hour, margin);
        Ok(gathered)
    }

    /// The times of the hour and the one before it in which partitions were silent.
    fn pauses(&mut self, hour: Hour, rows: &[FindingRow]) -> Pauses {
        let first = hour.plus(-1).start();
        let silences =
            rows.iter().enumerate().filter(|(_, row)| row.finding.kind == Kind::MarketSilence);
        let pauses: Vec<((u8, i32), Pause)> = silences
            .filter_map(|(number, FindingRow { source, finding, .. })| {
                let topic = self.sources.iter().find(|(_, of)| of == source)?.0.clone();
                let (since, until) = (finding.since.max(first), finding.at);
                Some((
                    (self.topic(&topic), finding.place.partition),
                    Pause { number, since, until },
                ))
            })
            .collect();
        Pauses::of(pauses)
    }

    /// The number of a topic.
    fn topic(&mut self, topic: &str) -> u8 {
        let number = self.topics.iter().position(|known| known == topic).unwrap_or_else(|| {
            self.topics.push(topic.to_owned());
            self.topics.len() - 1
        });
        u8::try_from(number).unwrap_or(UNKNOWN_TOPIC)
    }

    /// Judges some symbols, of which `rows` were found among others; gives the ends of their ticks.
    /// `symbols`: whose; `None`: all.
    fn judge_group(
        &self,
        hour: Hour,
        (gathered, symbols): (&GatheredTicks, Option<&FxHashSet<Box<str>>>),
        rows: &[FindingRow],
        judged: &mut Judged,
    ) -> CollectedTicks {
        let mut of_symbol: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        rows.iter()
            .enumerate()
            .for_each(|(number, row)| of_symbol.entry(&row.symbol).or_default().push(number));
        let mut part = CollectedTicks::default();
        // Of what the archive lacks nothing can be said.
        let is_asked =
            |row: &FindingRow| symbols.is_none_or(|symbols| symbols.contains(&*row.symbol));
        let asked = rows.iter().enumerate().filter(|(_, row)| is_asked(row));
        judged.verdicts.extend(asked.map(|(number, _)| (number, None)));
        for (symbol, ticks) in gathered.by_symbol() {
            let numbers = of_symbol.get(symbol).map_or(&[][..], Vec::as_slice);
            self.judge_symbol(hour, (symbol, ticks), (rows, numbers), judged);
            part.add_end(symbol, &end_of(hour, ticks, self.rules.prices.neighbours / 2));
        }
        part
    }

    fn judge_symbol(
        &self,
        hour: Hour,
        (symbol, ticks): (&str, &[CollectedTick]),
        (rows, numbers): (&[FindingRow], &[usize]),
        judged: &mut Judged,
    ) {
        let within = range_within(hour, ticks);
        judged.ticks += within.len() as u64;
        let findings: Vec<Provisional> =
            numbers.iter().map(|number| rows[*number].finding.clone()).collect();
        let verdicts = verdicts::judge(ticks, within.clone(), &findings, &self.rules);
        judged.verdicts.extend(numbers.iter().copied().zip(verdicts.of_findings));
        let is_known = |number: usize, kind: Kind| {
            let is_same = |of: Kind| of == kind || of.is_of_price() && kind.is_of_price();
            let mut known = findings.iter().zip(&verdicts.places);
            known.any(|(finding, place)| *place == Some(number) && is_same(finding.kind))
        };
        let found = verdicts.bad.iter().chain(&verdicts.corrections);
        let added = found.filter(|(number, finding)| !is_known(*number, finding.kind));
        judged
            .added
            .extend(added.map(|(number, finding)| self.added(symbol, &ticks[*number], finding)));
        let of_symbol = |bar| (symbol.into(), bar);
        let clean = |width| verdicts::clean_bars(ticks, within.clone(), &verdicts.bad, width);
        judged.minutes.extend(clean(Timestamp::MINUTE).into_iter().map(of_symbol));
        judged.hours.extend(clean(Timestamp::HOUR).into_iter().map(of_symbol));
    }

    /// The newest source of a topic.
    fn source(&self, topic: &str) -> Option<i16> {
        self.sources.iter().rev().find(|(of, _)| of == topic).map(|(_, source)| *source)
    }

    fn added(&self, symbol: &str, held: &CollectedTick, finding: &anomalies::Finding) -> Added {
        let topic = self.topics.get(usize::from(held.topic));
        Added {
            source: topic.and_then(|topic| self.source(topic)).unwrap_or(store::UNKNOWN_SOURCE),
            symbol: symbol.into(),
            place: held.key.place,
            at: held.key.timestamp,
            kind: finding.kind,
            score: finding.score,
            observed: verdicts::price(held),
            // Divided, since 10^-9 is no float.
            expected: finding.expected / 1e9,
        }
    }
}

/// Notes in which seconds of silences there are ticks.
fn note_interruptions(rows: &mut [FindingRow], interrupted: &Interrupted) {
    for (number, seconds) in interrupted {
        let instant = |second: &i64| Timestamp::from_micros(second * 1_000_000);
        rows[*number].finding.came = seconds.iter().map(instant).map(|at| (at, at)).collect();
    }
}

/// Notes in which part of the hour before silent symbols have ticks: between the first one in the
/// silence that is known, which is that of the bar, and the last.
async fn note_interrupted(
    db: &mut BatchDb,
    hour: Hour,
    rows: &mut [FindingRow],
) -> Result<(), Failure> {
    let reaches_back =
        |row: &FindingRow| row.finding.kind == Kind::Silence && row.finding.since < hour.start();
    if !rows.iter().any(reaches_back) {
        return Ok(());
    }
    let sum = db.computed(hour.plus(-1)).await?.and_then(|computed| computed.sum);
    let Some(sum) = sum else { return Ok(()) };
    let bars: FxHashMap<&str, (Timestamp, Timestamp)> = sum
        .bars
        .iter()
        .map(|(symbol, bar)| (symbol.as_str(), (bar.first.timestamp, bar.last.timestamp)))
        .collect();
    for row in rows.iter_mut().filter(|row| reaches_back(row)) {
        let finding = &mut row.finding;
        let came = bars.get(&*row.symbol).filter(|(_, last)| *last >= finding.since);
        finding.came.extend(came.map(|(first, last)| ((*first).max(finding.since), *last)));
    }
    Ok(())
}

/// Which of a symbol's ticks are the hour's.
fn range_within(hour: Hour, ticks: &[CollectedTick]) -> Range<usize> {
    let before = |end: Timestamp| ticks.partition_point(|held| held.key.timestamp < end);
    before(hour.start())..before(hour.plus(1).start())
}

/// The last ticks of the hour, as a margin of the next one.
fn end_of(hour: Hour, ticks: &[CollectedTick], count: usize) -> Vec<CollectedTick> {
    let Range { start, end } = range_within(hour, ticks);
    let (from, _) = margins(hour.plus(1));
    let near = ticks.partition_point(|held| held.key.timestamp < from);
    let nearest =
        ticks[start.max(near).min(end)..end].iter().rev().filter(|held| !held.is_cancel());
    let mut nearest: Vec<CollectedTick> = nearest.take(count).copied().collect();
    nearest.reverse();
    nearest
}
