//! [`Bars`]: what the minutes and the hour of symbols must be by the ticks of `realtime_stock`.

use crate::symbols::{ALL_SYMBOLS, SymbolRange, is_within};
use crate::tables::{self, TickQuery};
use common::{Bar, Place, Symbol, SymbolMap, Tick, Timestamp};
use hourly::hour::Hour;
use hourly::scan::Offsets;
use rustc_hash::FxHashMap;
use service::pg::bars::Row;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// Symbols of which the bars are in memory at once: 150,000 bars at most, about 50 MB.
pub const SYMBOLS_A_PASS: usize = 2500;

/// Symbols of which a statement takes the bars: 20,000 rows at most.
pub const SYMBOLS_AT_ONCE: usize = 333;

const MINUTES_OF_HOUR: i64 = 60;

/// The bars of some symbols in one hour.
pub struct Bars {
    start: Timestamp,
    /// One for each minute of the hour.
    minutes: Vec<SymbolMap<Bar>>,
    hour: SymbolMap<Bar>,
}

impl Bars {
    /// The bars of the ticks that are asked for, each record once.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read(
        connection: &mut PgConnection,
        patience: Duration,
        asked: TickQuery<'_>,
    ) -> Result<Self, sqlx::Error> {
        let minutes = (0..MINUTES_OF_HOUR).map(|_| SymbolMap::default()).collect();
        let mut bars = Self { start: asked.hour.start(), minutes, hour: SymbolMap::default() };
        let mut seen = SeenRecords::default();
        tables::each_tick(connection, patience, asked, |row| {
            if let Some(tick) = row.content.tick().filter(|_| seen.is_new(row.source, row.place)) {
                bars.add(&tick, row.place);
            }
        })
        .await?;
        Ok(bars)
    }

    fn add(&mut self, tick: &Tick<'_>, place: Place) {
        let micros = tick.timestamp().micros() - self.start.micros();
        let minute = usize::try_from(micros / Timestamp::MINUTE).unwrap_or_default();
        for bars in [&mut self.minutes[minute], &mut self.hour] {
            match bars.get_mut(tick.symbol()) {
                Some(bar) => bar.add(tick, place),
                None => bars.insert(tick.symbol(), Bar::of(tick, place)),
            }
        }
    }

    /// The minutes of those of its symbols that are in a range.
    #[must_use]
    pub fn minutes(&self, range: SymbolRange<'_>) -> Vec<Row<'_>> {
        let starts = (0..).map(|number| self.start.plus_micros(number * Timestamp::MINUTE));
        starts.zip(&self.minutes).flat_map(|(start, bars)| rows(bars, start, range)).collect()
    }

    /// The hour of those of its symbols that are in a range.
    #[must_use]
    pub fn hours(&self, range: SymbolRange<'_>) -> Vec<Row<'_>> {
        rows(&self.hour, self.start, range).collect()
    }
}

fn rows<'b>(
    bars: &'b SymbolMap<Bar>,
    start: Timestamp,
    range: SymbolRange<'_>,
) -> impl Iterator<Item = Row<'b>> {
    let all = bars.iter().map(move |(symbol, bar)| (symbol.as_str(), start, bar));
    all.filter(move |(symbol, ..)| is_within(range, symbol))
}

/// Which records there were, by source.
#[derive(Default)]
struct SeenRecords(FxHashMap<i16, Offsets>);

impl SeenRecords {
    fn is_new(&mut self, source: i16, place: Place) -> bool {
        let seen = self.0.entry(source).or_default();
        place.number().is_none_or(|number| seen.insert(place.partition, number))
    }
}

/// The symbols that have ticks in an hour, in order; `None` where a record stands twice.
///
/// # Errors
/// Where the database fails.
pub async fn symbols(
    connection: &mut PgConnection,
    patience: Duration,
    hour: Hour,
) -> Result<Option<Vec<String>>, sqlx::Error> {
    let (mut symbols, mut seen, mut is_doubled) =
        (SymbolMap::<()>::default(), SeenRecords::default(), false);
    let all = TickQuery { hour, sources: None, symbols: ALL_SYMBOLS };
    tables::each_tick(connection, patience, all, |row| {
        is_doubled |= !seen.is_new(row.source, row.place);
        if let Some(tick) = row.content.tick() {
            note(&mut symbols, tick.symbol());
        }
    })
    .await?;
    let mut symbols: Vec<String> =
        symbols.iter().map(|(symbol, ())| symbol.as_str().to_owned()).collect();
    symbols.sort_unstable();
    Ok((!is_doubled).then_some(symbols))
}

fn note(symbols: &mut SymbolMap<()>, symbol: Symbol<'_>) {
    if symbols.get_mut(symbol).is_none() {
        symbols.insert(symbol, ());
    }
}
