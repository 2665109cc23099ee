//! The flags; their comments are the manual (`batch-layer --help`).

use crate::archive::{CONFLUENT, CsvFields, FileNameTemplate, Format, PrefixTemplate, S3Options, StoreOptions};
use crate::export::ExportArgs;
use crate::hour::{Hour, hours_covering};
use crate::index::Index;
use crate::lake::{CompactArgs, FromLake, SourceArgs};
use crate::verify::VerifyArgs;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use common::Timestamp;
use common::decode::ProvenanceNames;
use rustc_hash::FxHasher;
use service::Failure;
use service::cli::{AnomalyArgs, DatabaseArgs, MessageArgs, duration, without_empty_variables};
use service::telemetry::LogArgs;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Computes hourly summaries of the ticks in the archive, writes them to PostgreSQL, and ends.
///
/// Without further flags it brings the last 48 hours up to date: an hour is computed when it is over, and again
/// whenever one of its objects was added, replaced or deleted. Running it twice changes nothing, and a run that was
/// killed is made good by the next one. Start it from cron or a Kubernetes CronJob; a second run at the same time
/// leaves at once, unless both --share their hours.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub database: DatabaseOptions,

    #[command(flatten)]
    pub archive: ArchiveArgs,

    #[command(flatten)]
    pub below: PrefixArg,

    #[command(flatten)]
    pub hours: HourArgs,

    #[command(flatten)]
    pub anomalies: AnomalyArgs,

    #[command(flatten)]
    pub engine: EngineArgs,

    #[command(flatten)]
    pub lake: SourceArgs,

    /// Print what would be computed and why, and write nothing at all.
    #[arg(long, help_heading = "What to do")]
    pub dry_run: bool,

    /// Read and compute every hour of the window again, changed or not, wherever its objects lie; from the lake where that
    /// has them (--from-lake).
    #[arg(long, help_heading = "What to do")]
    pub recompute: bool,

    /// Compute hours of the window from the objects that are there now, even where they lose records that way: those of
    /// objects which were deleted, or which hold fewer ticks by other flags about messages. Without it a computed hour
    /// keeps what it knows.
    #[arg(long, help_heading = "What to do")]
    pub allow_shrink: bool,

    /// Share the hours with other runs of the same --from, --to and flags about messages that are started with --share, as
    /// for a long backfill: each works on other hours, and one that dies loses its to the others. It waits for runs
    /// that do not share, which leave at once as ever while it is at work.
    #[arg(long, requires = "to", help_heading = "What to do")]
    pub share: bool,

    /// The archive counts as standing, for the alert, when the speed layer has had newer ticks than it for so long. Above
    /// the time between two runs and that in which the sink closes an object.
    #[arg(long, env = "ARCHIVE_DELAY", default_value = "45m", value_parser = duration, value_name = "DURATION", help_heading = "What to do")]
    pub archive_delay: Duration,

    /// Take over from a run that was not heard of for so long: its machine has died.
    #[arg(long, env = "TAKEOVER_AFTER", default_value = "90s", value_parser = duration, value_name = "DURATION", help_heading = "What to do")]
    pub takeover_after: Duration,

    /// Show no progress, only warnings and the last line.
    #[arg(long, help_heading = "Logging")]
    pub quiet: bool,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do, or another run is at work
  2  configuration: a wrong flag, password, key or bucket; trying again is useless
  3  infrastructure: PostgreSQL or the store does not answer; try again later
  4  partial: some hours were not written, or some objects cannot be read: each is named in the log, and in the
     view broken_archive_objects (or the run was stopped by SIGTERM or SIGINT between two hours); all other hours
     are done, and the next run goes on with the rest. Or no line of the window's objects is a tick";

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Command {
    /// No subcommand: bring the hours up to date.
    Run(Args),
    Verify(VerifyArgs),
    Compact(CompactArgs),
    Export(ExportArgs),
}

