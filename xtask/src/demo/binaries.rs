//! The command lines of the programs that the demo runs.

use super::options::Options;
use crate::build::Binaries;
use std::process::Command;

/// With these two a demo shows what it does with ticks that come late, and with messages that are
/// none.
const LATE: &str = "0.01";
const BROKEN: &str = "0.001";
const WRONG_PRICES: &str = "wrong_price=0.0002";

pub fn speed_layer(binaries: &Binaries, options: &Options, http_addr: &str) -> Command {
    let mut command = binaries.command("speed-layer");
    command.args(["--http-addr", http_addr]).args(message_flags(options));
    command
}

/// Every hour that is over, without the grace period: a person should see the hour that ended a
/// minute ago.
pub fn batch_layer(binaries: &Binaries, options: &Options) -> Command {
    of_hours(binaries, options, &["--grace", "0s"])
}

/// Whether topic, tables and archive agree, hour by hour; the dashboards show what it finds.
pub fn verify(binaries: &Binaries, options: &Options) -> Command {
    of_hours(binaries, options, &["verify"])
}

fn of_hours(binaries: &Binaries, options: &Options, arguments: &[&str]) -> Command {
    let mut command = binaries.command("batch-layer");
    // Late ticks are up to three hours older than the first ones.
    command.args(arguments).args(["--lookback", &format!("{}h", options.hours + 4)]);
    command.args(message_flags(options));
    command
}

/// What both layers need to read the messages.
fn message_flags(options: &Options) -> Vec<String> {
    match options.shape.as_deref() {
        None | Some("trade") => Vec::new(),
        Some(feed) => vec!["--preset".to_owned(), feed.to_owned()],
    }
}

pub fn archive(binaries: &Binaries) -> Command {
    workbench(binaries, &["archive", "--rotate", "5s", "--dead-letter-topic", "dlq"])
}

/// Ends at the present moment.
pub fn backfill(binaries: &Binaries, options: &Options) -> Command {
    let mut command = simulate(binaries, options);
    command.args(["--ticks", &options.ticks.to_string(), "--span", &format!("{}h", options.hours)]);
    command
}

/// In real time, until it is stopped or `seconds` have passed.
pub fn live(binaries: &Binaries, options: &Options, seconds: Option<u64>) -> Command {
    let mut command = simulate(binaries, options);
    command.args(["--rate", &options.rate.to_string()]);
    if let Some(seconds) = seconds {
        command.args(["--duration", &format!("{seconds}s")]);
    }
    command
}

fn simulate(binaries: &Binaries, options: &Options) -> Command {
    let shape = shape(options, "mixed");
    let mut command = workbench(binaries, &["simulate", "--shape", &shape, "--high-low"]);
    command
        .args(["--late", LATE, "--broken", BROKEN, "--odd", WRONG_PRICES])
        .args(["--symbols", &options.symbols.to_string()])
        // Before now few ticks tell of the market, and from now on many: volumes go on as they
        // were.
        .args(["--volume-per-second", "20000"]);
    command
}

fn workbench(binaries: &Binaries, arguments: &[&str]) -> Command {
    let mut command = binaries.command("workbench");
    command.args(arguments);
    command
}

pub fn report(binaries: &Binaries) -> Command {
    workbench(binaries, &["report"])
}

/// Asks what the dashboards ask, as the role that Grafana has.
pub fn dashboards(binaries: &Binaries, prometheus: Option<&str>) -> Command {
    let mut command = workbench(binaries, &["dashboards"]);
    if let Some(url) = prometheus {
        command.args(["--prometheus-url", url]);
    }
    command
}

pub fn prove(binaries: &Binaries, options: &Options) -> Command {
    workbench(binaries, &["prove", "--timeout", "120s", "--shape", &shape(options, "bare")])
}

/// The shape that was asked for, or one of the pipeline's own.
fn shape(options: &Options, own: &str) -> String {
    options.shape.clone().unwrap_or_else(|| own.to_owned())
}
