//! What hindsight says of one symbol's ticks, and of what was found in them as they came. It knows
//! no SQL.

use super::collect::CollectedTick;
use anomalies::conditions::Sale;
use anomalies::hindsight::{self, Parameters};
use anomalies::{Calendar, Finding, Kind, Revision, Tick};
use common::{Bar, Place, TimeBounds, Timestamp};
use service::cli::Detectors;
use std::ops::Range;
use std::sync::Arc;

/// Ticks that are looked at at once, without their margins.
const TICKS_PER_PASS: usize = 20_000;

/// The parts of a finding that decide about it.
#[derive(Debug, Clone)]
pub struct Provisional {
    pub kind: Kind,
    pub at: Timestamp,
    pub place: common::Place,
    pub score: f64,
    /// In people's units: a price, seconds, a minute's volume or its range.
    pub observed: f64,
    pub expected: f64,
    /// For a silence: the first instant at which a tick would end it earlier.
    pub since: Timestamp,
    /// For a silence: when, during it, there are ticks other than the symbol's own of the hour and
    /// its margin; each from when until when.
    pub came: Vec<(Timestamp, Timestamp)>,
}

impl Provisional {
    /// Whether it says that there were no ticks.
    pub fn is_silence(&self) -> bool {
        matches!(self.kind, Kind::Silence | Kind::MarketSilence)
    }

    /// Notes when a silence began, by the sessions.
    pub fn place_in(&mut self, calendar: &Calendar) {
        let began = calendar.before(nanos(self.at), (self.observed * 1e9) as i64);
        let by_the_clock = || self.at.plus_micros(-(self.observed * 1e6) as i64);
        let began =
            began.map_or_else(by_the_clock, |at| Timestamp::from_micros(at.div_euclid(1000)));
        // Seconds are rounded.
        self.since = began.plus_micros(2);
    }
}

fn nanos(at: Timestamp) -> i64 {
    at.micros().saturating_mul(1000)
}

/// Rules of verdicts.
#[derive(Debug)]
pub struct Rules {
    pub prices: Parameters,
    /// The speed layer's detectors, whose silences are in sessions.
    pub as_they_come: Arc<Detectors>,
}

/// A verdict, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    OffBothSides,
    NotOffBothSides,
    TakenBack,
    Corrected,
    OtherConditions,
    NoTicks,
    TicksCame,
    StaysSilent,
    OutsideSessions,
    StaysBeyond,
    OnlyBadPrints,
    NumbersMissing,
    NumbersCame,
    NumberRepeated,
    NumbersWentBack,
    NumberCameLate,
    NoNumber,
}

impl Reason {
    pub const fn is_confirmed(self) -> bool {
        matches!(
            self,
            Self::OffBothSides
                | Self::TakenBack
                | Self::Corrected
                | Self::NoTicks
                | Self::StaysSilent
                | Self::StaysBeyond
                | Self::NumbersMissing
                | Self::NumberRepeated
                | Self::NumbersWentBack
        )
    }

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OffBothSides => "off_both_sides",
            Self::NotOffBothSides => "not_off_both_sides",
            Self::TakenBack => "taken_back",
            Self::Corrected => "corrected",
            Self::OtherConditions => "other_conditions",
            Self::NoTicks => "no_ticks",
            Self::TicksCame => "ticks_came",
            Self::StaysSilent => "stays_silent",
            Self::OutsideSessions => "outside_sessions",
            Self::StaysBeyond => "stays_beyond",
            Self::OnlyBadPrints => "only_bad_prints",
            Self::NumbersMissing => "numbers_missing",
            Self::NumbersCame => "numbers_came",
            Self::NumberRepeated => "number_repeated",
            Self::NumbersWentBack => "numbers_went_back",
            Self::NumberCameLate => "number_came_late",
            Self::NoNumber => "no_number",
        }
    }

    const fn of(is_confirmed: bool, confirmed: Self, withdrawn: Self) -> Self {
        if is_confirmed { confirmed } else { withdrawn }
    }
}

