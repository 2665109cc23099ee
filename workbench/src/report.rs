//! What the pipeline has made of the market, for a person.

mod figures;
mod layout;

use clap::Args;
use figures::Figures;
use service::cli::DatabaseArgs;
use service::pg::Migrations;
use sqlx::PgConnection;
use testing::kafka::KafkaArgs;

#[derive(Args, Clone)]
pub struct ReportArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The speed layer's consumer group.
    #[arg(long, env = "KAFKA_GROUP_ID", default_value = "speed-layer")]
    pub group_id: String,
}

/// Prints the report.
///
/// # Errors
/// PostgreSQL away or without the tables. Kafka away is shown in the report.
pub async fn run(args: &ReportArgs) -> anyhow::Result<()> {
    // It looks only: who has no tables yet is told how to get them.
    let database = args.database.parse("workbench")?.with_migrations(Migrations::Check);
    let mut connection = database.connect_ready().await?;
    print!("{}", look(&args.kafka, &args.group_id, &mut connection).await?);
    Ok(())
}

/// One page. `group_id`: the speed layer's.
///
/// # Errors
/// As [`run`].
pub async fn look(
    kafka: &KafkaArgs,
    group_id: &str,
    connection: &mut PgConnection,
) -> anyhow::Result<String> {
    let figures = Figures::read(connection, group_id, &kafka.topic);
    let (figures, watermarks) = tokio::join!(figures, kafka.watermarks());
    Ok(layout::report(&figures?, &watermarks))
}
