//! `verify --repair`: minute and hour bars brought back in line with the ticks.
//!
//! A speed layer may write meanwhile. Ticks and bars are read as of one moment, and what a writer has touched since then
//! PostgreSQL refuses to change: then the hour is begun anew. A writer that comes later waits for the end, and merges its
//! ticks into what stands there.

use super::minutes::SymbolRange;
use super::tables::{self, Sources};
use crate::hour::Hour;
use crate::index::Index;
use crate::scan::Offsets;
use common::pg::numeric::Numeric;
use common::pg::{self, in_time};
use common::wide_sum::Exact;
use common::{Bar, Failure, Place, SymbolMap, Tick, Timestamp};
use rustc_hash::FxHashMap;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// How often an hour is begun anew that is written to meanwhile.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// Which part of the time of a statement a writer's row may be waited for: it is then said that it is held, and not that
/// PostgreSQL gives no answer.
const LOCK_TIMEOUT_PART: u32 = 8;

const MINUTES_OF_HOUR: i64 = 60;

const KEEP_DAYS: &str = "lock table realtime_stock in access share mode";

/// What became of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    Done {
        minutes: Changes,
        hours: Changes,
    },
    /// Its rows were changed by others in every try.
    Busy,
    /// `realtime_stock` has rows twice: what the bars should be is not known.
    Doubled,
    /// `realtime_stock` lacks ticks that the archive or Kafka has: the bars may be right, and would lack them, too.
    Short,
    /// `realtime_stock` has no tick of the hour: the bars may be all that is left of it.
    Empty,
}

/// What to do where `realtime_stock` lacks ticks.
pub const SHORT: &str = "realtime_stock lacks ticks that the archive or Kafka has: put them back first, as \
                         docs/operations.md says under HourNotReconciled";

/// Rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Changes {
    changed: i64,
    added: i64,
    removed: i64,
}

impl Repair {
    /// A sentence for the report.
    pub fn describe(&self) -> String {
        match self {
            Self::Done { minutes, hours } => {
                format!("repaired: minute_bars: {}; hour_bars: {}", minutes.describe(), hours.describe())
            }
            Self::Short => format!("not repaired, because {SHORT}"),
            Self::Busy => "not repaired, because its rows change all the time: try again".into(),
            Self::Empty => {
                "not repaired, because realtime_stock has no tick of this hour: its bars may be all that is left of it"
                    .into()
            }
            Self::Doubled => "not repaired, because realtime_stock has rows twice: delete one of each first".into(),
        }
    }
}

impl Changes {
    fn describe(self) -> String {
        let Self { changed, added, removed } = self;
        format!("{changed} rows changed, {added} added, {removed} taken out")
    }

    fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.added += other.added;
        self.removed += other.removed;
    }
}

/// Brings the bars of an hour in line with `realtime_stock`. `with_minutes`: those of its minutes, too.
///
/// # Errors
/// Where the database fails, or the role has no right to change the bars; nothing has changed then.
pub async fn repair(index: &mut Index, hour: Hour, with_minutes: bool) -> Result<Repair, Failure> {
    for _ in 0..TRIES {
        let patience = index.patience;
        match try_repair(&mut index.connection, patience, hour, with_minutes).await {
            Ok(repair) => return Ok(repair),
            Err(error) if is_in_the_way(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(index.failed("repairing minute_bars and hour_bars in", error)),
        }
    }
    Ok(Repair::Busy)
}

/// Whether another writer was quicker. 40: its row is another one than was read, or each waited for the other; 23505: it has
/// made the row that was missing; 55P03: it holds the row for long.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("40") || code == "23505" || code == "55P03")
}

