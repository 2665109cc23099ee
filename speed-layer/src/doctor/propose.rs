//! Which flags would make more messages ticks: every choice of them is tried on samples.
//!
//! What a message has is never passed over: the record's time is tried only where no message could
//! have one of its own, what is a tick already stays the tick it is, and a feed's preset that loses
//! a volume is for other messages.

mod choices;

use super::anatomy::{parse, ways};
use super::books::is_book;
use super::guess::Guess;
use super::notes::{self, Grounds};
use super::reading::Reading;
use super::sampling::Sample;
use super::trial::{Outcome, Tally, Tried, outcomes};
use super::zones::{self, Zoned};
use choices::guesses;
use common::Timestamp;
use common::decode::{Condition, Conditions, Path, ProvenanceNames, Rules, TimestampFrom};
use serde_json::Value;
use service::cli::MessageArgs;
use std::cmp::Reverse;

/// How many samples each choice is tried on, and about how many bytes of them.
const TRIED: usize = 200;
const TRIED_BYTES: usize = 256 << 10;
/// What guards against nonsense is lifted where so large a part of the messages needs it: a tenth.
const GOOD_SHARE: usize = 10;

/// Flags, and what they would reach.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub args: MessageArgs,
    /// Of all samples.
    pub reading: Reading,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// What is to be said of the flags.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// What to look at in the ticks as they are.
    pub notes: Vec<String>,
    pub proposal: Option<Proposal>,
    /// Fields of which two members may be meant, where they keep messages from being ticks.
    pub doubts: Vec<String>,
}

/// The flags that make the most samples ticks, in place of `args`, whose choices they keep: of
/// those that make as many the fewest. None where none do better than `args`.
pub fn advise(args: &MessageArgs, samples: &[Sample], now: Timestamp) -> Advice {
    // Beside a file no flag may stand: what it says becomes flags.
    let args = args.message_file.as_deref().unwrap_or(args);
    let search = Search::new(args, samples, now);
    let found = search.best();
    let found = search.trades_alone(found.as_ref().unwrap_or(args)).or(found);
    let reading = Reading::of(args, samples, now);
    let of_ticks =
        |args: &MessageArgs| notes::of_ticks(args, &search.outcomes(args), &search.tried);
    let mut advice = Advice { notes: of_ticks(args), ..Advice::default() };
    let Checked { found, is_zone_told, doubts } = search.checked(found);
    if let Some(found) = found {
        let proposed = Reading::of(&found, samples, now);
        if proposed.ticks > reading.ticks || search.tally(&found).other_kinds > 0 {
            let is_by_key = search.is_by_key(&found.rules(ProvenanceNames::default()));
            let grounds = Grounds { is_by_key, is_zone_told };
            let notes = [notes::of_flags(&found, args, grounds), of_ticks(&found)].concat();
            advice.proposal = Some(Proposal { notes, args: found, reading: proposed });
        }
    }
    let reached = advice.proposal.as_ref().map_or(reading.ticks, |proposal| proposal.reading.ticks);
    if reached * GOOD_SHARE < samples.len() * (GOOD_SHARE - 1) && advice.proposal.is_none() {
        advice.doubts = search.doubts();
        advice.doubts.extend(search.books());
        if doubts.is_empty() && advice.doubts.is_empty() {
            advice.doubts.extend(search.unread_time());
        }
    }
    advice.doubts.extend(doubts);
    advice
}

/// The best choice, once what it leaves open was looked at.
#[derive(Default)]
struct Checked {
    /// None where what is open is for a person to say.
    found: Option<MessageArgs>,
    is_zone_told: bool,
    /// What is open.
    doubts: Vec<String>,
}

/// How good a choice is, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    /// Messages that are ticks, or of a kind that is known and not meant.
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

/// What is looked through.
struct Search<'s> {
    args: &'s MessageArgs,
    now: Timestamp,
    samples: &'s [Sample],
    tried: Vec<Tried<'s>>,
    /// What becomes of them by the flags as they are.
    before: Vec<Outcome>,
    /// Guesses, each for the way to the elements that it was made of.
    guesses: Vec<(Option<Path>, Guess)>,
}

