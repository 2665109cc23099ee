//! Signs that ticks are not what they pass for: changes of rows, quotes and orders among trades, a
//! day's prices as a bar, the running total of a day as a volume.

use super::trial::{Facts, Outcome, Tried};
use common::Volume;
use common::decode::Condition;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A member with more values than this tells no kinds.
const KINDS: usize = 8;
/// Members of which is said that they tell kinds.
const SAID: usize = 3;
/// So many volumes of a symbol tell whether they only rise, and so many rises.
const VOLUMES: usize = 10;
const RISES: usize = 5;
/// A whole number from here on is hardly a price: a billion, in billionths.
const LARGE: i64 = 1_000_000_000_000_000_000;

/// Kinds that are meant mostly, in lower case.
const MEANT: [&str; 13] = [
    "trade",
    "trades",
    "t",
    "match",
    "fill",
    "execution",
    "insert",
    "insertion",
    "create",
    "c",
    "i",
    "+i",
    "false",
];
/// Words for a row that is gone, in lower case.
const DELETED: [&str; 6] = ["d", "-d", "delete", "deleted", "remove", "removed"];
/// Those for one that is another, or was before, where operations are told.
const CHANGED: [&str; 6] = ["u", "+u", "-u", "update", "updated", "update_before"];

/// What to say of the ticks that these samples are. `conditions`: what is asked of their kinds
/// already.
pub fn of(conditions: &[Condition], found: &[Outcome], tried: &[Tried<'_>]) -> Vec<String> {
    let tick = |(outcome, tried): (&Outcome, _)| match outcome {
        Outcome::Tick(facts) => Some((*facts, tried)),
        Outcome::OtherKind | Outcome::Reject => None,
    };
    let ticks: Vec<(Facts, &Tried<'_>)> = found.iter().zip(tried).filter_map(tick).collect();
    let mut hints = kinds(conditions, &ticks);
    hints.extend(day_price(&ticks));
    hints.extend(rising_volume(&ticks));
    hints.extend(order(&ticks));
    hints.extend(large_price(&ticks));
    hints
}

/// Members that tell kinds of which several are ticks, or one that is no new row.
fn kinds(conditions: &[Condition], ticks: &[(Facts, &Tried<'_>)]) -> Vec<String> {
    let mut said: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in ticks.iter().flat_map(|(_, tried)| &tried.traits.kinds) {
        said.entry(name).or_default().insert(value);
    }
    let is_asked = |name: &str| {
        let asks = |path: String| name == path || name.ends_with(&format!(".{path}"));
        conditions.iter().any(|condition| asks(condition.path.to_string()))
    };
    said.into_iter()
        .filter(|(name, values)| {
            let is_old = values.iter().any(|value| is_old_row(name, value));
            !is_asked(name) && (is_old || (2..=KINDS).contains(&values.len()))
        })
        .take(SAID)
        .map(|(name, values)| kinds_of(name, &values))
        .collect()
}

/// Whether it tells of a row that was there before.
fn is_old_row(name: &str, value: &str) -> bool {
    let own = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let tells_operations = own.contains("op") || own == "action" || own == "rowkind";
    let value = value.to_ascii_lowercase();
    let is_word = value.len() > 2;
    match own.trim_matches(['_', '"']) {
        "deleted" | "isdeleted" | "is_deleted" => value == "true",
        _ if tells_operations => {
            DELETED.contains(&value.as_str()) || CHANGED.contains(&value.as_str())
        }
        // By a letter feeds tell other things: Alpaca's `d` is the bar of a day.
        _ => is_word && DELETED.contains(&value.as_str()),
    }
}

fn kinds_of(name: &str, values: &BTreeSet<&str>) -> String {
    let is_new = |value: &&&str| !is_old_row(name, value);
    let is_meant = |value: &&&str| MEANT.contains(&value.to_ascii_lowercase().as_str());
    let new = values.iter().filter(is_new);
    let meant = new.clone().find(is_meant).or(new.clone().next()).copied().unwrap_or("VALUE");
    let said = values.iter().copied().collect::<Vec<_>>().join(", ");
    let why = match values.iter().any(|value| is_old_row(name, value)) {
        true => "a row that is changed or deleted is no new trade",
        false => "some may be no trades",
    };
    format!(
        "{name} says {said}, and all of these are ticks, but {why}: take those that are, as by --where {name}={meant}"
    )
}

/// A price beside another open and close: of a quote that tells of its day.
fn day_price(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let named = |(facts, tried): &(Facts, &Tried<'_>)| {
        tried.traits.day_price.clone().filter(|_| facts.is_bar)
    };
    let names: Vec<String> = ticks.iter().filter_map(named).collect();
    let name = names.first().filter(|_| names.len() * 10 >= ticks.len())?;
    Some(format!(
        "Ticks are bars, and the {name} beside open and close is another price. Where open is that of the day and close \
         the day's before, take {name} alone: --map price={name}, with the size of the last trade as volume."
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
        "Volumes only ever rise, as the running total of a day does, which sums would count again with each tick: \
         name the size of the trade alone (--map volume=NAME)."
            .to_owned()
    })
}

/// A member that orders have.
fn order(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    let names: Vec<&String> =
        ticks.iter().filter_map(|(_, tried)| tried.traits.order.as_ref()).collect();
    let name = names.first().filter(|_| names.len() * 2 > ticks.len())?;
    Some(format!(
        "By {name} these may be orders, whose prices are no trades: take what was executed alone (--where)."
    ))
}

fn large_price(ticks: &[(Facts, &Tried<'_>)]) -> Option<String> {
    const ONE: i64 = 1_000_000_000;
    let is_large = |facts: &Facts| facts.price_nanos >= LARGE && facts.price_nanos % ONE == 0;
    let large = ticks.iter().filter(|(facts, _)| is_large(facts)).count();
    (large * 2 > ticks.len()).then(|| {
        "Prices are whole numbers of a billion and more: where they are fixed-point numbers, as of billionths, the \
         producer must divide them, which no flag does."
            .to_owned()
    })
}
