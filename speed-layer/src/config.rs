//! The flags; their comments are the manual (`speed-layer --help`).

use crate::doctor::DoctorArgs;
use anyhow::anyhow;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use service::Failure;
use service::cli::{self, AnomalyArgs, DatabaseArgs, MessageArgs};
use service::kafka::KafkaProperties;
use service::registry::RegistryArgs;
use service::telemetry::LogArgs;
use std::net::SocketAddr;
use std::time::Duration;

/// Writes every tick of a Kafka topic into PostgreSQL, each exactly once.
///
/// `speed-layer doctor` says beforehand what becomes of a topic's messages.
///
/// Every flag can be set by the environment variable that it names. Exit codes: 0 stopped by
/// SIGTERM or SIGINT, 2 a configuration error. Kafka or PostgreSQL being away is no reason to end:
/// it is waited for; only --migrations only and --healthcheck end with 3 then.
#[derive(Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Config {
    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Kafka brokers to start from, as `host:port,host:port`.
    #[arg(
        long,
        env = "KAFKA_BROKERS",
        value_name = "LIST",
        value_parser = service::cli::brokers,
        required_unless_present = "healthcheck",
        default_value = "",
        hide_default_value = true
    )]
    pub kafka_brokers: String,

    /// The topic of ticks; repeatable. A name that begins with `^` is a pattern for topics' names.
    #[arg(
        id = "topic",
        long = "topic",
        env = "KAFKA_TOPIC",
        default_value = "stock_prices",
        value_delimiter = ',',
        value_parser = topic,
        value_name = "TOPIC"
    )]
    pub topics: Vec<String>,

    /// The consumer group. Its offsets are kept in PostgreSQL; Kafka gets a copy, for lag monitors.
    #[arg(long, env = "KAFKA_GROUP_ID", default_value = "speed-layer")]
    pub group_id: String,

    #[command(flatten)]
    pub kafka: KafkaProperties,

    #[command(flatten)]
    pub messages: MessageArgs,

    #[command(flatten)]
    pub registry: RegistryArgs,

    /// Where to begin with a topic that was never read. Partitions that are added to it later are
    /// read whole.
    #[arg(long, env = "START", value_enum, default_value_t = Start::Earliest)]
    pub start: Start,

    /// What to do when Kafka does not have the next message any more (retention was faster), cannot
    /// give it (it is damaged), or has another topic of that name (it was recreated).
    #[arg(long, env = "ON_GAP", value_enum, default_value_t = OnGap::Stop)]
    pub on_gap: OnGap,

    /// Send rejected messages, whole, to this topic as well, with the reason in their headers. It
    /// must exist.
    #[arg(long, env = "DEAD_LETTER_TOPIC", value_name = "TOPIC")]
    pub dead_letter_topic: Option<String>,

    /// Write a batch when it holds this many messages; or 8 MB of rows, or 30,000 bars, which bound
    /// its memory.
    #[arg(
        long, env = "BATCH_ROWS", default_value_t = 50_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N"
    )]
    pub batch_rows: u32,

    /// Write through this many connections, each for its share of the partitions.
    #[arg(
        long, env = "WRITERS", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N"
    )]
    pub writers: u8,

    /// Write a batch when its first message has waited this long, full or not. At most a minute.
    #[arg(
        long, env = "LINGER", default_value = "10ms", value_parser = linger,
        value_name = "DURATION"
    )]
    pub linger: Duration,

    /// How long a transaction may take, the same for all instances. One that takes longer is tried
    /// again with fewer messages. Locks of a frozen instance are released within fifteen seconds
    /// after this.
    #[arg(
        long, env = "WRITER_TIMEOUT", default_value = "60s", value_parser = writer_timeout,
        value_name = "DURATION"
    )]
    pub writer_timeout: Duration,

    /// Drop the ticks of whole UTC days that ended this many days ago. Without it ticks are kept
    /// for ever; bars always. Counted from the newest tick, or from now where that is earlier.
    #[arg(
        long, env = "RETENTION_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500),
        value_name = "DAYS"
    )]
    pub retention_days: Option<u32>,

    /// How often to look for days to drop, and for finished days to index: once a day at least.
    #[arg(
        long, env = "UPKEEP_INTERVAL", default_value = "10m", value_parser = upkeep_interval,
        value_name = "DURATION"
    )]
    pub upkeep_interval: Duration,

    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:9464", value_name = "ADDRESS")]
    pub http_addr: SocketAddr,

    /// Ask the instance that serves on --http-addr whether it is alive, and end: 0 if it is. For a
    /// container's health check. It needs no other flag.
    #[arg(long)]
    pub healthcheck: bool,

    #[command(flatten)]
    pub anomalies: AnomalyArgs,

    #[command(flatten)]
    pub logs: LogArgs,
}