/// Results of hindsight.
#[derive(Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Bad prints and what was taken back, by where they stand among the symbol's ticks.
    pub bad: Vec<(usize, Finding)>,
    /// Corrections of other ticks.
    pub corrections: Vec<(usize, Finding)>,
    /// The verdict on each finding; `None`: its tick is not there.
    pub of_findings: Vec<Option<Reason>>,
    /// The index of each finding's tick.
    pub places: Vec<Option<usize>>,
}

/// Judges `judged` of one symbol's ticks, which are in order; the others are the margin.
pub fn judge(
    ticks: &[CollectedTick],
    judged: Range<usize>,
    findings: &[Provisional],
    rules: &Rules,
) -> Verdicts {
    let found = found_in(ticks, judged.clone(), &rules.prices);
    let (bad, corrections): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, finding)| finding.kind.is_left_out());
    let symbol = Symbol { ticks, judged, rules, bad: &bad, numbers: numbers(ticks, findings) };
    let places: Vec<Option<usize>> = findings.iter().map(|finding| symbol.find(finding)).collect();
    let verdict =
        |(finding, place): (&Provisional, &Option<usize>)| symbol.verdict(finding, (*place)?);
    let of_findings = findings.iter().zip(&places).map(verdict).collect();
    Verdicts { bad, corrections, of_findings, places }
}

fn found_in(
    ticks: &[CollectedTick],
    judged: Range<usize>,
    to: &Parameters,
) -> Vec<(usize, Finding)> {
    let mut all = Vec::new();
    for start in judged.clone().step_by(TICKS_PER_PASS) {
        let end = judged.end.min(start + TICKS_PER_PASS);
        let (from, until) =
            (start.saturating_sub(to.neighbours), (end + to.neighbours).min(ticks.len()));
        // The place is where it is in `ticks`.
        let as_seen = |(number, held): (usize, &CollectedTick)| {
            let place = anomalies::TickId { offset: (from + number) as i64, index: 0 };
            let Sale { is_excluded, revision } = held.sale;
            let at = held.key.timestamp.micros().saturating_mul(1000);
            Tick {
                quote: held.quote(),
                is_excluded,
                revision,
                ..Tick::of(place, at, held.prices.close.nanos())
            }
        };
        let seen: Vec<Tick> = ticks[from..until].iter().enumerate().map(as_seen).collect();
        let found = hindsight::judge(&seen, start - from..end - from, to);
        all.extend(found.into_iter().map(|finding| (finding.place.offset as usize, finding)));
    }
    all
}

/// The feed's numbers of all ticks in their order, each with where its tick stands; none where
/// nothing was found in them.
fn numbers(ticks: &[CollectedTick], findings: &[Provisional]) -> Vec<(u64, usize)> {
    if !findings
        .iter()
        .any(|finding| matches!(finding.kind, Kind::SequenceHole | Kind::SequenceStep))
    {
        return Vec::new();
    }
    let of = |(place, held): (usize, &CollectedTick)| Some((held.sequence()?, place));
    let mut numbers: Vec<(u64, usize)> = ticks.iter().enumerate().filter_map(of).collect();
    numbers.sort_unstable();
    numbers
}

struct Symbol<'a> {
    ticks: &'a [CollectedTick],
    judged: Range<usize>,
    rules: &'a Rules,
    bad: &'a [(usize, Finding)],
    /// As [`numbers`] has them.
    numbers: Vec<(u64, usize)>,
}

