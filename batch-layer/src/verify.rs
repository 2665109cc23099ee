//! `batch-layer verify`: do Kafka, `realtime_stock` and the archive hold the same ticks?
//!
//! [`holdings`] has what one side holds in a form that can be compared: sets of offsets, and checksums of neighbouring
//! offsets. [`archive`] and [`tables`] read the two sides, [`lost`] asks [`log`] (Kafka) about offsets that are on
//! neither, and [`compare`] judges. [`report`] prints the outcomes, [`store`] writes them to PostgreSQL.

mod archive;
mod args;
mod checksum;
mod compare;
mod holdings;
mod log;
mod lost;
mod outcome;
mod repair;
mod report;
mod store;
mod tables;

pub use args::VerifyArgs;
pub use checksum::{Checksum, Content};

use crate::archive::Store;
use crate::cli::Plan;
use crate::hour::Hour;
use crate::index::Index;
use crate::reader::Reader;
use crate::scan::Offsets;
use anyhow::Context;
use archive::{Archive, Archived};
use common::{Failure, Timestamp};
use compare::Sides;
use holdings::{Holdings, HourHoldings};
use log::{Asked, Log, Span};
use lost::{Lost, Places, Search};
use outcome::{HourOutcome, Status};
use repair::Repair;
use report::{Report, Totals};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tables::{Computed, Derived, Known};
use tokio_util::sync::CancellationToken;

/// Hours that are compared at a time; the neighbouring folders of a stretch are read twice.
const STRETCH_HOURS: i64 = 24;

/// Compares the hours that `args` asks for. `stop` ends it between two stretches of hours.
///
/// # Errors
/// [`Failure::Difference`] where something differs, [`Failure::Partial`] where something could not be compared.
pub async fn run(args: VerifyArgs, stop: CancellationToken) -> Result<(), Failure> {
    let plan = args.hours.plan(Timestamp::now())?;
    let kafka = args.kafka.clone();
    let log = tokio::task::spawn_blocking(move || Log::connect(&kafka)).await.context("asking Kafka");
    let (log, is_away) = match log.map_err(Failure::Infrastructure)?? {
        Asked::There(log) => (Some(Arc::new(log)), false),
        Asked::Away => (None, true),
        Asked::NotGiven => (None, false),
    };
    let store = Store::open(&args.archive.store()).await?;
    let mut index = args.database.open("batch-layer verify", true).await?;
    let broken = index.broken().await?.into_values().flatten();
    let (group, topic) = (&args.kafka.group_id, &args.kafka.topic);
    let mut verification = Verification {
        topic: topic.clone(),
        gaps: tables::gaps(&mut index, group, topic).await?,
        next_offsets: tables::next_offsets(&mut index, group, topic).await?,
        log,
        is_repairing: args.repair,
        archive: Archive {
            template: args.archive.prefix.clone(),
            reader: Reader::new(store.clone(), args.archive.format(), stop.clone()).expecting_broken(broken),
            store,
            plan: plan.clone(),
        },
        index,
    };
    let mut report = Report::new(args.format);
    let compared = verification.compare_all(&plan, &mut report, &stop).await;
    report.finish().map_err(Failure::Infrastructure)?;
    compared.and_then(|()| conclude(&report.totals)).and_then(|()| match is_away {
        true => Err(Failure::Partial("Kafka could not be asked: what it alone holds was not compared".into())),
        false => Ok(()),
    })
}

fn conclude(totals: &Totals) -> Result<(), Failure> {
    let Totals { hours, open, mismatch, .. } = totals;
    match totals.status() {
        Status::Ok | Status::Purged => Ok(()),
        Status::Open => Err(Failure::Partial(format!("{open} of {hours} hours could not be compared to the end"))),
        Status::Mismatch => Err(Failure::Difference(format!("{mismatch} of {hours} hours differ"))),
    }
}

fn stopped() -> Failure {
    Failure::Partial("stopped by a signal before all hours were compared".into())
}

/// What all hours have in common.
struct Verification {
    topic: String,
    gaps: Known,
    next_offsets: BTreeMap<i32, u64>,
    log: Option<Arc<Log>>,
    archive: Archive,
    index: Index,
    /// Whether bars are brought in line with the ticks.
    is_repairing: bool,
}

