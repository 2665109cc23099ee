//! The outcomes on standard output: a table for people, or JSON by the line.

use crate::args::Format;
use crate::outcome::{HourOutcome, PartitionOutcome, Status};
use hourly::hour::Hour;
use hourly::output::print;
use rustc_hash::FxHashMap;
use serde::Serialize;
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
    /// Whether a partition is told with its topic.
    has_topics: bool,
    pub totals: Outcomes,
    /// Those that were added.
    added: FxHashMap<Hour, Status>,
}

#[derive(Serialize)]
struct LastLine<'a> {
    verify: Status,
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
    /// # Errors
    /// Where standard output cannot be written to. A reader that has closed it is
    /// no error.
    pub fn new(format: Format, has_topics: bool) -> anyhow::Result<Self> {
        if format == Format::Table {
            print(&format!("{}\n", header()))?;
        }
        let (totals, added) = (Outcomes::default(), FxHashMap::default());
        Ok(Self { format, has_topics, totals, added })
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

    /// # Errors
    /// As [`Printer::add`].
    pub fn finish(&self) -> anyhow::Result<()> {
        let Outcomes { hours, ok, purged, open, mismatch, realtime_ticks, archive_ticks, rejected } =
            &self.totals;
        match self.format {
            Format::Json => {
                let last = LastLine { verify: self.totals.status(), totals: &self.totals };
                print(&format!("{}\n", serde_json::to_string(&last)?))
            }
            Format::Table => print(&format!(
                "{}: {ok} ok, {purged} purged, {open} open, {mismatch} mismatch; {} in \
                 realtime_stock, {archive_ticks} in the archive; {} rejected\n",
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

    #[test]
    fn an_hour_that_is_open_after_all_counts_once_and_a_difference_stays_one() {
        let hour = |number| Hour::of(Timestamp::from_micros(0)).plus(number);
        let statuses = [Status::Ok, Status::Purged, Status::Open, Status::Mismatch];
        let mut printer = Printer::new(Format::Json, false).unwrap();
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
