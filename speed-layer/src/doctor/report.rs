//! The report, for a person and for a program.

use super::command_line::command_line;
use super::database::DatabaseState;
use super::propose::{Advice, Proposal};
use super::reading::{Reading, Rejects};
use super::sampling::{Sampled, SampledPartition};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::fmt::Write;

/// Characters of a message that are shown.
const SHOWN: usize = 200;

pub struct DoctorReport<'a> {
    pub sampled: &'a Sampled,
    pub reading: &'a Reading,
    pub advice: &'a Advice,
    pub database: &'a DatabaseState,
}

impl DoctorReport<'_> {
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, to: &mut String) -> std::fmt::Result {
        for partition in &self.sampled.partitions {
            writeln!(to, "{}", line(partition))?;
        }
        let all = self.sampled.samples.len();
        match all {
            0 => writeln!(to, "There is no message to look at.")?,
            _ => writeln!(
                to,
                "With the flags as they are, {} are ticks{}.",
                share(self.reading.ticks, all),
                of_those_meant(self.reading, all)
            )?,
        }
        self.write_reading(to)?;
        write_notes(to, &self.advice.notes)?;
        let understood = self.reading.ticks + self.reading.other_kinds;
        match &self.advice.proposal {
            Some(proposal) => write_proposal(to, proposal, all)?,
            None if understood == all => {}
            None if understood * 10 >= all * 9 => {
                writeln!(
                    to,
                    "No flag is needed for the others: a run keeps them in rejected_ticks."
                )?;
            }
            None => writeln!(to, "{}", without_flags(&self.advice.doubts))?,
        }
        write_notes(to, &self.advice.doubts)?;
        writeln!(to, "PostgreSQL: {}", self.database.words)
    }

    fn write_reading(&self, to: &mut String) -> std::fmt::Result {
        write_ticks(to, self.reading)?;
        for (reason, rejects) in self.rejects() {
            writeln!(to, "  {reason}: {}, such as", rejects.count)?;
            if let Some(sample) = self.sampled.samples.get(rejects.example) {
                writeln!(
                    to,
                    "    {}/{} at {}: {}",
                    sample.topic, sample.partition, sample.offset, rejects.detail
                )?;
                if !sample.value.is_empty() {
                    writeln!(to, "    {}", shown(&sample.value))?;
                }
            }
        }
        Ok(())
    }

    /// The report as one object, in one line.
    pub fn to_json(&self) -> String {
        json!({
            "messages": self.sampled.samples.len(),
            "ticks": self.reading.ticks,
            "other_kinds": self.reading.other_kinds,
            "without_volume": self.reading.without_volume,
            "with_unread_fields": self.reading.with_unread,
            "example": self.reading.example,
            "rejects": self.rejects().into_iter().map(|(reason, of)| self.reject(reason, of)).collect::<Vec<_>>(),
            "notes": self.advice.notes,
            "doubts": self.advice.doubts,
            "proposal": self.advice.proposal.as_ref().map(|proposal| json!({
                "flags": command_line(&proposal.args),
                "ticks": proposal.reading.ticks,
                "other_kinds": proposal.reading.other_kinds,
                "without_volume": proposal.reading.without_volume,
                "with_unread_fields": proposal.reading.with_unread,
                "example": proposal.reading.example,
                "notes": proposal.notes,
            })),
            "partitions": self.sampled.partitions.iter().map(partition).collect::<Vec<_>>(),
            "postgresql": { "is_ready": self.database.is_ready, "detail": self.database.words },
        })
        .to_string()
    }

    /// The commonest first.
    fn rejects(&self) -> Vec<(&'static str, &Rejects)> {
        let mut rejects: Vec<_> =
            self.reading.rejects.iter().map(|(reason, rejects)| (*reason, rejects)).collect();
        rejects.sort_by_key(|(_, rejects)| Reverse(rejects.count));
        rejects
    }

    fn reject(&self, reason: &str, rejects: &Rejects) -> Value {
        let sample = self.sampled.samples.get(rejects.example);
        json!({
            "reason": reason,
            "count": rejects.count,
            "detail": rejects.detail,
            "topic": sample.map(|sample| &sample.topic),
            "partition": sample.map(|sample| sample.partition),
            "offset": sample.map(|sample| sample.offset),
            "message": sample.map(|sample| shown(&sample.value)),
        })
    }
}

