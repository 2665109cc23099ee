//! What PostgreSQL holds of the hours.

use super::checksum::Content;
use super::holdings::Holdings;
use crate::hour::Hour;
use crate::index::Index;
use common::pg::in_time;
use common::pg::numeric::StoredPrice;
use common::{Failure, Timestamp};
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long the next row of a scan of all of `realtime_stock` may take.
const WHOLE_TABLE: Duration = Duration::from_secs(1800);

/// What the tables that are computed from ticks say of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Computed {
    /// Ticks in `minute_bars`.
    pub minute_bar_ticks: u64,
    /// Ticks in `hourly_stock_summary`; `None` where batch-layer has never computed the hour.
    pub summary_ticks: Option<u64>,
    /// Whether the archive has changed since.
    pub is_stale: bool,
    /// Whether `realtime_stock` has any tick of the hour's day: retention drops whole days.
    pub has_day: bool,
}

impl Computed {
    /// Whether retention has dropped the hour's ticks: bars are kept for ever, so a day with bars and without ticks has
    /// lost them.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        !self.has_day && self.minute_bar_ticks > 0
    }
}

/// Offsets by partition that are no ticks, and are known to be none.
pub type Known = BTreeMap<i32, RoaringTreemap>;

/// Adds the ticks of `realtime_stock` in an hour to `holdings`.
///
/// # Errors
/// Where the database fails; here and below.
pub async fn read_realtime(index: &mut Index, hour: Hour, holdings: &mut Holdings) -> Result<(), Failure> {
    let read = async {
        let mut rows = sqlx::query(
            "select symbol, timestamp, open, high, low, close, volume, kafka_partition, kafka_offset
             from realtime_stock where timestamp >= $1 and timestamp < $2",
        )
        .bind(hour.start())
        .bind(hour.plus(1).start())
        .fetch(&mut index.connection);
        while let Some(row) = in_time(index.patience, rows.try_next()).await? {
            let offset = row.try_get::<i64, _>("kafka_offset")?.cast_unsigned();
            holdings.add(row.try_get("kafka_partition")?, Some(offset), &content(&row)?);
        }
        Ok(())
    };
    let read: Result<(), sqlx::Error> = read.await;
    read.map_err(|error| index.failed("reading realtime_stock in", error))
}

fn content(row: &PgRow) -> Result<Content<'_>, sqlx::Error> {
    let price = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<StoredPrice>, _>(name)?.and_then(|price| price.0));
    Ok(Content {
        symbol: row.try_get("symbol")?,
        timestamp: row.try_get("timestamp")?,
        open: price("open")?,
        high: price("high")?,
        low: price("low")?,
        close: price("close")?,
        volume: row.try_get::<i64, _>("volume")?.cast_unsigned(),
    })
}

/// What was computed of an hour.
pub async fn computed(index: &mut Index, hour: Hour) -> Result<Computed, Failure> {
    let row = sqlx::query(
        "select (select coalesce(sum(ticks), 0)::bigint from minute_bars where minute >= $1 and minute < $2) as bars,
                (select ticks from batch_hours where hour = $1) as summaries,
                exists (select from stale_hours where hour = $1) as stale,
                exists (select from realtime_stock where timestamp >= $3 and timestamp < $4) as has_day",
    )
    .bind(hour.start())
    .bind(hour.plus(1).start())
    .bind(hour.start().floor(Timestamp::DAY))
    .bind(hour.start().floor(Timestamp::DAY).plus_micros(Timestamp::DAY))
    .fetch_one(&mut index.connection);
    let computed = in_time(index.patience, row).await.and_then(|row| {
        Ok(Computed {
            minute_bar_ticks: row.try_get::<i64, _>("bars")?.cast_unsigned(),
            summary_ticks: row.try_get::<Option<i64>, _>("summaries")?.map(i64::cast_unsigned),
            is_stale: row.try_get("stale")?,
            has_day: row.try_get("has_day")?,
        })
    });
    computed.map_err(|error| index.failed("reading minute_bars and batch_hours in", error))
}

