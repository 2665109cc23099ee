//! In which zone times without an offset were written. Topics are mostly written at once: so the
//! zone is the one in which most times are shortly before those of their records.

use super::command_line::command_line;
use super::notes::SOME_ZONE;
use super::trial::{Facts, Outcome, Tried, outcomes};
use common::Timestamp;
use common::decode::{ProvenanceNames, TimestampFrom};
use common::timestamp::TimeZone;
use service::cli::MessageArgs;

/// The zones that are tried: of two that are alike in winter the first. No two differ by less than
/// half an hour. docs/message-format.md has the list.
const ZONES: [&str; 10] = [
    "UTC",
    "America/New_York",
    "America/Chicago",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Hong_Kong",
    "Asia/Tokyo",
    "Australia/Sydney",
];

/// The result of the search for a zone.
pub enum ZoneFinding {
    /// None is needed, or one was given; or there are dates alone, for which any is an example.
    NotNeeded,
    /// The flags with the right one.
    Found(Box<MessageArgs>),
    /// The note about it.
    Unknown(String),
}

/// Looks for the zone of the times that the flags `found` need one for. A zone given `before`
/// stays.
pub fn find_zone(
    found: &MessageArgs,
    before: &MessageArgs,
    tried: &[Tried<'_>],
    now: Timestamp,
) -> ZoneFinding {
    if before.timestamp_zone.is_some() || found.sources().1 == TimestampFrom::Record {
        return ZoneFinding::NotNeeded;
    }
    let parse = |name: &str| name.parse::<TimeZone>().ok();
    let (Some(utc), Some(tokyo)) = (parse("UTC"), parse("Asia/Tokyo")) else {
        return ZoneFinding::NotNeeded;
    };
    let mut times = Times { found, tried, now, local: Vec::new() };
    times.local = times.that_differ(&utc, &tokyo);
    if times.are_dates_alone(&utc) {
        return ZoneFinding::NotNeeded;
    }
    let current = found.rules(ProvenanceNames::default()).times.zone;
    let explicit = tried.iter().find_map(|tried| tried.traits.zone.clone());
    let all = explicit.iter().chain(&current).cloned().chain(ZONES.into_iter().filter_map(parse));
    if let Some(best) = times.best_of(all) {
        return match found.timestamp_zone.is_none() && current.as_ref() == Some(&best) {
            true => ZoneFinding::NotNeeded,
            false => times.with_zone(best),
        };
    }
    match (explicit, current) {
        (Some(explicit), _) if !times.are_ahead(&explicit) => times.with_zone(explicit),
        // A preset's.
        (_, Some(zone)) if found.timestamp_zone.is_none() && !times.are_ahead(&zone) => {
            ZoneFinding::NotNeeded
        }
        _ => ZoneFinding::Unknown(times.describe_unknown()),
    }
}

/// Times without an offset.
struct Times<'t> {
    found: &'t MessageArgs,
    tried: &'t [Tried<'t>],
    now: Timestamp,
    /// The samples' numbers.
    local: Vec<usize>,
}

impl Times<'_> {
    fn with(&self, zone: TimeZone) -> MessageArgs {
        MessageArgs { timestamp_zone: Some(zone), ..self.found.clone() }
    }

    fn with_zone(&self, zone: TimeZone) -> ZoneFinding {
        ZoneFinding::Found(Box::new(self.with(zone)))
    }

    /// The tick that each sample is in a zone, if it is one.
    fn all_in(&self, zone: &TimeZone) -> Vec<Option<Facts>> {
        let rules = self.with(zone.clone()).rules(ProvenanceNames::default());
        let tick = |outcome| match outcome {
            Outcome::Tick(facts) => Some(facts),
            Outcome::OtherKind | Outcome::Reject => None,
        };
        outcomes(rules, self.tried, self.now).into_iter().map(tick).collect()
    }

    fn that_differ(&self, one: &TimeZone, other: &TimeZone) -> Vec<usize> {
        let both = self.all_in(one).into_iter().zip(self.all_in(other)).enumerate();
        let differ = both.filter(|(_, (one, other))| match (one, other) {
            (Some(one), Some(other)) => one.at != other.at,
            _ => false,
        });
        differ.map(|(at, _)| at).collect()
    }

    fn count(&self, zone: &TimeZone, is_so: impl Fn(&Facts) -> bool) -> usize {
        let all = self.all_in(zone);
        self.local.iter().filter(|at| all[**at].as_ref().is_some_and(&is_so)).count()
    }

    fn are_dates_alone(&self, utc: &TimeZone) -> bool {
        self.count(utc, |facts| facts.is_midnight) == self.local.len()
    }

    fn are_ahead(&self, zone: &TimeZone) -> bool {
        self.count(zone, Facts::is_ahead) * 2 > self.local.len()
    }

    /// The first of those in which the most times are shortly before their records': most of them
    /// must be.
    fn best_of(&self, zones: impl Iterator<Item = TimeZone>) -> Option<TimeZone> {
        let mut best = (self.local.len() / 2, None);
        for zone in zones {
            let count = self.count(&zone, Facts::is_sent_at_once);
            if count > best.0 {
                best = (count, Some(zone));
            }
        }
        best.1
    }

    fn describe_unknown(&self) -> String {
        let flags = MessageArgs { timestamp_zone: SOME_ZONE.parse().ok(), ..self.found.clone() };
        let flags = command_line(&flags).replace(SOME_ZONE, "ZONE");
        format!(
            "The times have no offset, and those of their records do not tell in which zone they \
             were written: name the producer's in place of ZONE: {flags}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_the_zones_that_are_tried() {
        let place = |zone: &str| zone.rsplit('/').next().unwrap_or(zone).replace('_', " ");
        let (last, others) = ZONES.split_last().unwrap();
        let others = others.iter().map(|zone| place(zone)).collect::<Vec<_>>().join(", ");
        let list = format!("{others} or {}", place(last)).replace("Sao", "São");
        let manual = include_str!("../../../docs/message-format.md");
        let manual = manual.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(manual.contains(&format!("or {list}.")), "{list}");
    }
}
