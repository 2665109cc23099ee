//! The flags of `batch-layer verify`.

use clap::{Parser, ValueEnum};
use hourly::archive::PrefixTemplate;
use hourly::flags::{ArchiveArgs, DatabaseOptions, HourArgs, USUAL_PREFIX, wait};
use service::kafka::KafkaProperties;
use service::telemetry::LogArgs;
use std::time::Duration;

/// Compares, for each hour and partition, what Kafka's offsets say, what realtime_stock holds and
/// what the archive holds.
///
/// It counts ticks and duplicates, names the offsets that are missing on either side or on both,
/// and finds changed values by a checksum that does not depend on order. The result goes to
/// standard output and to the tables reconciled_hours and reconciliations. It reads everything
/// itself and trusts no index, so it may run next to the speed layer and the batch layer.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub database: DatabaseOptions,

    #[command(flatten)]
    pub archive: ArchiveArgs,

    /// The folder of an hour, in UTC, with strftime fields. It must end with `/`; deeper folders
    /// are read as well. Several, with commas between, where several topics of one database lie
    /// below prefixes of their own: name those in --topic, too.
    #[arg(long, env = "S3_PREFIX", default_value = USUAL_PREFIX, value_parser = PrefixTemplate::parse, value_delimiter = ',', value_name = "LIST", help_heading = "Archive")]
    pub prefix: Vec<PrefixTemplate>,

    #[command(flatten)]
    pub hours: HourArgs,

    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Bring minute_bars and hour_bars back in line with realtime_stock where they differ from it,
    /// and say what was changed. Safe while a speed layer is writing. It needs the right to change
    /// both tables, which the role batch_writer does not have: run it as the tables' owner.
    #[arg(long, help_heading = "What to do")]
    pub repair: bool,

    /// Format of standard output.
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every hour agrees, as far as retention has left something to compare
  1  something differs: the lines marked `mismatch` say what and where
  2  configuration: a wrong flag, password, key, bucket or topic
  3  infrastructure: PostgreSQL or the store does not answer; try again later
  4  nothing differs, but some hours could not be compared to the end: an object cannot be read, the speed layer
     or the sink is behind, batch-layer has not run yet, or SIGTERM came; or nothing was compared, as none of the hours
     asked for is looked at yet (--grace), the one of --hour has no tick, the tables have none but older ones that
     nobody has compared, or none of their messages is a tick";

/// Where the topic is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// Kafka brokers, as `host:port,host:port`. Without them, or where none answers, only what
    /// PostgreSQL and the archive hold tells which offsets there should be.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "LIST", value_parser = service::cli::brokers)]
    pub kafka_brokers: Option<String>,

    /// The topic of ticks, or several with commas between: then objects are told apart by the topic
    /// in their names (--file-name), and rows by their source. So are those of a single one, where
    /// the database has others, too. Hours that topics share are compared where all of them are
    /// named. Not given: the one topic that the speed layer has read, else `stock_prices`.
    #[arg(long, env = "KAFKA_TOPIC", value_delimiter = ',', value_name = "LIST")]
    pub topic: Vec<String>,

    /// The speed layer's consumer group, or those of several, with commas between.
    #[arg(
        long,
        env = "KAFKA_GROUP_ID",
        default_value = "speed-layer",
        value_delimiter = ',',
        value_name = "LIST"
    )]
    pub group_id: Vec<String>,

    /// How long brokers may take to answer before they count as away.
    #[arg(long, env = "KAFKA_TIMEOUT", default_value = "10s", value_parser = wait, value_name = "DURATION")]
    pub kafka_timeout: Duration,

    #[command(flatten)]
    pub properties: KafkaProperties,
}

/// Format of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for each hour and partition, and below it what is wrong.
    Table,
    /// A JSON object for each hour, one a line, and a last one with the totals and what the exit
    /// code says.
    Json,
}
