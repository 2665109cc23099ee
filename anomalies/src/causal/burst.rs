//! Bursts: more volume, or a wider range, in a minute than this time of the session usually has.

use crate::calendar::Session;
use crate::pack::Pack;
use crate::tick::{Detector, Finding, Kind, MINUTE, Tick};
use serde::{Deserialize, Serialize};

/// The name and version stored with each finding.
pub const DETECTOR: Detector = Detector { name: "burst", version: 4 };

/// Parts of a session that are learnt apart: twelve minutes each of a day of 390. A half day has
/// parts half as long.
const PARTS: usize = 32;
/// The weight of a new minute in the mean of its part, and in the deviation of all; of 1.
const SMOOTHING_WEIGHT: f32 = 1.0 / 32.0;

/// The limits of a burst.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Deviations of the logarithm above the part's mean.
    pub deviations: f32,
    /// Minutes of a part before it is judged.
    pub minutes: u8,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { deviations: 6.0, minutes: 12 }
    }
}

/// The logarithm of one quantity, in each part of a session.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Profile {
    means: [f32; PARTS],
    /// The mean absolute deviation from them.
    deviation: f32,
    /// The current minute's value, and its limit.
    now: f64,
    limit: f64,
    is_said: bool,
}

/// The profiles of both quantities, and the current minute.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct State {
    volume: Profile,
    range: Profile,
    minutes: [u8; PARTS],
    /// The minute since 1970, and the part of its session.
    minute: i64,
    part: u8,
    low: i64,
    high: i64,
    /// Something was learnt since it was last written down.
    has_learnt: bool,
}

impl State {
    /// Adds `tick`, which came in `session`, to its minute.
    #[inline]
    pub fn observe(
        &mut self,
        tick: &Tick,
        parameters: &Parameters,
        session: Session,
        found: &mut Vec<Finding>,
    ) {
        let minute = tick.at.div_euclid(MINUTE);
        if minute > self.minute {
            self.begin(minute, tick, parameters, session);
        }
        self.volume.now += tick.volume;
        if tick.price < self.low || tick.price > self.high {
            (self.low, self.high) = (self.low.min(tick.price), self.high.max(tick.price));
            // A share of a price of zero or below is no range.
            self.range.now =
                if self.low > 0 { (self.high - self.low) as f64 / self.low as f64 } else { 0.0 };
        }
        self.volume.judge(Kind::VolumeBurst, tick, found);
        self.range.judge(Kind::RangeBurst, tick, found);
    }

    /// The minute was ahead of the time, which the next tick tells: nothing is learnt of it.
    pub(super) fn go_back(&mut self) {
        self.minute = 0;
    }

    /// Appends the current minute, and after it the learnt profile: all of it if `is_snapshot`,
    /// else only if it has changed, which it does once a minute.
    pub(super) fn write(&mut self, is_snapshot: bool, to: &mut Vec<u8>) {
        let Self { volume, range, minutes, minute, part, low, high, has_learnt } = self;
        (*minute, *low, *high).put(to);
        part.put(to);
        for profile in [&*volume, &*range] {
            (profile.now, profile.limit, profile.is_said).put(to);
        }
        let with_learnt = std::mem::take(has_learnt) || is_snapshot;
        with_learnt.put(to);
        if with_learnt {
            minutes.put(to);
            for profile in [&*volume, &*range] {
                (profile.means, profile.deviation).put(to);
            }
        }
    }

    /// Reads on from what [`State::write`] appended after what this state knows.
    pub(super) fn read(&mut self, from: &mut &[u8]) -> Option<()> {
        (self.minute, self.low, self.high) = Pack::take(from)?;
        self.part = Pack::take(from)?;
        for profile in [&mut self.volume, &mut self.range] {
            (profile.now, profile.limit, profile.is_said) = Pack::take(from)?;
        }
        if bool::take(from)? {
            self.minutes = Pack::take(from)?;
            for profile in [&mut self.volume, &mut self.range] {
                (profile.means, profile.deviation) = Pack::take(from)?;
            }
        }
        // A part is an index.
        (usize::from(self.part) < PARTS).then_some(())
    }