fn write_ticks(to: &mut String, reading: &Reading) -> std::fmt::Result {
    if let Some(example) = &reading.example {
        writeln!(to, "  the first: {example}")?;
    }
    if reading.without_volume > 0 {
        writeln!(
            to,
            "  without a volume: {}; sums that hold one of them are null",
            reading.without_volume
        )?;
    }
    if reading.with_unread > 0 {
        let count = reading.with_unread;
        writeln!(
            to,
            "  with a bid, an ask, conditions or a sequence that cannot be read: {count}; they are \
             null"
        )?;
    }
    if reading.other_kinds > 0 {
        let count = reading.other_kinds;
        writeln!(
            to,
            "  of other kinds than the flags take (--where, --preset): {count}; a run keeps them \
             as rejects"
        )?;
    }
    Ok(())
}

fn write_proposal(to: &mut String, proposal: &Proposal, all: usize) -> std::fmt::Result {
    let flags = command_line(&proposal.args);
    let meant = of_those_meant(&proposal.reading, all);
    writeln!(to, "With these flags {} are{meant}:", share(proposal.reading.ticks, all))?;
    writeln!(to, "  {flags}")?;
    write_ticks(to, &proposal.reading)?;
    write_notes(to, &proposal.notes)
}

/// The text instead of flags, before the doubts.
fn without_flags(doubts: &[String]) -> &'static str {
    match doubts.is_empty() {
        true => "No flags were found that help the others; docs/message-format.md has them all.",
        false => "No flags are sure to help the others (docs/message-format.md has them all):",
    }
}

fn write_notes(to: &mut String, notes: &[String]) -> std::fmt::Result {
    notes.iter().try_for_each(|note| writeln!(to, "  {note}"))
}

fn line(partition: &SampledPartition) -> String {
    let SampledPartition { topic, partition, low, high, read, times, trouble, .. } = partition;
    let mut line =
        format!("{topic}/{partition}: offsets {low} to {high}, the newest {read} messages read");
    if let Some((first, last)) = times {
        line.push_str(&format!(", sent from {first} to {last}"));
    }
    if let Some(trouble) = trouble {
        line.push_str(&format!("; {trouble}"));
    }
    line
}

fn partition(found: &SampledPartition) -> Value {
    json!({
        "topic": found.topic,
        "partition": found.partition,
        "low": found.low,
        "high": found.high,
        "read": found.read,
        "first_time": found.times.map(|(first, _)| first.to_string()),
        "last_time": found.times.map(|(_, last)| last.to_string()),
        "trouble": found.trouble,
    })
}

/// Rounded down: "all" means all.
fn share(part: usize, all: usize) -> String {
    let permille = part * 1000 / all.max(1);
    format!("{part} of {all} messages ({}.{} %)", permille / 10, permille % 10)
}

/// The share of ticks among the messages that are not of other kinds than the flags take, if there
/// are such.
fn of_those_meant(reading: &Reading, all: usize) -> String {
    let meant = all - reading.other_kinds;
    match reading.other_kinds {
        0 => String::new(),
        _ if meant == 0 => ", as all are of other kinds".to_owned(),
        _ => format!(", leaving other kinds aside {}", share(reading.ticks, meant)),
    }
}

/// A message, as far as it is shown.
fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(&value[..value.len().min(4 * SHOWN)]);
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        match character.is_control() {
            true => shown.extend(character.escape_debug()),
            false => shown.push(character),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_no_flags_were_found_is_not_said_before_flags() {
        assert!(without_flags(&[]).starts_with("No flags were found"));
        assert!(without_flags(&["--map price=NAME".to_owned()]).ends_with("):"));
    }

    #[test]
    fn a_share_is_all_only_where_it_is() {
        assert_eq!(share(9_999, 10_000), "9999 of 10000 messages (99.9 %)");
        assert_eq!(share(3, 3), "3 of 3 messages (100.0 %)");
    }

    #[test]
    fn messages_of_other_kinds_do_not_lessen_the_share() {
        let of = |ticks, other_kinds| {
            of_those_meant(&Reading { ticks, other_kinds, ..Reading::default() }, 10)
        };
        assert_eq!(of(6, 0), "");
        assert_eq!(of(3, 6), ", leaving other kinds aside 3 of 4 messages (75.0 %)");
        assert_eq!(of(0, 10), ", as all are of other kinds");
    }

    #[test]
    fn a_message_is_shown_short_and_without_control_characters() {
        assert_eq!(shown(b"a\x00\nb"), "a\\0\\nb");
        assert_eq!(shown("é".repeat(300).as_bytes()), format!("{}…", "é".repeat(SHOWN)));
    }
}
