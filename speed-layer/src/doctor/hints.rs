//! Signs that ticks are not what they pass for: quotes and orders, sides as symbols, a day's prices
//! as a bar, the running total of a day as a volume, times that are years before their records.

use super::kinds;
use super::trial::{Facts, Outcome, Tried};
use common::decode::Condition;
use common::{Timestamp, Volume};
use std::collections::HashMap;

/// This many volumes of a symbol tell whether they only rise, and this many rises.
const VOLUMES: usize = 10;
const RISES: usize = 5;
/// A whole number from here on is hardly a price: a billion, in billionths.
const LARGE: i64 = 1_000_000_000_000_000_000;
/// A number as a time that is so long before its record may count from another day than 1970.
const LONG: i64 = 5 * 365 * Timestamp::DAY;

/// Hints about the ticks that these samples are. `conditions`: those that the flags have already.
pub fn of(conditions: &[Condition], found: &[Outcome], tried: &[Tried<'_>]) -> Vec<String> {
    let tick = |(outcome, tried): (&Outcome, _)| match outcome {
        Outcome::Tick(facts) => Some((*facts, tried)),
        Outcome::OtherKind | Outcome::Reject => None,
    };
    let ticks: Vec<(Facts, &Tried<'_>)> = found.iter().zip(tried).filter_map(tick).collect();
    let mut hints = kinds::of(conditions, &ticks);
    hints.extend(hint_sides(&ticks));
    hints.extend(hint_old_times(&ticks));
    hints.extend(day_price(&ticks));
    hints.extend(rising_volume(&ticks));
    hints.extend(order(&ticks));
    hints.extend(large_price(&ticks));
    hints
}

/// The side of a trade in the place of its symbol.
fn hint_sides(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let sides = ticks.iter().filter(|(facts, _)| facts.is_side).count();
    (sides * 2 > ticks.len()).then(|| {
        "Symbols are buy and sell, the sides of trades: name the member that has the symbol (--map \
         symbol=NAME)."
            .to_owned()
    })
}

/// Numbers as times, years before those of their records.
fn hint_old_times(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let is_one = |(facts, tried): &&(Facts, &Tried<'_>)| {
        facts.lead.is_some_and(|lead| lead < -LONG) && !tried.traits.times.has_old_text
    };
    let all: Vec<_> = ticks.iter().filter(is_one).collect();
    let (facts, tried) = all.first().filter(|_| all.len() * 2 > ticks.len())?;
    let sent = tried.sample.time?;
    Some(format!(
        "Most times are years before those of their records, as {} in one of {sent}: right for \
         history that was loaded later; otherwise the numbers count from another day than 1970, \
         which the producer must change.",
        facts.at
    ))
}

/// A hint about a price next to another open and close: a quote that tells of its day.
fn day_price(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let named = |(facts, tried): &(Facts, &Tried<'_>)| {
        tried.traits.day_price.clone().filter(|_| facts.is_bar)
    };
    let names: Vec<String> = ticks.iter().filter_map(named).collect();
    let name = names.first().filter(|_| names.len() * 10 >= ticks.len())?;
    Some(format!(
        "Ticks are bars, and the {name} beside open and close is another price. Where open is that \
         of the day and close the day's before, take {name} alone: --map price={name}, with the \
         size of the last trade as volume."
    ))
}

/// Volumes that only ever rise, symbol by symbol.
fn rising_volume(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let mut by_symbol: HashMap<_, Vec<Volume>> = HashMap::new();
    for (facts, tried) in ticks {
        let place = (facts.symbol, &tried.sample.topic, tried.sample.partition);
        by_symbol.entry(place).or_default().extend(facts.volume);
    }
    let long: Vec<Vec<Volume>> =
        by_symbol.into_values().filter(|volumes| volumes.len() >= VOLUMES).collect();
    let rises = |volumes: &&Vec<Volume>| {
        let mut pairs = volumes.windows(2);
        let rises = volumes.windows(2).filter(|pair| pair[0] < pair[1]).count();
        pairs.all(|pair| pair[0] <= pair[1]) && rises >= RISES
    };
    let rising = long.iter().filter(rises).count();
    (rising > 0 && rising * 10 >= long.len() * 9).then(|| {
        "Volumes only ever rise, as the running total of a day does, which sums would count again \
         with each tick: name the size of the trade alone (--map volume=NAME)."
            .to_owned()
    })
}

/// A member that orders have, or that says so.
fn order(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let named = |(_, tried): &(Facts, &Tried<'_>)| {
        let traits = &tried.traits;
        traits.order.clone().or_else(|| traits.book.clone())
    };
    let names: Vec<String> = ticks.iter().filter_map(named).collect();
    let name = names.first().filter(|_| names.len() * 2 > ticks.len())?;
    Some(format!(
        "By {name} these may be orders, quotes or levels of a book, whose prices are no trades: \
         take what was executed alone (--where)."
    ))
}

fn large_price(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    const ONE: i64 = 1_000_000_000;
    let is_large = |facts: &Facts| facts.price_nanos >= LARGE && facts.price_nanos % ONE == 0;
    let large = ticks.iter().filter(|(facts, _)| is_large(facts)).count();
    (large * 2 > ticks.len()).then(|| {
        "Prices are whole numbers of a billion and more: where they are fixed-point numbers, as of \
         billionths, the producer must divide them, which no flag does."
            .to_owned()
    })
}
