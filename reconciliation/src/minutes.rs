//! Whether each row of `minute_bars` follows from the ticks of `realtime_stock`.
//!
//! An hour has sixty times as many of them as it has symbols, so its ticks are read once more, some
//! symbols at a time.

use crate::bars::{Bars, SYMBOLS_A_PASS, SYMBOLS_AT_ONCE};
use crate::symbols::{ALL_SYMBOLS, NamedSymbols, SymbolRange, parts};
use crate::tables::{Sources, TickQuery};
use common::{Bar, SymbolMap};
use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::pg::bars::{Columns, Row};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// Symbols of an hour with a minute that says something else than the ticks of `sources`.
/// `expected`: the bars of all of its symbols that have ticks.
///
/// # Errors
/// Where the database fails.
pub async fn find_differing_minutes(
    db: &mut BatchDb,
    (hour, sources): (Hour, Sources<'_>),
    expected: &SymbolMap<Bar>,
) -> Result<NamedSymbols, Failure> {
    let mut symbols: Vec<&str> = expected.iter().map(|(symbol, _)| symbol.as_str()).collect();
    symbols.sort_unstable();
    let mut found = NamedSymbols::default();
    for (part, range) in parts(&symbols, ALL_SYMBOLS, SYMBOLS_A_PASS, |symbol| symbol) {
        let asked = TickQuery { hour, sources, symbols: range };
        let bars = db
            .steps("reading realtime_stock in", async |connection, patience| {
                Bars::read(connection, patience, asked).await
            })
            .await?;
        for (_, range) in parts(part, range, SYMBOLS_AT_ONCE, |symbol| symbol) {
            let minutes = bars.minutes(range);
            let compared = db.query("reading minute_bars in", async |connection| {
                compare(connection, hour, range, &minutes).await
            });
            found.extend(compared.await?);
        }
    }
    Ok(found)
}

/// Symbols of a range of which `minute_bars` says something else than `minutes`.
async fn compare(
    connection: &mut PgConnection,
    hour: Hour,
    (from, to): SymbolRange<'_>,
    minutes: &[Row<'_>],
) -> Result<Vec<String>, sqlx::Error> {
    let columns = Columns::All;
    let [start, first, end] = columns.more();
    let (rows, theirs, ours) = (columns.rows(), columns.of("t"), columns.of("e"));
    let statement = format!(
        "with expected as (select * from {rows})
         select distinct coalesce(e.symbol, t.symbol)
         from expected e
                  full join (select * from minute_bars
                             where minute >= {start} and minute < {start} + interval '1 hour'
                               and symbol >= {first} and ({end}::text is null or symbol < {end})) t
                  on t.symbol = e.symbol and t.minute = e.start
         where ({theirs}) is distinct from ({ours})
         order by 1"
    );
    pg::query_scalar_with(AssertSqlSafe(statement), columns.arguments(minutes)?)
        .bind(Timestamptz(hour.start()))
        .bind(from)
        .bind(to)
        .fetch_all(connection)
        .await
}
