//! Records that the sums of several hours have: `shared_records`.
//!
//! A record has one time, so this is objects that tell different things of it. Within an hour the
//! first object by key counts; between hours nothing is taken out: either hour counts the record,
//! and that is logged. Spans of offsets tell which hours may share any; of those the sets are
//! compared.

use crate::hour::Hour;
use crate::index::BatchDb;
use crate::scan::{Offsets, places};
use crate::state;
use futures::TryStreamExt;
use roaring::RoaringTreemap;
use service::Failure;
use service::pg;
use service::pg::Timestamptz;
use service::words::{counted, one_or_more};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{Acquire, Row};
use std::io;

/// What an hour's sums have in common with those of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRecords {
    pub other: Hour,
    pub records: u64,
    pub topic: String,
    /// Where one of them is.
    pub partition: i32,
    pub place: u64,
    /// The objects of the other hour have changed since it was computed.
    pub is_stale: bool,
}

impl SharedRecords {
    /// In words, without the hour that has them.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { other, records, partition, place, .. } = self;
        let (count, are, place) =
            (counted(*records, "record"), one_or_more(*records, "is", "are"), places::text(*place));
        format!(
            "{count} {are} counted in hour {other}, too, offset {place} of partition {partition} \
             for one: unless the topic was made anew in between, objects tell different times of \
             the same record, and the wrong one is to be mended"
        )
    }
}

/// What the sums of other hours have in common with an hour as it was computed last; nothing of one
/// whose sums cannot be read.
///
/// # Errors
/// Where the database fails.
pub async fn of_computed(db: &mut BatchDb, hour: Hour) -> Result<Vec<SharedRecords>, Failure> {
    let statement = pg::query_scalar("select offsets from hour_sums where hour = $1")
        .bind(Timestamptz(hour.start()));
    let row: Option<Vec<u8>> = db.fetch_optional("reading hour_sums in", statement).await?;
    let kept = row;
    match kept.and_then(|kept| state::decode_offsets(&kept).ok()) {
        Some(places) => {
            db.query("reading hour_sums in", async |connection| {
                find(connection, hour, &places).await
            })
            .await
        }
        None => Ok(Vec::new()),
    }
}

/// What the sums of other hours have of some places of an hour, by hour.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn find(
    connection: &mut PgConnection,
    hour: Hour,
    places: &Offsets,
) -> Result<Vec<SharedRecords>, sqlx::Error> {
    let spans = spans_of(places);
    let mut rows = pg::query(include_str!("../sql/shared/find.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(spans.iter().map(|span| &*span.topic).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.partition).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.first.cast_signed()).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.last.cast_signed()).collect::<Vec<_>>())
        .fetch(connection);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        // What cannot be read is read again, or refused, when its own hour is next computed.
        let Ok(others) = state::decode_offsets(row.try_get("offsets")?) else {
            continue;
        };
        let anew: Vec<String> = row.try_get("anew")?;
        let (other, is_stale) =
            (Hour::from(row.try_get::<Timestamptz, _>("hour")?), row.try_get("is_stale")?);
        let common = places.common(&others);
        // Offsets that began again are other records'.
        let of_same: Vec<_> =
            common.iter().filter(|(topic, ..)| !anew.iter().any(|anew| anew == topic)).collect();
        let records = of_same.iter().map(|(.., places)| places.len()).sum();
        if let Some(&(topic, partition, places)) = of_same.first()
            && let Some(place) = places.min()
        {
            found.push(SharedRecords {
                other,
                records,
                topic: topic.to_owned(),
                partition,
                place,
                is_stale,
            });
        }
    }
    Ok(found)
}

/// Where the messages of an hour lie in one partition.
struct SharedSpan {
    topic: String,
    partition: i32,
    first: u64,
    last: u64,
    messages: RoaringTreemap,
}

fn spans_of(places: &Offsets) -> Vec<SharedSpan> {
    let span = |(topic, partition, places): (&str, i32, &RoaringTreemap)| {
        let messages = places::messages(places);
        Some(SharedSpan {
            topic: topic.to_owned(),
            partition,
            first: messages.min()?,
            last: messages.max()?,
            messages,
        })
    };
    places.iter().filter_map(span).collect()
}

/// The spans of an hour's places with the messages of those that were `withdrawn` from it.
fn spans_with(places: &Offsets, withdrawn: &Offsets) -> Vec<SharedSpan> {
    let mut spans = spans_of(places);
    for (topic, partition, gone) in withdrawn.iter() {
        let own = spans.iter_mut().find(|span| span.topic == topic && span.partition == partition);
        if let Some(span) = own {
            span.messages |= places::messages(gone);
        }
    }
    spans
}

/// Notes where the records of an hour lie, with those that were `withdrawn` from it, and what other
/// hours have of them.
///
/// # Errors
/// Where the database fails.
pub(crate) async fn write(
    transaction: &mut PgTransaction<'_>,
    hour: Hour,
    (places, withdrawn): (&Offsets, &Offsets),
    shared: &[SharedRecords],
) -> Result<(), sqlx::Error> {
    let mut spans = spans_with(places, withdrawn);
    let offsets: io::Result<Vec<Vec<u8>>> =
        spans.iter_mut().map(|span| state::encode_messages(&mut span.messages)).collect();
    for table in [
        "delete from hour_spans where hour = $1",
        "delete from shared_records where $1 in (hour, other_hour)",
    ] {
        pg::query(table)
            .bind(Timestamptz(hour.start()))
            .execute(transaction.acquire().await?)
            .await?;
    }
    pg::query(include_str!("../sql/shared/insert_spans.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(spans.iter().map(|span| &*span.topic).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.partition).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.first.cast_signed()).collect::<Vec<_>>())
        .bind(spans.iter().map(|span| span.last.cast_signed()).collect::<Vec<_>>())
        .bind(offsets?)
        .execute(transaction.acquire().await?)
        .await?;
    if shared.is_empty() {
        return Ok(());
    }
    pg::query(include_str!("../sql/shared/insert_shared.sql"))
        .bind(Timestamptz(hour.start()))
        .bind(shared.iter().map(|shared| Timestamptz(shared.other.start())).collect::<Vec<_>>())
        .bind(shared.iter().map(|shared| shared.records.cast_signed()).collect::<Vec<_>>())
        .bind(shared.iter().map(|shared| &*shared.topic).collect::<Vec<_>>())
        .bind(shared.iter().map(|shared| shared.partition).collect::<Vec<_>>())
        .bind(shared.iter().map(|shared| shared.place.cast_signed()).collect::<Vec<_>>())
        .execute(transaction.acquire().await?)
        .await?;
    Ok(())
}