impl Command {
    /// Reads the command line; where it cannot be meant, says so and ends the process.
    #[must_use]
    pub fn parse() -> Self {
        Self::of(&Self::definition().get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// The flags of a run, and the subcommands with flags of their own.
    fn definition() -> clap::Command {
        let verify = without_empty_variables(VerifyArgs::command().name("verify"));
        let compact = without_empty_variables(CompactArgs::command().name("compact"));
        let export = without_empty_variables(ExportArgs::command().name("export"));
        without_empty_variables(Args::command())
            .subcommand(verify)
            .subcommand(compact)
            .subcommand(export)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("compact", flags)) => {
                let args = CompactArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Compact(args))
            }
            Some(("export", flags)) => {
                let args = ExportArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Export(args))
            }
            Some((_, flags)) => {
                let args = VerifyArgs::from_arg_matches(flags)?;
                args.archive.messages.check().map(|()| Self::Verify(args))
            }
            None => {
                let args = Args::from_arg_matches(matches)?;
                args.archive.messages.check().map(|()| Self::Run(args))
            }
        }
    }

    #[must_use]
    pub fn logs(&self) -> &LogArgs {
        match self {
            Self::Run(args) => &args.logs,
            Self::Verify(args) => &args.logs,
            Self::Compact(args) => &args.logs,
            Self::Export(args) => &args.logs,
        }
    }
}

/// [`DatabaseArgs`], whose connection string never shows in `Debug`.
#[derive(Clone, clap::Args)]
pub struct DatabaseOptions {
    #[command(flatten)]
    pub args: DatabaseArgs,

    /// How long PostgreSQL may take to answer a statement.
    #[arg(long, env = "QUERY_TIMEOUT", default_value = "60s", value_parser = duration, value_name = "DURATION")]
    pub query_timeout: Duration,
}

impl DatabaseOptions {
    /// Connects to the database; where `tables` says so, sees to its tables as `--migrations` asks. `application` is
    /// what `pg_stat_activity` shows.
    ///
    /// # Errors
    /// As [`service::pg::Database::connect_ready`].
    pub async fn open(&self, application: &str, tables: bool) -> Result<Index, Failure> {
        let (database, patience) = (self.args.parse(application)?, self.query_timeout);
        let connecting = async {
            match tables {
                true => database.connect_ready().await,
                false => database.connect().await,
            }
        };
        let Ok(connection) = tokio::time::timeout(patience, connecting).await else {
            let error = anyhow::anyhow!("no answer within {patience:?}");
            let what = format!("opening PostgreSQL at {} (--database-url, --query-timeout)", database.address());
            return Err(Failure::Infrastructure(error.context(what)));
        };
        Ok(Index { connection: connection?, database, patience, lock: None })
    }
}

impl std::fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseOptions")
    }
}

/// Where the archive is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive")]
pub struct ArchiveArgs {
    /// The bucket, or a local directory as `file:///path`.
    #[arg(long, env = "S3_BUCKET", default_value = "stock-data", value_name = "NAME")]
    pub bucket: String,

    /// The store's address, such as `http://127.0.0.1:9000`. Without it: AWS, or what AWS_ENDPOINT_URL says.
    /// Credentials and region come from where AWS tools take them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    /// AWS_PROFILE, a web identity, the container's or machine's role; AWS_REGION (us-east-1 where nothing is said).
    #[arg(long, env = "S3_ENDPOINT_URL", value_name = "URL", value_parser = endpoint)]
    pub s3_endpoint_url: Option<String>,

    /// Address the bucket by path (`true`) or by host name (`false`). Default: by path where an endpoint is given.
    #[arg(long, env = "S3_PATH_STYLE", value_name = "BOOL")]
    pub s3_path_style: Option<bool>,

    /// Authorities to trust for TLS beside the system's: a PEM file. AWS_CA_BUNDLE and SSL_CERT_FILE are heeded, too.
    #[arg(long, env = "S3_CA_FILE", value_parser = ca_file, value_name = "FILE")]
    pub s3_ca_file: Option<PathBuf>,

