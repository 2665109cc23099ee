//! The speed layer: reads the topic of ticks and writes each into PostgreSQL exactly once.
//!
//! Data flows one way: [`intake`] (a thread that polls Kafka and decodes into a [`batch`]) →
//! [`store`] (a task that writes batch after batch, each in one transaction) → back to the intake,
//! which reuses the memory. While one batch is written, the next is decoded. [`writer`] is the
//! intake's end of that, [`handover`] the words between them. [`partition`] decides what is done
//! with one partition, [`assignment`] holds all of them. [`session`] is one membership in the
//! consumer group; when it ends for any reason but shutdown, [`run`] begins another from the
//! offsets that PostgreSQL holds.

mod assignment;
pub mod batch;
mod config;
mod detection;
mod doctor;
mod handover;
mod health;
mod http;
mod intake;
pub mod kafka;
mod kafka_watch;
mod latency;
mod metrics;
mod outage;
mod partition;
mod presence;
mod process;
mod registry;
mod rejects_recheck;
mod session;
mod source;
mod startup_check;
mod store;
mod upkeep;
mod writer;

pub use config::{Command, Config};
pub use doctor::run as doctor;
pub use source::SourcePartition;
pub use store::{DayPartitions, write_ticks};

use intake::SessionEnd;
use presence::marks;
use process::Process;
use service::Failure;
use service::failure::one_line;
use service::pg::Migrations;
use std::sync::Arc;
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Runs until `stop` is cancelled.
///
/// # Errors
/// A configuration error. Infrastructure that is away is waited for, never an error.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Failure> {
    if config.healthcheck {
        return http::probe(config.http_addr).await;
    }
    let database = config.database.parse("speed-layer")?;
    if config.database.migrations == Migrations::Only {
        return database.migrate_only().await;
    }
    config.check()?;
    let shared = Arc::new(Process::new(config, database, stop)?);
    http::serve(&shared).await?;
    let Some(first) = Store::open(&shared).await? else {
        return Ok(());
    };
    let more = (1..shared.config.writers).map(|writer| Store::another(writer, &shared));
    let mut stores: Vec<Store> = std::iter::once(first).chain(more).collect();
    tokio::spawn(rejects_recheck::run(Arc::clone(&shared)));
    tokio::spawn(upkeep::run(Arc::clone(&shared)));
    tokio::spawn(marks::run(Arc::clone(&shared)));
    let counting = Arc::clone(&shared);
    let counts = move || {
        let ((rejected, all), messages) =
            (counting.metrics.read_so_far(), counting.metrics.messages_so_far());
        startup_check::Counts { rejected, all, messages }
    };
    tokio::spawn(startup_check::run(counts, shared.stop.clone()));
    let mut session = 0_u64;
    while !shared.stop.is_cancelled() {
        session += 1;
        let span = tracing::info_span!("session", session);
        match session::run(&shared, &mut stores).instrument(span).await? {
            SessionEnd::Shutdown => break,
            SessionEnd::Rejoin(why) => {
                shared.health.group.fails(one_line(&why));
                let pause = shared.rejoining().note(&why);
                shared.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }
    tracing::info!("stopped");
    Ok(())
}
