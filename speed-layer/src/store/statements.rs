//! The SQL of the speed layer.

use crate::source::{SourceId, SourcePartition};

/// Locks and reads the offsets of partitions, in one order, so that writers cannot deadlock. It has
/// no parameters: it stands behind others in one message, and its values are whole numbers.
pub fn lock_offsets(partitions: impl Iterator<Item = SourcePartition>) -> String {
    let (sources, partitions): (Vec<SourceId>, Vec<i32>) =
        partitions.map(|at| (at.source, at.partition)).unzip();
    format!(
        "select source, partition, next_offset from kafka_offsets
         where (source, partition) in (select * from unnest(array{sources:?}::smallint[], array{partitions:?}::integer[]))
         order by source, partition for update"
    )
}

/// Locks and reads those that no transaction holds at the moment.
pub const LOCK_FREE_OFFSETS: &str = "
    select source, partition, next_offset from kafka_offsets
    where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
    order by source, partition for update skip locked";

pub const READ_OFFSETS: &str = "
    select source, partition, next_offset from kafka_offsets
    where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))";

/// Moves offsets that [`lock_offsets`] has locked and compared.
pub const MOVE_OFFSETS: &str = "
    update kafka_offsets o set next_offset = moved.next_offset, updated_at = now()
    from unnest($1::smallint[], $2::integer[], $3::bigint[]) as moved (source, partition, next_offset)
    where o.source = moved.source and o.partition = moved.partition";

/// Gives partitions that were never read their first offset.
pub const BEGIN_OFFSETS: &str = "
    with begun as
        (insert into begun_partitions (source, partition)
         select * from unnest($1::smallint[], $2::integer[])
         order by 1, 2
         on conflict do nothing
         returning source, partition)
    insert into kafka_offsets (source, partition, next_offset)
    select source, partition, next_offset
    from unnest($1::smallint[], $2::integer[], $3::bigint[]) as first (source, partition, next_offset)
         join begun using (source, partition)
    order by source, partition
    on conflict do nothing";

/// Those that were read before.
pub const READ_BEGUN: &str = "
    select source, partition from begun_partitions
    where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))";

pub const RECORD_GAPS: &str = "
    insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
    select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[])";

/// The sources that had a topic's name, the newest first.
pub const READ_SOURCES: &str = "
    select source, group_id, cluster_id, topic_id, partitions from kafka_sources
    where topic = $1 order by source desc";

/// What the sources of these numbers are.
pub const READ_SOURCES_BY_NUMBER: &str = "
    select source, cluster_id, topic, topic_id from kafka_sources where source = any($1)";

/// Whether the group began with a topic a while ago.
pub const HAS_BEGUN: &str = "
    select exists (select from kafka_sources
                   where group_id = $1 and first_seen_at < now() - interval '1 minute')";

pub const ENTER_SOURCE: &str = "
    insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
    values ($1, $2, $3, $4, $5)
    returning source";

/// One instance at a time enters topics. Whoever may only read cannot take this lock.
pub const LOCK_SOURCES: &str = "lock table kafka_sources in share row exclusive mode";

pub const LEARN_SOURCE: &str =
    "update kafka_sources set cluster_id = $2, topic_id = $3 where source = $1";

/// Where a source ends that another one has taken the place of.
pub const RECORD_END: &str = "
    insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
    select source, partition, next_offset, next_offset, $2 from kafka_offsets where source = $1";

/// Whether a batch's first tick comes before the one that is known.
macro_rules! is_first {
    () => {
        "(excluded.first_timestamp, excluded.first_partition, excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition, known.first_offset, known.first_index)"
    };
}

/// And its last one behind it.
macro_rules! is_last {
    () => {
        "(excluded.last_timestamp, excluded.last_partition, excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition, known.last_offset, known.last_index)"
    };
}

