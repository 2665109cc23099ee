//! The flags of `batch-layer compact`.

use crate::flags::{ArchiveArgs, DatabaseOptions, PrefixArg, span};
use crate::hour::Hour;
use clap::Parser;
use common::Timestamp;
use service::Failure;
use service::telemetry::LogArgs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Where the lake lies, and where ticks of it do meanwhile.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Lake")]
pub struct LakeArgs {
    /// What the lake's keys begin with, in the bucket of the archive.
    #[arg(long, env = "LAKE_PREFIX", default_value = "lake/", value_parser = prefix, value_name = "PREFIX")]
    pub lake_prefix: String,

    /// Where ticks are sorted (about 100 bytes for each of an hour), and objects of the lake lie
    /// while they are read. No file is left there, however the run ends. Default: the system's.
    #[arg(long, env = "LAKE_TEMP_DIR", value_name = "PATH")]
    temp_dir: Option<PathBuf>,
}

impl LakeArgs {
    /// `--temp-dir`, or the system's.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Rewrites hours of the archive as Parquet: a lake that DuckDB, pandas, Polars and Spark read.
///
/// For each hour that is complete and has not been written since its objects changed, the ticks of
/// every topic are sorted by symbol and time. What was written is read back and compared with the
/// raw objects before any reader sees it. A run that was killed is made good by the next one. It
/// takes the same lock as a run of batch-layer: start it after one.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct CompactArgs {
    #[command(flatten)]
    pub database: DatabaseOptions,

    #[command(flatten)]
    pub archive: ArchiveArgs,

    #[command(flatten)]
    pub below: PrefixArg,

    /// The hours from this one on, as `2025-06-02T13` (UTC) or `2025-06-02`. Without it: from the
    /// first on.
    #[arg(long, value_parser = Hour::parse_or_day, value_name = "HOUR", help_heading = "Which hours")]
    pub from: Option<Hour>,

    /// Up to the start of this hour.
    #[arg(long, value_parser = Hour::parse_or_day, value_name = "HOUR", help_heading = "Which hours")]
    pub to: Option<Hour>,

    /// Where --to is not given: the hours that ended so long ago. Ticks that are archived later
    /// make their hour be written once more.
    #[arg(long, env = "LAKE_OLDER_THAN", default_value = "48h", value_parser = span, conflicts_with = "to", value_name = "DURATION", help_heading = "Which hours")]
    pub older_than: Duration,

    #[command(flatten)]
    pub lake: LakeArgs,

    /// An hour of more MiB than this becomes several objects of about so many.
    #[arg(long, env = "LAKE_TARGET_SIZE", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4096), value_name = "MIB", help_heading = "Lake")]
    pub target_size: u64,

    /// Delete raw objects of which the lake has each tick, as an earlier run has written it: it is
    /// read back once more and compared with them before. An object with lines that are no ticks
    /// stays.
    #[arg(long, help_heading = "What to do")]
    pub delete_covered: bool,

    /// Print which raw objects would be deleted, and which stay and why; write, delete and compact
    /// nothing.
    #[arg(long, requires = "delete_covered", help_heading = "What to do")]
    pub dry_run: bool,

    /// Take over from a run that was not heard of for so long: its machine has died.
    #[arg(long, env = "TAKEOVER_AFTER", default_value = "90s", value_parser = span, value_name = "DURATION", help_heading = "What to do")]
    pub takeover_after: Duration,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do, or another run is at work
  2  configuration: a wrong flag, password, key or bucket; trying again is useless
  3  infrastructure: PostgreSQL or the store does not answer; try again later
  4  partial: some hours were not written, or raw objects not deleted, each is named in the log with the reason (or the run
     was stopped by SIGTERM or SIGINT); all others are done, and the next run goes on with the rest";

impl CompactArgs {
    /// The hours that it is about. `now`: when it is.
    ///
    /// # Errors
    /// Where the hours asked for are none.
    pub fn window(&self, now: Timestamp) -> Result<Range<Hour>, Failure> {
        let age = i64::try_from(self.older_than.as_micros()).unwrap_or(i64::MAX);
        let end = self.to.unwrap_or_else(|| {
            Hour::of(Timestamp::from_micros(now.micros().saturating_sub(age).max(0)))
        });
        let start = self.from.unwrap_or_else(|| Hour::of(Timestamp::from_micros(0)));
        if self.to.is_some() && start >= end {
            return Err(Failure::Configuration(anyhow::anyhow!(
                "--from {start} is not before --to {end}"
            )));
        }
        self.check_prefixes().map_err(Failure::Configuration)?;
        Ok(start..end.max(start))
    }

