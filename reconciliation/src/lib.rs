//! `batch-layer verify`: do Kafka, `realtime_stock` and the archive hold the same ticks?
//!
//! [`hourly::holdings`] has what one side holds in a form that can be compared: sets of offsets,
//! and checksums of neighbouring offsets. [`archive`] and [`tables`] read the two sides of each
//! [`topic`], [`lost`] asks [`log`] (Kafka) about offsets that are on neither, and [`mod@compare`]
//! compares a partition. [`verification`] goes through the hours: [`reading`] fills a [`hour_span`]
//! of them, [`strays`] compares the tables that follow from the ticks, and [`hour`] compares an
//! hour. [`bars`] has what minute and hour bars must be, and [`repair`] makes them so. [`report`]
//! prints the outcomes and the [`verdict`], [`store`] writes them to PostgreSQL.

mod archive;
mod args;
mod bars;
mod compare;
mod gathered;
mod hour;
mod hour_span;
mod hour_spans;
mod indicators;
mod kept;
mod lake;
mod late;
mod log;
mod lost;
mod minutes;
mod nothing;
mod outcome;
mod present_hours;
mod previous_span;
mod reach;
mod reading;
mod recorded;
mod rejects;
mod repair;
mod repeated;
mod report;
mod stop;
mod store;
mod strays;
mod symbols;
mod tables;
mod topic;
mod verdict;
mod verification;

pub use args::VerifyArgs;

use archive::Archive;
use common::Timestamp;
use hourly::archive::ObjectStore;
use hourly::reader::{Others, Reader};
use late::LateFinds;
use outcome::Status;
use report::{Outcomes, Printer};
use service::Failure;
use tokio_util::sync::CancellationToken;
use verdict::Unsuccessful;
use verification::Verification;

/// Compares the hours that `args` asks for. `stop` ends it between two spans of hours.
///
/// # Errors
/// [`Failure::Difference`] where something differs, [`Failure::Partial`] where something could not
/// be compared.
pub async fn run(args: VerifyArgs, stop: CancellationToken) -> Result<(), Failure> {
    let mut report = Printer::new(args.format);
    let ended = compare(args, stop, &mut report).await;
    let printed = report.finish(ended.as_ref().err());
    ended.map_err(|unsuccessful| unsuccessful.failure)?;
    printed.map_err(Failure::Infrastructure)
}

async fn compare(
    mut args: VerifyArgs,
    stop: CancellationToken,
    report: &mut Printer,
) -> Result<(), Unsuccessful> {
    let mut plan = args.hours.plan(Timestamp::now())?;
    let asked = nothing::RequestedHours {
        window: plan.window.clone(),
        due: plan.due,
        grace: args.hours.grace,
        is_default: plan.is_default,
    };
    let store = ObjectStore::open(&args.archive.store()).await?;
    let mut db = args.database.open("batch-layer verify", true).await?;
    topic::name(&mut db, &mut args.kafka).await?;
    let has_kafka = args.kafka.kafka_brokers.is_some();
    let mut sources =
        reach::Sources { db: &mut db, store: &store, templates: &args.prefix, has_kafka };
    let mut there = sources.shorten(&mut plan).await?;
    let before = sources.before(&plan).await?;
    let (topics, is_away) = topic::open_all(&mut db, &args.kafka).await?;
    if let Some(there) = &mut there {
        there.ask(&mut db, &topics).await?;
    }
    let broken = db.broken().await?.into_values().flatten();
    let others = Others::of(&mut db, &args.prefix, &plan.window).await?;
    let reader =
        Reader::new(store.clone(), args.archive.format(), stop.clone()).expecting_broken(broken);
    let mut verification = Verification {
        is_repairing: args.repair,
        archive: Archive {
            templates: args.prefix.clone(),
            reader: reader.with_others(others),
            store,
            plan: plan.clone(),
            topics: args.kafka.topic.clone(),
            stop: stop.clone(),
        },
        topics,
        db,
        before,
        there,
        late: LateFinds::default(),
        tickless: None,
        unwritten: None,
        stop: stop.clone(),
    };
    report.begin(args.kafka.topic.len() > 1).map_err(Failure::Infrastructure)?;
    let compared = verification.compare_all(&plan, report, &stop).await;
    verification.log_late();
    compared?;
    conclude(&report.totals)?;
    if is_away {
        let what = "Kafka could not be asked: what it alone holds was not compared";
        return Err(Unsuccessful::open(what.into()));
    }
    if report.totals.have_ticks() {
        return Ok(());
    }
    let explained = match report.totals.rejected {
        0 => verification.explain(&asked).await,
        rejected => asked.explain_rejected(&mut verification.db, rejected).await,
    };
    explained.map_err(Unsuccessful::with_nothing)
}

fn conclude(totals: &Outcomes) -> Result<(), Unsuccessful> {
    let Outcomes { hours, open, mismatch, .. } = totals;
    match totals.status() {
        Status::Ok | Status::Purged => Ok(()),
        Status::Open => Err(Unsuccessful::open(format!(
            "{open} of {hours} hours could not be compared to the end"
        ))),
        Status::Mismatch => {
            Err(Failure::Difference(format!("{mismatch} of {hours} hours differ")).into())
        }
    }
}