impl<'s> Search<'s> {
    fn new(args: &'s MessageArgs, samples: &'s [Sample], now: Timestamp) -> Self {
        let bytes: usize = samples.iter().map(|sample| sample.value.len()).sum();
        let step = samples.len().div_ceil(TRIED).max(bytes.div_ceil(TRIED_BYTES)).max(1);
        let tried: Vec<Tried<'_>> = samples.iter().step_by(step).map(Tried::new).collect();
        let before = outcomes(args.rules(ProvenanceNames::default()), &tried, now);
        let guesses = guesses(args, &tried);
        Self { args, now, samples, tried, before, guesses }
    }

    fn outcomes(&self, args: &MessageArgs) -> Vec<Outcome> {
        outcomes(args.rules(ProvenanceNames::default()), &self.tried, self.now)
    }

    fn tally(&self, args: &MessageArgs) -> Tally {
        Tally::of(&self.outcomes(args), &self.tried)
    }

    /// `None` where nothing is better than the flags as they are.
    fn best(&self) -> Option<MessageArgs> {
        let mut best = self.best_from(self.args);
        for guard in self.guards() {
            let (merit, lifted) = self.best_from(&guard.made_in(&best.1));
            let (merit, lifted) = match merit.understood > best.0.understood {
                true => (merit, lifted),
                // With other choices beside it, too.
                false => self.best_from(&guard.made_in(self.args)),
            };
            if (merit.understood.saturating_sub(best.0.understood)) * GOOD_SHARE >= self.tried.len()
            {
                best = (merit, lifted);
            }
        }
        let current = self.merit(self.args)?;
        (best.0 > current).then_some(best.1)
    }

    /// The same flags for the trades alone, where a feed's messages of another kind tell of the
    /// same trades once more. `None` where there are none of either, or where some messages do not
    /// say of which kind they are.
    fn trades_alone(&self, args: &MessageArgs) -> Option<MessageArgs> {
        let preset = args.preset?;
        let trades = preset.trades()?;
        let said = args.conditions.clone().unwrap_or_default().0;
        if said.iter().any(|said| trades.0.iter().any(|trade| trade.path == said.path)) {
            return None;
        }
        let only = |kinds: Vec<Condition>| MessageArgs {
            conditions: Some(Conditions(said.iter().cloned().chain(kinds).collect())),
            ..args.clone()
        };
        let must = |condition: Condition| Condition { is_optional: false, ..condition };
        let all_kinds = only(preset.conditions().into_iter().map(must).collect());
        let trades = only(trades.0);
        let [all, said, alone] = [args, &all_kinds, &trades].map(|args| self.tally(args).ticks);
        (all == said && 0 < alone && alone < all).then_some(trades)
    }

    fn best_from(&self, args: &MessageArgs) -> (Merit, MessageArgs) {
        const WORST: Merit = Merit {
            understood: 0,
            is_own_preset: false,
            lost: Reverse(usize::MAX),
            close: 0,
            with_volume: 0,
            cost: Reverse(usize::MAX),
        };
        let mut best = (self.merit(args).unwrap_or(WORST), args.clone());
        if best.0.understood == self.tried.len() && !best.0.is_own_preset && self.is_chosen(args) {
            return best;
        }
        for candidate in self.candidates(args) {
            let merit = self.merit(&candidate);
            if merit.is_some_and(|merit| merit > best.0) {
                best = (merit.unwrap_or(WORST), candidate);
            }
        }
        best
    }

    /// Whether it was said where the fields are.
    fn is_chosen(&self, args: &MessageArgs) -> bool {
        args.preset.is_some() || args.map.is_some()
    }

    /// `None` for a choice that passes over what messages have, or contradicts itself.
    fn merit(&self, args: &MessageArgs) -> Option<Merit> {
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
        let lost = tally.lost_times + tally.day_prices;
        Some(Merit {
            understood: tally.ticks + other_kinds,
            is_own_preset: own.is_one,
            lost: Reverse(lost + if own.is_one { 0 } else { tally.lost_volumes }),
            close: tally.close,
            with_volume: tally.with_volume,
            cost: Reverse(cost(args, self.args) + usize::from(is_by_key)),
        })
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
        let said = ticks(&outcomes(strict, &self.tried, self.now));
        let loose = outcomes(Rules { conditions: Vec::new(), ..rules }, &self.tried, self.now);
        Own {
            is_one: said > 0,
            is_common: said * GOOD_SHARE >= self.tried.len(),
            loosely: loose.iter().map(|outcome| matches!(outcome, Outcome::Tick(_))).collect(),
        }
    }