impl Symbol<'_> {
    /// Where a finding's tick stands. Found by time and price if the lines have no offsets.
    fn find(&self, finding: &Provisional) -> Option<usize> {
        let first = self.ticks.partition_point(|held| held.key.timestamp < finding.at);
        let same_time =
            self.ticks[first..].iter().take_while(|held| held.key.timestamp == finding.at);
        let is_it = |held: &CollectedTick| held.key.place == finding.place;
        let may_be_it = |held: &CollectedTick| {
            !held.has_offset && (price(held) - finding.observed).abs() < 1e-9
        };
        let by_place = same_time.clone().position(is_it);
        by_place.or_else(|| same_time.clone().position(may_be_it)).map(|number| first + number)
    }

    fn is_bad(&self, at: usize) -> bool {
        self.bad.binary_search_by_key(&at, |(number, _)| *number).is_ok()
    }

    /// The verdict on a finding in the tick at `place`.
    fn verdict(&self, finding: &Provisional, place: usize) -> Option<Reason> {
        let is_revision = |revision| self.ticks[place].sale.revision == Some(revision);
        self.judged.contains(&place).then(|| match finding.kind {
            Kind::Spike
            | Kind::ExcludedCondition
            | Kind::OutsideQuotes
            | Kind::OutsideBands
            | Kind::OffNeighbours => {
                Reason::of(self.is_bad(place), Reason::OffBothSides, Reason::NotOffBothSides)
            }
            Kind::Cancel => Reason::of(
                is_revision(Revision::Cancel),
                Reason::TakenBack,
                Reason::OtherConditions,
            ),
            Kind::Correction => Reason::of(
                is_revision(Revision::Correction),
                Reason::Corrected,
                Reason::OtherConditions,
            ),
            Kind::Silence | Kind::MarketSilence => self.silence(finding),
            Kind::VolumeBurst => self.burst(self.volume(finding.at), finding),
            Kind::RangeBurst => self.burst(self.range(finding.at), finding),
            Kind::SequenceHole => self.hole(finding, place),
            Kind::SequenceStep => self.step(place),
        })
    }

    fn burst(&self, without_bad_prints: f64, finding: &Provisional) -> Reason {
        Reason::of(
            without_bad_prints > finding.expected,
            Reason::StaysBeyond,
            Reason::OnlyBadPrints,
        )
    }

    /// Whether ticks of the silent time came late, and leave nothing of it that is too long.
    fn silence(&self, finding: &Provisional) -> Reason {
        let Detectors { parameters, calendar, .. } = &*self.rules.as_they_come;
        let trading = |since: Timestamp, until: Timestamp| {
            calendar.trading_between(nanos(since), nanos(until))
        };
        // Of an hour and the one before it is known which ticks there are.
        let first = finding.at.floor(Timestamp::HOUR).plus_micros(-Timestamp::HOUR);
        let start = finding.since.max(first);
        let mut came = finding.came.clone();
        if finding.kind == Kind::Silence {
            came.extend(self.between(finding.since, finding.at).map(|at| (at, at)));
        }
        if came.is_empty() {
            return Reason::of(
                trading(start, finding.at) > 0,
                Reason::NoTicks,
                Reason::OutsideSessions,
            );
        }
        came.sort_unstable();
        let (mut longest, mut newest) = (0, start);
        for (from, until) in came.into_iter().chain([(finding.at, finding.at)]) {
            longest = longest.max(trading(newest, from.max(newest)));
            newest = newest.max(until);
        }
        let limit = parameters.silence.longest(finding.expected * 1e9);
        Reason::of(longest > limit, Reason::StaysSilent, Reason::TicksCame)
    }

    /// The times of the symbol's ticks from one instant to another.
    fn between(&self, since: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = self.ticks.partition_point(|held| held.key.timestamp < since);
        self.ticks[first..].iter().map(|held| held.key.timestamp).take_while(move |at| *at < until)
    }

    /// Whether all numbers that were missing came after the tick that showed it, or elsewhere.
    fn hole(&self, finding: &Provisional, place: usize) -> Reason {
        let Some(number) = self.ticks[place].sequence() else { return Reason::NoNumber };
        let missing = finding.score as u64;
        let first = number.saturating_sub(missing);
        let shown = self.ticks[place].key.place;
        let is_behind = |held: &CollectedTick| {
            let Place { partition, offset, index } = held.key.place;
            partition != shown.partition || (offset, index) > (shown.offset, shown.index)
        };
        let from = self.numbers.partition_point(|(number, _)| *number < first);
        let within = self.numbers[from..].iter().take_while(|(of, _)| *of < number);
        let came =
            within.filter(|(_, place)| is_behind(&self.ticks[*place])).map(|(number, _)| *number);
        let (mut count, mut last) = (0, None);
        for number in came {
            count += u64::from(last.replace(number) != Some(number));
        }
        Reason::of(count < missing, Reason::NumbersMissing, Reason::NumbersCame)
    }

    /// Whether a number that is no higher than the last one is where its time puts it, and is no
    /// other tick's.
    fn step(&self, place: usize) -> Reason {
        let Some(number) = self.ticks[place].sequence() else { return Reason::NoNumber };
        let first = self.numbers.partition_point(|(of, _)| *of < number);
        if self.numbers.get(first + 1).is_some_and(|(of, _)| *of == number) {
            return Reason::NumberRepeated;
        }
        let at = self.ticks[place].key.timestamp;
        let (before, behind) = (self.ticks[..place].iter().rev(), self.ticks[place + 1..].iter());
        let earlier =
            before.filter(|held| held.key.timestamp < at).find_map(CollectedTick::sequence);
        let later = behind.filter(|held| held.key.timestamp > at).find_map(CollectedTick::sequence);
        let fits = earlier.is_none_or(|of| of < number) && later.is_none_or(|of| of > number);
        Reason::of(!fits, Reason::NumbersWentBack, Reason::NumberCameLate)
    }

    /// The good ticks of an instant's minute.
    fn minute(&self, at: Timestamp) -> impl Iterator<Item = &CollectedTick> {
        let start = at.floor(Timestamp::MINUTE);
        let first = self.ticks.partition_point(|held| held.key.timestamp < start);
        let within = self.ticks[first..].iter().enumerate();
        let within = within
            .take_while(move |(_, held)| held.key.timestamp.is_within(start, Timestamp::MINUTE));
        within.filter(move |(number, _)| !self.is_bad(first + number)).map(|(_, held)| held)
    }

    fn volume(&self, at: Timestamp) -> f64 {
        let of = |held: &CollectedTick| {
            held.volume
                .map_or(0.0, |volume| volume.whole() as f64 + f64::from(volume.nanos()) / 1e9)
        };
        self.minute(at).map(of).sum()
    }

    /// As a share of the lowest price; nothing where that is not above zero.
    fn range(&self, at: Timestamp) -> f64 {
        let prices = || self.minute(at).map(|held| held.prices.close.nanos());
        let (low, high) = (prices().min().unwrap_or(0), prices().max().unwrap_or(0));
        if low > 0 { (high - low) as f64 / low as f64 } else { 0.0 }
    }
}

