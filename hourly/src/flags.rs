//! Flags that several commands have, and what they come to: the store, the hours of a run.

use crate::archive::{
    CONFLUENT, CsvFields, FileNameTemplate, Format, PrefixTemplate, S3Options, StoreOptions,
};
use crate::hour::{Hour, hours_covering};
use crate::index::BatchDb;
use common::Timestamp;
use common::decode::ProvenanceNames;
use service::Failure;
use service::cli::{DatabaseArgs, MessageArgs, duration};
use service::pg::NoAnswer;
use std::convert::Infallible;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// [`DatabaseArgs`], whose connection string never shows in `Debug`.
#[derive(Clone, clap::Args)]
pub struct DatabaseOptions {
    #[command(flatten)]
    pub args: DatabaseArgs,

    /// How long PostgreSQL may take to answer a statement.
    #[arg(long, env = "QUERY_TIMEOUT", default_value = "60s", value_parser = some_time, value_name = "DURATION")]
    pub query_timeout: Duration,
}

impl DatabaseOptions {
    /// Connects to the database; where `tables` says so, sees to its tables as `--migrations` asks.
    /// `application` is what `pg_stat_activity` shows.
    ///
    /// # Errors
    /// As [`service::pg::Database::connect_ready`].
    pub async fn open(&self, application: &str, tables: bool) -> Result<BatchDb, Failure> {
        let (database, patience) = (self.args.parse(application)?, self.query_timeout);
        let connecting = async {
            let connecting =
                if tables { database.connect_ready().await } else { database.connect().await };
            let mut connection = connecting?;
            let pid = BatchDb::pid(&mut connection).await;
            Ok::<_, Failure>((connection, pid))
        };
        let Ok(connected) = tokio::time::timeout(patience, connecting).await else {
            let error = anyhow::anyhow!(NoAnswer(patience));
            let what = format!(
                "opening PostgreSQL at {} ({}, --query-timeout)",
                database.address(),
                database.flag()
            );
            return Err(Failure::Infrastructure(error.context(what)));
        };
        let (connection, pid) = connected?;
        Ok(BatchDb { connection, pid, database, patience, lock: None })
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

    /// The store's address, such as `http://127.0.0.1:9000`. Without it: AWS, or what
    /// AWS_ENDPOINT_URL says. Credentials and region come from where AWS tools take them:
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a web identity, the container's or
    /// machine's role; AWS_REGION (default: us-east-1).
    #[arg(long, env = "S3_ENDPOINT_URL", value_name = "URL", value_parser = endpoint)]
    pub s3_endpoint_url: Option<String>,

    /// Address the bucket by path (`true`) or by host name (`false`). Default: by path where an
    /// endpoint is given.
    #[arg(long, env = "S3_PATH_STYLE", value_name = "BOOL")]
    pub s3_path_style: Option<bool>,

    /// Authorities to trust for TLS in addition to the system's: a PEM file. AWS_CA_BUNDLE and
    /// SSL_CERT_FILE are heeded, too.
    #[arg(long, env = "S3_CA_FILE", value_parser = ca_file, value_name = "FILE")]
    pub s3_ca_file: Option<PathBuf>,

    /// How the sink names its objects, as in Aiven's `file.name.template`:
    /// `{{topic}}-{{partition}}-{{start_offset}}`. `.gz` or `.zst` may follow. Other files are
    /// named in the log and skipped.
    #[arg(long, env = "S3_FILE_NAME", default_value = CONFLUENT, value_parser = FileNameTemplate::parse, value_name = "TEMPLATE")]
    pub file_name: FileNameTemplate,

    /// The member of an archived object that tells its partition. Where a sink writes the record's
    /// parts next to its value (`value`, `offset`, `partition`), those are known anyway.
    #[arg(long, env = "PARTITION_FIELD", default_value = "kafka_partition", value_name = "NAME")]
    pub partition_field: String,

    /// The member of an archived object that tells its offset.
    #[arg(long, env = "OFFSET_FIELD", default_value = "kafka_offset", value_name = "NAME")]
    pub offset_field: String,

    /// The member of an archived object that tells its record's time in epoch milliseconds, for
    /// --timestamp-from record.
    #[arg(long, env = "RECORD_TIME_FIELD", default_value = "kafka_timestamp", value_name = "NAME")]
    pub record_time_field: String,

    /// Lines are comma-separated fields, as Aiven's `format.output.type=csv` writes them: give its
    /// `format.output.fields`, such as `key,value,offset,timestamp`. Without it a line, or an
    /// element of an array, is JSON.
    #[arg(long, env = "CSV_FIELDS", value_name = "LIST")]
    pub csv_fields: Option<CsvFields>,

    #[command(flatten)]
    pub messages: MessageArgs,
}

/// The default topic of the archive.
pub const USUAL_PREFIX: &str = "raw/stock_prices/%Y-%m-%d-%H/";

/// Where in the archive: what reads below one prefix.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive")]
pub struct PrefixArg {
    /// The folder of an hour, in UTC, with strftime fields. It must end with `/`; deeper folders
    /// are read as well.
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
    #[arg(long, env = "GRACE", default_value = "5m", value_parser = span, value_name = "DURATION")]
    pub grace: Duration,