async fn try_repair(
    connection: &mut PgConnection,
    patience: Duration,
    hour: Hour,
    with_minutes: bool,
) -> Result<Repair, sqlx::Error> {
    let begin = format!(
        "begin isolation level repeatable read; set local statement_timeout = {}; set local lock_timeout = {}",
        patience.as_millis(),
        (patience / LOCK_TIMEOUT_PART).as_millis()
    );
    let mut transaction = in_time(patience, connection.begin_with(sqlx::AssertSqlSafe(begin))).await?;
    // Before the snapshot: a day that is dropped later than that is waited with, one that is gone has no ticks in it.
    in_time(patience, pg::query(KEEP_DAYS).execute(&mut *transaction)).await?;
    let (bars, is_doubled) = Bars::read(&mut transaction, patience, (hour, None), ("", None)).await?;
    if is_doubled {
        return Ok(Repair::Doubled);
    }
    if bars.hour.iter().next().is_none() {
        return Ok(Repair::Empty);
    }
    in_time(patience, lock_rows(&mut transaction, hour, with_minutes)).await?;
    let (mut minutes, mut hours) = (Changes::default(), Changes::default());
    if with_minutes {
        for (number, bars) in (0..).zip(&bars.minutes) {
            let minute = hour.start().plus_micros(number * Timestamp::MINUTE);
            let written = write(&mut transaction, ("minute_bars", "minute"), minute, bars);
            minutes.add(in_time(patience, written).await?);
        }
    }
    hours.add(in_time(patience, write(&mut transaction, ("hour_bars", "hour"), hour.start(), &bars.hour)).await?);
    in_time(patience, transaction.commit()).await?;
    Ok(Repair::Done { minutes, hours })
}

/// In the order in which every writer locks them.
async fn lock_rows(connection: &mut PgConnection, hour: Hour, with_minutes: bool) -> Result<(), sqlx::Error> {
    if with_minutes {
        pg::query("select from minute_bars where minute >= $1 and minute < $2 order by symbol, minute for update")
            .bind(hour.start())
            .bind(hour.plus(1).start())
            .execute(&mut *connection)
            .await?;
    }
    pg::query("select from hour_bars where hour = $1 order by symbol for update")
        .bind(hour.start())
        .execute(connection)
        .await?;
    Ok(())
}

/// What the bars must be.
pub struct Bars {
    /// One for each minute of the hour.
    pub minutes: Vec<SymbolMap<Bar>>,
    hour: SymbolMap<Bar>,
}

impl Bars {
    /// Those of a range of symbols, each record once, and whether rows of `realtime_stock` stand twice.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn read(
        connection: &mut PgConnection,
        patience: Duration,
        (hour, sources): (Hour, Sources<'_>),
        (from, to): SymbolRange<'_>,
    ) -> Result<(Self, bool), sqlx::Error> {
        let mut bars =
            Self { minutes: (0..MINUTES_OF_HOUR).map(|_| SymbolMap::default()).collect(), hour: SymbolMap::default() };
        let (mut seen, mut is_doubled): (FxHashMap<i16, Offsets>, _) = (FxHashMap::default(), false);
        tables::each_tick(connection, patience, (hour, sources), |row| {
            let seen = seen.entry(row.source).or_default();
            let is_new = row.place.number().is_none_or(|number| seen.insert(row.place.partition, number));
            is_doubled |= !is_new;
            let is_asked = |symbol: &str| symbol >= from && to.is_none_or(|to| symbol < to);
            let tick = row.content.tick().filter(|tick| is_new && is_asked(tick.symbol().as_str()));
            if let Some(tick) = tick {
                let micros = tick.timestamp().micros() - hour.start().micros();
                let minute = usize::try_from(micros / Timestamp::MINUTE).unwrap_or_default();
                add(&mut bars.minutes[minute], &tick, row.place);
                add(&mut bars.hour, &tick, row.place);
            }
        })
        .await?;
        Ok((bars, is_doubled))
    }
}

fn add(bars: &mut SymbolMap<Bar>, tick: &Tick<'_>, place: Place) {
    match bars.get_mut(tick.symbol()) {
        Some(bar) => bar.add(tick, place),
        None => bars.insert(tick.symbol(), Bar::of(tick, place)),
    }
}