    /// How the sink names its objects, as in Aiven's `file.name.template`: `{{topic}}-{{partition}}-{{start_offset}}`.
    /// `.gz` or `.zst` may follow. Other files are named in the log and skipped.
    #[arg(long, env = "S3_FILE_NAME", default_value = CONFLUENT, value_parser = FileNameTemplate::parse, value_name = "TEMPLATE")]
    pub file_name: FileNameTemplate,

    /// The member of an archived object that tells its partition. Where a sink writes the record's parts beside its value
    /// (`value`, `offset`, `partition`), those are known anyway.
    #[arg(long, env = "PARTITION_FIELD", default_value = "kafka_partition", value_name = "NAME")]
    pub partition_field: String,

    /// The member of an archived object that tells its offset.
    #[arg(long, env = "OFFSET_FIELD", default_value = "kafka_offset", value_name = "NAME")]
    pub offset_field: String,

    /// The member of an archived object that tells its record's time in epoch milliseconds, for --timestamp-from record.
    #[arg(long, env = "RECORD_TIME_FIELD", default_value = "kafka_timestamp", value_name = "NAME")]
    pub record_time_field: String,

    /// Lines are comma-separated fields, as Aiven's `format.output.type=csv` writes them: give its
    /// `format.output.fields`, such as `key,value,offset,timestamp`. Without it a line, or an element of an array, is JSON.
    #[arg(long, env = "CSV_FIELDS", value_name = "LIST")]
    pub csv_fields: Option<CsvFields>,

    #[command(flatten)]
    pub messages: MessageArgs,
}

/// The topic that is archived where nothing is said.
pub const USUAL_PREFIX: &str = "raw/stock_prices/%Y-%m-%d-%H/";

/// Where in the archive: what reads below one prefix.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive")]
pub struct PrefixArg {
    /// The folder of an hour, in UTC, with strftime fields. It must end with `/`; deeper folders are read as well.
    #[arg(long, env = "S3_PREFIX", default_value = USUAL_PREFIX, value_parser = PrefixTemplate::parse, value_name = "TEMPLATE")]
    pub prefix: PrefixTemplate,
}

/// Which hours.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Which hours")]
pub struct HourArgs {
    /// The hours of this much time, counted back from now.
    #[arg(long, env = "LOOKBACK", default_value = "48h", value_parser = duration, value_name = "DURATION")]
    pub lookback: Duration,

    /// An hour is looked at this long after its end, when its last objects have been archived.
    #[arg(long, env = "GRACE", default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub grace: Duration,

    /// Read this much time's folders on either side too: a tick near the hour may lie in the next hour's folder, or an
    /// earlier one's where a producer's clock is ahead.
    #[arg(long, env = "SLACK", default_value = "1h", value_parser = duration, value_name = "DURATION")]
    pub slack: Duration,

    /// The hours from this one on, as `2025-06-02T13` (UTC), `2025-06-02T13:00:00Z` or `2025-06-02`; until --to, or now.
    #[arg(long, value_parser = Hour::parse_or_day, value_name = "HOUR")]
    pub from: Option<Hour>,

    /// Up to the start of this hour.
    #[arg(long, value_parser = Hour::parse_or_day, requires = "from", value_name = "HOUR")]
    pub to: Option<Hour>,

    /// This one hour.
    #[arg(long, value_parser = Hour::parse, conflicts_with_all = ["from", "to"], value_name = "HOUR")]
    pub hour: Option<Hour>,
}

/// Objects lie in a folder near their ticks' hour, or nothing is gained by folders.
const LONGEST_SLACK: Duration = Duration::from_secs(31 * 24 * 3600);

/// What reads the archive's objects and sums them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EngineKind {
    /// This process
    #[default]
    Local,
    /// A cluster, over Spark Connect
    Spark,
}

