//! The simulated market as a sequence of messages. It knows no Kafka and no clock: the same plan
//! gives the same messages.

use super::encode::{Clock, Members, Moment, open_envelope};
use super::fault::Fault;
use super::market::{Market, Quote, median_volume};
use super::odd::{Odd, Oddity, Share};
use super::session::{MEAN_ACTIVITY, NewYork, Spread};
use super::shape::{Shape, Words};
use super::symbols::symbols;
use clap::ValueEnum;
use common::Volume;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// When ticks happen. Times are in microseconds, of the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// `ticks` ticks over `span`, more of them while the market is busy.
    Spread { start: i64, span: i64, ticks: u64 },
    /// `rate` ticks a second from `start` on, `ticks` of them or without end.
    Steady { start: i64, rate: f64, ticks: Option<u64> },
}

/// What volumes are like, where they are not all whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Volumes {
    /// Part of them that have a fraction; all, where the shape has fractions.
    pub fractional: f64,
    /// Part of the ticks without one.
    pub absent: f64,
    /// What all symbols trade in an average second of the session: each tick has its part of it, so
    /// that as much is traded whether few ticks tell of it or many, with fractions or without.
    /// `None`: some 500 for each tick, and a hundredth of it where it has a fraction.
    pub per_second: Option<f64>,
}

/// Everything that decides the messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub seed: u64,
    /// Of the prices: plans that follow one another may be of one market.
    pub market_seed: u64,
    pub symbols: usize,
    pub shape: Shape,
    /// Adds high and low to the pipeline's own form.
    pub high_low: bool,
    /// Adds bid, ask, sequence and conditions to it.
    pub beside: bool,
    pub volumes: Volumes,
    /// Part of the ticks whose timestamp is a minute to three hours old.
    pub late: f64,
    /// Part of the messages that are no valid tick.
    pub broken: f64,
    /// Of the ticks that are neither late nor broken.
    pub odd: Vec<Share>,
    pub pace: Pace,
}

impl Plan {
    /// Ticks that are all in time and right, of whole volumes, and say nothing beside what they
    /// must.
    pub fn plain(seed: u64, symbols: usize, shape: Shape, pace: Pace) -> Self {
        Self {
            seed,
            market_seed: seed,
            symbols,
            shape,
            high_low: false,
            beside: false,
            volumes: Volumes::default(),
            late: 0.0,
            broken: 0.0,
            odd: Vec::new(),
            pace,
        }
    }
}

/// What a message is, exactly: tests count on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    OnTime,
    Late,
    Broken(Fault),
}

impl Kind {
    /// A record header that tells the proof what must become of the message: `tick`, or the reason
    /// of its rejection.
    pub const HEADER: &str = "simulated";

    pub fn header(self) -> (&'static str, String) {
        let fate = match self {
            Self::OnTime | Self::Late => "tick",
            Self::Broken(fault) => fault.reason().as_str(),
        };
        (Self::HEADER, fate.to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The symbol, also where the value does not say it.
    pub key: &'a str,
    pub value: Option<&'a [u8]>,
    /// When the market sent it, in microseconds of the epoch; a late tick's own timestamp is older.
    pub time: i64,
    pub kind: Kind,
    /// What is odd about the tick.
    pub odd: Option<Oddity>,
}

impl Message<'_> {
    /// Record headers.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let odd = self.odd.map(|oddity| (Oddity::HEADER, oddity.name()));
        std::iter::once(self.kind.header()).chain(odd).collect()
    }
}

/// Of volumes that have a fraction.
const DECIMALS: u32 = 8;

const LATE_MICROS: std::ops::Range<i64> = 60_000_000..10_800_000_000;

/// Gives the messages of a plan, one after the other. Not an `Iterator`: each message borrows the
/// buffer.
pub struct Feed {
    plan: Plan,
    rng: ChaCha8Rng,
    market: Market,
    clock: Clock,
    spread: Option<Spread>,
    odd: Odd,
    /// Messages given so far.
    number: u64,
    /// A minute since the epoch, and how busy the market is in it.
    busy: (i64, f64),
    /// What was drawn of volume and not told yet; below zero where more was told.
    untold: f64,
    buffer: Vec<u8>,
}