/// The settings of the command line.
pub enum Command {
    /// No subcommand: write ticks.
    Run(Box<Config>),
    Doctor(Box<DoctorArgs>),
}

impl Command {
    /// Reads the command line; where it cannot be meant, says so and ends the process.
    #[must_use]
    pub fn parse() -> Self {
        Self::of(&Self::definition().get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// The flags of a run, and the subcommand with flags of its own.
    fn definition() -> clap::Command {
        let doctor = cli::without_empty_variables(DoctorArgs::command().name("doctor"));
        cli::without_empty_variables(Config::command())
            .mut_arg("database_url", |url| url.required_unless_present("healthcheck"))
            .subcommand(doctor)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((_, flags)) => {
                let args = DoctorArgs::from_arg_matches(flags)?;
                args.messages.check().map(|()| Self::Doctor(Box::new(args)))
            }
            None => {
                let config = Config::from_arg_matches(matches)?;
                config.messages.check().map(|()| Self::Run(Box::new(config)))
            }
        }
    }

    #[must_use]
    pub fn logs(&self) -> &LogArgs {
        match self {
            Self::Run(config) => &config.logs,
            Self::Doctor(args) => &args.logs,
        }
    }
}

fn writer_timeout(text: &str) -> Result<Duration, String> {
    within(text, "5s", "1h")
}

/// Longer, and what is written is no stream any more.
fn linger(text: &str) -> Result<Duration, String> {
    within(text, "0ms", "1m")
}

fn upkeep_interval(text: &str) -> Result<Duration, String> {
    within(text, "100ms", "1d")
}

fn within(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let sane = cli::duration(least)?..=cli::duration(most)?;
    let duration = cli::duration(text)?;
    if sane.contains(&duration) { Ok(duration) } else { Err(format!("expected {least} to {most}")) }
}

/// A topic's name, or a pattern for several.
fn topic(text: &str) -> Result<String, String> {
    let is_of_kafka = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text {
        "" => Err("it is empty".to_owned()),
        "^" => Err("a pattern needs more than its ^: ^.* is every topic".to_owned()),
        "." | ".." => Err("Kafka has no topic of this name".to_owned()),
        pattern if pattern.starts_with('^') => Ok(pattern.to_owned()),
        name if name.len() <= 249 && name.bytes().all(is_of_kafka) => Ok(name.to_owned()),
        _ => Err("a topic's name has at most 249 letters, digits, dots, underscores and dashes"
            .to_owned()),
    }
}

impl Config {
    /// # Errors
    /// If flags contradict each other.
    pub fn check(&self) -> Result<(), Failure> {
        let twice =
            (1..self.topics.len()).find(|at| self.topics[..*at].contains(&self.topics[*at]));
        if let Some(at) = twice {
            return Err(Failure::Configuration(anyhow!(
                "--topic {} is there twice",
                self.topics[at]
            )));
        }
        match self
            .dead_letter_topic
            .as_deref()
            .filter(|letters| self.named_topics().any(|topic| topic == *letters))
        {
            Some(letters) => Err(reads_its_own_letters(letters)),
            None => Ok(()),
        }
    }

    /// The topics that are asked for by their names and not by a pattern.
    pub fn named_topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(String::as_str).filter(|topic| !topic.starts_with('^'))
    }

    /// A topic that brokers can be asked about in place of all: a cluster may have thousands.
    pub fn any_topic(&self) -> &str {
        self.named_topics().next().unwrap_or("__consumer_offsets")
    }

    /// Whether the group's coordinator shares out its partitions (`group.protocol=consumer`).
    pub fn has_newer_groups(&self) -> bool {
        self.kafka_property("group.protocol") == Some("consumer")
    }

    /// Whether Kafka knows the instances by a `client.id` of the user's, so that nobody can be told
    /// from anybody.
    pub fn names_its_client(&self) -> bool {
        self.kafka_property("client.id").is_some()
    }

    /// The value that a `--kafka-property` gives, the last one where there are several.
    pub fn kafka_property(&self, name: &str) -> Option<&str> {
        self.kafka.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }
}

