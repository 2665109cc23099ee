//! The queries. Numbers that are only shown come as text, rounded by PostgreSQL.

use anyhow::Context;
use service::row;
use sqlx::PgConnection;

#[derive(Debug, Default)]
pub struct Figures {
    pub totals: Overview,
    /// Partition and the next offset to be written, ascending.
    pub next_offsets: Vec<(i32, i64)>,
    pub closes: Vec<Close>,
    pub summaries: Vec<Summary>,
    pub rejects: Vec<Reject>,
    pub last_run: Option<Run>,
}

#[derive(Debug, Default)]
pub struct Overview {
    pub ticks: i64,
    pub symbols: i64,
    pub ticks_last_minute: i64,
    /// Seconds since the newest tick; None where there is no tick.
    pub age: Option<f64>,
    pub rejected: i64,
    pub summaries: i64,
    pub summary_hours: i64,
}

#[derive(Debug)]
pub struct Close {
    pub symbol: String,
    pub close: String,
    /// Per cent, against the open an hour before.
    pub change: String,
    pub volume: String,
    pub ticks: i64,
    pub last_tick: String,
}

#[derive(Debug)]
pub struct Summary {
    pub hour: String,
    pub symbol: String,
    pub avg_close: String,
    pub vwap: Option<String>,
    pub high: String,
    pub low: String,
    pub close: String,
    pub volume: String,
}

#[derive(Debug)]
pub struct Reject {
    pub reason: String,
    pub count: i64,
    pub example: String,
}

#[derive(Debug)]
pub struct Run {
    pub run_id: i64,
    pub status: String,
    pub started: String,
    pub hours_computed: i32,
    pub objects_read: i64,
    pub ticks: i64,
    pub duplicates: i64,
}

row!(Overview { ticks, symbols, ticks_last_minute, age, rejected, summaries, summary_hours });
row!(Close { symbol, close, change, volume, ticks, last_tick });
row!(Summary { hour, symbol, avg_close, vwap, high, low, close, volume });
row!(Reject { reason, count, example });
row!(Run { run_id, status, started, hours_computed, objects_read, ticks, duplicates });

const TOTALS: &str = include_str!("../../sql/report/totals.sql");

const CLOSES: &str = include_str!("../../sql/report/closes.sql");

const SUMMARIES: &str = include_str!("../../sql/report/summaries.sql");

const REJECTS: &str = include_str!("../../sql/report/rejects.sql");

const LAST_RUN: &str = include_str!("../../sql/report/last_run.sql");

const NEXT_OFFSETS: &str = include_str!("../../sql/report/next_offsets.sql");

impl Figures {
    pub async fn read(
        connection: &mut PgConnection,
        group: &str,
        topic: &str,
    ) -> anyhow::Result<Self> {
        Self::query(connection, group, topic)
            .await
            .context("read the pipeline's tables (speed-layer makes them)")
    }

    async fn query(connection: &mut PgConnection, group: &str, topic: &str) -> sqlx::Result<Self> {
        let offsets = sqlx::query_as(NEXT_OFFSETS).bind(group).bind(topic);
        Ok(Self {
            totals: sqlx::query_as(TOTALS).fetch_one(&mut *connection).await?,
            next_offsets: offsets.fetch_all(&mut *connection).await?,
            closes: sqlx::query_as(CLOSES).fetch_all(&mut *connection).await?,
            summaries: sqlx::query_as(SUMMARIES).fetch_all(&mut *connection).await?,
            rejects: sqlx::query_as(REJECTS).fetch_all(&mut *connection).await?,
            last_run: sqlx::query_as(LAST_RUN).fetch_optional(&mut *connection).await?,
        })
    }
}
