//! What the detectors look at: the ticks of a batch, without what they do not need.

use crate::source::SourcePartition;
use anomalies::Quote;
use common::{Codes, Extras, Price, SymbolMap, Tick, Timestamp};
use rustc_hash::FxHashMap;

/// Times of detectors are halved, so that the distance of two of them is a number as well.
const LARGEST: i64 = i64::MAX / 2;

/// The ticks of one batch in the order in which they came.
#[derive(Debug, Default)]
pub struct Seen {
    ticks: Vec<SeenTick>,
    /// Each symbol of each partition once.
    series: Vec<Series>,
    partitions: Vec<(SourcePartition, SymbolMap<u32>)>,
    /// Of those ticks that say more than prices and volume.
    noted: Vec<Noted>,
    /// Each set of sale conditions once: a feed has few.
    conditions: Vec<Vec<Box<str>>>,
    by_text: FxHashMap<Box<str>, u32>,
    /// Where the last tick's partition stands: neighbours mostly share it.
    last: usize,
}

/// One tick.
#[derive(Debug, Clone, Copy)]
pub struct SeenTick {
    pub offset: i64,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// The close, in units of 10^-9.
    pub price: i64,
    /// 0 where the producer gives none.
    pub volume: f64,
    /// Which of [`Seen::series`] it belongs to.
    pub series: u32,
    pub index: u16,
    /// Which of [`Seen::noted`] is its own, if it has one.
    noted: u32,
}

/// A tick that says nothing beside price and volume.
const NOTHING: u32 = u32::MAX;

/// What a tick says beside price and volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// Where bid and ask are both known.
    pub quote: Option<Quote>,
    pub sequence: Option<u64>,
    /// Which of [`Seen::conditions`] it has.
    pub conditions: Option<u32>,
}

/// The ticks of one symbol in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub at: SourcePartition,
    pub symbol: Box<str>,
}

/// Which ticks belong together.
#[derive(Debug)]
pub struct BySeries {
    numbers: Vec<u32>,
    /// Where those of each series end.
    ends: Vec<u32>,
}

impl BySeries {
    /// In the order of [`Seen::series`].
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let begin = std::mem::replace(&mut begin, *end as usize);
            &self.numbers[begin..*end as usize]
        })
    }
}

impl Seen {
    /// Gives the number of its series, which is the next one where that is new.
    #[inline]
    pub fn push(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64, index: u16) -> u32 {
        let series = self.series_of(tick, at);
        let volume = tick
            .volume()
            .map_or(0.0, |volume| volume.whole() as f64 + f64::from(volume.nanos()) * 1e-9);
        let noted = if tick.extras().is_empty() { NOTHING } else { self.note(tick.extras()) };
        self.ticks.push(SeenTick {
            offset,
            at: nanos(tick.timestamp()),
            price: tick.prices().close.nanos(),
            volume,
            series,
            index,
            noted,
        });
        series
    }

    /// Gives its number.
    fn note(&mut self, extras: &Extras<'_>) -> u32 {
        let nanos = |price: Option<Price>| price.map(Price::nanos);
        let quote =
            nanos(extras.bid()).zip(nanos(extras.ask())).map(|(bid, ask)| Quote { bid, ask });
        let codes = extras.conditions();
        let conditions = (!codes.is_empty()).then(|| self.conditions_of(codes));
        let number = self.noted.len() as u32;
        self.noted.push(Noted { quote, sequence: extras.sequence(), conditions });
        number
    }

    fn conditions_of(&mut self, codes: Codes<'_>) -> u32 {
        if let Some(known) = self.by_text.get(codes.text()) {
            return *known;
        }
        let number = self.conditions.len() as u32;
        self.conditions.push(codes.iter().map(Box::from).collect());
        self.by_text.insert(codes.text().into(), number);
        number
    }

    #[inline]
    fn series_of(&mut self, tick: &Tick<'_>, at: SourcePartition) -> u32 {
        if self.partitions.get(self.last).is_none_or(|(last, _)| *last != at) {
            self.last =
                self.partitions.iter().position(|(known, _)| *known == at).unwrap_or_else(|| {
                    self.partitions.push((at, SymbolMap::default()));
                    self.partitions.len() - 1
                });
        }
        let symbols = &mut self.partitions[self.last].1;
        if let Some(series) = symbols.get_mut(tick.symbol()) {
            return *series;
        }
        // A batch has at most a million messages, and a message ten thousand ticks.
        let series = self.series.len() as u32;
        symbols.insert(tick.symbol(), series);
        self.series.push(Series { at, symbol: tick.symbol().as_str().into() });
        series
    }

    /// All ticks in the order in which they came.
    pub fn ticks(&self) -> &[SeenTick] {
        &self.ticks
    }

    /// What one of them says beside price and volume.
    #[inline]
    pub fn noted(&self, tick: &SeenTick) -> Noted {
        self.noted.get(tick.noted as usize).copied().unwrap_or_default()
    }

    /// The numbers of each series' ticks, in the order in which they came.
    pub fn by_series(&self) -> BySeries {
        let mut ends = vec![0; self.series.len()];
        self.ticks.iter().for_each(|tick| ends[tick.series as usize] += 1);
        let mut begin = 0;
        for end in &mut ends {
            begin += std::mem::replace(end, begin);
        }
        let mut numbers = vec![0; self.ticks.len()];
        for (number, tick) in (0..).zip(&self.ticks) {
            let end = &mut ends[tick.series as usize];
            numbers[*end as usize] = number;
            *end += 1;
        }
        BySeries { numbers, ends }
    }

    /// The codes of each set of sale conditions.
    pub fn conditions(&self) -> &[Vec<Box<str>>] {
        &self.conditions
    }

    pub fn series(&self) -> &[Series] {
        &self.series
    }

    pub fn clear(&mut self) {
        self.ticks.clear();
        self.series.clear();
        // The memory of those that had ticks is kept: they mostly have some again.
        self.partitions.retain_mut(|(_, symbols)| {
            let had_ticks = !symbols.is_empty();
            symbols.clear();
            had_ticks
        });
        self.noted.clear();
        self.conditions.clear();
        self.by_text.clear();
        self.last = 0;
    }
}

fn nanos(at: Timestamp) -> i64 {
    at.micros().saturating_mul(1000).clamp(-LARGEST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::tick::Prices;
    use common::{Price, TimeBounds};

    #[test]
    fn the_ticks_of_each_series_are_told_in_the_order_in_which_they_came() {
        let mut seen = Seen::default();
        let at = Timestamp::from_micros(0);
        let price = Price::from_nanos(1).unwrap();
        let prices = Prices { open: price, high: None, low: None, close: price };
        let told = [(0, "A"), (1, "A"), (0, "B"), (0, "A"), (1, "C"), (0, "B"), (1, "A")];
        for (offset, (partition, symbol)) in (0..).zip(told) {
            let tick = Tick::new(symbol, at, prices, None, TimeBounds::until(at)).unwrap();
            seen.push(&tick, SourcePartition { source: 1, partition }, offset, 0);
        }
        let by_series = seen.by_series();
        let all: Vec<(i32, &str, &[u32])> = seen
            .series()
            .iter()
            .zip(by_series.iter())
            .map(|(series, numbers)| (series.at.partition, &*series.symbol, numbers))
            .collect();
        let expected: [(i32, &str, &[u32]); 4] =
            [(0, "A", &[0, 3]), (1, "A", &[1, 6]), (0, "B", &[2, 5]), (1, "C", &[4])];
        assert_eq!(all, expected);
    }
}
