//! The flags of `speed-layer doctor`: those of a run that say what is read and how.

use clap::{Parser, ValueEnum};
use service::Failure;
use service::cli::MessageArgs;
use service::files::SecretFile;
use service::kafka::KafkaProperties;
use service::pg::{Database, Migrations};
use service::registry::RegistryArgs;
use service::telemetry::LogArgs;

/// Reads the newest messages of a topic, up to 1,000 of each partition, and says what share of them
/// are ticks, why the others are none, and which flags would make them ticks.
///
/// It writes nothing, neither to Kafka nor to PostgreSQL, and joins no group: it may run next to a
/// working layer.
#[derive(Clone, Parser)]
#[command(max_term_width = 100, after_help = EXIT_CODES)]
pub struct DoctorArgs {
    /// Kafka brokers to start from, as `host:port,host:port`.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "LIST", value_parser = service::cli::brokers)]
    pub kafka_brokers: String,

    /// The topic of ticks, by its name; repeatable.
    #[arg(
        id = "topic",
        long = "topic",
        env = "KAFKA_TOPIC",
        default_value = "stock_prices",
        value_delimiter = ',',
        value_name = "TOPIC"
    )]
    pub topics: Vec<String>,

    #[command(flatten)]
    pub kafka: KafkaProperties,

    #[command(flatten)]
    pub messages: MessageArgs,

    #[command(flatten)]
    pub registry: RegistryArgs,

    /// PostgreSQL, to see whether it is ready; as for a run.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        conflicts_with = "database_url_file"
    )]
    pub database_url: Option<String>,

    /// A file that holds this URL.
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = SecretFile::read)]
    pub database_url_file: Option<SecretFile>,

    /// The changes that a run will make to the tables at its start.
    #[arg(long, env = "MIGRATIONS", value_enum, default_value_t = Migrations::Run)]
    pub migrations: Migrations,

    /// How the report looks.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every message that was read is a tick, or of a kind that --where or the preset leaves out \
  beside them, and
     PostgreSQL, where its URL was given, is ready
  1  some messages are no ticks, or PostgreSQL is not ready: the report says why
  2  configuration: a wrong flag, or a topic that is not there
  3  no Kafka broker answers, or the schema registry does not
  4  some partitions could not be read: the report names them";

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Text,
    /// One JSON object.
    Json,
}

impl DoctorArgs {
    /// The database that is to be looked at, where one is given.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn database(&self) -> Result<Option<Database>, Failure> {
        const NAME: &str = "speed-layer doctor";
        let database = match (&self.database_url_file, &self.database_url) {
            (Some(file), _) => Database::of_file(file.clone(), NAME)?,
            (None, Some(url)) => Database::parse(url, NAME)?,
            (None, None) => return Ok(None),
        };
        // It never writes, whatever a run would do.
        Ok(Some(database.with_migrations(Migrations::Check)))
    }
}