    fn begin(&mut self, minute: i64, tick: &Tick, parameters: &Parameters, session: Session) {
        if self.minute != 0 {
            let part = usize::from(self.part);
            let seen = &mut self.minutes[part];
            self.volume.learn(part, *seen, 1.0);
            self.range.learn(part, *seen, SMALLEST_RANGE);
            *seen = seen.saturating_add(1);
            self.has_learnt = true;
        }
        let length = (session.closes - session.opens).max(1);
        let part =
            ((tick.at - session.opens) as i128 * PARTS as i128 / i128::from(length)) as usize;
        self.part = part.min(PARTS - 1) as u8;
        self.minute = minute;
        (self.low, self.high) = (tick.price, tick.price);
        let is_known = self.minutes[usize::from(self.part)] >= parameters.minutes;
        for profile in [&mut self.volume, &mut self.range] {
            profile.begin(usize::from(self.part), is_known, parameters);
        }
    }
}

/// The smallest range that counts, as a share of the price: one basis point.
const SMALLEST_RANGE: f64 = 1e-4;
/// Minimum deviation of the natural logarithm: nothing is so regular that a twofold minute would be
/// a burst.
const LEAST_DEVIATION: f32 = 0.25;
/// Standard deviation of a normal distribution by its mean absolute deviation: the root of pi/2.
const NORMAL_DEVIATION_RATIO: f32 = 1.25;

impl Profile {
    fn begin(&mut self, part: usize, is_known: bool, parameters: &Parameters) {
        let deviation = (NORMAL_DEVIATION_RATIO * self.deviation).max(LEAST_DEVIATION);
        let limit = f64::from(self.means[part] + parameters.deviations * deviation).exp();
        (self.now, self.is_said) = (0.0, false);
        self.limit = if is_known { limit } else { f64::MAX };
    }

    #[inline]
    fn judge(&mut self, kind: Kind, tick: &Tick, found: &mut Vec<Finding>) {
        if self.now <= self.limit || self.is_said {
            return;
        }
        self.is_said = true;
        let (place, at, score) = (tick.place, tick.at, self.now / self.limit);
        let (observed, expected) = (self.now, self.limit);
        found.push(Finding { detector: DETECTOR, kind, place, at, score, observed, expected });
    }

    /// `least` is the smallest amount that is told from nothing.
    fn learn(&mut self, part: usize, seen: u8, least: f64) {
        let logarithm = self.now.max(least).ln() as f32;
        let off = logarithm - self.means[part];
        self.means[part] += off * (1.0 / (f32::from(seen) + 1.0)).max(SMOOTHING_WEIGHT);
        if seen > 0 {
            let cap = if self.deviation > 0.0 { 4.0 * self.deviation } else { f32::MAX };
            self.deviation += (off.abs().min(cap) - self.deviation) * SMOOTHING_WEIGHT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::tick::{SECOND, TickId};

    #[test]
    fn a_range_with_prices_of_zero_and_below_is_none() {
        let (mut state, mut found) = (State::default(), Vec::new());
        let session = Session { opens: 0, closes: 10_000 * MINUTE };
        for second in 0..60_000 {
            let price = if second > 59_000 { second % 7 - 7 } else { 100 + second % 3 };
            let tick = Tick::of(TickId::default(), second * SECOND, price * 1_000_000_000);
            state.observe(&tick, &Parameters::default(), session, &mut found);
        }
        assert!(found.iter().all(|finding| finding.kind != Kind::RangeBurst), "{found:?}");
    }

    /// Ten days of a market that trades ten times as much in the first hour; at the end one minute
    /// with `times` as much.
    fn found(at_minute: i64, times: f64) -> Vec<Kind> {
        let (mut state, mut found, mut random) = (State::default(), Vec::new(), Random::of(1));
        for day in 1..=11 {
            let session =
                Session { opens: day * 1440 * MINUTE, closes: (day * 1440 + 390) * MINUTE };
            for minute in 0..390 {
                let usual = if minute < 60 { 1000.0 } else { 100.0 };
                let factor = if day == 11 && minute == at_minute { times } else { 1.0 };
                for part in 0..10 {
                    let at = session.opens + minute * MINUTE + part * 6 * SECOND;
                    let price = 100_000_000_000 + random.below(40_000_000) as i64;
                    let volume = usual * factor * random.unit();
                    let tick = Tick { volume, ..Tick::of(TickId::default(), at, price) };
                    state.observe(&tick, &Parameters::default(), session, &mut found);
                }
            }
        }
        found.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_usual_minute_is_nothing_at_any_time_of_day() {
        assert_eq!(found(0, 1.0), []);
    }

    #[test]
    fn a_burst_is_said_once_a_minute() {
        assert_eq!(found(200, 10.0), [Kind::VolumeBurst]);
    }

    #[test]
    fn what_the_opening_has_is_a_burst_at_noon_only() {
        assert_eq!(found(30, 1.2), []);
        assert_eq!(found(200, 12.0), [Kind::VolumeBurst]);
    }
}
