//! What happened and what was found: a table for people, JSON for machines.

use super::delivery_counts::DeliveryCounts;
use super::fault::Fault;
use super::instance_settings::InstanceSettings;
use super::plan::Planned;
use crate::prove::Verdict;
use serde::Serialize;
use service::words::counted;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// A fault that has happened.
#[derive(Debug, Serialize)]
pub struct Happened {
    #[serde(flatten)]
    pub planned: Planned,
    /// When it was over and mended, since the beginning.
    pub over: Duration,
    pub what: String,
}

/// Everything about a run; written as JSON.
#[derive(Serialize)]
pub struct ChaosReport {
    pub seed: u64,
    /// The command line that does it all again.
    pub replay: String,
    /// How the speed layers were set up.
    pub manner: InstanceSettings,
    pub seconds: f64,
    pub faults: Vec<Happened>,
    /// Messages that the brokers have acknowledged.
    pub acknowledged: u64,
    /// Batches that came too late and were refused, by the programs' logs: without any, the
    /// protocol was not tried.
    pub fenced: usize,
    /// From the end of the last fault until everything was written.
    pub caught_up_seconds: f64,
    /// Processes that ended or hung, and partitions that were not read.
    pub findings: Vec<String>,
    /// How many of them are of partitions that were not read.
    pub silent: u64,
    /// What became of the messages beside the main topic.
    pub beside: DeliveryCounts,
    pub verdict: Verdict,
}

/// The last line.
#[derive(Serialize)]
pub struct LastLine {
    chaos: &'static str,
    seed: u64,
    faults: usize,
    messages: u64,
    lost: u64,
    doubled: u64,
    wrong: u64,
    /// Messages of the other topics.
    beside: u64,
    /// Late writers that were refused.
    late: usize,
    /// Partitions that had news and were not read.
    silent: u64,
}

impl ChaosReport {
    pub fn is_ok(&self) -> bool {
        let DeliveryCounts { messages, .. } = self.beside;
        let is_beside_ok = self.beside == DeliveryCounts { messages, ..DeliveryCounts::default() };
        self.findings.is_empty()
            && is_beside_ok
            && self.verdict.is_ok()
            && self.acknowledged == self.verdict.records()
    }

    pub fn last_line(&self) -> LastLine {
        let (lost, doubled, wrong) = self.verdict.errors();
        // A message that was acknowledged and is not in the topic is lost as well; that would be
        // Kafka's or the load's.
        let gone = self.acknowledged.saturating_sub(self.verdict.records());
        LastLine {
            chaos: if self.is_ok() { "ok" } else { "failed" },
            seed: self.seed,
            faults: self.faults.len(),
            messages: self.acknowledged,
            lost: lost + gone + self.beside.lost,
            doubled: doubled
                + self.verdict.records().saturating_sub(self.acknowledged)
                + self.beside.doubled,
            wrong: wrong + self.findings.len() as u64 + self.beside.wrong,
            beside: self.beside.messages,
            late: self.fenced,
            silent: self.silent,
        }
    }

    /// The faults by kind, the proof, and what was found.
    pub fn text(&self) -> String {
        let mut kinds: BTreeMap<Fault, (usize, Duration)> = BTreeMap::new();
        for Happened { planned, over, .. } in &self.faults {
            let (times, time) = kinds.entry(planned.fault).or_default();
            *times += 1;
            *time += over.saturating_sub(planned.at);
        }
        let mut text = format!("{:<20} {:>6} {:>9}\n", "fault", "times", "seconds");
        for (fault, (times, time)) in kinds {
            let _ = writeln!(text, "{:<20} {times:>6} {:>9.1}", fault.name(), time.as_secs_f64());
        }
        let _ = writeln!(text, "\n{}", self.verdict.text());
        let _ = writeln!(
            text,
            "{} faults in {:.0} s, {} refused; {} messages acknowledged, {} in the topic; all written {:.1} s \
             after the last fault",
            self.faults.len(),
            self.seconds,
            counted(self.fenced as u64, "late writer"),
            self.acknowledged,
            self.verdict.records(),
            self.caught_up_seconds
        );
        let DeliveryCounts { messages, lost, doubled, wrong } = &self.beside;
        let _ = writeln!(
            text,
            "beside the main topic: {messages} messages, {lost} lost, {doubled} doubled, {wrong} wrong"
        );
        for finding in &self.findings {
            let _ = writeln!(text, "FOUND  {finding}");
        }
        if !self.is_ok() {
            let _ = writeln!(text, "the same faults again: {}", self.replay);
        }
        text
    }
}
