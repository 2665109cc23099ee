//! One run, from the lock to the last line.

use crate::archive::ObjectStore;
use crate::args::Args;
use crate::bulk::{self, Bulk};
use crate::completeness;
use crate::dry_run;
use crate::flags::HourPlan;
use crate::hour::Hour;
use crate::index::BatchDb;
use crate::indicators;
use crate::judging;
use crate::ledger::{self, Begun, RunCounts};
use crate::lock;
use crate::odd_bars;
use crate::progress::size;
use crate::reader::Reader;
use crate::sharing::{self, Stretches};
use crate::work::WindowRun;
use common::Timestamp;
use service::Failure;
use service::pg::Migrations;
use service::telemetry::TRACED;
use service::words::{counted, inflected};
use std::ops::Range;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Brings the hours that `args` asks for up to date. `stop` ends it between two hours.
///
/// # Errors
/// As `batch-layer --help` says under exit codes.
pub async fn run(args: Args, stop: CancellationToken) -> Result<(), Failure> {
    let started = Instant::now();
    let mut plan = args.hours.plan(Timestamp::now())?;
    if plan.window.is_empty() {
        tracing::info!(
            "none of the hours asked for is over yet (plus --grace): only what earlier runs left \
             is done"
        );
    }
    if args.database.args.migrations == Migrations::Only {
        return args.database.args.parse("batch-layer")?.migrate_only().await;
    }
    args.check_shared(&plan)?;
    let options = bulk::options(&args)?;
    let store = ObjectStore::open(&args.archive.store()).await?;
    if args.dry_run {
        let db = args.database.open("batch-layer", false).await?;
        return dry_run::run(&args, &plan, &store, db).await;
    }
    let group = args.group(&plan);
    let silence = args.takeover_after;
    let taken = match plan.is_default {
        true => lock::open(&args.database, silence).await?,
        // Nobody else does what it was asked for.
        false => {
            Some(lock::acquire_when_free(&args.database, silence, group.as_deref(), &stop).await?)
        }
    };
    let Some(mut db) = taken else { return Ok(()) };
    // Who has lost the lock could not write anyhow.
    let stop = stop.child_token();
    let _kept = lock::spawn_heartbeat(&db, args.takeover_after, stop.clone());
    let begun = async {
        let bulk = Bulk::open(options, store.clone(), stop.clone()).await?;
        let run_id = begin(&mut db, &args, &mut plan, &bulk).await?;
        Ok::<_, Failure>((bulk, run_id))
    };
    let (bulk, run_id) = match begun.await {
        Ok(begun) => begun,
        Err(failure) => {
            lock::release(&mut db).await;
            return Err(failure);
        }
    };
    let (span, trace) = (tracing::info_span!("run", run = run_id), traced(run_id));
    let run = Run { args: &args, plan, store, run_id, stop };
    let mut first = run.work(db);
    first.read_by(bulk);
    let (mut db, counts, result) = match args.share {
        false => run.all(first).instrument(span.clone()).instrument(trace.clone()).await,
        true => run.shared(first).instrument(span.clone()).instrument(trace.clone()).await,
    };
    describe(&trace, &counts);
    ledger::finish(&mut db, run_id, &counts, &result).await;
    lock::release(&mut db).await;
    if matches!(result, Ok(()) | Err(Failure::Partial(_))) {
        span.in_scope(|| report(&counts, started));
    }
    result
}

/// A run that is begun.
struct Run<'a> {
    args: &'a Args,
    plan: HourPlan,
    store: ObjectStore,
    run_id: i64,
    stop: CancellationToken,
}

