//! [`Search`]: every choice of flags, tried on samples.

use crate::doctor::anatomy::{find_ways, parse};
use crate::doctor::books::is_book;
use crate::doctor::guess::{Guess, guess};
use crate::doctor::notes::SOME_ZONE;
use crate::doctor::sampling::Sample;
use crate::doctor::trial::{Outcome, Tally, Tried, outcomes};
use common::decode::{
    Condition, Conditions, Field, MapEntries, Path, Preset, ProvenanceNames, Rules, SymbolFrom,
    TimestampFrom, is_an_id,
};
use common::timestamp::EpochUnit;
use common::{Named, Timestamp};
use serde_json::Value;
use service::cli::{MessageArgs, Oldest};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// How many samples each choice is tried on, and about how many bytes of them.
const TRIED: usize = 200;
const TRIED_BYTES: usize = 256 << 10;
/// Ways to arrays that are tried: the commonest.
const WAYS: usize = 3;
/// A guard against nonsense is lifted where so large a part of the messages needs it: a tenth.
pub const GOOD_SHARE: usize = 10;
/// Keys that name what a topic holds, and no symbol.
const NAMES: [&str; 10] =
    ["trade", "trades", "tick", "ticks", "price", "prices", "quote", "quotes", "stock", "stocks"];

/// How good a choice is, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CandidateScore {
    /// Messages that are ticks which may be meant, or of a kind that is known and not meant.
    understood: usize,
    /// Whether it is the preset of a feed that says which messages it sends.
    is_own_preset: bool,
    /// Volumes, times of day and last prices that are passed over.
    lost: Reverse<usize>,
    /// Ticks that are surely meant.
    close: usize,
    with_volume: usize,
    /// How much had to be chosen.
    cost: Reverse<usize>,
}

/// The search for flags.
pub struct Search<'s> {
    pub args: &'s MessageArgs,
    pub now: Timestamp,
    pub samples: &'s [Sample],
    pub tried: Vec<Tried<'s>>,
    /// The outcomes by the flags as they are.
    pub before: Vec<Outcome>,
    /// Guesses, each for the way to the elements that it was made of.
    pub guesses: Vec<(Option<Path>, Guess)>,
}

impl<'s> Search<'s> {
    pub fn new(args: &'s MessageArgs, samples: &'s [Sample], now: Timestamp) -> Self {
        let bytes: usize = samples.iter().map(|sample| sample.value.len()).sum();
        let step = samples.len().div_ceil(TRIED).max(bytes.div_ceil(TRIED_BYTES)).max(1);
        let tried: Vec<Tried<'_>> = samples.iter().step_by(step).map(Tried::new).collect();
        let before = outcomes(args.rules(ProvenanceNames::default()), &tried, now);
        let guesses = make_guesses(args, &tried);
        Self { args, now, samples, tried, before, guesses }
    }

    pub fn outcomes(&self, args: &MessageArgs) -> Vec<Outcome> {
        outcomes(args.rules(ProvenanceNames::default()), &self.tried, self.now)
    }

    pub fn tally(&self, args: &MessageArgs) -> Tally {
        Tally::of(&self.outcomes(args), &self.tried)
    }

    /// `None` where nothing is better than the flags as they are.
    pub fn best(&self) -> Option<MessageArgs> {
        let mut best = self.best_from(self.args);
        for guard in self.guards() {
            let (score, lifted) = self.best_from(&guard.apply_to(&best.1));
            let (score, lifted) = match score.understood > best.0.understood {
                true => (score, lifted),
                // Together with other choices, too.
                false => self.best_from(&guard.apply_to(self.args)),
            };
            if (score.understood.saturating_sub(best.0.understood)) * GOOD_SHARE >= self.tried.len()
            {
                best = (score, lifted);
            }
        }
        let current = self.score(self.args)?;
        (best.0 > current).then_some(best.1)
    }

