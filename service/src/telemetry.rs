//! Logs, to standard error: standard output is for results.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person.
    Human,
    /// One JSON object a line, for a log collector.
    Json,
}

/// The flags that every binary has.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// How log lines look. `RUST_LOG` filters them (default: info).
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Human, help_heading = "Logging")]
    pub log_format: LogFormat,
}

/// Starts logging; called once, first thing.
pub fn init(args: &LogArgs) {
    // The Kafka crate closes a consumer's queue a second time when it is dropped, and calls that an error.
    let usual = "info,sqlx::postgres::notice=warn,rdkafka::consumer::base_consumer=off";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Where nobody reads standard error any more, saying so there would end the program.
    let logs = logs.log_internal_errors(false);
    match args.log_format {
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
