//! What the speed layer's detectors have found, against what they find in the ticks that are there.

use super::checks::Found;
use anomalies::bars::hours;
use anomalies::causal::{self, MOST_SYMBOLS, Market, State, SymbolTick};
use anomalies::conditions::{Conditions, Sale};
use anomalies::hindsight;
use anomalies::{Finding, Quote, Tick, TickId};
use futures::TryStreamExt;
use service::cli::{AnomalyArgs, Detectors};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

const TICKS: &str = include_str!("../../sql/prove/ticks.sql");

const FOUND: &str = include_str!("../../sql/prove/found.sql");

/// Where it is, the symbol, what was found, by which detector and version, and its score's bits.
type Shown = ((i16, i32, TickId), String, String, (String, i32), u64);

/// `None` where both are the same, or where no detectors ran.
pub async fn compare(
    connection: &mut PgConnection,
    args: &AnomalyArgs,
) -> sqlx::Result<Option<Found>> {
    // Both as they are at one moment.
    sqlx::raw_sql("begin isolation level repeatable read").execute(&mut *connection).await?;
    let expected = expected(connection, args).await?;
    // What the batch layer adds is of no speed layer.
    let others = [hindsight::DETECTOR.name, hours::DETECTOR.name];
    let found = sqlx::query(FOUND).bind(others).fetch_all(&mut *connection).await?;
    sqlx::raw_sql("commit").execute(connection).await?;
    let found: BTreeSet<Shown> = found
        .iter()
        .map(|row| {
            let (place, score): (_, f64) = ((row.get(0), row.get(1), place(row)), row.get(8));
            (place, row.get(4), row.get(5), (row.get(6), row.get(7)), score.to_bits())
        })
        .collect();
    let differences: Vec<&Shown> = expected.symmetric_difference(&found).collect();
    let say = |row: &&Shown| {
        let ((_, partition, place), symbol, kind, ..) = row;
        let which = if expected.contains(*row) { "is missing" } else { "should not be there" };
        format!("{partition}/{} {symbol} {kind} {which}", place.offset)
    };
    let what = "anomalies differ from what the detectors find in realtime_stock";
    let examples = differences.iter().take(3).map(say).collect();
    let count = differences.len() as i64;
    Ok((count > 0).then_some(Found { what, count, examples }))
}

async fn expected(
    connection: &mut PgConnection,
    args: &AnomalyArgs,
) -> sqlx::Result<BTreeSet<Shown>> {
    let mut all = BTreeSet::new();
    let Some(detectors) = args.settings() else {
        return Ok(all);
    };
    let Detectors { parameters, calendar, conditions } = &*detectors;
    let mut partitions: BTreeMap<(i16, i32), (Market, BTreeMap<String, State>)> = BTreeMap::new();
    let (mut found, mut rows) =
        (Vec::<(Box<str>, Finding)>::new(), sqlx::query(TICKS).fetch(connection));
    while let Some(row) = rows.try_next().await? {
        let (source, partition, symbol): (i16, i32, String) = (row.get(0), row.get(1), row.get(4));
        let tick = tick(&row, conditions);
        let (market, symbols) = partitions.entry((source, partition)).or_default();
        let is_watched = symbols.len() < MOST_SYMBOLS || symbols.contains_key(&symbol);
        let state = is_watched.then(|| symbols.entry(symbol.clone()).or_default());
        let next = SymbolTick { symbol: &symbol, tick: &tick };
        causal::observe(next, market, state, parameters, calendar, &mut found);
        all.extend(found.drain(..).map(|(symbol, finding)| {
            let Finding { detector, kind, place, score, .. } = finding;
            let (place, kind) = ((source, partition, place), kind.name().to_owned());
            let detector = (detector.name.to_owned(), detector.version.cast_signed());
            (place, symbol.into_string(), kind, detector, score.to_bits())
        }));
    }
    Ok(all)
}

fn tick(row: &PgRow, conditions: &Conditions) -> Tick {
    let (whole, nanos): (f64, f64) = (row.get(7), row.get(8));
    let quote = row.get::<Option<i64>, _>(9).zip(row.get(10)).map(|(bid, ask)| Quote { bid, ask });
    let codes: Vec<String> = row.get::<Option<_>, _>(12).unwrap_or_default();
    let Sale { is_excluded, revision } = conditions.of(codes.iter().map(String::as_str));
    Tick {
        volume: whole + nanos * 1e-9,
        quote,
        is_excluded,
        revision,
        sequence: row.get::<Option<i64>, _>(11).map(i64::cast_unsigned),
        ..Tick::of(place(row), row.get::<i64, _>(5) * 1000, row.get(6))
    }
}

fn place(row: &PgRow) -> TickId {
    TickId { offset: row.get(2), index: row.get::<i16, _>(3).cast_unsigned() }
}
