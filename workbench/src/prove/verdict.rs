use std::fmt::Write;

use serde::Serialize;

use super::archive::Archive;
use super::lag::Lags;
use super::offsets::{Comparison, compare, ranges};
use super::tables::{Hours, Rows};
use super::topic::{Partition, Topic};

/// Differences of summaries that are named one by one.
const NAMED_HOURS: usize = 10;

/// What the comparison found. Serialized, it is the proof's last line.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `ok` or `failed`.
    proof: &'static str,
    records: u64,
    ticks: u64,
    rejected: u64,
    archived: u64,
    dead_letters: u64,
    tombstones: u64,
    /// Lines that are in the archive more than once; a sink that was killed leaves such, and provenance drops them.
    archive_duplicates: u64,
    objects: usize,
    hours: i64,
    summaries: i64,
    findings: Vec<String>,
    #[serde(skip)]
    table: String,
}

impl Verdict {
    pub fn new(topic: &Topic, rows: &Rows, archive: &Archive, hours: Hours, lags: Lags) -> Self {
        let mut verdict = Self {
            proof: "ok",
            records: 0,
            ticks: rows.ticks,
            rejected: rows.rejected,
            archived: 0,
            dead_letters: 0,
            tombstones: 0,
            archive_duplicates: 0,
            objects: archive.objects,
            hours: hours.compared,
            summaries: hours.rows,
            findings: Vec::new(),
            table: header(),
        };
        verdict.judge_lags(lags);
        for (id, partition) in topic {
            let below = |offsets: Option<&Vec<i64>>| within(offsets.map_or(&[], Vec::as_slice), partition);
            let written = compare(&partition.records, &below(rows.offsets.get(id)));
            let archived = compare(&partition.archivable, &below(archive.offsets.get(id)));
            verdict.judge_partition(*id, partition, &written, &archived);
        }
        verdict.judge_hours(hours);
        if !verdict.findings.is_empty() {
            verdict.proof = "failed";
        }
        verdict
    }

    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// The table and the findings, for a person.
    pub fn text(&self) -> String {
        let mut text = self.table.clone();
        let Self { hours, summaries, .. } = self;
        let _ =
            writeln!(text, "\n{summaries} hourly summaries of {hours} hours compared with the ticks in realtime_stock");
        for finding in &self.findings {
            let _ = writeln!(text, "FOUND  {finding}");
        }
        text
    }

    fn judge_lags(&mut self, lags: Lags) {
        for (who, lag) in [("the speed layer", lags.speed_layer), ("the archiver", lags.archiver)] {
            if lag > 0 {
                self.findings.push(format!("{who} is {lag} records behind the topic: is it running?"));
            }
        }
    }

    fn judge_partition(&mut self, id: i32, partition: &Partition, written: &Comparison, archived: &Comparison) {
        self.records += partition.records.len() as u64;
        self.archived += archived.distinct;
        self.dead_letters += partition.dead_letters;
        self.tombstones += partition.ignored;
        self.archive_duplicates += archived.duplicates;
        self.add_row(id, partition, written, archived);
        let mut find = |offsets: &[i64], what: &str| {
            if !offsets.is_empty() {
                let (count, ranges) = (offsets.len(), ranges(offsets));
                self.findings.push(format!("partition {id}: {count} records {what}: offsets {ranges}"));
            }
        };
        find(&written.missing, "of the topic are in no table");
        find(&written.surplus, "are in a table but not in the topic");
        find(&archived.missing, "of the topic are not in the archive");
        find(&archived.surplus, "are in the archive but should not be");
        if written.duplicates > 0 {
            self.findings
                .push(format!("partition {id}: {} rows stand for a record that has a row already", written.duplicates));
        }
    }

    fn add_row(&mut self, id: i32, partition: &Partition, written: &Comparison, archived: &Comparison) {
        let _ = writeln!(
            self.table,
            "{id:>9} {:>11} {:>11} {:>11} {:>11} {:>9} {:>11} {:>12} {:>11}",
            partition.low,
            partition.high,
            partition.records.len(),
            written.distinct,
            written.duplicates,
            archived.distinct,
            partition.dead_letters,
            partition.ignored,
        );
    }

    fn judge_hours(&mut self, hours: Hours) {
        if !hours.batch_has_run {
            self.findings.push("no run of batch-layer has come to its end: run it, and prove again".to_owned());
        }
        let more = hours.differences.len().saturating_sub(NAMED_HOURS);
        self.findings.extend(hours.differences.into_iter().take(NAMED_HOURS).map(|text| format!("summary of {text}")));
        if more > 0 {
            self.findings.push(format!("{more} more summaries differ"));
        }
    }
}