/// What the tables say of an hour's symbols that does not follow from the ticks.
#[derive(Debug, Default)]
struct Strays {
    found: Vec<String>,
    /// Minute or hour bars are among them.
    bars: bool,
}

/// What was read of a stretch of hours.
struct Stretch {
    hours: Range<Hour>,
    realtime: Holdings,
    archived: Archived,
    computed: BTreeMap<Hour, Computed>,
    spans: BTreeMap<i32, Span>,
    lost: Lost,
    /// Of which moment the tables were read, and when reading the archive began.
    read_at: Timestamp,
    began_at: Timestamp,
    strays: BTreeMap<Hour, Strays>,
    /// Records that were archived once and have expired.
    expired: BTreeMap<Hour, Offsets>,
    /// Ticks of the archive that the speed layer has rejected.
    parsed_otherwise: Places,
}

impl Verification {
    async fn compare_all(&mut self, plan: &Plan, report: &mut Report, stop: &CancellationToken) -> Result<(), Failure> {
        let mut start = plan.window.start;
        while start < plan.window.end {
            let hours = start..start.plus(STRETCH_HOURS).min(plan.window.end);
            let mut stretch = stop.run_until_cancelled(self.read(hours.clone())).await.ok_or_else(stopped)??;
            let repaired = self.repair(&stretch, stop).await?;
            if !repaired.is_empty() {
                stretch = stop.run_until_cancelled(self.read(hours.clone())).await.ok_or_else(stopped)??;
            }
            for hour in Hour::each(hours.clone()) {
                let mut outcome = self.judge(hour, &stretch);
                if let Some(repair) = repaired.get(&hour) {
                    outcome.find(Status::Ok, repair.describe());
                }
                store::write(&mut self.index, &outcome, stretch.read_at).await?;
                if !outcome.is_empty() {
                    report.add(&outcome).map_err(Failure::Infrastructure)?;
                }
            }
            start = hours.end;
        }
        Ok(())
    }

    /// Repairs the hours of a stretch whose bars do not follow from the ticks, if that is asked for.
    async fn repair(&mut self, stretch: &Stretch, stop: &CancellationToken) -> Result<BTreeMap<Hour, Repair>, Failure> {
        let mut repaired = BTreeMap::new();
        let wrong = stretch.strays.iter().filter(|(_, strays)| self.is_repairing && strays.bars);
        for (hour, _) in wrong {
            if stop.is_cancelled() {
                return Err(stopped());
            }
            // Minutes that are missing altogether were trimmed, as long as the hours are there.
            let computed = &stretch.computed[hour];
            let with_minutes = computed.minute_bar_ticks > 0 || computed.hour_bar_ticks == 0;
            let repair = repair::repair(&mut self.index, *hour, with_minutes).await?;
            tracing::info!("hour {hour}: {}", repair.describe());
            repaired.insert(*hour, repair);
        }
        Ok(repaired)
    }

    /// Reads both sides, and what Kafka has of the hours. The archive comes first: what is archived while it is read is
    /// then at worst in `realtime_stock` alone, and newer than everything that was read.
    async fn read(&mut self, hours: Range<Hour>) -> Result<Stretch, Failure> {
        let began_at = Timestamp::now();
        let archived = self.archive.read(&mut self.index, &hours).await?;
        let read_at = tables::begin_snapshot(&mut self.index).await?;
        let (mut realtime, mut computed) = (Holdings::default(), BTreeMap::new());
        for hour in Hour::each(hours.clone()) {
            tables::read_realtime(&mut self.index, hour, &mut realtime).await?;
            computed.insert(hour, tables::computed(&mut self.index, hour).await?);
        }
        realtime.settle();
        let spans = self.spans(&hours).await?;
        let purged = computed.iter().filter(|(_, computed)| computed.is_purged()).map(|(hour, _)| *hour).collect();
        let search = Search {
            topic: &self.topic,
            hours: &hours,
            realtime: &realtime,
            archived: &archived,
            gaps: &self.gaps,
            next_offsets: &self.next_offsets,
            purged: &purged,
            log: self.log.as_ref(),
            spans: &spans,
            rules: self.archive.reader.rules(),
        };
        let lost = search.run(&mut self.index).await?;
        let (mut strays, mut expired, mut parsed_otherwise) = (BTreeMap::new(), BTreeMap::new(), Places::new());
        for (hour, computed) in &computed {
            strays.insert(*hour, self.strays(*hour, computed, &realtime, &archived).await?);
            expired.insert(*hour, tables::expired(&mut self.index, *hour).await?);
            self.find_parsed_otherwise(*hour, &realtime, &archived, &mut parsed_otherwise).await?;
        }
        tables::end_snapshot(&mut self.index).await?;
        Ok(Stretch {
            hours,
            realtime,
            archived,
            computed,
            spans,
            lost,
            read_at,
            began_at,
            strays,
            expired,
            parsed_otherwise,
        })
    }

