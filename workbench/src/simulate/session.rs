//! How busy the market is: a U over the exchange day, thin before and after it, nearly nothing at
//! night.

use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone};

const MINUTE_MICROS: i64 = 60_000_000;
const OPEN: u16 = 9 * 60 + 30;
const CLOSE: u16 = 16 * 60;

/// How busy the market is in an average minute of the session: the mean of what
/// [`NewYork::activity`] gives there.
pub const MEAN_ACTIVITY: f64 = 0.5 + 2.0 / 3.0;

/// New York's clock. Its rule is built in, so that a container without a time zone database does.
pub struct NewYork(TimeZone);

impl NewYork {
    ///
    /// # Errors
    /// Never, as long as the rule below is one.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0")?))
    }

    pub fn offset(&self, micros: i64) -> Offset {
        self.0.to_offset(timestamp(micros))
    }

    /// Relative number of trades a minute, around 1 on an exchange day and never zero, so that a
    /// demo at night shows something too. `micros` counts from the epoch.
    pub fn activity(&self, micros: i64) -> f64 {
        let local = self.0.to_datetime(timestamp(micros));
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let weekend = matches!(local.date().weekday(), Weekday::Saturday | Weekday::Sunday);
        match minute {
            _ if weekend => 0.02,
            OPEN..CLOSE => {
                let progress = f64::from(minute - OPEN) / f64::from(CLOSE - OPEN);
                0.5 + 2.0 * (2.0 * progress - 1.0).powi(2)
            }
            240..OPEN | CLOSE..1200 => 0.08,
            _ => 0.02,
        }
    }
}

fn timestamp(micros: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default()
}

/// When the ticks of a backfill happen: as many a minute as the market is busy, in order.
pub struct Spread {
    start: i64,
    span: i64,
    /// Activity up to the end of each minute.
    cumulative: Vec<f64>,
    count: u64,
    minute: usize,
}

impl Spread {
    /// `count` ticks over `span` microseconds from `start`.
    pub fn new(new_york: &NewYork, start: i64, span: i64, count: u64) -> Self {
        let mut total = 0.0;
        let mut cumulative = Vec::new();
        let mut from = start;
        while from < start + span {
            let length = (start + span - from).min(MINUTE_MICROS);
            // No minute so quiet that its end would equal its beginning.
            total += new_york.activity(from) * length as f64;
            cumulative.push(total);
            from += MINUTE_MICROS;
        }
        Self { start, span, cumulative, count, minute: 0 }
    }

    /// How long the market takes from one tick to the next, in seconds of activity 1.
    pub fn busy_seconds_per_tick(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or_default() / 1e6 / self.count.max(1) as f64
    }

    /// The time of tick `number`, plus a part of the distance to the next: `jitter` is in [0, 1).
    /// Numbers must ascend.
    pub fn time(&mut self, number: u64, jitter: f64) -> i64 {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let wanted = total * (number as f64 + jitter) / self.count as f64;
        while self.minute + 1 < self.cumulative.len() && self.cumulative[self.minute] <= wanted {
            self.minute += 1;
        }
        let Some(end) = self.cumulative.get(self.minute) else {
            return self.start;
        };
        let begin = if self.minute == 0 { 0.0 } else { self.cumulative[self.minute - 1] };
        let within = ((wanted - begin) / (end - begin)).clamp(0.0, 1.0);
        let from = i64::try_from(self.minute).unwrap_or(i64::MAX).saturating_mul(MINUTE_MICROS);
        let length = (self.span - from).min(MINUTE_MICROS);
        self.start + from + ((within * length as f64) as i64).min(length - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn the_day_is_busiest_at_its_ends_and_never_still() {
        let new_york = NewYork::new().unwrap();
        let at = |text| new_york.activity(micros(text));
        let (open, noon, close) =
            (at("2025-06-06T13:30:00Z"), at("2025-06-06T16:45:00Z"), at("2025-06-06T19:59:00Z"));
        assert!(open > 4.0 * noon && close > 4.0 * noon, "{open} {noon} {close}");
        // In winter the exchange opens an hour later in UTC.
        assert!(at("2025-01-10T13:30:00Z") < 0.1 && at("2025-01-10T14:30:00Z") > 2.0);
        assert!(at("2025-06-07T15:00:00Z") > 0.0, "Saturday");
    }

    #[test]
    fn the_session_s_mean_is_what_it_is_said_to_be() {
        let (new_york, open) = (NewYork::new().unwrap(), micros("2025-06-06T13:30:00Z"));
        let minutes = i64::from(CLOSE - OPEN);
        let sum: f64 =
            (0..minutes).map(|minute| new_york.activity(open + minute * MINUTE_MICROS)).sum();
        assert!((sum / minutes as f64 / MEAN_ACTIVITY - 1.0).abs() < 0.001, "{sum}");
    }

    #[test]
    fn a_backfill_of_a_day_has_most_ticks_while_the_exchange_is_open() {
        let start = micros("2025-06-06T04:00:00Z");
        let mut spread = Spread::new(&NewYork::new().unwrap(), start, 86_400_000_000, 10_000);
        let (open, close) = (micros("2025-06-06T13:30:00Z"), micros("2025-06-06T20:00:00Z"));
        let during =
            (0..10_000).filter(|number| (open..close).contains(&spread.time(*number, 0.5))).count();
        assert!((8_000..9_990).contains(&during), "{during}");
    }

    proptest! {
        #[test]
        fn times_ascend_and_stay_in_the_span(
            start in 0_i64..1_800_000_000_000_000,
            span in 1_i64..200_000_000_000,
            jitters in prop::collection::vec(0.0_f64..1.0, 1..300),
        ) {
            let mut spread = Spread::new(&NewYork::new().unwrap(), start, span, jitters.len() as u64);
            let times: Vec<i64> = (0..).zip(&jitters).map(|(number, jitter)| spread.time(number, *jitter)).collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|time| (start..start + span).contains(time)), "{:?}", times);
        }
    }
}
