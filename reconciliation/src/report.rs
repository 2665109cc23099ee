//! The outcomes on standard output: a table for people, or JSON by the line.

use crate::args::Format;
use crate::outcome::{HourOutcome, PartitionOutcome, Status};
use crate::verdict::{Unsuccessful, Verdict};
use hourly::hour::Hour;
use hourly::output::print;
use rustc_hash::FxHashMap;
use serde::Serialize;
use service::failure::one_line;
use service::words::counted;

/// Counts of hours by what was found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    pub hours: u64,
    pub ok: u64,
    pub purged: u64,
    pub open: u64,
    pub mismatch: u64,
    pub realtime_ticks: u64,
    pub archive_ticks: u64,
    /// Messages that are no tick.
    pub rejected: u64,
}

/// Prints outcome after outcome.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    /// Whether hours are compared yet.
    has_begun: bool,
    /// Whether a partition is told with its topic.
    has_topics: bool,
    pub totals: Outcomes,
    /// Those that were added.
    added: FxHashMap<Hour, Status>,
}

#[derive(Serialize)]
struct LastLine<'a> {
    verify: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    totals: &'a Outcomes,
}

impl Outcomes {
    /// The worst that was found.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self { mismatch: 1.., .. } => Status::Mismatch,
            Self { open: 1.., .. } => Status::Open,
            Self { purged: 1.., .. } => Status::Purged,
            _ => Status::Ok,
        }
    }

    /// Whether some side has any tick of all the hours.
    #[must_use]
    pub const fn have_ticks(&self) -> bool {
        self.realtime_ticks > 0 || self.archive_ticks > 0 || self.purged > 0
    }

    const fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Ok => &mut self.ok,
            Status::Purged => &mut self.purged,
            Status::Open => &mut self.open,
            Status::Mismatch => &mut self.mismatch,
        }
    }

    fn add(&mut self, outcome: &HourOutcome) {
        self.hours += 1;
        *self.of(outcome.status) += 1;
        self.realtime_ticks += outcome.realtime_ticks.unwrap_or(0);
        self.archive_ticks += outcome.archive_ticks;
        self.rejected += outcome.partitions.iter().map(|partition| partition.rejected).sum::<u64>();
    }
}

impl Printer {
    #[must_use]
    pub fn new(format: Format) -> Self {
        let (totals, added) = (Outcomes::default(), FxHashMap::default());
        Self { format, has_begun: false, has_topics: false, totals, added }
    }

    /// # Errors
    /// Where standard output cannot be written to. A reader that has closed it is
    /// no error.
    pub fn begin(&mut self, has_topics: bool) -> anyhow::Result<()> {
        (self.has_begun, self.has_topics) = (true, has_topics);
        match self.format {
            Format::Json => Ok(()),
            Format::Table => print(&format!("{}\n", header())),
        }
    }

    /// # Errors
    /// Where an outcome cannot be written as JSON.
    pub fn add(&mut self, outcome: &HourOutcome) -> anyhow::Result<()> {
        self.totals.add(outcome);
        self.added.insert(outcome.hour, outcome.status);
        match self.format {
            Format::Json => print(&format!("{}\n", serde_json::to_string(outcome)?)),
            Format::Table => print(&text(outcome, self.has_topics)),
        }
    }

    /// Counts an hour as open after all; its line, if it has one, stands.
    pub fn open(&mut self, hour: Hour) {
        let known = self.added.get(&hour).copied();
        match known {
            None => self.totals.hours += 1,
            Some(status) => *self.totals.of(status) -= 1,
        }
        let status = known.map_or(Status::Open, |status| status.max(Status::Open));
        *self.totals.of(status) += 1;
        self.added.insert(hour, status);
    }

    /// Prints the last line; `why` it was no success, if it was none.
    ///
    /// # Errors
    /// As [`Printer::add`].
    pub fn finish(&self, why: Option<&Unsuccessful>) -> anyhow::Result<()> {
        match self.format {
            // There is no table.
            Format::Table if !self.has_begun => Ok(()),
            _ => print(&format!("{}\n", self.last_line(why)?)),
        }
    }

    fn last_line(&self, why: Option<&Unsuccessful>) -> anyhow::Result<String> {
        let verify = why.map_or(Verdict::Ok, |why| why.verdict);
        let Outcomes { hours, ok, purged, open, mismatch, realtime_ticks, archive_ticks, rejected } =
            &self.totals;
        match self.format {
            Format::Json => {
                let error = why.map(|why| one_line(&why.failure));
                Ok(serde_json::to_string(&LastLine { verify, error, totals: &self.totals })?)
            }
            Format::Table => Ok(format!(
                "{}{}: {ok} ok, {purged} purged, {open} open, {mismatch} mismatch; {} in \
                 realtime_stock, {archive_ticks} in the archive; {} rejected",
                if verify.is_unfinished() { "not finished; until then " } else { "" },
                counted(*hours, "hour"),
                counted(*realtime_ticks, "tick"),
                counted(*rejected, "message")
            )),
        }
    }
}