impl Run<'_> {
    fn work(&self, db: BatchDb) -> WindowRun {
        WindowRun::new(
            self.args,
            self.plan.clone(),
            self.store.clone(),
            db,
            self.run_id,
            self.stop.clone(),
        )
    }

    /// The whole window.
    async fn all(&self, mut work: WindowRun) -> (BatchDb, RunCounts, Result<(), Failure>) {
        let result = work.run().await;
        work.close_engine().await;
        let (reader, late) = (work.reader(), work.late());
        let (mut db, counts) = work.finish();
        let result = match result {
            // The hours that were written are right whatever became of the others.
            Ok(()) | Err(Failure::Partial(_)) => {
                self.follow(&mut db, reader, &late).await.and(result)
            }
            Err(failure) => Err(failure),
        };
        (db, counts, result)
    }

    async fn follow(&self, db: &mut BatchDb, reader: Reader, late: &[Hour]) -> Result<(), Failure> {
        if self.args.recompute && !self.plan.window.is_empty() {
            indicators::mark_all(db, &self.plan.window).await?;
        }
        indicators::refresh(db, &self.stop).await?;
        odd_bars::refresh(db, self.args, &self.stop).await?;
        judging::report_late(db, &reader, (self.args, late)).await?;
        judging::refresh(db, reader, (self.args, &self.plan.window), &self.stop).await
    }

    /// What other runs leave of the window; and all of it once more, if this run is the one to
    /// close.
    async fn shared(&self, mut work: WindowRun) -> (BatchDb, RunCounts, Result<(), Failure>) {
        let stretches = Stretches::new(&self.plan.window, work.reach());
        let judge = async |work: &mut WindowRun, hours: &Range<Hour>| {
            let reader = work.reader();
            judging::refresh_stretch(work.db(), reader, (self.args, hours), &self.stop).await
        };
        let worked = sharing::work(&mut work, &stretches, self.args.takeover_after, judge).await;
        let (reader, late) = (work.reader(), work.late());
        let (mut db, mut counts) = work.finish();
        let reported = judging::report_late(&mut db, &reader, (self.args, &late)).await;
        match worked.and_then(|is_closing| reported.map(|()| is_closing)) {
            Ok(false) => (db, counts, Ok(())),
            Err(failure) => (db, counts, Err(failure)),
            Ok(true) => {
                let (mut db, more, result) = self.all(self.work(db).closing()).await;
                counts.add(more);
                let is_done = matches!(result, Ok(()) | Err(Failure::Partial(_)))
                    && !self.stop.is_cancelled();
                let closed = if is_done { stretches.close(&mut db).await } else { Ok(()) };
                (db, counts, result.and(closed))
            }
        }
    }
}

/// Notes the run, and lets its window begin where the last one's end asks for. Gives the run's
/// number.
async fn begin(
    db: &mut BatchDb,
    args: &Args,
    plan: &mut HourPlan,
    bulk: &Bulk,
) -> Result<i64, Failure> {
    if let Some(last) = completeness::last_run(db).await? {
        plan.reach_back_from(last, args.hours.lookback);
    }
    let (arguments, engine) = (args.describe(plan), bulk.engine());
    let (looks_back, window) = (plan.looks_back, Some(&plan.window));
    ledger::begin(db, Begun { arguments: &arguments, engine: &engine, looks_back, window }).await
}

/// The run, for who takes traces.
fn traced(run_id: i64) -> Span {
    tracing::info_span!(
        target: TRACED,
        "run",
        run = run_id,
        hours_computed = Empty,
        hours_failed = Empty,
        objects_read = Empty,
        ticks = Empty,
    )
}

/// What a trace tells about a run that is over.
fn describe(trace: &Span, counts: &RunCounts) {
    trace
        .record("hours_computed", counts.hours_computed)
        .record("hours_failed", counts.hours_failed)
        .record("objects_read", counts.objects_read)
        .record("ticks", counts.ticks);
}

fn report(counts: &RunCounts, started: Instant) {
    let of_lake = match counts.hours_from_lake {
        0 => String::new(),
        hours => format!(
            " ({hours} of them from {} of the lake)",
            counted(counts.lake_objects_read, "object")
        ),
    };
    let seconds = started.elapsed().as_secs_f64();
    let text = format!(
        "{} computed{of_lake}, {} failed; {} read ({}), {}, {} ({} in conflict), {}, {} without a \
         volume; {seconds:.1} s",
        counted(counts.hours_computed.into(), "hour"),
        counts.hours_failed,
        counted(counts.objects_read, "object"),
        size(counts.bytes_read),
        counted(counts.ticks, "tick"),
        counted(counts.duplicates, "duplicate"),
        counts.conflicts,
        counted(counts.rejected_lines, "rejected line"),
        inflected(counts.without_volume, "summar[y|ies]"),
    );
    tracing::info!(
        hours_computed = counts.hours_computed,
        hours_failed = counts.hours_failed,
        hours_from_lake = counts.hours_from_lake,
        lake_objects_read = counts.lake_objects_read,
        objects_read = counts.objects_read,
        bytes_read = counts.bytes_read,
        ticks = counts.ticks,
        duplicates = counts.duplicates,
        conflicts = counts.conflicts,
        rejected_lines = counts.rejected_lines,
        without_volume = counts.without_volume,
        seconds,
        "{text}"
    );
}