/// Where the work is done.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineArgs {
    /// What reads objects and sums them up. The digits are the same.
    #[arg(long, env = "BATCH_ENGINE", default_value = "local", value_enum, value_name = "ENGINE")]
    pub engine: EngineKind,

    /// The server of Spark Connect, as `sc://host:15002/;token=TOKEN;use_ssl=true`.
    #[arg(long, env = "SPARK_URL", hide_env_values = true, value_name = "URL")]
    pub spark_url: Option<String>,

    /// Where Spark finds the archive: what stands before the keys. Default: `s3a://BUCKET/`, or the directory of --bucket.
    #[arg(long, env = "SPARK_ARCHIVE", value_name = "URL")]
    pub spark_archive: Option<String>,

    /// How long Spark may take for a statement, which reads up to 64 objects. It is interrupted there, too.
    #[arg(long, env = "SPARK_TIMEOUT", default_value = "1h", value_parser = duration, value_name = "DURATION")]
    pub spark_timeout: Duration,
}

/// The URL may hold a secret.
impl std::fmt::Debug for EngineArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EngineArgs({:?})", self.engine)
    }
}

/// The hours that a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub window: Range<Hour>,
    /// Hours from this one on are not over yet, or only just.
    pub due: Hour,
    /// How many hours' folders are read on either side of an hour.
    pub slack: i64,
    /// The window is that of --lookback: it begins earlier where the last run was long ago.
    pub is_default: bool,
    /// The window holds that of --lookback.
    pub looks_back: bool,
    /// An object that was stored after this has not expired where it is gone, but was deleted.
    pub kept_since: Timestamp,
}

impl ArchiveArgs {
    #[must_use]
    pub fn store(&self) -> StoreOptions {
        match self.bucket.strip_prefix("file://") {
            Some(path) => StoreOptions::Local(path.into()),
            None => StoreOptions::S3(S3Options {
                bucket: self.bucket.clone(),
                endpoint_url: self.s3_endpoint_url.clone().filter(|url| !url.is_empty()),
                path_style: self.s3_path_style,
                ca_file: self.s3_ca_file.clone().filter(|path| !path.as_os_str().is_empty()),
            }),
        }
    }
}

impl ArchiveArgs {
    #[must_use]
    pub fn format(&self) -> Format {
        let names = ProvenanceNames {
            partition: self.partition_field.clone(),
            offset: self.offset_field.clone(),
            record_time: self.record_time_field.clone(),
        };
        Format {
            file_name: self.file_name.clone(),
            rules: Arc::new(self.messages.rules(names)),
            csv: self.csv_fields.clone(),
        }
    }
}

impl HourArgs {
    /// # Errors
    /// Where the hours asked for are none.
    pub fn plan(&self, now: Timestamp) -> Result<Plan, Failure> {
        let back = |duration: Duration| {
            let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
            Timestamp::from_micros(now.micros().saturating_sub(micros).max(0))
        };
        let due = Hour::of(back(self.grace));
        self.check(Hour::of(now)).map_err(Failure::Configuration)?;
        let usual = Hour::of(back(self.lookback)).min(due)..due;
        let window = match (self.hour, self.from) {
            (Some(hour), _) => hour..hour.plus(1),
            (None, Some(from)) => from..self.to.unwrap_or(due),
            (None, None) => usual.clone(),
        };
        let window = window.start..window.end.min(due).max(window.start);
        let is_default = self.hour.is_none() && self.from.is_none();
        let looks_back = window.start <= usual.start && usual.end <= window.end;
        let (slack, kept_since) = (hours_covering(self.slack), back(self.lookback));
        Ok(Plan { window, due, slack, is_default, looks_back, kept_since })
    }

    /// `current`: the hour that it is.
    fn check(&self, current: Hour) -> anyhow::Result<()> {
        for (flag, hour) in [("--hour", self.hour), ("--from", self.from)] {
            if let Some(hour) = hour.filter(|hour| *hour > current) {
                anyhow::bail!("{flag} {hour} is in the future: it is {current} now");
            }
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            anyhow::bail!("--from {from} is not before --to {to}");
        }
        anyhow::ensure!(
            self.slack <= LONGEST_SLACK,
            "--slack {:?} is more than 31 days: each hour would have the folders of so much time listed",
            self.slack
        );
        Ok(())
    }
}