    /// The flags for the trades alone, where a feed's messages of another kind tell of the same
    /// trades once more. `None` if there are none of either, or if some messages do not tell their
    /// kind.
    pub fn trades_alone(&self, args: &MessageArgs) -> Option<MessageArgs> {
        let preset = args.preset?;
        let trades = preset.trades()?;
        let given = args.conditions.clone().unwrap_or_default().0;
        if given.iter().any(|given| trades.0.iter().any(|trade| trade.path == given.path)) {
            return None;
        }
        let only = |kinds: Vec<Condition>| MessageArgs {
            conditions: Some(Conditions(given.iter().cloned().chain(kinds).collect())),
            ..args.clone()
        };
        let must = |condition: Condition| Condition { is_optional: false, ..condition };
        let all_kinds = only(preset.conditions().into_iter().map(must).collect());
        let trades = only(trades.0);
        let [all, of_all_kinds, alone] =
            [args, &all_kinds, &trades].map(|args| self.tally(args).ticks);
        (all == of_all_kinds && 0 < alone && alone < all).then_some(trades)
    }

    pub fn best_from(&self, args: &MessageArgs) -> (CandidateScore, MessageArgs) {
        const WORST: CandidateScore = CandidateScore {
            understood: 0,
            is_own_preset: false,
            lost: Reverse(usize::MAX),
            close: 0,
            with_volume: 0,
            cost: Reverse(usize::MAX),
        };
        let mut best = (self.score(args).unwrap_or(WORST), args.clone());
        if best.0.understood == self.tried.len() && !best.0.is_own_preset && self.is_chosen(args) {
            return best;
        }
        for candidate in self.candidates(args) {
            let score = self.score(&candidate);
            if score.is_some_and(|score| score > best.0) {
                best = (score.unwrap_or(WORST), candidate);
            }
        }
        best
    }

    /// Whether it was said where the fields are.
    pub fn is_chosen(&self, args: &MessageArgs) -> bool {
        args.preset.is_some() || args.map.is_some()
    }

    /// `None` for a choice that passes over what messages have, or contradicts itself.
    fn score(&self, args: &MessageArgs) -> Option<CandidateScore> {
        args.check().ok()?;
        let rules = args.rules(ProvenanceNames::default());
        let is_current = args.flags() == self.args.flags();
        let found = outcomes(rules.clone(), &self.tried, self.now);
        let tally = Tally::of(&found, &self.tried);
        let own =
            if self.is_chosen(self.args) { Own::default() } else { self.own(args, rules.clone()) };
        if !is_current && self.changes(&found, &own) {
            return None;
        }
        let meant = self.meant(&found);
        let is_in_vain = tally.ticks > meant && meant <= self.ticks_before();
        if is_in_vain {
            return None;
        }
        let is_by_key = !is_current && self.is_by_key(&rules);
        if is_by_key && !self.keys_may_be_symbols() {
            return None;
        }
        let is_anothers = args.preset.is_some() && !self.is_chosen(self.args) && !own.is_one;
        if is_anothers && (tally.lost_volumes > 0 || tally.day_quotes > 0) {
            return None;
        }
        let is_known = |(outcome, is_read): (&Outcome, &bool)| {
            *outcome == Outcome::OtherKind && (*is_read || own.is_common)
        };
        let other_kinds =
            found.iter().zip(&own.loosely).filter(|pair| own.is_one && is_known(*pair)).count();
        let by_key = usize::from(is_by_key) + usize::from(is_by_key && args.preset.is_some());
        let lost = tally.lost_times + tally.day_prices;
        Some(CandidateScore {
            understood: meant + other_kinds,
            is_own_preset: own.is_one,
            lost: Reverse(lost + if own.is_one { 0 } else { tally.lost_volumes }),
            close: tally.close,
            with_volume: tally.with_volume,
            cost: Reverse(cost(args, self.args) + by_key),
        })
    }

    pub fn ticks_before(&self) -> usize {
        self.before.iter().filter(|outcome| matches!(outcome, Outcome::Tick(_))).count()
    }

    /// Ticks that are no reason against these flags: those that were there before, and those that
    /// may be meant.
    fn meant(&self, found: &[Outcome]) -> usize {
        let is_one = |((before, now), tried): &((&Outcome, &Outcome), &Tried<'_>)| match now {
            Outcome::Tick(facts) => {
                matches!(before, Outcome::Tick(_)) || !facts.is_implausible(&tried.traits)
            }
            Outcome::OtherKind | Outcome::Reject => false,
        };
        self.before.iter().zip(found).zip(&self.tried).filter(is_one).count()
    }

