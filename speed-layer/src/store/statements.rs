//! The statements that write a batch or a source. A statement in a file goes to the server once for
//! each connection, where it is prepared; through a pooler each time. Statements that open a
//! batch's transaction go in a message of their own and are in Rust, without comments
//! ([`lock_offsets`], `limits`).

use crate::source::{SourceId, SourcePartition};
use std::sync::LazyLock;

/// Locks and reads the offsets of partitions, in one order, so that writers cannot deadlock. It has
/// no parameters: it comes after others in one message, and its values are whole numbers.
pub fn lock_offsets(partitions: impl Iterator<Item = SourcePartition>) -> String {
    let (sources, partitions): (Vec<SourceId>, Vec<i32>) =
        partitions.map(|at| (at.source, at.partition)).unzip();
    format!(
        "select source, partition, next_offset, rewinds from kafka_offsets
         where (source, partition) in
             (select * from unnest(array{sources:?}::smallint[], array{partitions:?}::integer[]))
         order by source, partition for update"
    )
}

pub const LOCK_FREE_OFFSETS: &str = include_str!("../../sql/store/lock_free_offsets.sql");

pub const READ_OFFSETS: &str = include_str!("../../sql/store/read_offsets.sql");

pub const READ_REWINDS: &str = include_str!("../../sql/store/read_rewinds.sql");

pub const FORGET_LOG_ENDS: &str = include_str!("../../sql/store/forget_log_ends.sql");

/// Moves offsets that [`lock_offsets`] has locked and compared.
pub const MOVE_OFFSETS: &str = include_str!("../../sql/store/move_offsets.sql");

pub const NOTE_LOG_ENDS: &str = include_str!("../../sql/store/note_log_ends.sql");

pub const BEGIN_OFFSETS: &str = include_str!("../../sql/store/begin_offsets.sql");

pub const READ_STARTED: &str = include_str!("../../sql/store/read_started.sql");

pub const RECORD_GAPS: &str = include_str!("../../sql/store/record_gaps.sql");

pub const READ_SOURCES: &str = include_str!("../../sql/store/read_sources.sql");

pub const READ_SOURCES_BY_NUMBER: &str = include_str!("../../sql/store/read_sources_by_number.sql");

pub const HAS_BEGUN: &str = include_str!("../../sql/store/has_begun.sql");

pub const ENTER_SOURCE: &str = include_str!("../../sql/store/enter_source.sql");

/// One instance at a time enters topics. A role that may only read cannot take this lock.
pub const LOCK_SOURCES: &str = "lock table kafka_sources in share row exclusive mode";

pub const LEARN_SOURCE: &str = include_str!("../../sql/store/learn_source.sql");

pub const RECORD_END: &str = include_str!("../../sql/store/record_end.sql");

/// The columns of both tables are the same but for the one of the bar's start.
const MERGE_BARS: &str = include_str!("../../sql/store/merge_bars.sql.in");

pub static MERGE_MINUTE_BARS: LazyLock<String> = LazyLock::new(|| merge_bars("minute"));

pub static MERGE_HOUR_BARS: LazyLock<String> = LazyLock::new(|| merge_bars("hour"));

/// The statement for the table of a unit of time, whose column of the bar's start has the unit's
/// name.
fn merge_bars(unit: &str) -> String {
    MERGE_BARS
        .replace("{{table}}", &format!("{unit}_bars"))
        .replace("{{start}}", unit)
        .replace("{{is_earlier}}", include_str!("../../sql/store/merge_bars_is_earlier.sql.in"))
        .replace("{{is_later}}", include_str!("../../sql/store/merge_bars_is_later.sql.in"))
}

pub const MISSING_RIGHTS: &str = include_str!("../../sql/store/missing_rights.sql");

pub const INSERT_REJECTS: &str = include_str!("../../sql/store/insert_rejects.sql");

pub const COUNT_REJECTS: &str = include_str!("../../sql/store/count_rejects.sql");

pub const INSERT_ANOMALIES: &str = include_str!("../../sql/store/insert_anomalies.sql");

pub const READ_DETECTOR_LOG: &str = include_str!("../../sql/store/read_detector_log.sql");

pub const CLEAR_DETECTOR_LOG: &str = include_str!("../../sql/store/clear_detector_log.sql");

pub const APPEND_DETECTOR_LOG: &str = include_str!("../../sql/store/append_detector_log.sql");
