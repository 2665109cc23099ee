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
mod report;
mod store;
mod tables;

pub use args::VerifyArgs;

use crate::archive::Store;
use crate::cli::Plan;
use crate::hour::Hour;
use crate::index::Index;
use crate::reader::Reader;
use anyhow::Context;
use archive::{Archive, Archived};
use common::{Failure, Timestamp};
use compare::Sides;
use holdings::{Holdings, HourHoldings};
use log::{Log, Span};
use lost::{Lost, Search};
use outcome::{HourOutcome, Status};
use report::{Report, Totals};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tables::{Computed, Known};
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
    let log = log.map_err(Failure::Infrastructure)??.map(Arc::new);
    let store = Store::open(&args.archive.store()).await?;
    let mut index = args.database.open("batch-layer verify", true).await?;
    let (group, topic) = (&args.kafka.group_id, &args.kafka.topic);
    let mut verification = Verification {
        topic: topic.clone(),
        gaps: tables::gaps(&mut index, group, topic).await?,
        next_offsets: tables::next_offsets(&mut index, group, topic).await?,
        log,
        archive: Archive {
            template: args.archive.prefix.clone(),
            reader: Reader::new(store.clone(), args.archive.format(), stop.clone()),
            store,
            plan: plan.clone(),
        },
        index,
    };
    let mut report = Report::new(args.format);
    let compared = verification.compare_all(&plan, &mut report, &stop).await;
    report.finish().map_err(Failure::Infrastructure)?;
    compared.and_then(|()| conclude(&report.totals))
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
}

/// What was read of a stretch of hours.
struct Stretch {
    hours: Range<Hour>,
    realtime: Holdings,
    archived: Archived,
    computed: BTreeMap<Hour, Computed>,
    spans: BTreeMap<i32, Span>,
    lost: Lost,
}

impl Verification {
    async fn compare_all(&mut self, plan: &Plan, report: &mut Report, stop: &CancellationToken) -> Result<(), Failure> {
        let mut start = plan.window.start;
        while start < plan.window.end {
            let hours = start..start.plus(STRETCH_HOURS).min(plan.window.end);
            let stretch = stop.run_until_cancelled(self.read(hours.clone())).await.ok_or_else(stopped)??;
            for hour in Hour::each(hours.clone()) {
                let outcome = self.judge(hour, &stretch);
                store::write(&mut self.index, &outcome).await?;
                if !outcome.is_empty() {
                    report.add(&outcome).map_err(Failure::Infrastructure)?;
                }
            }
            start = hours.end;
        }
        Ok(())
    }

    /// Reads both sides, and what Kafka has of the hours. The archive comes first: what is archived while it is read is
    /// then at worst in `realtime_stock` alone, and newer than everything that was read.
    async fn read(&mut self, hours: Range<Hour>) -> Result<Stretch, Failure> {
        let archived = self.archive.read(&mut self.index, &hours).await?;
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
        Ok(Stretch { hours, realtime, archived, computed, spans, lost })
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
        outcome
    }
}

/// Kafka's offsets of an hour, by partition.
fn kafka_ranges(hour: Hour, stretch: &Stretch) -> BTreeMap<i32, (u64, u64)> {
    let number = Hour::each(stretch.hours.start..hour).count();
    let range = |span: &Span| Some((*span.starts.get(number)?, *span.starts.get(number + 1)?));
    stretch.spans.iter().filter_map(|(partition, span)| Some((*partition, range(span)?))).collect()
}

/// Whether what was computed from the ticks has counted them all.
fn judge_computed(outcome: &mut HourOutcome, computed: &Computed, is_unread: bool) {
    let bars = computed.minute_bar_ticks;
    let rows: u64 = outcome.partitions.iter().map(|partition| partition.realtime_duplicates).sum();
    match outcome.realtime_ticks.map(|ticks| ticks + rows) {
        Some(rows) if rows != bars => {
            outcome.find(Status::Mismatch, format!("minute_bars count {bars} ticks, realtime_stock has {rows}"));
        }
        None if bars != outcome.archive_ticks && !is_unread => {
            let lines = outcome.archive_ticks;
            outcome.find(Status::Mismatch, format!("minute_bars count {bars} ticks, the archive has {lines}"));
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
        Some(summed) if summed != outcome.archive_ticks => {
            let lines = outcome.archive_ticks;
            let detail =
                format!("hourly_stock_summary counts {summed} ticks, the archive has {lines}: run batch-layer");
            outcome.find(Status::Mismatch, detail);
        }
        _ => {}
    }
}