    /// A lake within the archive would be read as ticks, and one around it would have raw objects
    /// among its own.
    fn check_prefixes(&self) -> anyhow::Result<()> {
        let (lake, archive) = (&self.lake.lake_prefix, &self.below.prefix);
        let (is_within, is_around) = (archive.holds(lake), archive.stem().starts_with(lake));
        let which = archive.as_str();
        anyhow::ensure!(
            !is_within,
            "--lake-prefix {lake} lies in the archive ({which}), which is read as ticks"
        );
        anyhow::ensure!(
            !is_around,
            "--lake-prefix {lake} holds the archive ({which}): give the lake a folder of its own, \
             such as lake/"
        );
        Ok(())
    }

    /// The flags as `batch_runs` shows them: no secrets.
    #[must_use]
    pub fn describe(&self, window: &Range<Hour>) -> String {
        let (bucket, prefix) = (&self.archive.bucket, self.below.prefix.as_str());
        let (lake, size) = (&self.lake.lake_prefix, self.target_size);
        let (from, to) = (window.start, window.end);
        let delete = if self.delete_covered { " --delete-covered" } else { "" };
        format!(
            "compact --from {from} --to {to} --bucket {bucket} --prefix {prefix} --lake-prefix \
             {lake} --target-size {size}{delete}"
        )
    }
}

/// Takes what keys may begin with.
///
/// # Errors
/// A sentence for clap to show.
pub fn prefix(text: &str) -> Result<String, String> {
    let is_one = text.ends_with('/')
        && !text.starts_with('/')
        && !text.contains("//")
        && !text.contains('%');
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("must end with `/`, not begin with it, and have no `%`: such as lake/".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(flags: &[&str]) -> Result<Range<Hour>, Failure> {
        let always = [
            "compact",
            "--database-url",
            "postgres://u:p@h/d",
            "--prefix",
            "raw/stock_prices/%Y-%m-%d-%H/",
        ];
        let args = CompactArgs::try_parse_from(always.iter().chain(flags)).unwrap();
        args.window(Hour::parse("2025-06-08T00").unwrap().start())
    }

    #[test]
    fn a_lake_within_the_archive_or_around_it_is_refused() {
        for prefix in [
            "raw/",
            "raw/stock_prices/",
            "raw/stock_prices/lake/",
            "raw/stock_prices/2025-06-02-13/",
        ] {
            let failure = window(&["--lake-prefix", prefix]).unwrap_err();
            assert!(failure.is_configuration(), "{failure}");
            assert!(failure.to_string().contains("--lake-prefix"), "{failure}");
        }
        for prefix in ["lake/", "lake/raw/", "raw-lake/", "raw/lake/"] {
            assert!(window(&["--lake-prefix", prefix]).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn hours_are_asked_for_by_day_as_well() {
        let hour = |text: &str| Hour::parse(text).unwrap();
        let asked = window(&["--from", "2025-06-02", "--to", "2025-06-03T13"]).unwrap();
        assert_eq!(asked, hour("2025-06-02T00")..hour("2025-06-03T13"));
        assert!(window(&["--from", "2025-06-02", "--to", "2025-06-02"]).is_err());
    }
}
