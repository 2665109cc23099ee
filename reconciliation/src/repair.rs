//! `verify --repair`: minute and hour bars brought back in line with the ticks.
//!
//! A speed layer may write meanwhile. Ticks and bars are read as of one moment, and what a writer
//! has touched since then PostgreSQL refuses to change: then the hour is begun again. A writer that
//! comes later waits for the end, and merges its ticks into what stands there.

use crate::bars::{self, Bars, SYMBOLS_A_PASS, SYMBOLS_AT_ONCE};
use crate::symbols::{ALL_SYMBOLS, SymbolRange, parts};
use crate::tables::TickQuery;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use service::Failure;
use service::pg::bars::{Columns, Row};
use service::pg::{self, Limits, Timestamptz, in_time};
use service::words::counted;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;

/// How often an hour is begun again that is written to meanwhile.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// Which part of the time of a statement a writer's row may be waited for: it is then said that it
/// is held, and not that PostgreSQL gives no answer.
const LOCK_TIMEOUT_PART: u32 = 8;

const KEEP_DAYS: &str = "lock table realtime_stock in access share mode";

/// Result of repairing an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    Done {
        minutes: Changes,
        hours: Changes,
    },
    /// Its rows were changed by others in every try.
    Busy,
    /// Others held its rows, or a whole table, when the last try gave up; who, as far as the server
    /// has told.
    Locked(Option<String>),
    /// `realtime_stock` has rows twice: what the bars should be is not known.
    Doubled,
    /// The bars may be right, and the ticks not; why.
    Left(&'static str),
    /// `realtime_stock` has no tick of the hour: the bars may be all that is left of it.
    Empty,
}

/// `realtime_stock` lacks ticks that are known elsewhere, which the bars may have seen.
pub const SHORT: &str = "realtime_stock lacks ticks that the archive or Kafka has: put them back \
                         first, as docs/operations.md says under HourNotReconciled";
/// Then the bars may be right, and a row of `realtime_stock` be false.
pub const CONTRADICTED: &str = "the archive says otherwise than realtime_stock: find out first \
                                which of them is right, as docs/operations.md says under \
                                HourNotReconciled";
/// Offsets are missing on both sides that may be those of ticks.
pub const UNASKED: &str = "they have seen more ticks than realtime_stock has, and offsets of the \
                           hour are in no table and not in the archive: verify with \
                           --kafka-brokers first";
/// The bars may be the last trace of ticks that nobody can name.
pub const UNSURE: &str = "they have seen more ticks than realtime_stock has, and the archive does \
                          not say that those were too many: see docs/operations.md under \
                          HourNotReconciled";

/// Retention, or a topic that is read again, may have left nothing else.
pub const EMPTY: &str =
    "realtime_stock has no tick of this hour: its bars may be all that is left of it";

/// Rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    changed: i64,
    added: i64,
    removed: i64,
}

service::row!(Changes { changed, added, removed });

impl Repair {
    /// A sentence for the report.
    pub fn describe(&self) -> String {
        match self {
            Self::Done { minutes, hours } => {
                format!(
                    "repaired: minute_bars: {}; hour_bars: {}",
                    minutes.describe(),
                    hours.describe()
                )
            }
            Self::Left(why) => format!("not repaired, because {why}"),
            Self::Busy => "not repaired, because its rows change all the time: try again".into(),
            Self::Locked(holders) => {
                let holders = holders.as_deref().unwrap_or("another session");
                format!("not repaired, because its rows, or the table, are locked by {holders}")
            }
            Self::Empty => format!("not repaired, because {EMPTY}"),
            Self::Doubled => {
                "not repaired, because realtime_stock has rows twice: delete one of each first, as \
                 docs/operations.md says under HourNotReconciled"
                    .into()
            }
        }
    }
}

impl Changes {
    fn describe(self) -> String {
        let Self { changed, added, removed } = self;
        format!(
            "{} changed, {added} added, {removed} taken out",
            counted(changed.cast_unsigned(), "row")
        )
    }

    fn add(&mut self, other: Self) {
        self.changed += other.changed;
        self.added += other.added;
        self.removed += other.removed;
    }
}

/// Brings the bars of an hour in line with `realtime_stock`. `with_minutes`: those of its minutes,
/// too.
///
/// # Errors
/// Where the database fails, or the role has no right to change the bars; nothing has changed then.
pub async fn repair(db: &mut BatchDb, hour: Hour, with_minutes: bool) -> Result<Repair, Failure> {
    let session = (&db.database, db.pid);
    let trying = try_often(&mut db.connection, db.patience, hour, with_minutes);
    // Twice in the time that a lock is waited for.
    let pause = db.patience / LOCK_TIMEOUT_PART / 2;
    match pg::watched(session, pause, trying).await {
        (Ok(Repair::Locked(_)), holders) => Ok(Repair::Locked(holders)),
        (Ok(repair), _) => Ok(repair),
        (Err(error), _) => Err(db.explain("repairing minute_bars and hour_bars in", error).await),
    }
}