fn header() -> String {
    format!(
        "{:<17} {:>4} {:>21} {:>10} {:>10} {:>8} {:>9} {:>9} {:>9} {:>7}  status",
        "hour",
        "part",
        "kafka offsets",
        "realtime",
        "archive",
        "rejected",
        "not in rt",
        "not in ar",
        "nowhere",
        "differ"
    )
}

fn text(outcome: &HourOutcome, has_topics: bool) -> String {
    let mut text = String::new();
    for partition in &outcome.partitions {
        if has_topics {
            text.push_str(&format!("topic {}:\n", partition.topic));
        }
        text.push_str(&line(outcome, partition));
        partition.details.iter().for_each(|detail| text.push_str(&format!("    {detail}\n")));
    }
    for detail in &outcome.details {
        text.push_str(&format!(
            "{:<17} {:>4} {}: {detail}\n",
            outcome.hour.to_string(),
            "all",
            outcome.status.as_str()
        ));
    }
    text
}

fn line(outcome: &HourOutcome, partition: &PartitionOutcome) -> String {
    let kafka = match (partition.kafka_from, partition.kafka_to) {
        (Some(from), Some(to)) if from < to => format!("{from}-{}", to - 1),
        (Some(_), Some(_)) => "none".to_owned(),
        _ => "-".to_owned(),
    };
    let realtime = partition.realtime_ticks.map_or("-".to_owned(), |ticks| ticks.to_string());
    format!(
        "{:<17} {:>4} {kafka:>21} {realtime:>10} {:>10} {:>8} {:>9} {:>9} {:>9} {:>7}  {}\n",
        outcome.hour.to_string(),
        partition.partition,
        partition.archive_ticks,
        partition.rejected,
        partition.missing_in_realtime,
        partition.missing_in_archive,
        partition.missing_everywhere,
        partition.differing_blocks,
        partition.status.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Timestamp;
    use service::Failure;

    #[test]
    fn the_last_line_says_what_the_exit_code_says() {
        let partial = || Failure::Partial("why".into());
        let failed = |text: &'static str| anyhow::anyhow!(text);
        for (why, verdict, code, table) in [
            (Unsuccessful::open("why".into()), "open", 4, "1 hour: 1 ok"),
            (Unsuccessful::with_nothing(partial()), "nothing", 4, "1 hour: 1 ok"),
            (Failure::Difference("why".into()).into(), "mismatch", 1, "1 hour: 1 ok"),
            (partial().into(), "stopped", 4, "not finished; until then 1 hour: 1 ok"),
            (
                Failure::Infrastructure(failed("why")).into(),
                "failed",
                3,
                "not finished; until then 1 hour: 1 ok",
            ),
            (
                Unsuccessful::with_nothing(Failure::Configuration(failed("why"))),
                "failed",
                2,
                "not finished; until then 1 hour: 1 ok",
            ),
        ] {
            let line = |format, why: Option<&Unsuccessful>| {
                let mut printer = Printer::new(format);
                printer.totals = Outcomes { hours: 1, ok: 1, ..Outcomes::default() };
                printer.last_line(why).unwrap()
            };
            assert_eq!(why.failure.exit_code(), code, "{verdict}");
            let json = line(Format::Json, Some(&why));
            let last: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!((&last["verify"], &last["ok"]), (&verdict.into(), &1.into()), "{json}");
            assert!(last["error"].as_str().unwrap().contains("why"), "{json}");
            assert!(line(Format::Table, Some(&why)).starts_with(table), "{verdict}");
            let json = line(Format::Json, None);
            assert!(json.starts_with(r#"{"verify":"ok","hours":1,"ok":1,"#), "{json}");
        }
    }

    #[test]
    fn an_hour_that_is_open_after_all_counts_once_and_a_difference_stays_one() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let statuses = [Status::Ok, Status::Purged, Status::Open, Status::Mismatch];
        let mut printer = Printer::new(Format::Json);
        for (number, status) in (0..).zip(statuses) {
            printer.totals.hours += 1;
            *printer.totals.of(status) += 1;
            printer.added.insert(hour(number), status);
        }
        for number in [0, 1, 2, 3, 4, 0] {
            printer.open(hour(number));
        }
        let expected = Outcomes { hours: 5, open: 4, mismatch: 1, ..Outcomes::default() };
        assert_eq!(printer.totals, expected);
    }
}
