//! What a person should look at in ticks that flags make.

use super::hints;
use super::trial::{Outcome, Tally, Tried};
use common::decode::{ProvenanceNames, SymbolFrom, TimestampFrom};
use service::cli::MessageArgs;

/// Whose zone it is nobody but a person knows.
pub const SOME_ZONE: &str = "America/New_York";

/// What flags rest on beside themselves.
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
    let said = [
        (
            is_new_zone && !is_zone_told,
            "Name the zone in which the producer wrote its times.".to_owned(),
        ),
        (
            is_new_zone && is_zone_told,
            "The zone is the one in which most messages were sent within half an hour of their times: name the \
             producer's where that is another."
                .to_owned(),
        ),
        (
            timestamp_from == TimestampFrom::Record && timestamp_before != TimestampFrom::Record,
            "A tick's time is its record's: a replay of the topic's messages has others, and the archive must hold it."
                .to_owned(),
        ),
        (
            is_by_key || (symbol_from == SymbolFrom::Key && symbol_before != SymbolFrom::Key),
            "A tick's symbol is its record's key: see whether that is one, and whether the archive holds keys."
                .to_owned(),
        ),
        (
            args.map.is_some() && before.map.is_none(),
            "Which member is which was guessed by their names: see whether the tick is what was meant.".to_owned(),
        ),
        (
            args.oldest != before.oldest,
            "Times from 1970 on are taken: one in a wrong unit shows as a tick of 1970, and as a reject no more."
                .to_owned(),
        ),
        (
            args.allow_nonpositive_prices && !before.allow_nonpositive_prices,
            "Prices of zero and below are taken: a 0 that means \"no trade\" is the low of its minute, hour and day."
                .to_owned(),
        ),
        (
            args.conditions != before.conditions,
            "The trades alone are taken: the feed's other messages tell of the same trades once more, with or without \
             a volume."
                .to_owned(),
        ),
    ];
    said.into_iter().filter_map(|(is_so, note)| is_so.then_some(note)).collect()
}

/// What seems to be passed over. A preset knows where its volumes are.
pub fn of_ticks(args: &MessageArgs, found: &[Outcome], tried: &[Tried<'_>]) -> Vec<String> {
    let tally = Tally::of(found, tried);
    let conditions = args.rules(ProvenanceNames::default()).conditions;
    let mut notes = hints::of(&conditions, found, tried);
    if tally.ticks > 0 && tally.midnights == tally.ticks {
        notes.push(match tried.iter().find_map(|tried| tried.traits.time_of_day.as_ref()) {
            Some(name) => format!(
                "All times are midnights, and {name:?} is passed over: put the two together with \
                 --map timestamp=NAME,time_of_day={name:?}."
            ),
            None => "All times are midnights: right for days, and for nothing else.".to_owned(),
        });
    }
    if tally.ticks > 0
        && tried.iter().any(|tried| tried.sample.value.trim_ascii_start().starts_with(b"["))
    {
        notes.push(
            "Messages that are arrays as a whole are archived only where Connect wraps them: docs/message-format.md \
             says how."
                .to_owned(),
        );
    }
    if tally.ahead * 2 > tally.ticks {
        notes.push(
            "Most times are later than those of their records: see whether their zone is right (--timestamp-zone), \
             and whether it is the right member."
                .to_owned(),
        );
    }
    let is_lost = tally.lost_volumes > 0 && args.preset.is_none();
    if let Some(name) =
        tried.iter().find_map(|tried| tried.traits.volume.as_ref()).filter(|_| is_lost)
    {
        notes.push(format!(
            "Ticks have no volume, though {name:?} looks like one: name it with --map volume={name:?}, unless it is the \
             running total of a day."
        ));
    }
    notes
}
