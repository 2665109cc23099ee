//! Logs, to standard error: standard output is for results; and traces, where they are asked for.
//!
//! A sentence says what happened and names what it is about. For a collector the same names are
//! fields as well, and spans say within what it happened: `session` and `batch`, or `run` and
//! `hour`. Spans of the target [`TRACED`] are those of traces, and in no log.

mod listener;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
mod untraced;

pub use listener::{END_WITHIN, TRACED};
#[cfg(feature = "otlp")]
pub use otlp::Traces;
#[cfg(not(feature = "otlp"))]
pub use untraced::Traces;

use crate::Failure;
use listener::Listener;
use std::fmt;
use std::io::IsTerminal;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A sentence for people.
    Human,
    /// One JSON object a line, for a log collector: the sentence as `message`, and the values that
    /// it names as members.
    Json,
}

/// The flags that every binary has.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// How log lines look. `RUST_LOG` filters them (default: info).
    #[arg(
        long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Human,
        help_heading = "Logging"
    )]
    pub log_format: LogFormat,
}

/// Libraries' lines that say nothing new: the Kafka crate closes a consumer's queue a second time
/// when it is dropped, and calls that an error; AWS's SDK prints further errors besides the one
/// that it returns, and at each start where it has looked for credentials. Spans of traces are for
/// traces alone.
const QUIET: &str = "traced=off,sqlx::postgres::notice=error,\
    rdkafka::consumer::base_consumer=off,aws_smithy_runtime=off,aws_smithy_runtime_api=off,\
    aws_config=warn";

/// The `asked` filters are added to the usual ones, so that naming a library shows its lines.
fn parse_filter(asked: &str) -> EnvFilter {
    let usual = || EnvFilter::new(format!("info,{QUIET}"));
    match asked.trim() {
        "" => usual(),
        asked => EnvFilter::try_new(format!("{QUIET},{asked}")).unwrap_or_else(|_| usual()),
    }
}

/// Starts logging; called once, first thing.
pub fn init(args: &LogArgs) {
    listen(args, None);
}

/// Starts logging, and exporting traces where the environment names who takes them; called once,
/// first thing. `program`: the name of what is traced, unless the environment has another.
///
/// # Errors
/// If a setting of the traces can never work.
pub fn start(args: &LogArgs, program: &'static str) -> Result<Traces, Failure> {
    let opened = Traces::open(program);
    listen(args, opened.as_ref().ok().and_then(Traces::listener));
    let traces = opened?;
    traces.log();
    Ok(traces)
}

/// Without traces the filter is that of the whole registry. A filter of the only listener would
/// lose lines: after a library has asked whether a level is heard (sqlx does), and it was not, the
/// next line that is always heard is taken for that one. With two listeners, of which each hears
/// what the other does not, no line is always heard by both, and each is asked for.
fn listen(args: &LogArgs, traces: Option<Listener>) {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (logs, filter) = (log_layer(args), parse_filter(&asked));
    match traces {
        None => tracing_subscriber::registry().with(logs).with(filter).init(),
        Some(traces) => {
            let listeners = vec![logs.with_filter(filter).boxed(), traces];
            tracing_subscriber::registry().with(listeners).init();
        }
    }
}

fn log_layer(args: &LogArgs) -> Listener {
    let logs = tracing_subscriber::fmt::layer::<Registry>().with_writer(std::io::stderr);
    // Where nobody reads standard error any more, saying so there would end the program.
    let logs = logs.log_internal_errors(false);
    match args.log_format {
        LogFormat::Human => {
            let sentence =
                debug_fn(|writer, field: &Field, value: &dyn fmt::Debug| match field.name() {
                    "message" => write!(writer, "{value:?}"),
                    _ => Ok(()),
                });
            logs.with_ansi(std::io::stderr().is_terminal())
                .fmt_fields(sentence)
                .event_format(Sentence)
                .boxed()
        }
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

/// A time, a level, the place in the program, and the sentence: it names what fields and spans
/// name.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let (metadata, is_colored) = (event.metadata(), writer.has_ansi_escapes());
        let level = metadata.level();
        match is_colored {
            true => {
                write!(writer, " \x1b[{}m{level:>5}\x1b[0m {}: ", color(*level), metadata.target())?
            }
            false => write!(writer, " {level:>5} {}: ", metadata.target())?,
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// By the numbers of terminals (ECMA-48's SGR).
const fn color(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 34,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_say_what_is_said_anyhow_are_heard_where_they_are_named_alone() {
        let shows = |asked: &str, line: &str| {
            parse_filter(asked).to_string().split(',').any(|directive| directive == line)
        };
        for asked in ["", "info", "debug", "not a filter="] {
            for line in ["aws_smithy_runtime_api=off", "aws_config=warn"] {
                assert!(shows(asked, line), "{asked}: {}", parse_filter(asked));
            }
        }
        assert!(shows("", "info") && shows("debug", "debug"));
        let named = "info,aws_smithy_runtime_api=trace";
        assert!(
            shows(named, "aws_smithy_runtime_api=trace")
                && !shows(named, "aws_smithy_runtime_api=off")
        );
    }
}