/// Merges a batch's bars into a table, whose column `$start` is the bar's start;
/// `common::Bar::merge` in SQL. Rows come sorted by key.
macro_rules! merge_bars {
    ($table:literal, $start:literal) => {
        concat!(
            "
    insert into ",
            $table,
            " as known
        (symbol, ",
            $start,
            ", open, high, low, close, volume, ticks, sum_close, notional,
         first_timestamp, first_partition, first_offset, first_index,
         last_timestamp, last_partition, last_offset, last_index)
    select * from unnest($1::text[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],
                         $7::numeric[], $8::bigint[], $9::numeric[], $10::numeric[],
                         $11::timestamptz[], $12::integer[], $13::bigint[], $14::smallint[],
                         $15::timestamptz[], $16::integer[], $17::bigint[], $18::smallint[])
    on conflict (symbol, ",
            $start,
            ") do update set
        open = case when ",
            is_first!(),
            "
            then excluded.open else known.open end,
        first_timestamp = case when ",
            is_first!(),
            "
            then excluded.first_timestamp else known.first_timestamp end,
        first_partition = case when ",
            is_first!(),
            "
            then excluded.first_partition else known.first_partition end,
        first_offset = case when ",
            is_first!(),
            "
            then excluded.first_offset else known.first_offset end,
        first_index = case when ",
            is_first!(),
            "
            then excluded.first_index else known.first_index end,
        close = case when ",
            is_last!(),
            "
            then excluded.close else known.close end,
        last_timestamp = case when ",
            is_last!(),
            "
            then excluded.last_timestamp else known.last_timestamp end,
        last_partition = case when ",
            is_last!(),
            "
            then excluded.last_partition else known.last_partition end,
        last_offset = case when ",
            is_last!(),
            "
            then excluded.last_offset else known.last_offset end,
        last_index = case when ",
            is_last!(),
            "
            then excluded.last_index else known.last_index end,
        high = greatest(known.high, excluded.high),
        low = least(known.low, excluded.low),
        -- Null, once any tick has no volume; so is notional.
        volume = known.volume + excluded.volume,
        ticks = known.ticks + excluded.ticks,
        sum_close = known.sum_close + excluded.sum_close,
        notional = known.notional + excluded.notional"
        )
    };
}

pub const MERGE_MINUTE_BARS: &str = merge_bars!("minute_bars", "minute");
pub const MERGE_HOUR_BARS: &str = merge_bars!("hour_bars", "hour");

pub const INSERT_REJECTS: &str = "
    insert into rejected_ticks
        (source, kafka_partition, kafka_offset, kafka_index, reason, detail, value, value_bytes, value_sha256,
         kafka_timestamp)
    select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[], $6::text[],
                         $7::bytea[], $8::bigint[], $9::bytea[], $10::timestamptz[])
    -- A row that is there already must not hold up the ticks beside it.
    on conflict do nothing";

/// How many of these rows are there.
pub const COUNT_REJECTS: &str = "
    select count(*) from rejected_ticks r
    join unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[])
         as given (source, kafka_partition, kafka_offset, kafka_index)
         using (source, kafka_partition, kafka_offset, kafka_index)";

/// What the detectors found. A row that is there already must not hold up the ticks beside it.
pub const INSERT_ANOMALIES: &str = "
    insert into anomalies
        (source, kafka_partition, kafka_offset, kafka_index, symbol, time, detector, version, kind, score, observed,
         expected)
    select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[], $6::timestamptz[],
                         $7::text[], $8::integer[], $9::text[], $10::float8[], $11::float8[],
                         $12::float8[])
    on conflict do nothing";

pub const READ_DETECTOR_LOG: &str = "
    select is_whole, states from detector_log where source = $1 and partition = $2 order by number";

/// What the entries that follow say whole.
pub const CLEAR_DETECTOR_LOG: &str = "
    delete from detector_log
    where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))";

pub const APPEND_DETECTOR_LOG: &str = "
    insert into detector_log (source, partition, is_whole, states)
    select * from unnest($1::smallint[], $2::integer[], $3::boolean[], $4::bytea[])";