    /// Ticks of the archive that are not in realtime_stock because they stand in rejected_ticks.
    async fn find_parsed_otherwise(
        &mut self,
        hour: Hour,
        realtime: &Holdings,
        archived: &Archived,
        found: &mut Places,
    ) -> Result<(), Failure> {
        let Some(side) = archived.holdings.hours.get(&hour) else {
            return Ok(());
        };
        for partition in side.shares.keys() {
            let held = realtime.hours.get(&hour).map(|side| side.offsets(*partition)).unwrap_or_default();
            let missing = side.offsets(*partition) - held;
            let rejected = tables::rejected(&mut self.index, &self.topic, *partition, &missing).await? & missing;
            if !rejected.is_empty() {
                found.insert((hour, *partition), rejected);
            }
        }
        Ok(())
    }

    /// What the tables that follow from the ticks say otherwise.
    async fn strays(
        &mut self,
        hour: Hour,
        computed: &Computed,
        realtime: &Holdings,
        archived: &Archived,
    ) -> Result<Strays, Failure> {
        let (nothing, mut found) = (HourHoldings::default(), Vec::new());
        let is_unread = archived.unread.contains_key(&hour);
        let archive = archived.holdings.hours.get(&hour).unwrap_or(&nothing);
        let ticks = |side: &HourHoldings| side.shares.values().map(|share| share.ticks).sum::<u64>();
        if computed.summary_ticks == Some(ticks(archive)) && !is_unread && !computed.is_stale {
            let symbols = tables::differing(&mut self.index, hour, Derived::Summary, &archive.bars).await?;
            note_strays(&mut found, Derived::Summary.name(), &symbols, "batch-layer --recompute writes them anew");
            let symbols = tables::stray_indicators(&mut self.index, hour).await?;
            note_strays(&mut found, "technical_indicators", &symbols, "batch-layer --recompute writes them anew");
        }
        let side = realtime.hours.get(&hour).unwrap_or(&nothing);
        let of_the_archive = found.len();
        if !computed.is_purged() {
            let why = "they do not follow from realtime_stock (--repair)";
            if computed.hour_bar_ticks > 0 || ticks(side) > 0 {
                let symbols = tables::differing(&mut self.index, hour, Derived::HourBars, &side.bars).await?;
                note_strays(&mut found, Derived::HourBars.name(), &symbols, why);
            }
            // Minutes may be trimmed; the hours are kept.
            if computed.minute_bar_ticks > 0 {
                let symbols = tables::differing(&mut self.index, hour, Derived::MinuteBars, &side.bars).await?;
                note_strays(&mut found, Derived::MinuteBars.name(), &symbols, why);
            }
        }
        let bars = found.len() > of_the_archive;
        Ok(Strays { found, bars })
    }

    async fn spans(&self, hours: &Range<Hour>) -> Result<BTreeMap<i32, Span>, Failure> {
        let Some(log) = self.log.clone() else {
            return Ok(BTreeMap::new());
        };
        let hours = hours.clone();
        let asked = tokio::task::spawn_blocking(move || log.spans(&hours)).await.context("asking Kafka");
        asked.and_then(|spans| spans).map_err(Failure::Infrastructure)
    }

