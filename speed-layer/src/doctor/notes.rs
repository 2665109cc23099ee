//! Notes about ticks that flags make, for a person to look at.

use super::anatomy::{find_leaves, first_element, parse};
use super::command_line::command_line;
use super::hints;
use super::traits::is_volume;
use super::trial::{Outcome, Tally, Tried};
use common::decode::{Field, Path, ProvenanceNames, Rules, SymbolFrom, TimestampFrom};
use service::cli::MessageArgs;

/// Whose zone it is nobody but a person knows.
pub const SOME_ZONE: &str = "America/New_York";

/// Assumptions of the flags.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grounds {
    /// A preset takes keys for symbols.
    pub is_by_key: bool,
    /// The records' times tell the zone.
    pub is_zone_told: bool,
}

/// A sentence for each of the flags that `before` had not.
pub fn of_flags(args: &MessageArgs, before: &MessageArgs, grounds: Grounds) -> Vec<String> {
    let Grounds { is_by_key, is_zone_told } = grounds;
    let (symbol_from, timestamp_from) = args.sources();
    let (symbol_before, timestamp_before) = before.sources();
    let is_new_zone = args.timestamp_zone.is_some() && before.timestamp_zone.is_none();
    let notes = [
        (
            is_new_zone && !is_zone_told,
            "Name the zone in which the producer wrote its times.".to_owned(),
        ),
        (
            is_new_zone && is_zone_told,
            "The zone is the one in which most messages were sent within half an hour of their \
             times: name the producer's where that is another."
                .to_owned(),
        ),
        (
            timestamp_from == TimestampFrom::Record && timestamp_before != TimestampFrom::Record,
            "A tick's time is its record's: a replay of the topic's messages has others, and the \
             archive must hold it."
                .to_owned(),
        ),
        (
            is_by_key || (symbol_from == SymbolFrom::Key && symbol_before != SymbolFrom::Key),
            "A tick's symbol is its record's key: see whether that is one, and whether the archive \
             holds keys."
                .to_owned(),
        ),
        (
            args.map != before.map,
            "Which member is which was guessed by their names: see whether the tick is what was \
             meant.".to_owned(),
        ),
        (
            args.oldest != before.oldest,
            "Times from 1970 on are taken: one in a wrong unit shows as a tick of 1970, and as a \
             reject no more."
                .to_owned(),
        ),
        (
            args.timestamp_unit != before.timestamp_unit,
            "The unit is the one in which numbers are close to the times of their records: see \
             whether the producer counts in UTC."
                .to_owned(),
        ),
        (
            args.allow_nonpositive_prices && !before.allow_nonpositive_prices,
            "Prices of zero and below are taken: a 0 that means \"no trade\" is the low of its \
             minute, hour and day."
                .to_owned(),
        ),
        (
            args.conditions != before.conditions,
            "The trades alone are taken: the feed's other messages tell of the same trades once \
             more, with or without a volume."
                .to_owned(),
        ),
    ];
    notes.into_iter().filter_map(|(is_so, note)| is_so.then_some(note)).collect()
}

/// Members that seem to be passed over. A preset knows where its volumes are.
pub fn of_ticks(args: &MessageArgs, found: &[Outcome], tried: &[Tried<'_>]) -> Vec<String> {
    let tally = Tally::of(found, tried);
    let rules = args.rules(ProvenanceNames::default());
    let mut notes = hints::of(&rules.conditions, found, tried);
    if tally.ticks == 0 {
        return notes;
    }
    if tally.midnights == tally.ticks {
        notes.push(of_midnights(&rules, tried));
    }
    if tried.iter().any(|tried| tried.sample.value.trim_ascii_start().starts_with(b"[")) {
        notes.push(
            "Messages that are arrays as a whole are archived only where Connect wraps them: \
             docs/message-format.md says how."
                .to_owned(),
        );
    }
    if tried.iter().any(|tried| tried.traits.has_more) {
        notes.push(
            "Messages hold several values, of which the first alone is read: the producer must \
             send each in a message of its own, or all in an array."
                .to_owned(),
        );
    }
    if tally.ahead * 2 > tally.ticks {
        notes.push(
            "Most times are later than those of their records: see whether their zone is right \
             (--timestamp-zone), and whether it is the right member."
                .to_owned(),
        );
    }
    let volume = volume_beside(&rules, found, tried).filter(|_| args.preset.is_none());
    notes.extend(volume.map(|path| {
        let flags = command_line(&with_member(args, Field::Volume, path.clone()));
        format!(
            "Ticks have no volume, though {path} looks like one: {flags} takes it, unless it is \
             the running total of a day."
        )
    }));
    notes
}

/// The flags with a field in another member.
pub fn with_member(args: &MessageArgs, field: Field, path: Path) -> MessageArgs {
    let mut map = args.map.clone().unwrap_or_default();
    map.paths.retain(|(mapped, _)| *mapped != field);
    map.paths.push((field, path));
    MessageArgs { map: Some(map), ..args.clone() }
}

fn of_midnights(rules: &Rules, tried: &[Tried<'_>]) -> String {
    let is_put_together = !rules.mapping.paths(Field::TimeOfDay).is_empty();
    let times = || tried.iter().map(|tried| &tried.traits.times);
    let of_day = times().find_map(|times| times.of_day.as_ref()).filter(|_| !is_put_together);
    let unread = times().find_map(|times| times.unread_of_day());
    match (of_day, unread) {
        (Some(of_day), _) => format!(
            "All times are midnights, and {0:?} is passed over: put the two together with \
             --map timestamp=NAME,time_of_day={1}.",
            of_day.name(),
            of_day.path
        ),
        (None, Some(unread)) => format!(
            "All times are midnights, and {:?}, which may be the time of day, is none that is \
             read: {} should be written as 10:00:01.",
            unread.name(),
            unread.text
        ),
        (None, None) => "All times are midnights: right for days, and for nothing else.".to_owned(),
    }
}

/// The member that looks like a volume in a tick that has none, where its fields are looked for.
fn volume_beside(rules: &Rules, found: &[Outcome], tried: &[Tried<'_>]) -> Option<Path> {
    let is_none = |path: &Path| path.to_string() == "none";
    if rules.mapping.paths(Field::Volume).iter().any(is_none) {
        return None;
    }
    let is_mapped =
        |path: &Path| Field::ALL.into_iter().any(|field| rules.mapping.paths(field).contains(path));
    let has_none = |outcome: &Outcome| matches!(outcome, Outcome::Tick(facts) if !facts.has_volume);
    let mut without = found.iter().zip(tried).filter(|(outcome, _)| has_none(outcome));
    let beside = |(_, tried): (&Outcome, &Tried<'_>)| {
        let value = parse(&tried.sample.value)?;
        let (element, _) =
            first_element(&value, rules.each.as_ref()).or_else(|| first_element(&value, None))?;
        let all = find_leaves(element);
        let volumes = all.iter().filter(|leaf| is_volume(leaf));
        let mut paths = volumes.filter_map(|leaf| Path::new(&leaf.path));
        paths.find(|path| !is_mapped(path))
    };
    without.find_map(beside)
}