    /// Whether a message that is a tick would become another, or none. It may turn out to be of
    /// another kind, where the feed's own preset would read it otherwise.
    fn changes(&self, found: &[Outcome], own: &Own) -> bool {
        self.before.iter().zip(found).enumerate().any(|(at, (before, now))| match (before, now) {
            (Outcome::Tick(before), Outcome::Tick(now)) => before.id != now.id,
            (Outcome::Tick(_), Outcome::OtherKind) => {
                !own.is_one || !own.loosely.get(at).is_some_and(|is_read| *is_read)
            }
            (Outcome::Tick(_), Outcome::Reject) => true,
            _ => false,
        })
    }

    /// Whether the messages are those of the preset: whether some say so.
    fn own(&self, args: &MessageArgs, rules: Rules) -> Own {
        if args.preset.is_none() || rules.conditions.is_empty() {
            return Own::default();
        }
        let ticks = |outcomes: &[Outcome]| {
            outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Tick(_))).count()
        };
        let mut strict = rules.clone();
        strict.conditions.iter_mut().for_each(|condition| condition.is_optional = false);
        let count = ticks(&outcomes(strict, &self.tried, self.now));
        let loose = outcomes(Rules { conditions: Vec::new(), ..rules }, &self.tried, self.now);
        Own {
            is_one: count > 0,
            is_common: count * GOOD_SHARE >= self.tried.len(),
            loosely: loose.iter().map(|outcome| matches!(outcome, Outcome::Tick(_))).collect(),
        }
    }
}

/// For a preset: whether the messages are of its feed.
#[derive(Default)]
struct Own {
    is_one: bool,
    is_common: bool,
    /// Which samples it would read whatever their kind.
    loosely: Vec<bool>,
}

/// A flag counts once, and each member that was guessed at. By the record's time whatever the
/// message says of its own is passed over: so it comes last. By its key or topic a symbol in it is.
fn cost(args: &MessageArgs, before: &MessageArgs) -> usize {
    let mapped = args.map.as_ref().map_or(0, |map| map.paths.len().saturating_sub(1));
    let ((symbol, time), (symbol_before, time_before)) = (args.sources(), before.sources());
    let is_beside = matches!(symbol, SymbolFrom::Key | SymbolFrom::Topic);
    let passes_over =
        2 * usize::from(time != time_before) + usize::from(is_beside && symbol != symbol_before);
    args.flags().len() + mapped + passes_over
}