/// In units of the currency.
pub fn price(held: &CollectedTick) -> f64 {
    held.prices.close.nanos() as f64 / 1e9
}

/// A bar without the bad prints among its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanBar {
    pub start: Timestamp,
    /// `None`: all of its ticks are bad.
    pub bar: Option<Bar>,
    /// How many are.
    pub left_out: u64,
}

/// The bars of `width` that have bad prints, without those.
pub fn clean_bars(
    ticks: &[CollectedTick],
    judged: Range<usize>,
    bad: &[(usize, Finding)],
    width: i64,
) -> Vec<CleanBar> {
    let mut bars: Vec<CleanBar> = Vec::new();
    for (number, _) in bad {
        let start = ticks[*number].key.timestamp.floor(width);
        match bars.last_mut() {
            Some(last) if last.start == start => last.left_out += 1,
            _ => bars.push(CleanBar { start, bar: None, left_out: 1 }),
        }
    }
    let is_bad = |number: usize| bad.binary_search_by_key(&number, |(number, _)| *number).is_ok();
    for clean in &mut bars {
        let first =
            ticks.partition_point(|held| held.key.timestamp < clean.start).max(judged.start);
        let within = ticks[first..judged.end].iter().enumerate();
        for (number, held) in
            within.take_while(|(_, held)| held.key.timestamp.is_within(clean.start, width))
        {
            if !is_bad(first + number) {
                add(&mut clean.bar, held);
            }
        }
    }
    bars
}

fn add(bar: &mut Option<Bar>, held: &CollectedTick) {
    let at = held.key.timestamp;
    let Ok(tick) = common::Tick::new("-", at, held.prices, held.volume, TimeBounds::only(at))
    else {
        return;
    };
    match bar {
        Some(bar) => bar.add(&tick, held.key.place),
        None => *bar = Some(Bar::of(&tick, held.key.place)),
    }
}
