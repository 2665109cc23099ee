//! A month of a market in the tables, made by PostgreSQL itself.

use sqlx::Executor;
use sqlx::postgres::PgConnection;
use std::time::Instant;

/// How much is loaded.
#[derive(clap::Args, Clone)]
pub struct Size {
    /// Trading days of 6.5 hours, each ending at the present time of day
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Symbols that trade in each minute
    #[arg(long, default_value_t = 500)]
    symbols: u32,
    /// Rows of realtime_stock (about 130 bytes each with its index)
    #[arg(long, default_value_t = 50_000_000)]
    ticks: u64,
}

/// What the symbol variables are set to: as many as a dashboard opens with.
pub const CHOSEN: [&str; 5] = ["S001", "S002", "S003", "S004", "S005"];

pub const MARK_ALL: &str = include_str!("../../../sql/bench/mark_all.sql");
pub const MARK_LAST_HOUR: &str = include_str!("../../../sql/bench/mark_last_hour.sql");

const MINUTES_A_DAY: u32 = 390;

/// What a statement is told of the size, as `$1` and so on.
#[derive(Clone, Copy)]
enum Told {
    Days,
    Symbols,
    TicksOfABar,
}

const STATEMENTS: [(&str, &str, &[Told]); 9] = [
    (
        "minute bars",
        include_str!("../../../sql/bench/load/minute_bars.sql"),
        &[Told::Days, Told::Symbols, Told::TicksOfABar],
    ),
    ("hour bars", include_str!("../../../sql/bench/load/hour_bars.sql"), &[]),
    ("hourly summaries", include_str!("../../../sql/bench/load/summaries.sql"), &[]),
    ("day partitions", include_str!("../../../sql/bench/load/days.sql"), &[Told::Days]),
    ("ticks", include_str!("../../../sql/bench/load/ticks.sql"), &[Told::TicksOfABar]),
    ("index on finished days", "create index on realtime_stock (symbol, timestamp)", &[]),
    ("rejected messages", include_str!("../../../sql/bench/load/rejects.sql"), &[]),
    ("batch runs", include_str!("../../../sql/bench/load/runs.sql"), &[Told::Days]),
    ("clean hours", include_str!("../../../sql/bench/load/clean_hours.sql"), &[]),
];

/// # Errors
/// Whatever PostgreSQL says; a full disk for example.
pub async fn all(connection: &mut PgConnection, size: &Size) -> anyhow::Result<()> {
    let bars = u64::from(size.days) * u64::from(size.symbols) * u64::from(MINUTES_A_DAY);
    let ticks_a_bar = size.ticks.div_ceil(bars.max(1));
    println!("loading {bars} minute bars and {} ticks", bars * ticks_a_bar);
    connection.execute("set synchronous_commit = off").await?;
    for (what, sql, told) in STATEMENTS {
        let begun = Instant::now();
        let mut query = sqlx::query(sql);
        for number in told {
            query = query.bind(match number {
                Told::Days => i64::from(size.days),
                Told::Symbols => i64::from(size.symbols),
                Told::TicksOfABar => ticks_a_bar.cast_signed(),
            });
        }
        query.execute(&mut *connection).await?;
        println!("  {what}: {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// What autovacuum would have done by and by.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn vacuum_and_analyze(connection: &mut PgConnection) -> anyhow::Result<()> {
    connection.execute("vacuum (analyze)").await?;
    connection.execute("checkpoint").await?;
    Ok(())
}
