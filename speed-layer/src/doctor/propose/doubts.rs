//! The reasons why messages are no ticks, where no flags are proposed: times that are not read,
//! arrays that fit as well as one another, books and orders.

use super::search::{Choice, GOOD_SHARE, Search, completed};
use crate::doctor::anatomy::{find_ways, parse};
use crate::doctor::books::is_book;
use crate::doctor::command_line::command_line;
use crate::doctor::guess::Guess;
use crate::doctor::notes::with_member;
use crate::doctor::reading::Reading;
use crate::doctor::times::Member;
use crate::doctor::traits::Traits;
use crate::doctor::trial::{Outcome, Tried};
use common::decode::{Field, Path, TimestampFrom, usual_field};
use serde_json::Value;
use service::cli::MessageArgs;

impl Search<'_> {
    /// The member that may be the time of messages that are no ticks for want of one alone: none
    /// that is read, or one that is not looked for there.
    pub(super) fn doubtful_time(&self) -> Option<String> {
        if self.args.sources().1 != TimestampFrom::Value {
            return None;
        }
        let (_, by_record) = self.best_from(&Choice::RecordTime.apply_to(self.args));
        let MessageArgs { timestamp_zone, timestamp_unit, timestamp_from, .. } = self.args.clone();
        let by_value =
            MessageArgs { timestamp_zone, timestamp_unit, timestamp_from, ..by_record.clone() };
        let is_wanting = |with: Outcome, without: Outcome, traits: &Traits| {
            matches!(with, Outcome::Tick(facts) if !facts.is_implausible(traits))
                && !matches!(without, Outcome::Tick(_))
        };
        let both = self.outcomes(&by_record).into_iter().zip(self.outcomes(&by_value));
        let mut wanting =
            both.zip(&self.tried).filter_map(|((with, without), Tried { traits, .. })| {
                is_wanting(with, without, traits).then_some(&traits.times)
            });
        wanting.find_map(|times| match (times.unread(), &times.read) {
            (Some(unread), _) => Some(format!(
                "{:?} may be the time, but {} is none that is read (docs/message-format.md has \
                 those that are). --timestamp-from record takes that of the record in its place.",
                unread.name(),
                unread.text
            )),
            (None, Some(read)) => self.time_elsewhere(&by_value, read),
            (None, None) => None,
        })
    }

    /// A time that is read, where it is not looked for: the flags with it were tried.
    fn time_elsewhere(&self, args: &MessageArgs, time: &Member) -> Option<String> {
        let is_usual = usual_field(time.name()) == Some(Field::Timestamp);
        if is_usual && !self.is_chosen(self.args) {
            return None;
        }
        let mapped = with_member(args, Field::Timestamp, time.path.clone());
        let is_better =
            mapped.check().is_ok() && self.tally(&mapped).ticks > self.tally(args).ticks;
        is_better.then(|| {
            format!(
                "{:?} may be the time, and is not looked at: {} takes it.",
                time.name(),
                command_line(&mapped)
            )
        })
    }

    /// A volume that is not read, where messages are ticks without it.
    pub(super) fn unread_volume(&self) -> Option<String> {
        let mut rejected = self.tried.iter().zip(&self.before).filter_map(|(tried, before)| {
            tried.traits.unread_volume.as_ref().filter(|_| *before == Outcome::Reject)
        });
        let volume = rejected.next()?;
        let without = with_member(self.args, Field::Volume, Path::new(&["none"])?);
        (self.tally(&without).ticks > self.ticks_before()).then(|| {
            format!(
                "{:?} may be the volume, but {} is none that is read: {} takes the ticks without \
                 it.",
                volume.name(),
                volume.text,
                command_line(&without)
            )
        })
    }

    /// Proposes flags without those that were given, if more messages are ticks with them: the
    /// given ones may be wrong.
    pub(super) fn propose_without_flags(&self, reading: &Reading) -> Option<String> {
        let given = command_line(self.args);
        if given.is_empty() {
            return None;
        }
        let none = MessageArgs::default();
        let search = Search::new(&none, self.samples, self.now);
        let found = search.checked(search.best()).found.unwrap_or_default();
        let reached = Reading::of(&found, self.samples, self.now).ticks;
        let mut instead = command_line(&found);
        if instead.is_empty() {
            instead.push_str("none at all");
        }
        (reached > reading.understood()).then(|| {
            format!(
                "These flags may be wrong: {reached} of {} messages are ticks with {instead} in \
                 place of {given}.",
                self.samples.len()
            )
        })
    }

    /// The guesses at some fields, where they alone make no ticks.
    pub(super) fn describe_partial_guess(&self) -> Option<String> {
        if self.args.preset.is_some() {
            return None;
        }
        let (_, guess) = self.guesses.iter().find(|(way, _)| way.is_none())?;
        let guessed = guess.entries.as_ref()?;
        let map = match &self.args.map {
            Some(map) => completed(map, guessed)?,
            None => guessed.clone(),
        };
        let args = MessageArgs { map: Some(map), ..self.args.clone() };
        args.check().is_ok().then(|| {
            format!(
                "Some fields may be those of {}: name the others there as well (symbol=NAME, \
                 price=NAME), and ask again.",
                command_line(&args)
            )
        })
    }

    /// Another array in the same messages, of which as many become ticks: which is meant is for a
    /// person to say.
    pub(super) fn describe_runner_up(&self, found: &MessageArgs) -> Option<String> {
        let way = found.each.as_ref().filter(|_| self.args.each.is_none())?;
        let more = |args: &MessageArgs| self.tally(args).ticks.saturating_sub(self.ticks_before());
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
            "The ticks may be those of {way} or of {other}: say which with --each {way} or --each \
             {other}"
        ))
    }

    /// Arrays that look like books, quotes or orders, and so were not tried.
    pub(super) fn books(&self) -> Option<String> {
        if self.args.each.is_some() {
            return None;
        }
        let values = self.tried.iter().filter_map(|tried| parse(&tried.sample.value));
        let names = |value: Value| -> Vec<String> {
            let books = find_ways(&value).into_iter().filter(|way| is_book(&value, way));
            books.map(|way| way.to_string()).collect()
        };
        let Some(books) = values.map(names).find(|books: &Vec<String>| !books.is_empty()) else {
            let member = self.tried.iter().find_map(|tried| tried.traits.book.as_ref())?;
            return Some(format!(
                "Order books, quotes and orders are no trades, and by {member} messages are such."
            ));
        };
        Some(format!(
            "Order books, quotes and orders are no trades, and {} look like such: where they are \
             trades say so with --each {}",
            books.join(", "),
            books[0]
        ))
    }

    /// Uncertain guesses at messages as they are, or else at their elements, unless there is a note
    /// already.
    pub(super) fn doubts(&self) -> Vec<String> {
        let doubts =
            self.guesses.iter().map(|(_, guess)| &guess.doubts).find(|doubts| !doubts.is_empty());
        let mapped = |field: Field| self.args.map.as_ref()?.written(field);
        let is_said = |doubt: &String| {
            let is_of = |field: &Field| doubt.starts_with(&format!("{field} may be "));
            Field::ALL.into_iter().filter(is_of).any(|field| mapped(field).is_some())
        };
        doubts.into_iter().flatten().filter(|doubt| !is_said(doubt)).cloned().collect()
    }
}
