//! The detectors' input: the ticks of a batch, without the columns that they do not need.

use crate::source::SourcePartition;
use anomalies::Quote;
use common::{Codes, Extras, Price, SymbolMap, Tick, Timestamp};
use rustc_hash::FxHashMap;

/// Times of detectors are halved, so that the distance of two of them is a number as well.
const LARGEST: i64 = i64::MAX / 2;

/// The ticks of one batch in the order in which they came.
#[derive(Debug, Default)]
pub struct DetectorInput {
    ticks: Vec<DetectorTick>,
    /// The symbols of each partition, each once.
    series: Vec<Series>,
    partitions: Vec<(SourcePartition, SymbolMap<u32>)>,
    /// The extras of those ticks that have any, in the same order.
    noted: Vec<Noted>,
    /// The sets of sale conditions, each once: a feed has few.
    conditions: Vec<Vec<Box<str>>>,
    by_text: FxHashMap<Box<str>, u32>,
    /// The index of the last tick's partition: neighbours mostly share it.
    last: usize,
}

/// One tick.
#[derive(Debug, Clone, Copy)]
pub struct DetectorTick {
    pub offset: i64,
    /// Nanoseconds since 1970.
    pub at: i64,
    /// The close, in units of 10^-9.
    pub price: i64,
    /// 0 where the producer gives none.
    pub volume: f64,
    /// Which of [`DetectorInput::series`] it belongs to.
    pub series: u32,
    pub index: u16,
    is_noted: bool,
}

/// A tick's fields other than price and volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// The quote, if bid and ask are both known.
    pub quote: Option<Quote>,
    pub sequence: Option<u64>,
    /// Which of [`DetectorInput::conditions`] it has.
    pub conditions: Option<u32>,
}

/// The ticks of one symbol in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub at: SourcePartition,
    pub symbol: Box<str>,
}

impl DetectorInput {
    /// Gives the number of its series, which is the next one where that is new.
    #[inline]
    pub fn push(&mut self, tick: &Tick<'_>, at: SourcePartition, offset: i64, index: u16) -> u32 {
        let series = self.series_of(tick, at);
        let volume = tick
            .volume()
            .map_or(0.0, |volume| volume.whole() as f64 + f64::from(volume.nanos()) * 1e-9);
        self.ticks.push(DetectorTick {
            offset,
            at: nanos(tick.timestamp()),
            price: tick.prices().close.nanos(),
            volume,
            series,
            index,
            is_noted: !tick.extras().is_empty(),
        });
        if !tick.extras().is_empty() {
            self.note(tick.extras());
        }
        series
    }

    fn note(&mut self, extras: &Extras<'_>) {
        let nanos = |price: Option<Price>| price.map(Price::nanos);
        let quote =
            nanos(extras.bid()).zip(nanos(extras.ask())).map(|(bid, ask)| Quote { bid, ask });
        let codes = extras.conditions();
        let conditions = (!codes.is_empty()).then(|| self.conditions_of(codes));
        self.noted.push(Noted { quote, sequence: extras.sequence(), conditions });
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

    /// Each tick with its extras.
    pub fn ticks(&self) -> impl Iterator<Item = (&DetectorTick, Noted)> {
        let mut noted = self.noted.iter().copied();
        self.ticks.iter().map(move |tick| {
            let noted = if tick.is_noted { noted.next() } else { None };
            (tick, noted.unwrap_or_default())
        })
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
