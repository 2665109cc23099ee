//! What can be chosen beside what was said, and what is guessed of the messages for it.

use super::super::anatomy::{parse, ways};
use super::super::books::is_book;
use super::super::guess::{Guess, guess};
use super::super::notes::SOME_ZONE;
use super::super::trial::{Tally, Tried, outcomes};
use super::{GOOD_SHARE, Search};
use common::decode::{MapEntries, Path, Preset, Rules, SymbolFrom, TimestampFrom, is_an_id};
use common::{Named, Timestamp};
use serde_json::Value;
use service::cli::{MessageArgs, Oldest};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// Ways to arrays that are tried: the commonest.
const WAYS: usize = 3;
/// Keys that name what a topic holds, and no symbol.
const NAMES: [&str; 10] =
    ["trade", "trades", "tick", "ticks", "price", "prices", "quote", "quotes", "stock", "stocks"];

impl Search<'_> {
    /// Every combination of choices that leaves alone what was chosen already. What is less of a
    /// guess stands in front.
    pub fn candidates(&self, args: &MessageArgs) -> Vec<MessageArgs> {
        let steps =
            [self.zones(args), self.record_time(args), self.symbols(args), self.layouts(args)];
        let mut all = vec![args.clone()];
        for choices in steps {
            let so_far = all.clone();
            for choice in choices {
                all.extend(so_far.iter().map(|made| choice.made_in(made)));
            }
        }
        all
    }

    fn zones(&self, args: &MessageArgs) -> Vec<Choice> {
        let is_open = args.timestamp_zone.is_none() && args.sources().1 == TimestampFrom::Value;
        if is_open { vec![Choice::Zone] } else { Vec::new() }
    }

    /// Only of messages that have no time of their own, be it one that is not read.
    fn record_time(&self, args: &MessageArgs) -> Vec<Choice> {
        let has_time = self.tried.iter().any(|tried| tried.traits.time.is_some());
        let is_open = args.sources().1 == TimestampFrom::Value && !has_time;
        if is_open { vec![Choice::RecordTime] } else { Vec::new() }
    }

    /// A key is a symbol only where it comes again and again, or looks like one; a topic only where
    /// it is one of several.
    fn symbols(&self, args: &MessageArgs) -> Vec<Choice> {
        if matches!(args.sources().0, SymbolFrom::Key | SymbolFrom::Topic) {
            return Vec::new();
        }
        let topics: HashSet<_> = self.samples.iter().map(|sample| sample.topic.as_str()).collect();
        let mut choices = Vec::new();
        if self.keys_may_be_symbols() {
            choices.push(Choice::Key);
        }
        if topics.len() > 1 {
            choices.push(Choice::Topic);
        }
        choices
    }

    pub fn keys_may_be_symbols(&self) -> bool {
        let keys: HashSet<_> =
            self.samples.iter().filter_map(|sample| sample.key.as_deref()).collect();
        let come_again = match self.samples.len() {
            0..10 => keys.iter().all(|key| looks_like_a_symbol(key)),
            all => keys.len() * 2 <= all,
        };
        // One that all messages have may be a name for all.
        let is_a_name = |key: &[u8]| {
            let key = str::from_utf8(key).unwrap_or_default();
            let is_topic = self.samples.iter().any(|sample| sample.topic == key);
            is_topic || NAMES.contains(&key.to_ascii_lowercase().as_str())
        };
        let is_one_name = keys.len() == 1 && keys.iter().all(|key| is_a_name(key));
        !keys.is_empty() && come_again && !is_one_name
    }

    /// Whether messages are ticks only because a preset takes the key for the symbol where they
    /// have none.
    pub fn is_by_key(&self, rules: &Rules) -> bool {
        let ticks = |symbol_from| {
            let rules = Rules { symbol_from, ..rules.clone() };
            Tally::of(&outcomes(rules, &self.tried, self.now), &self.tried).ticks
        };
        rules.symbol_from == SymbolFrom::ValueOrKey
            && ticks(SymbolFrom::Value) < ticks(SymbolFrom::ValueOrKey)
    }

    fn layouts(&self, args: &MessageArgs) -> Vec<Choice> {
        let ways = self.guesses.iter().filter(|(way, _)| way.is_none() || args.each.is_none());
        let mut choices = Vec::new();
        for (way, guess) in ways {
            let mut add = |layout: Layout| choices.push(Choice::Layout(way.clone(), layout));
            if way.is_some() {
                add(Layout::Usual);
            }
            if !self.is_chosen(args) {
                Preset::ALL.iter().for_each(|(preset, ..)| add(Layout::Preset(*preset)));
                guess.entries.iter().for_each(|entries| add(Layout::Map(entries.clone())));
            }
        }
        choices
    }

    /// What may be lifted beside: where many messages look as if they needed it.
    pub fn guards(&self) -> Vec<Choice> {
        let old = self.tried.iter().filter(|tried| tried.traits.is_old).count();
        let mut guards = Vec::new();
        if self.args.oldest == Oldest::default() && old > 0 && old * GOOD_SHARE >= self.tried.len()
        {
            guards.push(Choice::OlderDays);
        }
        if !self.args.allow_nonpositive_prices {
            guards.push(Choice::AnyPrice);
        }
        guards
    }
}

