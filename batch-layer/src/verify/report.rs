//! The outcomes on standard output: a table for people, or JSON by the line.

use super::args::Format;
use super::outcome::{HourOutcome, PartitionOutcome, Status};
use crate::output::print;
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

    fn add(&mut self, outcome: &HourOutcome) {
        self.hours += 1;
        *match outcome.status {
            Status::Ok => &mut self.ok,
            Status::Purged => &mut self.purged,
            Status::Open => &mut self.open,
            Status::Mismatch => &mut self.mismatch,
        } += 1;
        self.realtime_ticks += outcome.realtime_ticks.unwrap_or(0);
        self.archive_ticks += outcome.archive_ticks;
        self.rejected += outcome.partitions.iter().map(|partition| partition.rejected).sum::<u64>();
    }
}

impl Printer {
    /// # Errors
    /// Where standard output cannot be written to; here and below. A reader that has closed it is
    /// no error.
    pub fn new(format: Format, has_topics: bool) -> anyhow::Result<Self> {
        if format == Format::Table {
            print(&format!("{}\n", header()))?;
        }
        Ok(Self { format, has_topics, totals: Outcomes::default() })
    }

    /// # Errors
    /// Where an outcome cannot be written as JSON.
    pub fn add(&mut self, outcome: &HourOutcome) -> anyhow::Result<()> {
        self.totals.add(outcome);
        match self.format {
            Format::Json => print(&format!("{}\n", serde_json::to_string(outcome)?)),
            Format::Table => print(&text(outcome, self.has_topics)),
        }
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
                "{}: {ok} ok, {purged} purged, {open} open, {mismatch} mismatch; {} in realtime_stock, {archive_ticks} in \
                 the archive; {} rejected\n",
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