impl Feed {
    ///
    /// # Errors
    /// Never in practice; see [`NewYork::new`].
    pub fn new(plan: Plan) -> anyhow::Result<Self> {
        let mut prices = ChaCha8Rng::seed_from_u64(plan.market_seed);
        let market = Market::new(symbols(plan.symbols.max(1)), &mut prices);
        let clock = Clock::new(NewYork::new()?);
        let spread = match plan.pace {
            Pace::Spread { start, span, ticks } => {
                Some(Spread::new(clock.new_york(), start, span.max(1), ticks))
            }
            Pace::Steady { .. } => None,
        };
        Ok(Self {
            odd: Odd::new(plan.odd.clone()),
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            plan,
            market,
            clock,
            spread,
            number: 0,
            busy: (i64::MIN, 0.0),
            untold: 0.0,
            buffer: Vec::with_capacity(1024),
        })
    }

    /// None once the plan's messages are all given.
    pub fn next_message(&mut self) -> Option<Message<'_>> {
        let time = self.time_of_next()?;
        let median_volume = self.median_volume(time);
        let kind = self.draw_kind();
        let timestamp = match kind {
            Kind::Late => (time - self.rng.random_range(LATE_MICROS)).max(0),
            Kind::OnTime | Kind::Broken(_) => time,
        };
        let mut quote = self.quote(timestamp, median_volume);
        self.change_volume(&mut quote, median_volume);
        quote.number = self.market.stocks[quote.stock].number + 1;
        let odd = match kind {
            Kind::OnTime => {
                self.odd.change(&mut quote, timestamp, (&mut self.market, &mut self.rng))
            }
            Kind::Late | Kind::Broken(_) => None,
        };
        let newest = &mut self.market.stocks[quote.stock].number;
        *newest = quote.number.max(*newest);
        if let (Kind::Broken(_), None) = (kind, quote.volume) {
            // What is wrong may be the volume.
            quote.volume = Volume::from_parts(100, 0);
        }
        let enveloped = match self.plan.shape {
            Shape::Envelope => true,
            Shape::Mixed => self.rng.random(),
            _ => false,
        };
        let stock = &self.market.stocks[quote.stock];
        let shape = self.plan.shape;
        let members = Members { high_low: self.plan.high_low, beside: self.plan.beside };
        let at = Moment { micros: timestamp, text: self.clock.format(timestamp) };
        let words = Words { stock, quote: &quote, at, serial: self.number };
        let write = |out: &mut Vec<u8>| shape.write(members, &words, out);
        self.buffer.clear();
        let mut has_value = true;
        match kind {
            Kind::OnTime | Kind::Late => {
                enclose(enveloped.then_some(members), &mut self.buffer, write);
            }
            Kind::Broken(fault) => {
                let mut valid = Vec::new();
                write(&mut valid);
                match fault.apply(&String::from_utf8_lossy(&valid)) {
                    Some(broken) => enclose(
                        (enveloped && broken.may_be_enveloped).then_some(members),
                        &mut self.buffer,
                        |out| out.extend_from_slice(&broken.value),
                    ),
                    None => has_value = false,
                }
            }
        }
        Some(Message {
            key: &stock.symbol,
            value: has_value.then_some(self.buffer.as_slice()),
            time,
            kind,
            odd,
        })
    }

    /// A tick of a symbol that is not silent, unless nearly all are.
    fn quote(&mut self, timestamp: i64, median_volume: f64) -> Quote {
        const TRIES: usize = 50;
        let mut quote = self.market.quote(timestamp, median_volume, &mut self.rng);
        for _ in 0..TRIES {
            if !self.odd.silences(&quote, timestamp) {
                break;
            }
            quote = self.market.quote(timestamp, median_volume, &mut self.rng);
        }
        quote
    }

    fn change_volume(&mut self, quote: &mut Quote, median_volume: f64) {
        let Volumes { fractional, absent, per_second } = self.plan.volumes;
        let fractional = if self.plan.shape.has_fractions() { 1.0 } else { fractional };
        let has_fraction = fractional > 0.0 && self.rng.random::<f64>() < fractional;
        if per_second.is_some() {
            quote.volume = self.tell_volume(quote.size, median_volume, has_fraction);
        } else if has_fraction {
            let part = self.rng.random_range(0..10_u32.pow(DECIMALS))
                * (Volume::ONE / 10_u32.pow(DECIMALS));
            let whole = quote.volume.map_or(0, |volume| volume.whole() / 100);
            quote.volume = Volume::from_parts(whole.cast_signed(), part);
        }
        if absent > 0.0 && self.rng.random::<f64>() < absent {
            quote.volume = None;
        }
    }

    /// A volume as a tick can tell it, above zero. What that changes is made up for by the next
    /// ones, within the bounds of the volumes that are usual now.
    fn tell_volume(&mut self, size: f64, median_volume: f64, has_fraction: bool) -> Option<Volume> {
        const MADE_UP_FOR: f64 = 100.0;
        let unit = if has_fraction { f64::from(10_u32.pow(DECIMALS)) } else { 1.0 };
        let wanted = size + self.untold;
        let told = (wanted * unit).round().max(1.0);
        let most = median_volume * MADE_UP_FOR;
        self.untold = (wanted - told / unit).clamp(-most, most);
        Volume::from_nanos((told / unit * f64::from(10_u32.pow(DECIMALS))).round() as i128 * 10)
    }

    fn median_volume(&mut self, time: i64) -> f64 {
        const IN_A_TICK: f64 = 300.0;
        let activity = self.activity(time);
        let Some(per_second) = self.plan.volumes.per_second else {
            return activity * IN_A_TICK;
        };
        let busy_seconds = match (&self.spread, self.plan.pace) {
            (Some(spread), _) => spread.busy_seconds_per_tick(),
            (None, Pace::Steady { rate, .. }) => activity / rate,
            (None, Pace::Spread { .. }) => 0.0,
        };
        // Ticks without a volume, and what is no tick, tell nothing of what is traded.
        let telling = (1.0 - self.plan.volumes.absent) * (1.0 - self.plan.broken);
        median_volume(per_second / MEAN_ACTIVITY * busy_seconds / telling.max(0.01))
    }

    fn activity(&mut self, time: i64) -> f64 {
        let minute = time.div_euclid(60_000_000);
        if self.busy.0 != minute {
            self.busy = (minute, self.clock.new_york().activity(time));
        }
        self.busy.1
    }

    /// Of the next message that is sent; those of a market's silence are none.
    fn time_of_next(&mut self) -> Option<i64> {
        loop {
            let time = self.time_of(self.number)?;
            self.number += 1;
            if !self.odd.silences_all(time) {
                return Some(time);
            }
        }
    }

    fn time_of(&mut self, number: u64) -> Option<i64> {
        match (self.plan.pace, &mut self.spread) {
            (Pace::Spread { ticks, .. }, Some(spread)) if number < ticks => {
                Some(spread.time(number, self.rng.random()))
            }
            (Pace::Steady { start, rate, ticks }, _)
                if ticks.is_none_or(|ticks| number < ticks) =>
            {
                Some(start + (number as f64 * 1e6 / rate) as i64)
            }
            _ => None,
        }
    }

    fn draw_kind(&mut self) -> Kind {
        let draw: f64 = self.rng.random();
        if draw < self.plan.broken {
            let faults: &[Fault] = if self.plan.shape.is_own() {
                Fault::value_variants()
            } else {
                &Fault::OF_ANY_SHAPE
            };
            Kind::Broken(faults[self.rng.random_range(0..faults.len())])
        } else if draw < self.plan.broken + self.plan.late {
            Kind::Late
        } else {
            Kind::OnTime
        }
    }
}