impl Plan {
    /// Looks as far back before the last run as a run looks back from now: what was archived since may lie there.
    pub fn reach_back_from(&mut self, last_run: Timestamp, lookback: Duration) {
        if self.is_default {
            let start = Hour::of(last_run).plus(-hours_covering(lookback));
            self.window.start = self.window.start.min(start);
        }
    }

    /// Hours whose folders may hold ticks of the given ones.
    #[must_use]
    pub fn around(&self, hours: &Range<Hour>) -> Range<Hour> {
        hours.start.plus(-self.slack)..hours.end.plus(self.slack)
    }
}

impl Args {
    /// What `batch_runs` shows of the flags: no secrets.
    #[must_use]
    pub fn describe(&self, plan: &Plan) -> String {
        let (bucket, prefix) = (&self.archive.bucket, self.below.prefix.as_str());
        let HourArgs { grace, slack, .. } = &self.hours;
        let recompute = if self.recompute { " --recompute" } else { "" };
        let shrink = if self.allow_shrink { " --allow-shrink" } else { "" };
        let (from, to) = (plan.window.start, plan.window.end);
        let share = if self.share { " --share" } else { "" };
        let engine = if self.engine.engine == EngineKind::Spark { " --engine spark" } else { "" };
        let lake = if self.lake.from_lake == FromLake::Never { " --from-lake never" } else { "" };
        format!(
            "--bucket {bucket} --prefix {prefix} --from {from} --to {to} --grace {grace:?} \
             --slack {slack:?}{recompute}{shrink}{share}{engine}{lake}"
        )
    }

    /// # Errors
    /// Where hours are to be shared that are not over: each run would have a window of its own.
    pub fn check_shared(&self, plan: &Plan) -> Result<(), Failure> {
        match self.hours.to {
            Some(to) if self.share && to > plan.due => Err(Failure::Configuration(anyhow::anyhow!(
                "--share: --to {to} is not over yet (plus --grace), and runs share the same hours only; \
                 give --to {} or an earlier hour",
                plan.due
            ))),
            _ => Ok(()),
        }
    }

    /// What runs have in common that share their hours; `None`: this one does not.
    #[must_use]
    pub fn group(&self, plan: &Plan) -> Option<String> {
        let mut hasher = FxHasher::default();
        (self.archive.format().describe(), self.anomalies.describe()).hash(&mut hasher);
        self.share.then(|| format!("{}, other flags {:x}", self.describe(plan), hasher.finish()))
    }
}

/// An empty text stands for none, as compose files write it: here and below.
fn ca_file(text: &str) -> Result<PathBuf, Infallible> {
    Ok(text.into())
}

