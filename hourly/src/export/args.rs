//! The flags of `batch-layer export`.

use crate::flags::{ArchiveArgs, DatabaseOptions, PrefixArg};
use crate::hour::Hour;
use crate::lake::LakeArgs;
use crate::lake::sort::RowFilter;
use clap::{Parser, ValueEnum};
use common::Timestamp;
use common::timestamp::parse_rfc3339;
use service::Failure;
use service::telemetry::LogArgs;
use std::path::{Path, PathBuf};

/// Writes the ticks of any range of time out of the archive, as CSV or Parquet: each tick once,
/// hour by hour, and within an hour by symbol and time.
///
/// What the lake of `batch-layer compact` has comes from there, all else from the raw objects. So
/// realtime_stock may be kept for days, and what is older is still at hand. It changes nothing in
/// PostgreSQL and the store, takes no lock, and may run next to everything else.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct ExportArgs {
    #[command(flatten)]
    pub database: DatabaseOptions,

    #[command(flatten)]
    pub archive: ArchiveArgs,

    #[command(flatten)]
    pub below: PrefixArg,

    /// The ticks from this time on (UTC): `2025-06-02`, `2025-06-02T13` or `2025-06-02T13:30:00Z`.
    #[arg(long, value_parser = instant, value_name = "TIME", help_heading = "Which ticks")]
    pub from: Timestamp,

    /// Ticks before this time. Without it: before now.
    #[arg(long, value_parser = instant, value_name = "TIME", help_heading = "Which ticks")]
    pub to: Option<Timestamp>,

    /// Ticks of this symbol alone; may be given several times.
    #[arg(long, value_name = "SYMBOL", help_heading = "Which ticks")]
    pub symbol: Vec<String>,

    /// What to write. Without it: what the end of --output says, `.csv` or `.parquet`, and CSV
    /// where that says nothing.
    #[arg(long, value_enum, help_heading = "Output")]
    format: Option<Format>,

    /// A file, or a folder, which ends with `/`: it gets a file for each hour and topic, in the
    /// folders of the lake. Without it: standard output. No file is there under its name before it
    /// is whole; one that was there is replaced.
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub lake: LakeArgs,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all ticks of the range are written, as far as batch-layer knows
  2  configuration: a wrong flag, password, key or bucket, or an output that cannot be written; trying again is useless
  3  infrastructure: PostgreSQL, the store or the disk fails; try again later
  4  partial: what there is was written, but some hours are incomplete, or their objects cannot be read or are gone; each
     is named in the log with the reason. Or the run was stopped by SIGTERM or SIGINT: a file is not there then, of a
     folder some are";

/// How ticks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for each tick below a header; prices and volumes to the last digit
    Csv,
    /// With the columns of the lake
    Parquet,
}

impl Format {
    /// As a flag's value, and the end of a file's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Whether an `--output` gets a file for each hour.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The time that is asked for.
#[derive(Debug, Clone)]
pub struct Range {
    pub times: std::ops::Range<Timestamp>,
    /// The hours that it touches.
    pub hours: std::ops::Range<Hour>,
}

impl ExportArgs {
    /// The time that it is about.
    ///
    /// # Errors
    /// Where that is none.
    pub fn range(&self) -> Result<Range, Failure> {
        let (from, to) = (self.from, self.to.unwrap_or_else(Timestamp::now));
        if from >= to {
            let end = if self.to.is_some() { "--to" } else { "now," };
            return Err(Failure::Configuration(anyhow::anyhow!(
                "--from {from} is not before {end} {to}"
            )));
        }
        let last = Hour::of(Timestamp::from_micros(to.micros() - 1));
        Ok(Range { times: from..to, hours: Hour::of(from)..last.plus(1) })
    }

    /// `--format`, or what the file's name says.
    ///
    /// # Errors
    /// Where the two differ.
    pub fn format(&self) -> Result<Format, Failure> {
        let file = self.output.as_deref().filter(|path| !is_folder(path));
        let ending = file.and_then(Path::extension).unwrap_or_default();
        let of_name = Format::value_variants()
            .iter()
            .copied()
            .find(|format| ending.eq_ignore_ascii_case(format.name()));
        match (self.format, of_name) {
            (Some(asked), Some(named)) if asked != named => {
                Err(Failure::Configuration(anyhow::anyhow!(
                    "--format {} would be written to a file that is called .{} (--output): give \
                     one of the two",
                    asked.name(),
                    named.name()
                )))
            }
            (asked, named) => Ok(asked.or(named).unwrap_or(Format::Csv)),
        }
    }

    /// Filter of an hour's ticks.
    #[must_use]
    pub fn wanted(&self) -> RowFilter {
        let to = self.to.map_or(i64::MAX, Timestamp::micros);
        RowFilter { symbols: self.symbol.iter().cloned().collect(), times: self.from.micros()..to }
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Hour::parse_or_day(text).map(Hour::start).or_else(|_| {
        parse_rfc3339(text).map_err(|_| {
            "expected a time such as 2025-06-02, 2025-06-02T13 or 2025-06-02T13:30:00Z".into()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(flags: &[&str]) -> Result<Range, Failure> {
        let always = ["export", "--database-url", "postgres://u:p@h/d"];
        ExportArgs::try_parse_from(always.iter().chain(flags)).unwrap().range()
    }

    #[test]
    fn a_time_is_a_day_an_hour_or_an_instant_and_the_hours_are_those_that_it_touches() {
        let hours = |from: &str, to: &str| range(&["--from", from, "--to", to]).unwrap().hours;
        let hour = |text: &str| Hour::parse(text).unwrap();
        assert_eq!(hours("2025-06-02", "2025-06-03"), hour("2025-06-02T00")..hour("2025-06-03T00"));
        assert_eq!(
            hours("2025-06-02T13", "2025-06-02T14"),
            hour("2025-06-02T13")..hour("2025-06-02T14")
        );
        assert_eq!(
            hours("2025-06-02T13:30:00Z", "2025-06-02T14:00:00.000001Z"),
            hour("2025-06-02T13")..hour("2025-06-02T15")
        );
        for text in ["", "13", "2025-06-0", "2025-06-02T13:30", "yesterday"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_or_has_not_begun_is_a_configuration_error() {
        for flags in
            [&["--from", "2025-06-02", "--to", "2025-06-02T00"][..], &["--from", "9998-01-01"]]
        {
            assert!(range(flags).unwrap_err().is_configuration(), "{flags:?}");
        }
    }
}
