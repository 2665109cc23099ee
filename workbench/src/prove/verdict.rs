//! [`Verdict`]: what the comparison has found, in words and as JSON.

use super::archive::Archive;
use super::checks::Found;
use super::lag::Lags;
use super::offsets::{Comparison, compare, ranges};
use super::tables::{Hours, Rows};
use super::topic::{Partition, Topic};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Differences of summaries that are named one by one.
const NAMED_HOURS: usize = 10;

/// What the comparison found. Serialized, it is the proof's last line.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// `ok` or `failed`.
    proof: &'static str,
    records: u64,
    ticks: u64,
    rejected: u64,
    archived: u64,
    dead_letters: u64,
    tombstones: u64,
    /// Lines that are in the archive more than once; a sink that was killed leaves such, and
    /// provenance drops them.
    archive_duplicates: u64,
    objects: usize,
    hours: i64,
    summaries: i64,
    /// Records that are in no table.
    lost: u64,
    /// Rows too many.
    doubled: u64,
    /// Everything else that was found.
    wrong: u64,
    findings: Vec<String>,
    #[serde(skip)]
    table: String,
}

impl Verdict {
    /// Whether every record is in exactly one table, and where it belongs in the archive.
    pub fn new(topic: &Topic, rows: &Rows, archive: &Archive, lags: Lags) -> Self {
        let mut verdict = Self {
            proof: "ok",
            ticks: rows.ticks,
            rejected: rows.rejected,
            objects: archive.objects,
            table: header(),
            ..Self::default()
        };
        verdict.judge_lags(lags);
        for (id, partition) in topic {
            let below =
                |offsets: Option<&Vec<i64>>| within(offsets.map_or(&[], Vec::as_slice), partition);
            let written = compare(&partition.records, &below(rows.offsets.get(id)));
            let archived = compare(&partition.archivable, &below(archive.offsets.get(id)));
            verdict.judge_partition(*id, partition, &written, &archived);
        }
        verdict
    }

    fn wrong(&mut self, count: u64, finding: String) {
        self.wrong += count;
        self.find(finding);
    }

    fn find(&mut self, finding: String) {
        self.proof = "failed";
        self.findings.push(finding);
    }

    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// Records of the topic.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Lost, doubled and wrong.
    pub fn errors(&self) -> (u64, u64, u64) {
        (self.lost, self.doubled, self.wrong)
    }

    /// The table and the findings, for a person.
    pub fn text(&self) -> String {
        let mut text = self.table.clone();
        let Self { hours, summaries, .. } = self;
        let _ = writeln!(
            text,
            "\n{summaries} hourly summaries of {hours} hours compared with the ticks of table and archive"
        );
        for finding in &self.findings {
            let _ = writeln!(text, "FOUND  {finding}");
        }
        text
    }

    fn judge_lags(&mut self, lags: Lags) {
        for (who, lag) in [("the speed layer", lags.speed_layer), ("the archiver", lags.archiver)] {
            if lag > 0 {
                self.wrong(1, format!("{who} is {lag} records behind the topic: is it running?"));
            }
        }
    }

    fn judge_partition(
        &mut self,
        id: i32,
        partition: &Partition,
        written: &Comparison,
        archived: &Comparison,
    ) {
        self.records += partition.records.len() as u64;
        self.archived += archived.distinct;
        self.dead_letters += partition.dead_letters;
        self.tombstones += partition.ignored;
        self.archive_duplicates += archived.duplicates;
        self.lost += written.missing.len() as u64;
        self.doubled += written.duplicates;
        self.wrong +=
            (written.surplus.len() + archived.missing.len() + archived.surplus.len()) as u64;
        self.add_row(id, partition, written, archived);
        let mut find = |offsets: &[i64], what: &str| {
            if !offsets.is_empty() {
                let (count, ranges) = (offsets.len(), ranges(offsets));
                self.find(format!("partition {id}: {count} records {what}: offsets {ranges}"));
            }
        };
        find(&written.missing, "of the topic are in no table");
        find(&written.surplus, "are in a table but not in the topic");
        find(&archived.missing, "of the topic are not in the archive");
        find(&archived.surplus, "are in the archive but should not be");
        if written.duplicates > 0 {
            self.find(format!(
                "partition {id}: {} rows stand for a record that has a row already",
                written.duplicates
            ));
        }
    }

    fn add_row(
        &mut self,
        id: i32,
        partition: &Partition,
        written: &Comparison,
        archived: &Comparison,
    ) {
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

    /// `ticks` is what the summaries were compared with.
    pub fn judge_hours(&mut self, ticks: &str, hours: Hours) {
        (self.hours, self.summaries) = (hours.compared, hours.rows);
        if !hours.batch_has_run {
            let advice = "no run of batch-layer has come to its end: run it, and prove again";
            if !self.findings.iter().any(|finding| finding == advice) {
                self.wrong(1, advice.to_owned());
            }
        }
        let count = hours.differences.len();
        self.wrong += count as u64;
        for text in hours.differences.into_iter().take(NAMED_HOURS) {
            self.find(format!("summary against {ticks}: {text}"));
        }
        if count > NAMED_HOURS {
            self.find(format!("{} more summaries differ from {ticks}", count - NAMED_HOURS));
        }
    }

    pub fn judge_checks(&mut self, found: Vec<Found>) {
        for Found { what, count, examples } in found {
            self.wrong(count.unsigned_abs(), format!("{count} {what}: {}", examples.join("; ")));
        }
    }

    /// Where each partition's stored offset must be the topic's end.
    pub fn judge_ends(&mut self, topic: &Topic, next: &BTreeMap<i32, i64>) {
        for (id, partition) in topic {
            match next.get(id) {
                Some(next) if *next == partition.high => {}
                Some(next) => {
                    let high = partition.high;
                    self.wrong(
                        1,
                        format!(
                            "partition {id}: the stored offset is {next}, the topic's end {high}"
                        ),
                    );
                }
                None if partition.high == partition.low => {}
                None => self.wrong(1, format!("partition {id}: no offset is stored")),
            }
        }
    }
}

fn header() -> String {
    format!(
        "{:>9} {:>11} {:>11} {:>11} {:>11} {:>9} {:>11} {:>12} {:>11}\n",
        "partition",
        "low",
        "high",
        "records",
        "in tables",
        "doubled",
        "in archive",
        "dead letters",
        "tombstones"
    )
}

/// Offsets between the watermarks: older ones the topic has dropped, newer ones came after the
/// start of the proof.
fn within(offsets: &[i64], partition: &Partition) -> Vec<i64> {
    offsets
        .iter()
        .copied()
        .filter(|offset| (partition.low..partition.high).contains(offset))
        .collect()
}

#[cfg(test)]
mod tests;
