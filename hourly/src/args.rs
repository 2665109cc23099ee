//! The flags of a run; their comments are the manual (`batch-layer --help`).

use crate::decode_rules::rules;
use crate::flags::{
    ArchiveArgs, DatabaseOptions, EngineArgs, EngineKind, HourArgs, HourPlan, PrefixArg, span,
};
use crate::lake::{FromLake, SourceArgs};
use clap::Parser;
use rustc_hash::FxHasher;
use service::Failure;
use service::cli::AnomalyArgs;
use service::telemetry::LogArgs;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// Computes hourly summaries of the ticks in the archive, writes them to PostgreSQL, and ends.
///
/// Without further flags it brings the last 48 hours up to date, and older ones of which it knows
/// that something is missing: an hour is computed when it is over, and again whenever one of its
/// objects was added, replaced or deleted. Running it twice changes nothing, and a run that was
/// killed is made good by the next one. Start it from cron or a Kubernetes CronJob: next to another
/// run it leaves at once. With --from or --hour it waits for the other's end, unless both --share
/// their hours.
#[derive(Debug, Clone, Parser)]
#[command(name = "batch-layer", version, max_term_width = 100, after_help = EXIT_CODES)]
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

    /// Read and compute every hour of the window again, changed or not, wherever its objects lie;
    /// from the lake where that has them (--from-lake).
    #[arg(long, help_heading = "What to do")]
    pub recompute: bool,

    /// Compute hours of the window from the objects that are there now, even where they lose
    /// records that way: those of objects which were deleted, or which hold fewer ticks by other
    /// flags about messages. Without it a computed hour keeps what it knows. An hour that would
    /// lose all of its records, and was computed by other flags about messages, is not written,
    /// unless --recompute stands beside it.
    #[arg(long, help_heading = "What to do")]
    pub allow_shrink: bool,

    /// The archive has moved to this --bucket for good, without the objects that hours were
    /// computed from: these count as gone. Without it a run ends, with 2, where it finds none of
    /// those of its window, as with a wrong --bucket.
    #[arg(long, help_heading = "What to do")]
    pub archive_moved: bool,

    /// Share the hours with other runs of the same --from, --to and flags about messages that are
    /// started with --share, as for a long backfill: each works on other hours, and one that dies
    /// loses its to the others. Those that share, and those that do not, wait for each other; a run
    /// without --from leaves at once as ever.
    #[arg(long, requires = "to", help_heading = "What to do")]
    pub share: bool,

    /// The archive counts as standing, for the alert, when the speed layer has had newer ticks than
    /// it for so long. Above the time between two runs and that in which the sink closes an object.
    #[arg(long, env = "ARCHIVE_DELAY", default_value = "45m", value_parser = span, value_name = "DURATION", help_heading = "What to do")]
    pub archive_delay: Duration,

    /// Take over from a run that was not heard of for so long: its machine has died.
    #[arg(long, env = "TAKEOVER_AFTER", default_value = "90s", value_parser = span, value_name = "DURATION", help_heading = "What to do")]
    pub takeover_after: Duration,

    /// Show no progress: only warnings, what was judged with hindsight, and the last line.
    #[arg(long, help_heading = "Logging")]
    pub quiet: bool,

    #[command(flatten)]
    pub logs: LogArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do, or another run is at work (with --from or --hour it is waited for)
  2  configuration: a wrong flag, password, key or bucket; trying again is useless
  3  infrastructure: PostgreSQL or the store does not answer; try again later
  4  partial: some hours were not written, or some objects cannot be read: each is named in the log, and in the
     view broken_archive_objects (or the run was stopped by SIGTERM or SIGINT between two hours); all other hours
     are done, and the next run goes on with the rest (with --recompute it begins anew). Or no line of the window's
     objects is a tick, hours were asked for below a prefix where no run has ever seen an object, or another run
     has taken over (--takeover-after)";