impl Search<'_> {
    /// Every combination of choices that keeps the given flags. Surer choices come first.
    fn candidates(&self, args: &MessageArgs) -> Vec<MessageArgs> {
        let steps = [
            self.zones(args),
            self.units(args),
            self.record_time(args),
            self.symbols(args),
            self.layouts(args),
        ];
        let mut all = vec![args.clone()];
        for choices in steps {
            let so_far = all.clone();
            for choice in choices {
                all.extend(so_far.iter().map(|made| choice.apply_to(made)));
            }
        }
        all
    }

    fn zones(&self, args: &MessageArgs) -> Vec<Choice> {
        let is_open = args.timestamp_zone.is_none() && args.sources().1 == TimestampFrom::Value;
        if is_open { vec![Choice::Zone] } else { Vec::new() }
    }

    /// The unit in which numbers are the times of their records, where magnitudes tell another.
    fn units(&self, args: &MessageArgs) -> Vec<Choice> {
        let is_open =
            args.timestamp_unit == EpochUnit::Auto && args.sources().1 == TimestampFrom::Value;
        let told = self.tried.iter().find_map(|tried| tried.traits.times.unit);
        told.filter(|_| is_open).map(Choice::Unit).into_iter().collect()
    }

    /// Only of messages that have no time of their own, be it one that is not read.
    fn record_time(&self, args: &MessageArgs) -> Vec<Choice> {
        let has_time = self.tried.iter().any(|tried| tried.traits.times.first.is_some());
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
            // Some name theirs.
            if self.ticks_before() > 0 {
                choices.push(Choice::MemberOrKey);
            }
        }
        if topics.len() > 1 {
            choices.push(Choice::Topic);
        }
        choices
    }

    fn keys_may_be_symbols(&self) -> bool {
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
            if let Some(map) = args.map.as_ref().filter(|_| args.preset.is_none()) {
                let more = guess.entries.as_ref().and_then(|entries| completed(map, entries));
                more.into_iter().for_each(|map| add(Layout::Map(map)));
            }
            if !self.is_chosen(args) {
                Preset::ALL.iter().for_each(|(preset, ..)| add(Layout::Preset(*preset)));
                guess.entries.iter().for_each(|entries| add(Layout::Map(entries.clone())));
            }
        }
        choices
    }

    /// Guards that may be lifted as well: where many messages look as if they needed it.
    fn guards(&self) -> Vec<Choice> {
        let old = self.tried.iter().filter(|tried| tried.traits.times.is_old).count();
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

/// The mapping that was given, and the guesses added to it.
pub fn completed(map: &MapEntries, guessed: &MapEntries) -> Option<MapEntries> {
    let is_open = |field: Field| {
        Field::ALL.into_iter().all(|other| map.written(other).is_none() || !other.excludes(field))
    };
    let more = guessed.paths.iter().filter(|(field, _)| is_open(*field)).cloned();
    let paths: Vec<_> = map.paths.iter().cloned().chain(more).collect();
    (paths.len() > map.paths.len()).then(|| MapEntries { paths, ..map.clone() })
}

fn looks_like_a_symbol(key: &[u8]) -> bool {
    let text = str::from_utf8(key).unwrap_or_default();
    let has_letter = text.chars().any(char::is_alphabetic);
    has_letter && text.len() <= 32 && !is_an_id(text) && !text.starts_with(['{', '['])
}

/// A guess for messages as they are, and one for each of the commonest ways to what may be elements
/// of them.
fn make_guesses(args: &MessageArgs, tried: &[Tried<'_>]) -> Vec<(Option<Path>, Guess)> {
    let values: Vec<(Value, Option<Timestamp>)> = tried
        .iter()
        .filter(|tried| tried.traits.book.is_none())
        .filter_map(|tried| Some((parse(&tried.sample.value)?, tried.sample.time)))
        .collect();
    let mut found: BTreeMap<String, (usize, Path)> = BTreeMap::new();
    for (value, _) in &values {
        for way in find_ways(value).into_iter().filter(|way| !is_book(value, way)) {
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

/// The guess that fits most samples.
fn commonest_guess(values: &[(Value, Option<Timestamp>)], way: Option<&Path>) -> Guess {
    let mut guesses: BTreeMap<String, (usize, Guess)> = BTreeMap::new();
    let all = values.iter().map(|(value, record_time)| guess(value, way, *record_time));
    for guess in all.filter(|guess| *guess != Guess::default()) {
        guesses.entry(format!("{guess:?}")).or_insert((0, guess)).0 += 1;
    }
    guesses
        .into_values()
        .max_by_key(|(count, _)| *count)
        .map(|(_, guess)| guess)
        .unwrap_or_default()
}

/// The choices that may be added to the given flags.
#[derive(Debug, Clone)]
pub enum Choice {
    Zone,
    Unit(EpochUnit),
    RecordTime,
    Key,
    MemberOrKey,
    Topic,
    /// The paths to the elements, and to the fields in them.
    Layout(Option<Path>, Layout),
    OlderDays,
    AnyPrice,
}

#[derive(Debug, Clone)]
pub enum Layout {
    /// Guessed by the usual names.
    Usual,
    Preset(Preset),
    Map(MapEntries),
}

impl Choice {
    pub fn apply_to(&self, args: &MessageArgs) -> MessageArgs {
        let mut args = args.clone();
        match self {
            Self::Zone => args.timestamp_zone = SOME_ZONE.parse().ok(),
            Self::Unit(unit) => args.timestamp_unit = *unit,
            // Flags for reading the times of messages have no effect then.
            Self::RecordTime => {
                args.timestamp_from = TimestampFrom::Record;
                args.timestamp_zone = None;
                args.timestamp_unit = EpochUnit::Auto;
            }
            Self::Key => args.symbol_from = SymbolFrom::Key,
            Self::MemberOrKey => args.symbol_from = SymbolFrom::ValueOrKey,
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
