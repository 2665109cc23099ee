//! The ticks that a choice of flags makes of a few samples, and whether it passes over a part of
//! them.

use super::sampling::Sample;
use super::traits::Traits;
use common::decode::{Decoder, Field, RecordContext, Rules, TimestampFrom};
use common::timestamp::TimeZone;
use common::{Reason, Tick, Timestamp, Volume};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A tick this close to its record's time was meant for it.
const CLOSE: i64 = 2 * Timestamp::DAY;
/// Where topics are written at once, a tick's time is this long before its record's, at most: half
/// an hour, as a bar of half an hour is named by its beginning.
const SOON: i64 = 31 * Timestamp::MINUTE;
/// Words for sides of trades.
const SIDES: [&str; 4] = ["buy", "sell", "bid", "ask"];
/// Clocks differ by less.
const CLOCKS: i64 = 2 * Timestamp::MINUTE;

/// A sample, and what it has.
#[derive(Debug)]
pub struct Tried<'s> {
    pub sample: &'s Sample,
    pub traits: Traits,
}

impl<'s> Tried<'s> {
    pub fn new(sample: &'s Sample) -> Self {
        Self { sample, traits: Traits::of(sample) }
    }
}

/// The outcome for a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Tick(Facts),
    OtherKind,
    Reject,
}

/// Facts about the first tick of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Two that are the same tick have the same.
    pub id: u64,
    pub has_volume: bool,
    /// The tick's own time is close to that of its record.
    pub is_close: bool,
    /// The time in its zone, or in UTC.
    pub is_midnight: bool,
    /// Whether date and time of day are two members.
    pub is_put_together: bool,
    /// The symbol is a word for the side of a trade.
    pub is_side: bool,
    /// A price of it is zero, and none below: it was not set then.
    pub is_unset: bool,
    pub at: Timestamp,
    /// Equal for samples of the same symbol.
    pub symbol: u64,
    pub volume: Option<Volume>,
    /// Whether open and close are two.
    pub is_bar: bool,
    pub price_nanos: i64,
    /// The microseconds by which its own time is later than its record's.
    pub lead: Option<i64>,
}

/// The outcome for each sample by these rules.
pub fn outcomes(rules: Rules, tried: &[Tried<'_>], now: Timestamp) -> Vec<Outcome> {
    let has_own_time = rules.timestamp_from == TimestampFrom::Value;
    let is_put_together = !rules.mapping.paths(Field::TimeOfDay).is_empty();
    let zone = rules.times.zone.clone().or_else(|| "UTC".parse().ok());
    let mut decoder = Decoder::new(rules, now);
    let one = |tried: &Tried<'_>| {
        let sample = tried.sample;
        let context = RecordContext {
            key: sample.key.as_deref(),
            topic: Some(&sample.topic),
            time: sample.time,
        };
        let mut outcome = Outcome::Reject;
        let read = decoder.decode_each(&sample.value, &context, &mut |element| match (
            outcome,
            element.read,
        ) {
            // The first of several counts for all.
            (Outcome::Tick(_), _) => {}
            (_, Ok(record)) => {
                let record_time = sample.time.filter(|_| has_own_time);
                let facts = Facts::of(&record.tick, record_time, zone.as_ref());
                outcome = Outcome::Tick(Facts { is_put_together, ..facts });
            }
            (_, Err(reject)) if reject.reason == Reason::OtherKind => outcome = Outcome::OtherKind,
            (_, Err(_)) => {}
        });
        match read {
            Err(reject) if reject.reason == Reason::OtherKind => Outcome::OtherKind,
            _ => outcome,
        }
    };
    tried.iter().map(one).collect()
}

impl Facts {
    /// Whether its own time is shortly before its record's.
    pub fn is_sent_at_once(&self) -> bool {
        self.lead.is_some_and(|lead| (-SOON..=CLOCKS).contains(&lead))
    }

    /// Whether its own time is later than its record's, which no clock accounts for.
    pub fn is_ahead(&self) -> bool {
        self.lead.is_some_and(|lead| lead > CLOCKS)
    }