fn endpoint(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('@') => Ok(text.to_owned()),
        _ => Err("expected http://host:port or https://host".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Hour {
        Hour::parse(text).unwrap()
    }

    fn plan(flags: &[&str]) -> Result<Plan, Failure> {
        let always = ["batch-layer", "--database-url", "postgres://u:p@h/d"];
        let args = Args::try_parse_from(always.iter().chain(flags)).unwrap();
        let now = hour("2025-06-04T10").start().plus_micros(3 * Timestamp::MINUTE);
        args.hours.plan(now)
    }

    #[test]
    fn by_default_the_hours_of_two_days_that_are_over_plus_grace() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.window, hour("2025-06-02T10")..hour("2025-06-04T09"));
        assert_eq!(plan.around(&plan.window), hour("2025-06-02T09")..hour("2025-06-04T10"));
    }

    #[test]
    fn after_a_pause_a_run_looks_back_from_the_last_one() {
        let reaching = |flags: &[&str], last: &str| {
            let mut plan = plan(flags).unwrap();
            plan.reach_back_from(hour(last).start(), Duration::from_secs(48 * 3600));
            plan.window
        };
        assert_eq!(reaching(&[], "2025-05-31T10"), hour("2025-05-29T10")..hour("2025-06-04T09"));
        assert_eq!(reaching(&[], "2025-06-04T09"), hour("2025-06-02T09")..hour("2025-06-04T09"));
        assert_eq!(reaching(&["--hour", "2025-06-03T00"], "2025-05-31T10").start, hour("2025-06-03T00"));
    }

    #[test]
    fn only_a_run_that_holds_the_usual_window_tells_how_far_the_hours_are() {
        let looks_back = |flags: &[&str]| plan(flags).unwrap().looks_back;
        assert!(looks_back(&[]) && looks_back(&["--from", "2025-06-01T00"]));
        assert!(!looks_back(&["--hour", "2025-06-04T08"]) && !looks_back(&["--from", "2025-06-04T00"]));
        assert!(!looks_back(&["--from", "2025-06-01T00", "--to", "2025-06-04T08"]));
    }

    #[test]
    fn grace_decides_when_an_hour_is_over() {
        assert_eq!(plan(&["--grace", "3m"]).unwrap().due, hour("2025-06-04T10"));
        assert_eq!(plan(&["--grace", "4m"]).unwrap().due, hour("2025-06-04T09"));
    }

    #[test]
    fn a_backfill_ends_where_it_says_and_never_in_an_hour_that_is_not_over() {
        let window = |flags: &[&str]| plan(flags).unwrap().window;
        assert_eq!(window(&["--hour", "2025-06-01T00"]), hour("2025-06-01T00")..hour("2025-06-01T01"));
        assert_eq!(window(&["--from", "2025-06-04T07"]), hour("2025-06-04T07")..hour("2025-06-04T09"));
        assert_eq!(
            window(&["--from", "2025-06-04T07", "--to", "2025-06-05T00:00:00Z"]),
            hour("2025-06-04T07")..hour("2025-06-04T09")
        );
        assert!(window(&["--hour", "2025-06-04T10"]).is_empty());
    }

    #[test]
    fn a_window_that_ends_before_it_begins_is_a_configuration_error() {
        for to in ["2025-06-01T00", "2025-06-02T00"] {
            let failure = plan(&["--from", "2025-06-02T00", "--to", to]).unwrap_err();
            assert!(matches!(failure, Failure::Configuration(_)), "{failure}");
        }
    }

    #[test]
    fn hours_that_have_not_begun_and_a_slack_without_end_are_configuration_errors() {
        for (flags, word) in [
            (["--hour", "2025-06-04T11"], "--hour 2025-06-04T11:00Z is in the future: it is 2025-06-04T10:00Z now"),
            (["--from", "2025-06-04T11"], "--from 2025-06-04T11:00Z is in the future"),
            (["--from", "9998-12-31T23"], "--from 9998-12-31T23:00Z is in the future"),
            (["--slack", "9999999d"], "is more than 31 days"),
        ] {
            let failure = plan(&flags).unwrap_err();
            assert!(matches!(&failure, Failure::Configuration(_)), "{failure}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        // Not over yet, or only just: nothing is done, and nothing is wrong.
        for flags in [["--hour", "2025-06-04T10"], ["--from", "2025-06-04T10"], ["--from", "2025-06-04T09"]] {
            assert!(plan(&flags).unwrap().window.is_empty(), "{flags:?}");
        }
    }

    #[test]
    fn the_manual_is_consistent() {
        Command::definition().debug_assert();
    }

    #[test]
    fn flags_without_a_subcommand_are_those_of_a_run() {
        let parse = |flags: &[&str]| {
            let always = ["batch-layer"];
            let matches = Command::definition().try_get_matches_from(always.iter().chain(flags))?;
            Command::of(&matches)
        };
        let database = ["--database-url", "postgres://u:p@h/d"];
        let run = parse(&database).unwrap();
        assert!(matches!(run, Command::Run(_)), "{run:?}");
        let verify = parse(&[&["verify"], &database[..], &["--format", "json"]].concat()).unwrap();
        assert!(matches!(verify, Command::Verify(_)), "{verify:?}");
        let mixed = parse(&[&database[..], &["verify"], &database[..]].concat());
        assert!(mixed.is_err(), "{mixed:?}");
    }
}