/// Each letter would be read, rejected and sent once more, for ever.
pub fn reads_its_own_letters(topic: &str) -> Failure {
    Failure::Configuration(anyhow!(
        "topic \"{topic}\" (--dead-letter-topic) is among those that are read (--topic): rejected \
         messages need one of their own"
    ))
}

/// Where to begin with a partition that has no stored offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// At its oldest message.
    Earliest,
    /// With the next message to come.
    Latest,
}

/// What to do when messages between the stored offset and Kafka's first one are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnGap {
    /// The partition stalls and logs why, until a person decides; the others are read. A recreated
    /// topic ends the process.
    Stop,
    /// Record the range in the table `kafka_gaps` and go on after it. A recreated topic is read as
    /// a source of its own.
    Skip,
}

#[cfg(test)]
mod tests {
    use clap::builder::Resettable;

    use super::*;

    /// The settings of flags alone, whatever the environment of the tests holds.
    fn parse(flags: &[&str]) -> Result<Command, clap::Error> {
        let definition = Command::definition().mut_args(|arg| arg.env(Resettable::Reset));
        Command::of(&definition.try_get_matches_from(flags)?)
    }

    #[test]
    fn the_flags_are_consistent() {
        Command::definition().debug_assert();
    }

    #[test]
    fn a_page_of_docs_names_each_flag() {
        assert_eq!(testing::flags_without_a_page(&Command::definition()), Vec::<String>::new());
    }

    #[test]
    fn doctor_needs_the_brokers_alone() {
        let doctor =
            parse(&["speed-layer", "doctor", "--kafka-brokers", "b", "--preset", "binance"]);
        assert!(matches!(doctor, Ok(Command::Doctor(_))));
        let run =
            parse(&["speed-layer", "--kafka-brokers", "b", "--database-url", "postgres://h/d"]);
        assert!(matches!(run, Ok(Command::Run(_))));
        assert!(parse(&["speed-layer", "--kafka-brokers", "b", "doctor"]).is_err());
    }

    #[test]
    fn a_run_needs_brokers_and_a_database_and_a_health_check_neither() {
        let check = parse(&["speed-layer", "--healthcheck", "--http-addr", "127.0.0.1:1"]);
        assert!(matches!(check, Ok(Command::Run(config)) if config.healthcheck));
        let run = parse(&["speed-layer", "--topic", "t"]).err().unwrap().to_string();
        assert!(run.contains("--kafka-brokers") && run.contains("--database-url"), "{run}");
    }

    #[test]
    fn a_step_of_prices_is_a_number_above_zero() {
        let parse = |step: &str| {
            let flags = [
                "speed-layer",
                "--database-url",
                "postgres://h/d",
                "--kafka-brokers",
                "b",
                "--price-step",
            ];
            Config::try_parse_from(flags.into_iter().chain([step])).is_ok()
        };
        assert!(["0.01", "5", "1e-8"].into_iter().all(parse));
        assert!(!["0", "-1", "x", "", "0.0000000001", "1e30"].into_iter().any(parse));
    }

    #[test]
    fn a_time_that_would_stop_the_stream_or_its_upkeep_is_refused() {
        let parse = |flag: &str, time: &str| {
            let flags = [
                "speed-layer",
                "--database-url",
                "postgres://h/d",
                "--kafka-brokers",
                "b",
                flag,
                time,
            ];
            Config::try_parse_from(flags).is_ok()
        };
        assert!(["0ms", "10ms", "1m"].into_iter().all(|time| parse("--linger", time)));
        assert!(!["61s", "1h", "-1s", "5"].into_iter().any(|time| parse("--linger", time)));
        assert!(parse("--upkeep-interval", "1d") && !parse("--upkeep-interval", "25h"));
        assert!(!parse("--upkeep-interval", "0ms") && !parse("--writer-timeout", "4s"));
    }

    #[test]
    fn a_number_of_days_that_would_keep_nothing_or_all_is_refused() {
        let parse = |days: &str| {
            let flags = [
                "speed-layer",
                "--database-url",
                "postgres://h/d",
                "--kafka-brokers",
                "b",
                "--retention-days",
            ];
            Config::try_parse_from(flags.into_iter().chain([days]))
        };
        assert_eq!(parse("36500").ok().unwrap().retention_days, Some(36_500));
        for days in ["0", "36501", "999999999", "1000000000", "-1"] {
            assert!(parse(days).is_err(), "{days}");
        }
    }
}