fn looks_like_a_symbol(key: &[u8]) -> bool {
    let text = str::from_utf8(key).unwrap_or_default();
    let has_letter = text.chars().any(char::is_alphabetic);
    has_letter && text.len() <= 32 && !is_an_id(text) && !text.starts_with(['{', '['])
}

/// A guess for messages as they are, and one for each of the commonest ways to what may be elements
/// of them.
pub fn guesses(args: &MessageArgs, tried: &[Tried<'_>]) -> Vec<(Option<Path>, Guess)> {
    let values: Vec<Value> = tried.iter().filter_map(|tried| parse(&tried.sample.value)).collect();
    let mut found: BTreeMap<String, (usize, Path)> = BTreeMap::new();
    for value in &values {
        for way in ways(value).into_iter().filter(|way| !is_book(value, way)) {
            found.entry(way.to_string()).or_insert((0, way)).0 += 1;
        }
    }
    let mut found: Vec<(usize, Path)> = found.into_values().collect();
    found.sort_by_key(|(count, way)| (Reverse(*count), way.names().len()));
    let ways = found.into_iter().take(WAYS).map(|(_, way)| Some(way));
    let all = std::iter::once(None).chain(ways);
    all.map(|way| {
        let from = way.as_ref().or(args.each.as_ref()).cloned();
        let guess = commonest_guess(&values, from.as_ref());
        (way, guess)
    })
    .collect()
}

/// What is guessed of the most samples.
fn commonest_guess(values: &[Value], way: Option<&Path>) -> Guess {
    let mut guesses: BTreeMap<String, (usize, Guess)> = BTreeMap::new();
    for guess in
        values.iter().map(|value| guess(value, way)).filter(|guess| *guess != Guess::default())
    {
        guesses.entry(format!("{guess:?}")).or_insert((0, guess)).0 += 1;
    }
    guesses
        .into_values()
        .max_by_key(|(count, _)| *count)
        .map(|(_, guess)| guess)
        .unwrap_or_default()
}

/// What can be chosen beside what was.
#[derive(Debug, Clone)]
pub enum Choice {
    Zone,
    RecordTime,
    Key,
    Topic,
    /// Where the elements are, and the fields in them.
    Layout(Option<Path>, Layout),
    OlderDays,
    AnyPrice,
}

#[derive(Debug, Clone)]
pub enum Layout {
    /// By the usual names.
    Usual,
    Preset(Preset),
    Map(MapEntries),
}

impl Choice {
    pub fn made_in(&self, args: &MessageArgs) -> MessageArgs {
        let mut args = args.clone();
        match self {
            Self::Zone => args.timestamp_zone = SOME_ZONE.parse().ok(),
            Self::RecordTime => args.timestamp_from = TimestampFrom::Record,
            Self::Key => args.symbol_from = SymbolFrom::Key,
            Self::Topic => args.symbol_from = SymbolFrom::Topic,
            Self::Layout(way, layout) => {
                args.each = way.clone().or(args.each);
                match layout {
                    Layout::Usual => {}
                    Layout::Preset(preset) => args.preset = Some(*preset),
                    Layout::Map(entries) => args.map = Some(entries.clone()),
                }
            }
            Self::OlderDays => args.oldest = Oldest(Timestamp::from_micros(0)),
            Self::AnyPrice => args.allow_nonpositive_prices = true,
        }
        args
    }
}
