//! What hindsight says of one symbol's ticks, and of what was found in them as they came. It knows no SQL.

use super::collect::Held;
use anomalies::conditions::Sale;
use anomalies::hindsight::{self, Parameters};
use anomalies::{Finding, Kind, Place, Revision, Tick};
use common::{Bar, TimeBounds, Timestamp};
use std::ops::Range;

/// Ticks that are looked at in one go, beside their margins.
const AT_ONCE: usize = 20_000;

/// What of a finding decides about it.
#[derive(Debug, Clone)]
pub struct Provisional {
    pub kind: Kind,
    pub at: Timestamp,
    pub place: common::Place,
    /// In people's units: a price, seconds, a minute's volume or its range.
    pub observed: f64,
    pub expected: f64,
}

/// What hindsight says.
#[derive(Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Bad prints and what was taken back, by where they stand among the symbol's ticks.
    pub bad: Vec<(usize, Finding)>,
    /// What corrects others.
    pub corrections: Vec<(usize, Finding)>,
    /// Of each finding whether it is confirmed; `None`: its tick is not there, or nothing can be said.
    pub of_findings: Vec<Option<bool>>,
    /// Of each finding where its tick stands.
    pub places: Vec<Option<usize>>,
}

/// Judges `judged` of one symbol's ticks, which are in order; the others are the margin.
pub fn judge(ticks: &[Held], judged: Range<usize>, findings: &[Provisional], to: &Parameters) -> Verdicts {
    let found = found_in(ticks, judged.clone(), to);
    let (bad, corrections): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, finding)| finding.kind.is_left_out());
    let symbol = Symbol { ticks, judged, bad: &bad };
    let places: Vec<Option<usize>> = findings.iter().map(|finding| symbol.find(finding)).collect();
    let verdict = |(finding, place): (&Provisional, &Option<usize>)| symbol.verdict(finding, (*place)?);
    let of_findings = findings.iter().zip(&places).map(verdict).collect();
    Verdicts { bad, corrections, of_findings, places }
}

fn found_in(ticks: &[Held], judged: Range<usize>, to: &Parameters) -> Vec<(usize, Finding)> {
    let mut all = Vec::new();
    for start in judged.clone().step_by(AT_ONCE) {
        let end = judged.end.min(start + AT_ONCE);
        let (from, until) = (start.saturating_sub(to.neighbours), (end + to.neighbours).min(ticks.len()));
        // The place is where it stands in `ticks`.
        let as_seen = |(number, held): (usize, &Held)| {
            let place = Place { offset: (from + number) as i64, index: 0 };
            let Sale { is_excluded, revision } = held.sale;
            let at = held.key.timestamp.micros().saturating_mul(1000);
            Tick { quote: held.quote(), is_excluded, revision, ..Tick::of(place, at, held.prices.close.nanos()) }
        };
        let seen: Vec<Tick> = ticks[from..until].iter().enumerate().map(as_seen).collect();
        let found = hindsight::judge(&seen, start - from..end - from, to);
        all.extend(found.into_iter().map(|finding| (finding.place.offset as usize, finding)));
    }
    all
}

struct Symbol<'a> {
    ticks: &'a [Held],
    judged: Range<usize>,
    bad: &'a [(usize, Finding)],
}

impl Symbol<'_> {
    /// Where a finding's tick stands. Where lines tell no places, by its time and price.
    fn find(&self, finding: &Provisional) -> Option<usize> {
        let first = self.ticks.partition_point(|held| held.key.timestamp < finding.at);
        let same_time = self.ticks[first..].iter().take_while(|held| held.key.timestamp == finding.at);
        let is_it = |held: &Held| held.key.place == finding.place;
        let may_be_it = |held: &Held| !held.is_told && (price(held) - finding.observed).abs() < 1e-9;
        let by_place = same_time.clone().position(is_it);
        by_place.or_else(|| same_time.clone().position(may_be_it)).map(|number| first + number)
    }

    fn is_bad(&self, at: usize) -> bool {
        self.bad.binary_search_by_key(&at, |(number, _)| *number).is_ok()
    }

    /// Whether a finding in the tick at `place` is confirmed.
    fn verdict(&self, finding: &Provisional, place: usize) -> Option<bool> {
        if !self.judged.contains(&place) {
            return None;
        }
        match finding.kind {
            Kind::Spike | Kind::ExcludedCondition | Kind::OutsideQuotes | Kind::OutsideBands => {
                Some(self.is_bad(place))
            }
            Kind::Cancel => Some(self.ticks[place].is_cancel()),
            Kind::Correction => Some(self.ticks[place].sale.revision == Some(Revision::Correction)),
            Kind::Silence => Some(!self.is_filled(finding)),
            Kind::VolumeBurst => Some(self.volume(finding.at) > finding.expected),
            Kind::RangeBurst => Some(self.range(finding.at) > finding.expected),
            _ => None,
        }
    }

    /// Whether ticks of the silent time came late.
    fn is_filled(&self, finding: &Provisional) -> bool {
        let since = finding.at.micros().saturating_sub((finding.observed * 1e6) as i64);
        let behind = self.ticks.partition_point(|held| held.key.timestamp.micros() <= since + 1);
        self.ticks.get(behind).is_some_and(|held| held.key.timestamp < finding.at)
    }

    /// The good ticks of an instant's minute.
    fn minute(&self, at: Timestamp) -> impl Iterator<Item = &Held> {
        let start = at.floor(Timestamp::MINUTE);
        let first = self.ticks.partition_point(|held| held.key.timestamp < start);
        let within = self.ticks[first..].iter().enumerate();
        let within = within.take_while(move |(_, held)| held.key.timestamp.is_within(start, Timestamp::MINUTE));
        within.filter(move |(number, _)| !self.is_bad(first + number)).map(|(_, held)| held)
    }

    fn volume(&self, at: Timestamp) -> f64 {
        let of =
            |held: &Held| held.volume.map_or(0.0, |volume| volume.whole() as f64 + f64::from(volume.nanos()) / 1e9);
        self.minute(at).map(of).sum()
    }

    /// As a share of the lowest price.
    fn range(&self, at: Timestamp) -> f64 {
        let prices = || self.minute(at).map(|held| held.prices.close.nanos());
        let (low, high) = (prices().min().unwrap_or(0), prices().max().unwrap_or(0));
        (high - low) as f64 / low.max(1) as f64
    }
}

/// In units of the currency.
pub fn price(held: &Held) -> f64 {
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
pub fn clean_bars(ticks: &[Held], judged: Range<usize>, bad: &[(usize, Finding)], width: i64) -> Vec<CleanBar> {
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
        let first = ticks.partition_point(|held| held.key.timestamp < clean.start).max(judged.start);
        let within = ticks[first..judged.end].iter().enumerate();
        for (number, held) in within.take_while(|(_, held)| held.key.timestamp.is_within(clean.start, width)) {
            if !is_bad(first + number) {
                add(&mut clean.bar, held);
            }
        }
    }
    bars
}

fn add(bar: &mut Option<Bar>, held: &Held) {
    let at = held.key.timestamp;
    let Ok(tick) = common::Tick::new("-", at, held.prices, held.volume, TimeBounds::only(at)) else { return };
    match bar {
        Some(bar) => bar.add(&tick, held.key.place),
        None => *bar = Some(Bar::of(&tick, held.key.place)),
    }
}