impl Args {
    /// The flags as `batch_runs` shows them: no secrets.
    #[must_use]
    pub fn describe(&self, plan: &HourPlan) -> String {
        let (bucket, prefix) = (&self.archive.bucket, self.below.prefix.as_str());
        let HourArgs { grace, slack, .. } = &self.hours;
        let recompute = if self.recompute { " --recompute" } else { "" };
        let shrink = if self.allow_shrink { " --allow-shrink" } else { "" };
        let moved = if self.archive_moved { " --archive-moved" } else { "" };
        let (from, to) = (plan.window.start, plan.window.end);
        let share = if self.share { " --share" } else { "" };
        let engine = if self.engine.engine == EngineKind::Spark { " --engine spark" } else { "" };
        let lake = if self.lake.from_lake == FromLake::Never { " --from-lake never" } else { "" };
        format!(
            "--bucket {bucket} --prefix {prefix} --from {from} --to {to} --grace {grace:?} \
             --slack {slack:?}{recompute}{shrink}{moved}{share}{engine}{lake} {}",
            rules(&self.archive.format().describe())
        )
    }

    /// # Errors
    /// Where hours are to be shared that are not over: each run would have a window of its own.
    pub fn check_shared(&self, plan: &HourPlan) -> Result<(), Failure> {
        match self.hours.to {
            Some(to) if self.share && to > plan.due => {
                Err(Failure::Configuration(anyhow::anyhow!(
                    "--share: --to {to} is not over yet (plus --grace), and runs share the same \
                     hours only; give --to {} or an earlier hour",
                    plan.due
                )))
            }
            _ => Ok(()),
        }
    }

    /// The group of runs that share their hours; `None`: this one does not.
    #[must_use]
    pub fn group(&self, plan: &HourPlan) -> Option<String> {
        let mut hasher = FxHasher::default();
        (self.archive.format().describe(), self.anomalies.describe()).hash(&mut hasher);
        self.share.then(|| format!("{}, other flags {:x}", self.describe(plan), hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hour::Hour;
    use common::Timestamp;

    fn hour(text: &str) -> Hour {
        Hour::parse(text).unwrap()
    }

    fn plan(flags: &[&str]) -> Result<HourPlan, Failure> {
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
        assert_eq!(
            reaching(&["--hour", "2025-06-03T00"], "2025-05-31T10").start,
            hour("2025-06-03T00")
        );
    }

    #[test]
    fn only_a_run_that_holds_the_usual_window_tells_how_far_the_hours_are() {
        let looks_back = |flags: &[&str]| plan(flags).unwrap().looks_back;
        assert!(looks_back(&[]) && looks_back(&["--from", "2025-06-01T00"]));
        assert!(
            !looks_back(&["--hour", "2025-06-04T08"]) && !looks_back(&["--from", "2025-06-04T00"])
        );
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
        assert_eq!(
            window(&["--hour", "2025-06-01T00"]),
            hour("2025-06-01T00")..hour("2025-06-01T01")
        );
        assert_eq!(
            window(&["--from", "2025-06-04T07"]),
            hour("2025-06-04T07")..hour("2025-06-04T09")
        );
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
            (
                ["--hour", "2025-06-04T11"],
                "--hour 2025-06-04T11:00Z is in the future: it is 2025-06-04T10:00Z now",
            ),
            (["--from", "2025-06-04T11"], "--from 2025-06-04T11:00Z is in the future"),
            (["--from", "9998-12-31T23"], "--from 9998-12-31T23:00Z is in the future"),
            (["--slack", "9999999d"], "is more than 31 days"),
        ] {
            let failure = plan(&flags).unwrap_err();
            assert!(matches!(&failure, Failure::Configuration(_)), "{failure}");
            assert!(failure.to_string().contains(word), "{failure}");
        }
        // Not over yet, or only just: nothing is done, and nothing is wrong.
        for flags in
            [["--hour", "2025-06-04T10"], ["--from", "2025-06-04T10"], ["--from", "2025-06-04T09"]]
        {
            assert!(plan(&flags).unwrap().window.is_empty(), "{flags:?}");
        }
    }
}
