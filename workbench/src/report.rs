//! What the pipeline has made of the market, for a person.

mod figures;
mod layout;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use service::cli::{DatabaseArgs, duration};
use service::pg::Migrations;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use figures::Figures;
use testing::kafka::{KafkaArgs, watermarks};

#[derive(Args, Clone)]
pub struct ReportArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The speed layer's consumer group.
    #[arg(long, env = "KAFKA_GROUP_ID", default_value = "speed-layer")]
    pub group_id: String,
    /// Shows it again and again, in place on a terminal, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// Pause between two looks with --watch.
    #[arg(long, value_parser = duration, default_value = "2s")]
    pub every: Duration,
}

/// Prints the report, once or until `shutdown`.
///
/// Errors: PostgreSQL away or without the tables. Kafka away is shown in the report.
pub async fn run(args: &ReportArgs, shutdown: &CancellationToken) -> anyhow::Result<()> {
    // It looks only: who has no tables yet is told how to get them.
    let database = args.database.parse("workbench")?.with_migrations(Migrations::Check);
    let mut connection = database.connect_ready().await?;
    loop {
        let text = look(args, &mut connection).await?;
        draw(&text, args.watch)?;
        if !args.watch {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(args.every) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

/// One page.
///
/// Errors: as [`run`].
pub async fn look(args: &ReportArgs, connection: &mut PgConnection) -> anyhow::Result<String> {
    let kafka = args.kafka.clone();
    let asking = tokio::task::spawn_blocking(move || watermarks(&kafka.inquirer()?, &kafka.topic));
    let figures = Figures::read(connection, &args.group_id, &args.kafka.topic).await?;
    Ok(layout::report(&figures, &asking.await?))
}

/// Writes a page to standard output: in place on a terminal if so asked, otherwise below the one
/// before.
///
/// Errors: standard output is closed.
pub fn draw(text: &str, in_place: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if in_place && out.is_terminal() {
        // Home, each line cleared to its end, then the rest of the screen: it does not flicker.
        write!(out, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))?;
    } else {
        write!(out, "{text}")?;
    }
    out.flush()
}