/// The next offset that the speed layer will write, by partition.
pub async fn next_offsets(index: &mut Index, group: &str, topic: &str) -> Result<BTreeMap<i32, u64>, Failure> {
    let rows = sqlx::query_as("select partition, next_offset from ingest_positions where group_id = $1 and topic = $2")
        .bind(group)
        .bind(topic)
        .fetch_all(&mut index.connection);
    let rows: Result<Vec<(i32, i64)>, _> = in_time(index.patience, rows).await;
    let rows = rows.map_err(|error| index.failed("reading kafka_offsets in", error))?;
    Ok(rows.into_iter().map(|(partition, next)| (partition, next.cast_unsigned())).collect())
}

/// Offsets that the speed layer could not read any more, and has recorded as such.
pub async fn gaps(index: &mut Index, group: &str, topic: &str) -> Result<Known, Failure> {
    let rows = sqlx::query_as(
        "select partition, from_offset, to_offset from ingest_gaps
         where group_id = $1 and topic = $2 and from_offset < to_offset",
    )
    .bind(group)
    .bind(topic)
    .fetch_all(&mut index.connection);
    let rows: Result<Vec<(i32, i64, i64)>, _> = in_time(index.patience, rows).await;
    let rows = rows.map_err(|error| index.failed("reading kafka_gaps in", error))?;
    let mut gaps = Known::new();
    for (partition, from, to) in rows {
        gaps.entry(partition).or_default().insert_range(from.cast_unsigned()..to.cast_unsigned());
    }
    Ok(gaps)
}

/// Those of some offsets that are in `rejected_ticks`.
pub async fn rejected(
    index: &mut Index,
    topic: &str,
    partition: i32,
    among: &RoaringTreemap,
) -> Result<RoaringTreemap, Failure> {
    let Some(range) = hull(among) else {
        return Ok(RoaringTreemap::new());
    };
    let rows = sqlx::query_scalar(
        "select kafka_offset from rejected_ticks
         where source in (select source from kafka_sources where topic = $1) and kafka_partition = $2 and kafka_offset between $3 and $4",
    )
    .bind(topic)
    .bind(partition)
    .bind(range.start())
    .bind(range.end())
    .fetch(&mut index.connection);
    let found =
        collect(index.patience, rows).await.map_err(|error| index.failed("reading rejected_ticks in", error))?;
    Ok(found & among)
}

/// Those of some offsets that are in `realtime_stock`, in whatever hour. There is no index for that: it reads every day
/// there is.
pub async fn realtime_anywhere(
    index: &mut Index,
    partition: i32,
    among: &RoaringTreemap,
) -> Result<RoaringTreemap, Failure> {
    let Some(range) = hull(among) else {
        return Ok(RoaringTreemap::new());
    };
    let rows = sqlx::query_scalar(
        "select kafka_offset from realtime_stock where kafka_partition = $1 and kafka_offset between $2 and $3",
    )
    .bind(partition)
    .bind(range.start())
    .bind(range.end())
    .fetch(&mut index.connection);
    let found = collect(WHOLE_TABLE, rows).await.map_err(|error| index.failed("reading realtime_stock in", error))?;
    Ok(found & among)
}

fn hull(offsets: &RoaringTreemap) -> Option<RangeInclusive<i64>> {
    Some(offsets.min()?.cast_signed()..=offsets.max()?.cast_signed())
}

async fn collect(
    patience: Duration,
    mut rows: futures::stream::BoxStream<'_, Result<i64, sqlx::Error>>,
) -> Result<RoaringTreemap, sqlx::Error> {
    let mut found = RoaringTreemap::new();
    while let Some(offset) = in_time(patience, rows.try_next()).await? {
        found.insert(offset.cast_unsigned());
    }
    Ok(found)
}