/// `enveloped`: what the envelope has to tell of.
fn enclose(enveloped: Option<Members>, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(members) = enveloped {
        open_envelope(members, out);
    }
    write(out);
    if enveloped.is_some() {
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::decode::{Decoder, RecordContext, Rules};
    use proptest::prelude::*;

    const START: i64 = 1_749_200_000_000_000;
    const SPAN: i64 = 7_200_000_000;

    type Owned = (String, Option<Vec<u8>>, i64, Kind);

    fn all(plan: &Plan) -> Vec<Owned> {
        let mut feed = Feed::new(plan.clone()).unwrap();
        let mut messages = Vec::new();
        while let Some(message) = feed.next_message() {
            let value = message.value.map(<[u8]>::to_vec);
            messages.push((message.key.to_owned(), value, message.time, message.kind));
        }
        messages
    }

    prop_compose! {
        fn plans()(
            seed: u64,
            symbols in 1_usize..200,
            shape in prop::sample::select(Shape::value_variants().to_vec()),
            high_low: bool,
            beside: bool,
            volumes in (0.0_f64..0.5, 0.0_f64..0.5).prop_map(|(fractional, absent)| Volumes { fractional, absent, per_second: None }),
            late in 0.0_f64..0.3,
            broken in 0.0_f64..0.5,
            ticks in 1_u64..400,
            steady: bool,
        ) -> Plan {
            let pace = if steady {
                Pace::Steady { start: START, rate: 700.0, ticks: Some(ticks) }
            } else {
                Pace::Spread { start: START, span: SPAN, ticks }
            };
            let market_seed = seed;
            Plan { seed, market_seed, symbols, shape, high_low, beside, volumes, late, broken, odd: Vec::new(), pace }
        }
    }

    proptest! {
        #[test]
        fn the_same_plan_gives_the_same_messages(plan in plans()) {
            prop_assert_eq!(all(&plan), all(&plan));
        }

        #[test]
        fn another_seed_gives_other_messages(plan in plans()) {
            let seed = plan.seed.wrapping_add(1);
            let other = Plan { seed, market_seed: seed, ..plan.clone() };
            prop_assert_ne!(all(&plan), all(&other));
        }

        #[test]
        fn every_message_is_what_its_kind_says(plan in plans()) {
            let now = common::Timestamp::from_micros(START + SPAN);
            let mut decoder = Decoder::new(plan.shape.rules(), now);
            for (key, value, time, kind) in all(&plan) {
                let shown = value.as_deref().map(String::from_utf8_lossy);
                let decoded = decoder.decode(value.as_deref().unwrap_or_default(), &RecordContext::NOTHING);
                match (kind, decoded) {
                    (Kind::Broken(fault), Err(reject)) => prop_assert_eq!(reject.reason, fault.reason(), "{:?} {:?}", fault, shown),
                    (Kind::Broken(fault), Ok(_)) => prop_assert!(false, "{:?} passes: {:?}", fault, shown),
                    (_, Err(reject)) => prop_assert!(false, "{} {:?}", reject, shown),
                    (_, Ok(record)) => {
                        prop_assert_eq!(record.tick.symbol().as_str(), key);
                        if plan.volumes.absent == 0.0 {
                            prop_assert!(record.tick.volume().is_some());
                        }
                        let behind = time / 1000 - record.tick.timestamp().micros() / 1000;
                        prop_assert_eq!(kind == Kind::Late, behind >= LATE_MICROS.start / 1000 - 1, "{}", behind);
                    }
                }
            }
        }
    }

    #[test]
    fn every_fault_comes_up_and_is_rejected_for_its_reason() {
        let now = common::Timestamp::from_micros(START);
        let mut decoder = Decoder::new(Rules::default(), now);
        let valid = r#"{"symbol":"AAPL","timestamp":"2025-06-06T04:53:20.000-04:00","open":201.50,"close":201.60,"volume":100}"#;
        assert!(decoder.decode(valid.as_bytes(), &RecordContext::NOTHING).is_ok());
        for fault in Fault::value_variants() {
            let value = fault.apply(valid).map(|broken| broken.value).unwrap_or_default();
            let rejected =
                decoder.decode(&value, &RecordContext::NOTHING).expect_err(&format!("{fault:?}"));
            assert_eq!(rejected.reason, fault.reason(), "{fault:?}: {rejected}");
        }
    }

    #[test]
    fn the_shares_of_late_and_broken_messages_are_as_asked() {
        let pace = Pace::Spread { start: START, span: SPAN, ticks: 20_000 };
        let plan = Plan {
            volumes: Volumes { fractional: 0.2, absent: 0.1, per_second: None },
            late: 0.05,
            broken: 0.02,
            ..Plan::plain(1, 50, Shape::Bare, pace)
        };
        let messages = all(&plan);
        let late = messages.iter().filter(|message| message.3 == Kind::Late).count();
        let broken = messages.iter().filter(|message| matches!(message.3, Kind::Broken(_))).count();
        assert!((900..1100).contains(&late), "{late}");
        assert!((340..460).contains(&broken), "{broken}");
        let mut decoder =
            Decoder::new(Rules::default(), common::Timestamp::from_micros(START + SPAN));
        let mut volumes = Vec::new();
        for (_, value, ..) in &messages {
            let read =
                decoder.decode(value.as_deref().unwrap_or_default(), &RecordContext::NOTHING);
            volumes.extend(read.map(|record| record.tick.volume()));
        }
        let absent = volumes.iter().filter(|volume| volume.is_none()).count();
        let fractional = volumes.iter().flatten().filter(|volume| volume.nanos() > 0).count();
        assert!((1800..2200).contains(&absent), "{absent}");
        assert!((3300..3800).contains(&fractional), "{fractional}");
    }

    #[test]
    fn as_much_is_traded_in_an_hour_whether_few_ticks_tell_of_it_or_many() {
        const PER_SECOND: f64 = 20_000.0;
        let volumes = Volumes { per_second: Some(PER_SECOND), ..Volumes::default() };
        let (start, hour) = (START, 3_600_000_000);
        let paces = [
            Pace::Spread { start, span: hour, ticks: 2_000 },
            Pace::Steady { start, rate: 50.0, ticks: Some(180_000) },
        ];
        let traded = paces.map(|pace| {
            let plan = Plan { volumes, ..Plan::plain(1, 25, Shape::Bare, pace) };
            let mut decoder =
                Decoder::new(Rules::default(), common::Timestamp::from_micros(START + 2 * hour));
            let read = all(&plan).into_iter().map(|(_, value, ..)| {
                let value = value.unwrap();
                let record = decoder.decode(&value, &RecordContext::NOTHING).unwrap();
                record.tick.volume().unwrap().whole() as f64
            });
            read.sum::<f64>()
        });
        assert!((0.8..1.25).contains(&(traded[0] / traded[1])), "{traded:?}");
        let mean = NewYork::new().unwrap().activity(START + hour / 2);
        let expected = PER_SECOND * mean / MEAN_ACTIVITY * 3_600.0;
        assert!((0.85..1.15).contains(&(traded[1] / expected)), "{traded:?}");
    }

    /// What the ticks of a plan's messages tell of volume.
    fn told(plan: &Plan) -> f64 {
        let now = common::Timestamp::from_micros(START + 86_400_000_000);
        let mut decoder = Decoder::new(plan.shape.rules(), now);
        let (mut feed, mut sum) = (Feed::new(plan.clone()).unwrap(), 0.0);
        while let Some(message) = feed.next_message() {
            let value = message.value.unwrap_or_default();
            let Ok(record) = decoder.decode(value, &RecordContext::NOTHING) else { continue };
            let told = record.tick.volume();
            sum += told.map_or(0.0, |told| told.whole() as f64 + f64::from(told.nanos()) / 1e9);
        }
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// The sum of 20,000 log-normal volumes is off by one per cent on average.
        #[test]
        fn a_session_trades_what_was_asked_for_whatever_its_volumes_look_like(
            seed: u64,
            shape in prop::sample::select(Shape::value_variants().to_vec()),
            (fractional, absent, broken) in (0.0_f64..1.0, 0.0_f64..0.5, 0.0_f64..0.2),
            magnitude in 0.6_f64..5.0,
            steady: bool,
        ) {
            const TICKS: u64 = 20_000;
            const SESSION: i64 = 390 * 60;
            // 2025-06-06, half past nine.
            let start = 1_749_216_600_000_000;
            let pace = if steady {
                Pace::Steady { start, rate: TICKS as f64 / SESSION as f64, ticks: Some(TICKS) }
            } else {
                Pace::Spread { start, span: SESSION * 1_000_000, ticks: TICKS }
            };
            let per_second = 10_f64.powf(magnitude);
            let volumes = Volumes { fractional, absent, per_second: Some(per_second) };
            let plan = Plan { volumes, broken, ..Plan::plain(seed, 25, shape, pace) };
            let ratio = told(&plan) / (per_second * SESSION as f64);
            prop_assert!((0.93..1.07).contains(&ratio), "{}", ratio);
        }
    }

    /// What a message is read as, and what is odd about it.
    struct Shown {
        symbol: String,
        at: common::Timestamp,
        close: i64,
        quote: (i64, i64),
        sequence: u64,
        conditions: String,
        odd: Option<Oddity>,
    }

    fn with_odd(odd: &[&str]) -> Vec<Shown> {
        let odd = odd.iter().map(|share| share.parse().unwrap()).collect();
        let pace = Pace::Spread { start: START, span: SPAN, ticks: 20_000 };
        let plan =
            Plan { high_low: true, beside: true, odd, ..Plan::plain(1, 5, Shape::Bare, pace) };
        let map: common::decode::MapEntries = "sequence=sequence".parse().unwrap();
        let rules = Rules { mapping: common::decode::Mapping::new(&map.paths), ..Rules::default() };
        let mut decoder = Decoder::new(rules, common::Timestamp::from_micros(START + SPAN));
        let (mut feed, mut ticks) = (Feed::new(plan).unwrap(), Vec::new());
        while let Some(message) = feed.next_message() {
            let tick =
                decoder.decode(message.value.unwrap(), &RecordContext::NOTHING).unwrap().tick;
            let (extras, nanos) = (tick.extras(), |price: Option<common::Price>| {
                price.map_or(0, common::Price::nanos)
            });
            ticks.push(Shown {
                symbol: message.key.to_owned(),
                at: tick.timestamp(),
                close: tick.prices().close.nanos(),
                quote: (nanos(extras.bid()), nanos(extras.ask())),
                sequence: extras.sequence().unwrap(),
                conditions: extras.conditions().iter().collect::<Vec<_>>().join(" "),
                odd: message.odd,
            });
        }
        ticks
    }

    fn of_symbol<'a>(ticks: &'a [Shown], symbol: &str) -> Vec<&'a Shown> {
        ticks.iter().filter(|tick| tick.symbol == symbol).collect()
    }

    #[test]
    fn a_wrong_price_is_off_the_ones_beside_it_and_is_said_to_be() {
        let ticks = with_odd(&["wrong_price=0.01"]);
        let mut odd = 0;
        for symbol in ["AAPL", "MSFT"] {
            let of = of_symbol(&ticks, symbol);
            for window in
                of.windows(3).filter(|window| window[0].odd.is_none() && window[2].odd.is_none())
            {
                let off = |other: &Shown| (window[1].close as f64 / other.close as f64 - 1.0).abs();
                let off = off(window[0]).min(off(window[2]));
                assert_eq!(window[1].odd.is_some(), off > 0.004, "{} off by {off}", window[1].at);
                odd += usize::from(window[1].odd.is_some());
            }
        }
        assert!(odd > 20, "{odd}");
    }

    #[test]
    fn a_silence_is_ended_by_the_tick_that_says_so() {
        let ticks = with_odd(&["silence=0.0005"]);
        let mut ended = 0;
        for symbol in
            ticks.iter().map(|tick| &tick.symbol).collect::<std::collections::BTreeSet<_>>()
        {
            let of = of_symbol(&ticks, symbol);
            for pair in of.windows(2).filter(|pair| pair[1].odd == Some(Oddity::Silence)) {
                assert!(pair[1].at.micros() - pair[0].at.micros() >= 600_000_000);
                ended += 1;
            }
        }
        assert!(ended > 2, "{ended}");
    }

    #[test]
    fn a_silence_of_the_market_is_ended_by_the_tick_that_says_so() {
        let ticks = with_odd(&["market_silence=0.0003"]);
        let after = |pair: &[Shown]| {
            (pair[1].odd.is_some(), pair[1].at.micros() - pair[0].at.micros() > 590_000_000)
        };
        assert!(ticks.windows(2).map(after).all(|(is_said, is_long)| is_said == is_long));
        assert!(ticks.iter().any(|tick| tick.odd == Some(Oddity::MarketSilence)));
    }

    #[test]
    fn a_close_lies_within_its_quote_but_where_it_is_said_to_be_outside() {
        for tick in with_odd(&["outside_quotes=0.01", "cancel=0.01"]) {
            let (bid, ask) = tick.quote;
            let is_outside = tick.close < bid || tick.close > ask;
            assert_eq!(
                is_outside,
                tick.odd == Some(Oddity::OutsideQuotes),
                "{} {bid} {ask}",
                tick.close
            );
        }
    }

    #[test]
    fn numbers_of_a_symbol_have_holes_and_steps_where_that_is_said_and_nowhere_else() {
        let ticks = with_odd(&["sequence_hole=0.01", "sequence_step=0.01"]);
        let (mut newest, mut odd) = (0, 0);
        for tick in of_symbol(&ticks, "AAPL") {
            let expected = match tick.odd {
                None => tick.sequence == newest + 1,
                Some(Oddity::SequenceHole) => tick.sequence > newest + 1,
                _ => tick.sequence <= newest,
            };
            assert!(expected, "{} behind {newest}: {:?}", tick.sequence, tick.odd);
            (newest, odd) = (newest.max(tick.sequence), odd + usize::from(tick.odd.is_some()));
        }
        assert!(odd > 20, "{odd}");
    }

    #[test]
    fn conditions_say_what_is_taken_back_corrected_or_not_of_its_time() {
        let ticks = with_odd(&["cancel=0.01", "correction=0.01", "excluded_condition=0.01"]);
        let kinds: std::collections::BTreeSet<String> =
            ticks.iter().filter_map(|tick| Some(tick.odd?.name())).collect();
        assert_eq!(kinds, ["cancel", "correction", "excluded_condition"].map(str::to_owned).into());
        for tick in ticks {
            let expected = match tick.odd {
                None => "@",
                Some(Oddity::Cancel) => "cancelled",
                Some(Oddity::Correction) => "corrected",
                _ => "@ U",
            };
            assert_eq!(tick.conditions, expected);
        }
    }

    #[test]
    fn binance_s_trades_are_numbered_by_symbol() {
        let pace = Pace::Spread { start: START, span: SPAN, ticks: 1000 };
        let plan = Plan::plain(1, 3, Shape::Binance, pace);
        let mut decoder =
            Decoder::new(plan.shape.rules(), common::Timestamp::from_micros(START + SPAN));
        let (mut feed, mut newest) = (Feed::new(plan).unwrap(), std::collections::BTreeMap::new());
        while let Some(message) = feed.next_message() {
            let tick =
                decoder.decode(message.value.unwrap(), &RecordContext::NOTHING).unwrap().tick;
            let number = newest.entry(message.key.to_owned()).or_insert(0);
            *number += 1;
            assert_eq!(tick.extras().sequence(), Some(*number));
        }
    }

    #[test]
    fn a_kind_that_there_is_not_is_no_share() {
        assert!("wrong_price=0.5".parse::<Share>().is_ok());
        for text in ["wrong_price", "wrong=0.5", "silence=2", "silence=a"] {
            assert!(text.parse::<Share>().unwrap_err().contains("new_level"), "{text}");
        }
    }
}