/// Makes the rows of a table that begin at `start` those that `bars` say.
async fn write(
    connection: &mut PgConnection,
    (table, column): (&str, &str),
    start: Timestamp,
    bars: &SymbolMap<Bar>,
) -> Result<Changes, sqlx::Error> {
    let mut bars: Vec<(&str, &Bar)> = bars.iter().map(|(symbol, bar)| (symbol.as_str(), bar)).collect();
    bars.sort_unstable_by_key(|(symbol, _)| *symbol);
    let numbers = |of: fn(&Bar) -> Numeric| bars.iter().map(|(_, bar)| of(bar)).collect::<Vec<_>>();
    let sums =
        |of: fn(&Bar) -> Option<Exact>| bars.iter().map(|(_, bar)| of(bar).map(Numeric::from)).collect::<Vec<_>>();
    let integers = |of: fn(&Bar) -> i64| bars.iter().map(|(_, bar)| of(bar)).collect::<Vec<_>>();
    let partitions = |of: fn(&Bar) -> i32| bars.iter().map(|(_, bar)| of(bar)).collect::<Vec<_>>();
    let indices = |of: fn(&Bar) -> u16| bars.iter().map(|(_, bar)| of(bar).cast_signed()).collect::<Vec<_>>();
    let times = |of: fn(&Bar) -> Timestamp| bars.iter().map(|(_, bar)| of(bar)).collect::<Vec<_>>();
    pg::query_as_of(statement(table, column))
        .bind(start)
        .bind(bars.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>())
        .bind(numbers(|bar| bar.open.into()))
        .bind(numbers(|bar| bar.high.into()))
        .bind(numbers(|bar| bar.low.into()))
        .bind(numbers(|bar| bar.close.into()))
        .bind(sums(|bar| bar.traded.volume()))
        .bind(integers(|bar| bar.ticks.cast_signed()))
        .bind(sums(|bar| Some(Exact::of_attos(bar.sum_close.into(), 0))))
        .bind(sums(|bar| bar.traded.notional()))
        .bind(times(|bar| bar.first.timestamp))
        .bind(partitions(|bar| bar.first.place.partition))
        .bind(integers(|bar| bar.first.place.offset))
        .bind(indices(|bar| bar.first.place.index))
        .bind(times(|bar| bar.last.timestamp))
        .bind(partitions(|bar| bar.last.place.partition))
        .bind(integers(|bar| bar.last.place.offset))
        .bind(indices(|bar| bar.last.place.index))
        .fetch_one(connection)
        .await
}

fn statement(table: &str, column: &str) -> String {
    const COLUMNS: &str = "open, high, low, close, volume, ticks, sum_close, notional, first_timestamp, first_partition, \
                           first_offset, first_index, last_timestamp, last_partition, last_offset, last_index";
    let of = |alias: &str| COLUMNS.split(", ").map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", ");
    let (ours, theirs) = (of("e"), of("t"));
    format!(
        "with expected as
             (select * from unnest($2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
                                   $8::bigint[], $9::numeric[], $10::numeric[], $11::timestamptz[], $12::integer[],
                                   $13::bigint[], $14::smallint[], $15::timestamptz[], $16::integer[], $17::bigint[],
                                   $18::smallint[])
                            as bars (symbol, {COLUMNS})),
             changed as
             (update {table} t set ({COLUMNS}) = ({ours})
              from expected e
              where t.{column} = $1 and t.symbol = e.symbol and ({theirs}) is distinct from ({ours})
              returning 1),
             added as
             (insert into {table} (symbol, {column}, {COLUMNS})
              select e.symbol, $1, {ours}
              from expected e
              where not exists (select from {table} t where t.{column} = $1 and t.symbol = e.symbol)
              returning 1),
             removed as
             (delete from {table} t
              where t.{column} = $1 and not exists (select from expected e where e.symbol = t.symbol)
              returning 1)
         select (select count(*) from changed) as changed, (select count(*) from added) as added,
                (select count(*) from removed) as removed"
    )
}
