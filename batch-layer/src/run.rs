//! One run, from the lock to the last line.

use crate::archive::Store;
use crate::bulk::{self, Bulk};
use crate::cli::{Args, Plan};
use crate::completeness;
use crate::dry_run;
use crate::index::Index;
use crate::indicators;
use crate::judging;
use crate::ledger::{self, Counts};
use crate::lock;
use crate::progress::size;
use crate::work::Work;
use common::Timestamp;
use service::Failure;
use service::pg::Migrations;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Brings the hours that `args` asks for up to date. `stop` ends it between two hours.
///
/// # Errors
/// As `batch-layer --help` says under exit codes.
pub async fn run(args: Args, stop: CancellationToken) -> Result<(), Failure> {
    let started = Instant::now();
    let mut plan = args.hours.plan(Timestamp::now())?;
    if plan.window.is_empty() {
        tracing::info!("none of the hours asked for is over yet (plus --grace): only what earlier runs left is done");
    }
    if args.database.args.migrations == Migrations::Only {
        return args.database.args.parse("batch-layer")?.migrate_only().await;
    }
    let store = Store::open(&args.archive.store()).await?;
    if args.dry_run {
        let index = args.database.open("batch-layer", false).await?;
        return dry_run::run(&args, &plan, &store, index).await;
    }
    let options = bulk::options(&args)?;
    let Some(mut index) = lock::open(&args.database, args.takeover_after).await? else { return Ok(()) };
    // Who has lost the lock could not write anyhow.
    let stop = stop.child_token();
    let _kept = lock::keep(&index, args.takeover_after, stop.clone());
    let begun = async {
        let bulk = Bulk::open(options, store.clone(), stop.clone()).await?;
        let run_id = begin(&mut index, &args, &mut plan, &bulk).await?;
        Ok::<_, Failure>((bulk, run_id))
    };
    let (bulk, run_id) = match begun.await {
        Ok(begun) => begun,
        Err(failure) => {
            lock::release(&mut index).await;
            return Err(failure);
        }
    };
    let mut work = Work::new(&args, plan.clone(), store, index, run_id, stop.clone());
    work.read_by(bulk);
    let span = tracing::info_span!("run", run = run_id);
    let result = work.run().instrument(span.clone()).await;
    work.close_engine().await;
    let reader = work.reader();
    let (mut index, counts) = work.finish();
    let result = match result {
        // The hours that were written are right whatever became of the others.
        Ok(()) | Err(Failure::Partial(_)) => {
            let follow = async {
                indicators::refresh(&mut index, &stop).await?;
                judging::refresh(&mut index, reader, (&args, &plan), &stop).await
            };
            follow.instrument(span.clone()).await.and(result)
        }
        Err(failure) => Err(failure),
    };
    ledger::finish(&mut index, run_id, &counts, &result).await;
    lock::release(&mut index).await;
    if matches!(result, Ok(()) | Err(Failure::Partial(_))) {
        span.in_scope(|| report(&counts, started));
    }
    result
}

/// Notes the run, and lets its window begin where the last one's end asks for. Gives the run's number.
async fn begin(index: &mut Index, args: &Args, plan: &mut Plan, bulk: &Bulk) -> Result<i64, Failure> {
    if let Some(last) = completeness::last_run(index).await? {
        plan.reach_back_from(last, args.hours.lookback);
    }
    let arguments = args.describe(plan) + &bulk.describe();
    ledger::begin(index, &arguments, plan.looks_back).await
}

fn report(counts: &Counts, started: Instant) {
    tracing::info!(
        "{} hours computed, {} failed; {} objects read ({}), {} ticks, {} duplicates ({} in conflict), {} rejected \
         lines, {} summaries without a volume; {:.1} s",
        counts.hours_computed,
        counts.hours_failed,
        counts.objects_read,
        size(counts.bytes_read),
        counts.ticks,
        counts.duplicates,
        counts.conflicts,
        counts.rejected_lines,
        counts.without_volume,
        started.elapsed().as_secs_f64(),
    );
}