async fn try_often(
    connection: &mut PgConnection,
    patience: Duration,
    hour: Hour,
    with_minutes: bool,
) -> sqlx::Result<Repair> {
    let mut left = Repair::Busy;
    for _ in 0..TRIES {
        match try_repair(connection, patience, hour, with_minutes).await {
            Ok(repair) => return Ok(repair),
            Err(error) => left = in_the_way(&error).ok_or(error)?,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(left)
}

/// What another writer was in the way with, if that is why a try has failed. 40: its row is another
/// one than was read, or each waited for the other; 23505: it has made the row that was missing;
/// 55P03: it holds the row, or the table, for long.
fn in_the_way(error: &sqlx::Error) -> Option<Repair> {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code)?;
    match &*code {
        "55P03" => Some(Repair::Locked(None)),
        "23505" => Some(Repair::Busy),
        code if code.starts_with("40") => Some(Repair::Busy),
        _ => None,
    }
}

async fn try_repair(
    connection: &mut PgConnection,
    patience: Duration,
    hour: Hour,
    with_minutes: bool,
) -> Result<Repair, sqlx::Error> {
    // Of arrays that it has not seen a plan expects ten elements; there are thousands.
    let settings = [("plan_cache_mode", "force_custom_plan")];
    let limits =
        Limits { lock: Some(patience / LOCK_TIMEOUT_PART), statement: Some(patience), idle: None };
    let begin = limits.begin_statement_at("repeatable read", &settings);
    let mut transaction = in_time(patience, connection.begin_with(AssertSqlSafe(begin))).await?;
    // Before the snapshot: a day that is dropped later than that is waited with, one that is gone
    // has no ticks in it.
    in_time(patience, pg::query(KEEP_DAYS).execute(&mut transaction)).await?;
    let Some(symbols) = bars::symbols(&mut transaction, patience, hour).await? else {
        return Ok(Repair::Doubled);
    };
    if symbols.is_empty() {
        return Ok(Repair::Empty);
    }
    in_time(patience, lock_rows(&mut transaction, hour, with_minutes)).await?;
    let (mut minutes, mut hours) = (Changes::default(), Changes::default());
    for (part, range) in parts(&symbols, ALL_SYMBOLS, SYMBOLS_A_PASS, String::as_str) {
        let asked = TickQuery { hour, sources: None, symbols: range };
        let bars = Bars::read(&mut transaction, patience, asked).await?;
        for (_, range) in parts(part, range, SYMBOLS_AT_ONCE, String::as_str) {
            let (of_minutes, of_hours) = (bars.minutes(range), bars.hours(range));
            if with_minutes {
                let written =
                    write(&mut transaction, ("minute_bars", "minute"), (hour, range), &of_minutes);
                minutes.add(in_time(patience, written).await?);
            }
            let written = write(&mut transaction, ("hour_bars", "hour"), (hour, range), &of_hours);
            hours.add(in_time(patience, written).await?);
        }
    }
    in_time(patience, transaction.commit()).await?;
    Ok(Repair::Done { minutes, hours })
}

/// In the order in which every writer locks them.
async fn lock_rows(
    connection: &mut PgConnection,
    hour: Hour,
    with_minutes: bool,
) -> Result<(), sqlx::Error> {
    if with_minutes {
        pg::query(include_str!("../sql/lock_minutes.sql"))
            .bind(Timestamptz(hour.start()))
            .bind(Timestamptz(hour.plus(1).start()))
            .execute(&mut *connection)
            .await?;
    }
    pg::query("select from hour_bars where hour = $1 order by symbol for update")
        .bind(Timestamptz(hour.start()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the rows of a table those that `bars` say, as far as they are of an hour and a range of
/// symbols.
async fn write(
    connection: &mut PgConnection,
    (table, column): (&str, &str),
    (hour, (from, to)): (Hour, SymbolRange<'_>),
    bars: &[Row<'_>],
) -> Result<Changes, sqlx::Error> {
    pg::query_as_with(AssertSqlSafe(statement(table, column)), Columns::All.arguments(bars)?)
        .bind(Timestamptz(hour.start()))
        .bind(Timestamptz(hour.plus(1).start()))
        .bind(from)
        .bind(to)
        .fetch_one(connection)
        .await
}

fn statement(table: &str, column: &str) -> String {
    let columns = Columns::All;
    let (rows, names, ours, theirs) =
        (columns.rows(), columns.names(), columns.of("e"), columns.of("t"));
    let [start, end, from, to] = columns.more();
    format!(
        "with expected as (select * from {rows}),
             changed as
             (update {table} t set ({names}) = ({ours})
              from expected e
              where t.symbol = e.symbol and t.{column} = e.start and ({theirs}) is distinct from ({ours})
              returning 1),
             added as
             (insert into {table} (symbol, {column}, {names})
              select e.symbol, e.start, {ours}
              from expected e
              where not exists (select from {table} t where t.symbol = e.symbol and t.{column} = e.start)
              returning 1),
             removed as
             (delete from {table} t
              where t.{column} >= {start} and t.{column} < {end}
                and t.symbol >= {from} and ({to}::text is null or t.symbol < {to})
                and not exists (select from expected e where e.symbol = t.symbol and e.start = t.{column})
              returning 1)
         select (select count(*) from changed) as changed, (select count(*) from added) as added,
                (select count(*) from removed) as removed"
    )
}