fn header() -> String {
    format!(
        "{:>9} {:>11} {:>11} {:>11} {:>11} {:>9} {:>11} {:>12} {:>11}\n",
        "partition", "low", "high", "records", "in tables", "doubled", "in archive", "dead letters", "tombstones"
    )
}

/// Offsets between the watermarks: older ones the topic has dropped, newer ones came after the start of the proof.
fn within(offsets: &[i64], partition: &Partition) -> Vec<i64> {
    offsets.iter().copied().filter(|offset| (partition.low..partition.high).contains(offset)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_hours() -> Hours {
        Hours { batch_has_run: true, ..Hours::default() }
    }

    const NO_LAG: Lags = Lags { speed_layer: 0, archiver: 0 };

    /// Ten records, of which offset 3 is a dead letter and 4 a tombstone.
    fn topic() -> Topic {
        let archivable = (0..10).filter(|offset| !(3..5).contains(offset)).collect();
        let partition =
            Partition { low: 0, high: 10, records: (0..10).collect(), archivable, dead_letters: 1, ignored: 1 };
        Topic::from([(0, partition)])
    }

    fn rows(offsets: impl IntoIterator<Item = i64>) -> Rows {
        Rows { offsets: [(0, offsets.into_iter().collect())].into(), ticks: 8, rejected: 2 }
    }

    fn archive(offsets: impl IntoIterator<Item = i64>) -> Archive {
        Archive { objects: 1, offsets: [(0, offsets.into_iter().collect())].into() }
    }

    fn findings(rows: &Rows, archive: &Archive, lags: Lags) -> Vec<String> {
        Verdict::new(&topic(), rows, archive, no_hours(), lags).findings
    }

    #[test]
    fn what_agrees_is_proven_though_the_archive_has_lines_twice_and_the_topic_goes_on() {
        let verdict =
            Verdict::new(&topic(), &rows(0..12), &archive([0, 1, 2, 2, 5, 6, 7, 7, 8, 9, 10]), no_hours(), NO_LAG);
        assert!(verdict.is_ok(), "{:?}", verdict.findings);
        assert_eq!((verdict.archived, verdict.archive_duplicates), (8, 2));
    }

    #[test]
    fn every_kind_of_disagreement_is_found() {
        let (all, archived) = (|| rows(0..10), || archive([0, 1, 2, 5, 6, 7, 8, 9]));
        let found = |rows: &Rows, archive: &Archive, lags| findings(rows, archive, lags).join("; ");
        let without = |gone: i64| rows((0..10).filter(move |offset| *offset != gone));
        assert!(found(&without(7), &archived(), NO_LAG).contains("1 records of the topic are in no table: offsets 7"));
        let twice = rows([0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9]);
        assert!(found(&twice, &archived(), NO_LAG).contains("1 rows stand for a record that has a row already"));
        assert!(
            found(&all(), &archive([0, 1, 2]), NO_LAG)
                .contains("5 records of the topic are not in the archive: offsets 5-9")
        );
        let unexpected = archive(0..10);
        assert!(
            found(&all(), &unexpected, NO_LAG).contains("2 records are in the archive but should not be: offsets 3-4")
        );
        let lags = Lags { speed_layer: 3, archiver: 0 };
        assert!(found(&all(), &archived(), lags).contains("the speed layer is 3 records behind"));
    }

    #[test]
    fn nothing_is_proven_before_the_batch_layer_has_run() {
        let verdict =
            Verdict::new(&topic(), &rows(0..10), &archive([0, 1, 2, 5, 6, 7, 8, 9]), Hours::default(), NO_LAG);
        assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
        assert!(verdict.findings[0].contains("run of batch-layer"));
    }

    #[test]
    fn a_summary_that_differs_is_named() {
        let hours = Hours {
            batch_has_run: true,
            compared: 1,
            rows: 1,
            differences: vec!["AAPL 2025-06-06 14:00: ticks 2, should be 3".into()],
        };
        let verdict = Verdict::new(&topic(), &rows(0..10), &archive([0, 1, 2, 5, 6, 7, 8, 9]), hours, NO_LAG);
        assert!(!verdict.is_ok());
        assert!(verdict.text().contains("FOUND  summary of AAPL 2025-06-06 14:00: ticks 2, should be 3"));
    }
}