    fn checked(&self, found: Option<MessageArgs>) -> Checked {
        let Some(found) = found else {
            return Checked::default();
        };
        if let Some(doubt) = self.rival(&found) {
            return Checked { doubts: vec![doubt], ..Checked::default() };
        }
        match zones::tell(&found, self.args, &self.tried, self.now) {
            Zoned::Told(found) => {
                Checked { found: Some(*found), is_zone_told: true, ..Checked::default() }
            }
            Zoned::AsItIs => Checked { found: Some(found), ..Checked::default() },
            Zoned::Untold(doubt) => Checked { doubts: vec![doubt], ..Checked::default() },
        }
    }

    /// The member that may be the time of messages that are no ticks for want of one alone.
    fn unread_time(&self) -> Option<String> {
        if self.args.sources().1 != TimestampFrom::Value {
            return None;
        }
        let traits = self.tried.iter().map(|tried| &tried.traits);
        let mut times =
            traits.filter_map(|traits| traits.time.as_ref().zip(traits.time_text.as_ref()));
        let (name, text) = times.next()?;
        let by_record = MessageArgs { timestamp_from: TimestampFrom::Record, ..self.args.clone() };
        let (with, _) = self.best_from(&by_record);
        (with.understood > self.merit(self.args)?.understood).then(|| {
            format!(
                "{name:?} may be the time, but {text} is none that is read (docs/message-format.md has those that are). \
                 --timestamp-from record takes that of the record in its place."
            )
        })
    }

    /// Another array in the same messages, of which as many become ticks: which is meant is for a
    /// person to say.
    fn rival(&self, found: &MessageArgs) -> Option<String> {
        let way = found.each.as_ref().filter(|_| self.args.each.is_none())?;
        let ticks_before = self.tally(self.args).ticks;
        let more = |args: &MessageArgs| self.tally(args).ticks.saturating_sub(ticks_before);
        let enough = more(found) * (GOOD_SHARE - 1);
        let is_rival = |(other, guess): &(&Path, &Guess)| {
            let is_apart =
                !other.names().starts_with(way.names()) && !way.names().starts_with(other.names());
            let each = Some((*other).clone());
            let alike = MessageArgs { each, ..found.clone() };
            let guessed = MessageArgs { map: guess.entries.clone(), ..alike.clone() };
            let maps = [alike, guessed];
            is_apart && enough > 0 && maps.iter().any(|args| more(args) * GOOD_SHARE >= enough)
        };
        let mut others =
            self.guesses.iter().filter_map(|(way, guess)| Some((way.as_ref()?, guess)));
        let (other, _) = others.find(is_rival)?;
        Some(format!(
            "The ticks may be those of {way} or of {other}: say which with --each {way} or --each {other}"
        ))
    }

    /// Arrays that look like books, quotes or orders, and so were not tried.
    fn books(&self) -> Option<String> {
        if self.args.each.is_some() {
            return None;
        }
        let values = self.tried.iter().filter_map(|tried| parse(&tried.sample.value));
        let names = |value: Value| -> Vec<String> {
            let books = ways(&value).into_iter().filter(|way| is_book(&value, way));
            books.map(|way| way.to_string()).collect()
        };
        let books: Vec<String> = values.map(names).find(|books| !books.is_empty())?;
        Some(format!(
            "Order books, quotes and orders are no trades, and {} look like such: where they are trades say so with \
             --each {}",
            books.join(", "),
            books[0]
        ))
    }

    /// What is uncertain in the guesses at messages as they are, or else at their elements.
    fn doubts(&self) -> Vec<String> {
        let doubts =
            self.guesses.iter().map(|(_, guess)| &guess.doubts).find(|doubts| !doubts.is_empty());
        doubts.cloned().unwrap_or_default()
    }
}

/// Of a preset: whether the messages are of its feed.
#[derive(Default)]
struct Own {
    is_one: bool,
    is_common: bool,
    /// Which samples it would read whatever their kind.
    loosely: Vec<bool>,
}

/// A flag counts once, and each member that was guessed at. By the record's time whatever the
/// message says of its own is passed over: so it comes last.
fn cost(args: &MessageArgs, before: &MessageArgs) -> usize {
    let mapped = args.map.as_ref().map_or(0, |map| map.paths.len().saturating_sub(1));
    let passes_over = usize::from(args.sources().1 != before.sources().1);
    args.flags().len() + mapped + 2 * passes_over
}

#[cfg(test)]
mod tests;