    fn judge(&self, hour: Hour, stretch: &Stretch) -> HourOutcome {
        let computed = stretch.computed[&hour];
        let nothing = HourHoldings::default();
        let sides = Sides {
            hour,
            realtime: (!computed.is_purged()).then(|| stretch.realtime.hours.get(&hour).unwrap_or(&nothing)),
            archive: stretch.archived.holdings.hours.get(&hour).unwrap_or(&nothing),
            unread: stretch.archived.unread.get(&hour).map(String::as_str),
            lost: &stretch.lost,
            gaps: &self.gaps,
            next_offsets: &self.next_offsets,
            newest: &stretch.archived.newest,
            kafka: kafka_ranges(hour, stretch),
            expired: &stretch.expired[&hour],
            parsed_otherwise: &stretch.parsed_otherwise,
        };
        let partitions = sides.compare();
        let ticks = |side: &HourHoldings| side.shares.values().map(|share| share.ticks).sum();
        let mut outcome = HourOutcome {
            hour,
            status: partitions.iter().map(|partition| partition.status).max().unwrap_or(Status::Ok),
            realtime_ticks: sides.realtime.map(ticks),
            minute_bar_ticks: computed.minute_bar_ticks,
            archive_ticks: ticks(sides.archive),
            summary_ticks: computed.summary_ticks,
            details: Vec::new(),
            partitions,
        };
        judge_computed(&mut outcome, &computed, sides.unread.is_some());
        for stray in &stretch.strays[&hour].found {
            outcome.find(Status::Mismatch, stray.clone());
        }
        if computed.computed_at.is_some_and(|at| at >= stretch.began_at) {
            // What differs may be new to one side alone.
            outcome.status = outcome.status.min(Status::Open);
            outcome.find(Status::Open, "batch-layer has computed the hour while it was compared: verify again".into());
        }
        outcome
    }
}

fn note_strays(found: &mut Vec<String>, table: &str, symbols: &[String], what: &str) {
    const NAMED: usize = 5;
    if symbols.is_empty() {
        return;
    }
    let named = symbols.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if symbols.len() > NAMED { format!(" and {} more", symbols.len() - NAMED) } else { String::new() };
    found.push(format!("rows of {table} are wrong, missing or too many: {named}{more}; {what}"));
}

/// Kafka's offsets of an hour, by partition.
fn kafka_ranges(hour: Hour, stretch: &Stretch) -> BTreeMap<i32, (u64, u64)> {
    let number = Hour::each(stretch.hours.start..hour).count();
    let range = |span: &Span| Some((*span.starts.get(number)?, *span.starts.get(number + 1)?));
    stretch.spans.iter().filter_map(|(partition, span)| Some((*partition, range(span)?))).collect()
}

/// Whether what was computed from the ticks has counted them all.
fn judge_computed(outcome: &mut HourOutcome, computed: &Computed, is_unread: bool) {
    // Minutes may be trimmed; the hours are kept.
    let is_trimmed = computed.minute_bar_ticks == 0 && computed.hour_bar_ticks > 0;
    let (bars, table) = match is_trimmed {
        true => (computed.hour_bar_ticks, "hour_bars"),
        false => (computed.minute_bar_ticks, "minute_bars"),
    };
    if computed.gone_objects > 0 {
        let count = computed.gone_objects;
        outcome.find(Status::Ok, format!("{count} objects of the archive have expired; the summary keeps their ticks"));
    }
    if computed.conflicts > 0 {
        let count = computed.conflicts;
        let detail = format!("of {count} records several objects tell different things; the first by key counts");
        outcome.find(Status::Ok, detail);
    }
    let archived = match computed.gone_objects {
        0 => outcome.archive_ticks,
        _ => outcome.archive_ticks.max(computed.summary_ticks.unwrap_or_default()),
    };
    let rows: u64 = outcome.partitions.iter().map(|partition| partition.realtime_duplicates).sum();
    match outcome.realtime_ticks.map(|ticks| ticks + rows) {
        Some(rows) if rows != bars => {
            outcome.find(Status::Mismatch, format!("{table} count {bars} ticks, realtime_stock has {rows}"));
        }
        None if bars != archived && !is_unread => {
            outcome.find(Status::Mismatch, format!("{table} count {bars} ticks, the archive has {archived}"));
        }
        _ => {}
    }
    match computed.summary_ticks {
        _ if is_unread => {}
        _ if computed.is_stale => {
            outcome.find(Status::Open, "the archive has changed since batch-layer computed the hour: run it".into());
        }
        None if outcome.archive_ticks > 0 => {
            outcome.find(Status::Open, "batch-layer has not computed the hour: run it".into());
        }
        Some(summed) if summed != archived => {
            let lines = archived;
            let detail =
                format!("hourly_stock_summary counts {summed} ticks, the archive has {lines}: run batch-layer");
            outcome.find(Status::Mismatch, detail);
        }
        _ => {}
    }
}
