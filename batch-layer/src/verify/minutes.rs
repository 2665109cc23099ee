//! Whether each row of `minute_bars` follows from the ticks of `realtime_stock`.
//!
//! An hour has sixty times as many of them as it has symbols, so its ticks are read once more, some symbols at a time.

use super::repair::Bars;
use super::tables::Sources;
use crate::hour::Hour;
use crate::index::Index;
use common::pg::numeric::Numeric;
use common::pg::{self, in_time};
use common::wide_sum::Exact;
use common::{Bar, Failure, SymbolMap, Timestamp};
use sqlx::postgres::PgConnection;

/// Symbols that are looked at in one pass over the ticks: 150,000 bars at most, about 50 MB.
const SYMBOLS_A_PASS: usize = 2500;

/// Symbols that are compared in one statement: 20,000 rows at most.
const SYMBOLS_AT_ONCE: usize = 333;

/// A range of symbols: from one, and before another, if any.
pub type SymbolRange<'a> = (&'a str, Option<&'a str>);

/// Symbols of an hour with a minute that says something else than the ticks of `sources`. `expected`: the bars of all of
/// its symbols that have ticks.
///
/// # Errors
/// Where the database fails.
pub async fn differing(
    index: &mut Index,
    (hour, sources): (Hour, Sources<'_>),
    expected: &SymbolMap<Bar>,
) -> Result<Vec<String>, Failure> {
    let mut symbols: Vec<&str> = expected.iter().map(|(symbol, _)| symbol.as_str()).collect();
    symbols.sort_unstable();
    let (patience, mut found) = (index.patience, Vec::new());
    for (part, range) in parts(&symbols, ("", None), SYMBOLS_A_PASS) {
        let read = Bars::read(&mut index.connection, patience, (hour, sources), range).await;
        let bars = read.map_err(|error| index.failed("reading realtime_stock in", error))?.0;
        for (_, range) in parts(part, range, SYMBOLS_AT_ONCE) {
            let compared = in_time(patience, compare(&mut index.connection, hour, range, &bars.minutes)).await;
            found.extend(compared.map_err(|error| index.failed("reading minute_bars in", error))?);
        }
    }
    Ok(found)
}

/// Cuts sorted symbols into parts, each with the range that holds them; together the ranges are all of `range`.
fn parts<'a>(
    symbols: &'a [&'a str],
    range: SymbolRange<'a>,
    most: usize,
) -> impl Iterator<Item = (&'a [&'a str], SymbolRange<'a>)> {
    let number = symbols.len().div_ceil(most).max(1);
    (0..number).map(move |part| {
        let first = part * most;
        let end = (first + most).min(symbols.len());
        let from = if part == 0 { range.0 } else { symbols[first] };
        let to = if part + 1 == number { range.1 } else { Some(symbols[end]) };
        (&symbols[first..end], (from, to))
    })
}

/// Symbols of a range of which `minute_bars` says something else. `minutes`: one for each minute of the hour.
async fn compare(
    connection: &mut PgConnection,
    hour: Hour,
    (from, to): SymbolRange<'_>,
    minutes: &[SymbolMap<Bar>],
) -> Result<Vec<String>, sqlx::Error> {
    let is_within = |symbol: &str| symbol >= from && to.is_none_or(|to| symbol < to);
    let starts = (0..).map(|number| hour.start().plus_micros(number * Timestamp::MINUTE));
    let bars = starts.zip(minutes).flat_map(|(minute, bars)| {
        bars.iter().map(move |(symbol, bar)| (minute, symbol.as_str(), bar)).filter(|(_, symbol, _)| is_within(symbol))
    });
    let bars: Vec<(Timestamp, &str, &Bar)> = bars.collect();
    let numbers = |of: fn(&Bar) -> Numeric| bars.iter().map(|(.., bar)| of(bar)).collect::<Vec<_>>();
    let sums =
        |of: fn(&Bar) -> Option<Exact>| bars.iter().map(|(.., bar)| of(bar).map(Numeric::from)).collect::<Vec<_>>();
    pg::query_scalar(
        "with expected as
             (select * from unnest($4::text[], $5::timestamptz[], $6::numeric[], $7::numeric[], $8::numeric[],
                                   $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[], $13::bigint[])
                            as bars (symbol, minute, open, high, low, close, volume, sum_close, notional, ticks))
         select distinct coalesce(e.symbol, t.symbol)
         from expected e
                  full join (select * from minute_bars
                             where minute >= $1 and minute < $1 + interval '1 hour'
                               and symbol >= $2 and ($3::text is null or symbol < $3)) t
                  on t.symbol = e.symbol and t.minute = e.minute
         where (t.open, t.high, t.low, t.close, t.volume, t.ticks, t.sum_close, t.notional)
               is distinct from (e.open, e.high, e.low, e.close, e.volume, e.ticks, e.sum_close, e.notional)
         order by 1",
    )
    .bind(hour.start())
    .bind(from)
    .bind(to)
    .bind(bars.iter().map(|(_, symbol, _)| *symbol).collect::<Vec<_>>())
    .bind(bars.iter().map(|(minute, ..)| *minute).collect::<Vec<_>>())
    .bind(numbers(|bar| bar.open.into()))
    .bind(numbers(|bar| bar.high.into()))
    .bind(numbers(|bar| bar.low.into()))
    .bind(numbers(|bar| bar.close.into()))
    .bind(sums(|bar| bar.traded.volume()))
    .bind(sums(|bar| Some(Exact::of_attos(bar.sum_close.into(), 0))))
    .bind(sums(|bar| bar.traded.notional()))
    .bind(bars.iter().map(|(.., bar)| bar.ticks.cast_signed()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_symbols_leave_no_range_out() {
        let cut = |symbols: &'static [&'static str], most| parts(symbols, ("", None), most).collect::<Vec<_>>();
        assert_eq!(cut(&[], 2), [(&[][..], ("", None))]);
        assert_eq!(cut(&["A", "B"], 2), [(&["A", "B"][..], ("", None))]);
        let three = cut(&["A", "B", "C"], 2);
        assert_eq!(three, [(&["A", "B"][..], ("", Some("C"))), (&["C"][..], ("C", None))]);
        let inner: Vec<_> = parts(&["B", "C"], ("B", Some("D")), 1).map(|(_, range)| range).collect();
        assert_eq!(inner, [("B", Some("C")), ("C", Some("D"))]);
    }
}