    /// Whether it is plainly not what was meant: of a message that says that it is a book or an
    /// order, with a side as symbol, without a price, or at midnight for want of its time of day.
    pub fn is_implausible(&self, traits: &Traits) -> bool {
        self.is_side || self.is_unset || traits.book.is_some() || self.lacks_time(traits)
    }

    /// Whether it is at midnight, though its message has a time of day.
    fn lacks_time(&self, traits: &Traits) -> bool {
        let times = &traits.times;
        let has_one = times.of_day.is_some() || times.unread_of_day().is_some();
        self.is_midnight && !self.is_put_together && has_one
    }

    fn of(tick: &Tick<'_>, record_time: Option<Timestamp>, zone: Option<&TimeZone>) -> Self {
        let (prices, at) = (tick.prices(), tick.timestamp());
        let (mut id, mut symbol) = (DefaultHasher::new(), DefaultHasher::new());
        tick.symbol().as_str().hash(&mut symbol);
        let volume = tick.volume().map(|volume| volume.to_string());
        (tick.symbol().as_str(), at, prices.open.nanos(), prices.close.nanos(), &volume)
            .hash(&mut id);
        let nanos = || {
            let all = [Some(prices.open), prices.high, prices.low, Some(prices.close)];
            all.into_iter().flatten().map(|price| price.nanos())
        };
        let lead = record_time.map(|time| at.micros().saturating_sub(time.micros()));
        Self {
            id: id.finish(),
            has_volume: volume.is_some(),
            is_close: lead.is_some_and(|lead| lead.unsigned_abs() <= CLOSE.unsigned_abs()),
            is_midnight: has_midnight(zone, at),
            is_put_together: false,
            is_side: SIDES.iter().any(|side| tick.symbol().as_str().eq_ignore_ascii_case(side)),
            is_unset: is_unset(nanos()),
            at,
            symbol: symbol.finish(),
            volume: tick.volume(),
            is_bar: prices.open != prices.close,
            price_nanos: prices.close.nanos(),
            lead,
        }
    }
}

fn has_midnight(zone: Option<&TimeZone>, at: Timestamp) -> bool {
    zone.is_some_and(|zone| zone.is_midnight(at))
}

/// A count of outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub ticks: usize,
    pub other_kinds: usize,
    pub close: usize,
    pub with_volume: usize,
    pub midnights: usize,
    /// Ticks that are no midnights and later than their records.
    pub ahead: usize,
    /// Ticks without a volume, of messages that have one, be it one that is not read.
    pub lost_volumes: usize,
    /// Bars that have another price as well.
    pub day_prices: usize,
    /// Ticks of a day's quote by letters.
    pub day_quotes: usize,
    /// Ticks at midnight, of messages with a time of day.
    pub lost_times: usize,
}

impl Tally {
    pub fn of(outcomes: &[Outcome], tried: &[Tried<'_>]) -> Self {
        let mut tally = Self::default();
        for (outcome, Tried { traits, .. }) in outcomes.iter().zip(tried) {
            match outcome {
                Outcome::Tick(facts) => tally.take(facts, traits),
                Outcome::OtherKind => tally.other_kinds += 1,
                Outcome::Reject => {}
            }
        }
        tally
    }

    fn take(&mut self, facts: &Facts, traits: &Traits) {
        self.ticks += 1;
        self.close += usize::from(facts.is_close);
        self.with_volume += usize::from(facts.has_volume);
        self.midnights += usize::from(facts.is_midnight);
        self.ahead += usize::from(facts.is_ahead() && !facts.is_midnight);
        let has_volume = traits.volume.is_some() || traits.unread_volume.is_some();
        self.lost_volumes += usize::from(!facts.has_volume && has_volume);
        self.day_prices += usize::from(facts.is_bar && traits.day_price.is_some());
        self.day_quotes += usize::from(traits.is_day_quote);
        self.lost_times += usize::from(facts.lacks_time(traits));
    }
}
/// Zeros mean prices that are not set, and so does -1 where another price is above it or none is.
fn is_unset(nanos: impl Iterator<Item = i64> + Clone) -> bool {
    const MINUS_ONE: i64 = -1_000_000_000;
    let is_none = |nanos: i64| nanos == 0 || nanos == MINUS_ONE;
    nanos.clone().any(is_none) && nanos.clone().all(|nanos| nanos >= 0 || is_none(nanos))
}