    /// Read this much time's folders on either side too: a tick near the hour may lie in the next
    /// hour's folder, or an earlier one's where a producer's clock is ahead.
    #[arg(long, env = "SLACK", default_value = "1h", value_parser = duration, value_name = "DURATION")]
    pub slack: Duration,

    /// The hours from this one on, as `2025-06-02T13` (UTC), `2025-06-02T13:00:00Z` or
    /// `2025-06-02`; until --to, or now.
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

    /// Where Spark finds the archive: what stands before the keys. Default: `s3a://BUCKET/`, or the
    /// directory of --bucket.
    #[arg(long, env = "SPARK_ARCHIVE", value_name = "URL")]
    pub spark_archive: Option<String>,

    /// How long Spark may take for a statement, which reads up to 64 objects. It is interrupted
    /// there, too.
    #[arg(long, env = "SPARK_TIMEOUT", default_value = "1h", value_parser = span, value_name = "DURATION")]
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
pub struct HourPlan {
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
    pub fn plan(&self, now: Timestamp) -> Result<HourPlan, Failure> {
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
        Ok(HourPlan { window, due, slack, is_default, looks_back, kept_since })
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
            "--slack {:?} is more than 31 days: each hour would have the folders of so much time \
             listed",
            self.slack
        );
        Ok(())
    }
}

impl HourPlan {
    /// Looks as far back before the last run as a run looks back from now: what was archived since
    /// may lie there.
    pub(crate) fn reach_back_from(&mut self, last_run: Timestamp, lookback: Duration) {
        if self.is_default {
            let since_epoch = Duration::from_micros(last_run.micros().max(0).cast_unsigned());
            let start = Hour::of(last_run).plus(-hours_covering(lookback.min(since_epoch)));
            self.window.start = self.window.start.min(start);
        }
    }

    /// Hours whose folders may hold ticks of the given ones.
    #[must_use]
    pub fn around(&self, hours: &Range<Hour>) -> Range<Hour> {
        hours.start.plus(-self.slack)..hours.end.plus(self.slack)
    }
}

/// The longest that PostgreSQL and Kafka's client wait: they count milliseconds, up to 2^31.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 24 * 3600);
/// The longest that tables reckon with, compared with any time that a clock may show.
const LONGEST_SPAN: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// A duration in which something can happen.
fn some_time(text: &str) -> Result<Duration, String> {
    match wait(text)? {
        Duration::ZERO => Err("is no time at all: nothing answers within it".into()),
        time => Ok(time),
    }
}

/// How long something is waited for.
///
/// # Errors
/// A sentence for clap to show.
pub fn wait(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > LONGEST_WAIT { Err("is too long to wait: at most 24d".into()) } else { Ok(time) }
}

/// A duration between two times of a calendar.
///
/// # Errors
/// A sentence for clap to show.
pub fn span(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > LONGEST_SPAN { Err("is too long: at most 36500d".into()) } else { Ok(time) }
}

/// An empty text means none, as compose files write it.
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

    #[test]
    fn a_run_that_looks_back_for_ever_begins_when_time_does_whenever_the_last_one_ran() {
        let (epoch, run) = (Hour::of(Timestamp::from_micros(0)), Hour::parse("2026-01-01T10"));
        let run = run.unwrap().start();
        for (lookback, start) in [
            (Duration::from_secs(3600), Hour::of(run).plus(-1)),
            (Duration::MAX, epoch),
            (Duration::from_secs(86_400 * 1_000_000_000), epoch),
        ] {
            let window = Hour::of(run)..Hour::of(run).plus(3);
            let mut plan = HourPlan {
                window,
                due: Hour::of(run).plus(3),
                slack: 1,
                is_default: true,
                looks_back: true,
                kept_since: run,
            };
            plan.reach_back_from(run, lookback);
            assert_eq!(plan.window.start, start, "{lookback:?}");
        }
    }

    #[test]
    fn no_time_is_no_patience() {
        assert_eq!(some_time("1ms"), Ok(Duration::from_millis(1)));
        assert!(some_time("0s").is_err() && some_time("x").is_err());
    }

    #[test]
    fn what_is_longer_than_anybody_counts_is_refused() {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        assert_eq!([some_time("24d"), wait("24d")], [Ok(days(24)), Ok(days(24))]);
        assert_eq!(span("36500d"), Ok(days(36_500)));
        for text in ["25d", "1000000000d"] {
            assert_eq!(some_time(text), Err("is too long to wait: at most 24d".into()), "{text}");
        }
        assert_eq!(span("1000000000d"), Err("is too long: at most 36500d".into()));
    }
}
