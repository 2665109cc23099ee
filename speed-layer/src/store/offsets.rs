//! `kafka_offsets`: the stored offset of each partition, moved by compare-and-set.

use super::limits::TimeLimits;
use super::statements;
use super::table::{Table, WriteError, all_in};
use crate::batch::{Gap, Ranges};
use crate::config::{Config, OnGap, Start};
use crate::handover::{Position, SeenEnd, StartAnswer, StartQuery, StartResolution, Watermarks};
use crate::metrics::Metrics;
use crate::process::Process;
use crate::source::{SourceId, SourcePartition};
use common::Timestamp;
use service::pg;
use sqlx::{Connection as _, PgConnection, Postgres, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The outcome of writing a batch.
pub enum WriteOutcome {
    Written,
    /// PostgreSQL reported no error, and took fewer rows than it was given. Nothing is written.
    LeftOut(String),
    /// The stored offsets show that an earlier try had committed.
    WrittenBefore,
    /// The stored offsets are not those from which the batch began.
    Fenced(Moved),
}

/// Next offsets by partition.
pub type Stored = BTreeMap<SourcePartition, i64>;

/// How often a partition's offset was moved back.
pub type Rewinds = BTreeMap<SourcePartition, i32>;

/// The locked rows of `kafka_offsets`.
#[derive(Debug, Default)]
pub struct LockedOffsets {
    pub stored: Stored,
    pub rewinds: Rewinds,
}

/// A partition whose stored offset is not the one that a batch or a position expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    pub at: SourcePartition,
    pub expected: i64,
    /// `None` where its row is gone.
    pub found: Option<i64>,
}

impl Moved {
    /// The found offset, for people.
    pub fn found(self) -> String {
        self.found.map_or("gone".to_owned(), |next| next.to_string())
    }
}

/// Begins a batch's transaction, and locks and reads the offsets of the ranges' partitions until it
/// ends.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn begin_and_lock(
    connection: &mut PgConnection,
    limits: &TimeLimits,
    ranges: &Ranges,
) -> sqlx::Result<LockedOffsets> {
    let rows = limits
        .begin_batch(connection, &statements::lock_offsets(ranges.iter().map(|range| range.at)))
        .await?;
    let mut locked = LockedOffsets::default();
    for row in rows {
        let at = SourcePartition { source: row.try_get(0)?, partition: row.try_get(1)? };
        locked.stored.insert(at, row.try_get(2)?);
        locked.rewinds.insert(at, row.try_get(3)?);
    }
    Ok(locked)
}

/// `None` where no offset was moved back since it was `known`: the batch would be of what Kafka's
/// log had before, also where the offset has come to the same again.
pub fn moved_back(
    locked: &LockedOffsets,
    known: &Rewinds,
    ranges: &Ranges,
) -> Option<WriteOutcome> {
    let is_other = |at: SourcePartition| {
        known.get(&at).is_some_and(|known| locked.rewinds.get(&at) != Some(known))
    };
    let moved = ranges.iter().find(|range| is_other(range.at))?;
    let found = locked.stored.get(&moved.at).copied();
    Some(WriteOutcome::Fenced(Moved { at: moved.at, expected: moved.start, found }))
}

/// Reads one value of each partition's row.
async fn read<T>(
    connection: &mut PgConnection,
    statement: &'static str,
    partitions: impl Iterator<Item = SourcePartition>,
) -> sqlx::Result<BTreeMap<SourcePartition, T>>
where
    T: Send + Unpin + sqlx::Type<Postgres> + for<'r> sqlx::Decode<'r, Postgres>,
{
    let (sources, partitions): (Vec<SourceId>, Vec<i32>) =
        partitions.map(|at| (at.source, at.partition)).unzip();
    let rows: Vec<(SourceId, i32, T)> = pg::within::query_as(statement)
        .bind(sources)
        .bind(partitions)
        .fetch_all(connection)
        .await?;
    let of = |(source, partition, value)| (SourcePartition { source, partition }, value);
    Ok(rows.into_iter().map(of).collect())
}

/// `None` where the batch continues exactly what is stored, so that it may be written.
pub fn compare(stored: &Stored, ranges: &Ranges) -> Option<WriteOutcome> {
    let moved = ranges.iter().find(|range| stored.get(&range.at) != Some(&range.start))?;
    if ranges.iter().all(|range| stored.get(&range.at) == Some(&range.next)) {
        return Some(WriteOutcome::WrittenBefore);
    }
    let found = stored.get(&moved.at).copied();
    Some(WriteOutcome::Fenced(Moved { at: moved.at, expected: moved.start, found }))
}

/// Which stored offset lies before the position that was committed, if any does: the database is
/// then an older state of itself. One that lies after it is another instance's business, which has
/// the partition by now.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn find_rolled_back(
    connection: &mut PgConnection,
    positions: &[Position],
) -> sqlx::Result<Option<Moved>> {
    let stored: Stored =
        read(connection, statements::READ_OFFSETS, positions.iter().map(|known| known.at)).await?;
    let find_rolled_back =
        positions.iter().find(|known| stored.get(&known.at).is_none_or(|next| *next < known.next));
    Ok(find_rolled_back.map(|known| Moved {
        at: known.at,
        expected: known.next,
        found: stored.get(&known.at).copied(),
    }))
}

/// Moves the offsets past the ranges; the rows must be locked and compared. Returns how many have
/// the new offset then.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn advance(connection: &mut PgConnection, ranges: &Ranges) -> sqlx::Result<u64> {
    let positions: Vec<_> =
        ranges.iter().map(|range| Position { at: range.at, next: range.next }).collect();
    execute(connection, statements::MOVE_OFFSETS, &positions).await
}

async fn execute(
    connection: &mut PgConnection,
    statement: &'static str,
    positions: &[Position],
) -> sqlx::Result<u64> {
    let done = pg::within::query(statement)
        .bind(positions.iter().map(|position| position.at.source).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| position.at.partition).collect::<Vec<_>>())
        .bind(positions.iter().map(|position| position.next).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Where to begin with each partition.
pub(super) struct ResolvedStarts {
    pub(super) answers: Vec<StartAnswer>,
    /// How often the offsets were moved back.
    pub(super) rewinds: Rewinds,
    /// The gaps that were recorded, for [`log_recorded`].
    pub(super) gaps: Vec<Gap>,
}

/// Where to begin with each partition. One that was never read begins as `--start` says; a gap is
/// recorded, or left to a person, as `--on-gap` says.
pub(super) async fn resolve_starts(
    connection: &mut PgConnection,
    config: &Config,
    limits: &TimeLimits,
    metrics: &Metrics,
    questions: &[StartQuery],
) -> Result<ResolvedStarts, WriteError> {
    let mut transaction = limits.begin(connection).await?;
    let first: Vec<Position> =
        questions.iter().filter_map(|question| first(question, config.start)).collect();
    if !first.is_empty() {
        execute(&mut transaction, statements::BEGIN_OFFSETS, &first).await?;
    }
    let all = || questions.iter().map(|question| question.at);
    let free = read_free(&mut transaction, all()).await?;
    let stored: Stored = read(&mut transaction, statements::READ_OFFSETS, all()).await?;
    let deleted = with_deleted_offset(&mut transaction, questions, &stored).await?;
    let answers: Vec<(StartAnswer, ToRecord)> = questions
        .iter()
        .map(|question| match (free.get(&question.at), stored.contains_key(&question.at)) {
            (None, true) => (question.answer(StartResolution::Locked), ToRecord::default()),
            (None, false) if deleted.contains(&question.at) => (
                question.answer(StartResolution::GapNeedsDecision(offset_is_deleted(question.at))),
                ToRecord::default(),
            ),
            (free, _) => answer(question, free.copied(), config.on_gap),
        })
        .collect();
    let (answers, found): (Vec<StartAnswer>, Vec<ToRecord>) = answers.into_iter().unzip();
    let ends: Vec<Position> = found.iter().filter_map(|found| found.end).collect();
    if !ends.is_empty() {
        // A later query, after a restart as well, could not see it if the log has grown.
        execute(&mut transaction, statements::NOTE_LOG_ENDS, &ends).await?;
    }
    let gaps: Vec<Gap> = found.into_iter().flat_map(|found| found.gaps).collect();
    let passed = pass_over(&mut transaction, &gaps).await;
    let rewinds = read(&mut transaction, statements::READ_REWINDS, all()).await?;
    // The ends stay also where the gaps cannot be recorded.
    transaction.commit().await?;
    passed?;
    metrics.gaps_skipped(gaps.len() as u64, Timestamp::now());
    Ok(ResolvedStarts { answers, rewinds, gaps })
}

/// Records gaps, and moves the offsets past them; or does neither.
async fn pass_over(connection: &mut PgConnection, gaps: &[Gap]) -> Result<(), WriteError> {
    if gaps.is_empty() {
        return Ok(());
    }
    let mut passing = connection.begin().await?;
    all_in(Table::KafkaGaps, record(&mut passing, gaps).await?, gaps.len())?;
    let moved: BTreeMap<SourcePartition, i64> =
        gaps.iter().map(|gap| (gap.at, gap.goes_on_at)).collect();
    let moved: Vec<Position> = moved.into_iter().map(|(at, next)| Position { at, next }).collect();
    execute(&mut passing, statements::FORGET_LOG_ENDS, &moved).await?;
    let done = execute(&mut passing, statements::MOVE_OFFSETS, &moved).await?;
    all_in(Table::KafkaOffsets, done, moved.len())?;
    Ok(passing.commit().await?)
}

/// The row of a partition that no transaction holds.
#[derive(Debug, Clone, Copy)]
struct StoredOffset {
    next: i64,
    /// Where Kafka's log was seen to end before that.
    log_end: Option<i64>,
    /// How long ago the offset was moved there, by PostgreSQL's clock.
    unmoved_for: Duration,
}

impl StoredOffset {
    /// Where Kafka's log has ended before the offset: the stored end, or the one that was seen
    /// since the offset was stored. An end that was seen earlier proves nothing: another instance
    /// may have moved the offset since.
    fn known_end(&self, seen: Option<SeenEnd>) -> Option<i64> {
        let seen = seen.filter(|seen| self.unmoved_for > seen.asked.elapsed());
        let ends = [self.log_end, seen.map(|seen| seen.offset)];
        ends.into_iter().flatten().filter(|end| *end < self.next).min()
    }
}

/// The rows to write along with an answer.
#[derive(Debug, Default)]
struct ToRecord {
    /// Gaps to record and to pass over.
    gaps: Vec<Gap>,
    /// Where the log ends: it is stored until a person decides about the gap, or it is recorded.
    end: Option<Position>,
}

/// Locks and reads the offsets that no transaction holds.
async fn read_free(
    connection: &mut PgConnection,
    partitions: impl Iterator<Item = SourcePartition>,
) -> sqlx::Result<BTreeMap<SourcePartition, StoredOffset>> {
    let (sources, partitions): (Vec<SourceId>, Vec<i32>) =
        partitions.map(|at| (at.source, at.partition)).unzip();
    let rows: Vec<(SourceId, i32, i64, Option<i64>, f64)> =
        pg::within::query_as(statements::LOCK_FREE_OFFSETS)
            .bind(sources)
            .bind(partitions)
            .fetch_all(connection)
            .await?;
    let stored = rows.into_iter().map(|(source, partition, next, log_end, unmoved)| {
        let unmoved_for = Duration::try_from_secs_f64(unmoved).unwrap_or_default();
        (SourcePartition { source, partition }, StoredOffset { next, log_end, unmoved_for })
    });
    Ok(stored.collect())
}

/// Partitions that were read before and have no offset any more: somebody has deleted it. To read
/// them from their beginning would write every tick a second time.
async fn with_deleted_offset(
    connection: &mut PgConnection,
    questions: &[StartQuery],
    stored: &Stored,
) -> sqlx::Result<BTreeSet<SourcePartition>> {
    let absent = questions.iter().map(|question| question.at).filter(|at| !stored.contains_key(at));
    let (sources, partitions): (Vec<SourceId>, Vec<i32>) =
        absent.map(|at| (at.source, at.partition)).unzip();
    if sources.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<(SourceId, i32)> = pg::within::query_as(statements::READ_STARTED)
        .bind(sources)
        .bind(partitions)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|(source, partition)| SourcePartition { source, partition }).collect())
}

fn offset_is_deleted(at: SourcePartition) -> String {
    let SourcePartition { source, partition } = at;
    format!(
        "its row in kafka_offsets is gone, though it was read before: insert it again, with the \
         offset behind the last one in realtime_stock and rejected_ticks (source {source}, \
         partition {partition}); to read it from its beginning, see RejectRateHigh in \
         docs/operations.md"
    )
}

/// The first offset of a partition, where Kafka was asked for it because nothing is stored.
fn first(question: &StartQuery, start: Start) -> Option<Position> {
    let Watermarks { low, high } = question.watermarks.filter(|_| question.refused.is_none())?;
    let next = if start == Start::Latest && question.is_first { high } else { low };
    Some(Position { at: question.at, next })
}

/// The answer, and the rows to write with it.
fn answer(
    question: &StartQuery,
    stored: Option<StoredOffset>,
    on_gap: OnGap,
) -> (StartAnswer, ToRecord) {
    let with = |start| question.answer(start);
    let Some(stored) = stored else {
        return (with(StartResolution::NeverRead), ToRecord::default());
    };
    let (next, known_end) = (stored.next, stored.known_end(question.earliest_end));
    // The refusal of another offset says nothing of this one, which another instance may have
    // written meanwhile.
    let is_refused = question.refused == Some(next);
    let kafka = question.watermarks.filter(|_| is_refused || known_end.is_some());
    let Some(kafka) = kafka else {
        let begin = if known_end.is_some() {
            StartResolution::NeverRead
        } else {
            StartResolution::At(next)
        };
        return (with(begin), ToRecord::default());
    };
    let seen = question.truncated_end.filter(|end| is_refused && *end < next);
    let end = [known_end, seen, (next > kafka.high).then_some(kafka.high)];
    let end = end.into_iter().flatten().min();
    let gaps = gaps_between(question.at, next, kafka, end);
    let Some(goes_on_at) = gaps.first().map(|gap| gap.goes_on_at) else {
        return (with(StartResolution::At(next)), ToRecord::default());
    };
    let end = end.map(|end| Position { at: question.at, next: end });
    match on_gap {
        OnGap::Skip => (with(StartResolution::AfterGap(goes_on_at)), ToRecord { gaps, end }),
        OnGap::Stop => {
            let details: Vec<&str> = gaps.iter().map(|gap| gap.detail.as_str()).collect();
            let text = format!(
                "{}; --on-gap skip records the range in kafka_gaps and goes on at {goes_on_at}",
                details.join("; ")
            );
            (with(StartResolution::GapNeedsDecision(text)), ToRecord { end, ..ToRecord::default() })
        }
    }
}

/// The offsets that are gone, where `next` is not among those that Kafka has, or its log had ended
/// before it; then retention may have taken what has come since as well.
fn gaps_between(
    at: SourcePartition,
    next: i64,
    kafka: Watermarks,
    truncated_end: Option<i64>,
) -> Vec<Gap> {
    let Watermarks { low, high } = kafka;
    let from = truncated_end.unwrap_or(next);
    let goes_on_at = from.max(low);
    let gap = |from: i64, to: i64, why: &str| {
        let detail =
            format!("Kafka has the offsets {low}..{high}, but the next to read is {next}: {why}");
        Gap { at, from, to, goes_on_at, detail }
    };
    // Messages before the end were written already.
    let truncated =
        truncated_end.map(|end| gap(next, end, &format!("it was truncated, and ended at {end}")));
    let expired = (from < low).then(|| {
        let count = low - from;
        let why = format!("{count} offsets are gone, retention was faster than this consumer");
        gap(from, low, &why)
    });
    truncated.into_iter().chain(expired).collect()
}

/// Writes gaps into `kafka_gaps`, and gives how many it took.
///
/// # Errors
/// If PostgreSQL refuses a statement, or the connection breaks.
pub async fn record(connection: &mut PgConnection, gaps: &[Gap]) -> sqlx::Result<u64> {
    if gaps.is_empty() {
        return Ok(0);
    }
    let done = pg::within::query(statements::RECORD_GAPS)
        .bind(gaps.iter().map(|gap| gap.at.source).collect::<Vec<_>>())
        .bind(gaps.iter().map(|gap| gap.at.partition).collect::<Vec<_>>())
        .bind(gaps.iter().map(|gap| gap.from).collect::<Vec<_>>())
        .bind(gaps.iter().map(|gap| gap.to).collect::<Vec<_>>())
        .bind(gaps.iter().map(|gap| gap.detail.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Logs gaps that are committed: a try that fails has recorded nothing.
pub fn log_recorded(gaps: &[Gap], shared: &Process) {
    for gap in gaps {
        let SourcePartition { source, partition } = gap.at;
        let (topic, offset, error) = (shared.topic_name(source), gap.goes_on_at, &gap.detail);
        tracing::warn!(
            topic,
            source,
            partition,
            offset,
            error,
            "{topic}/{partition} (source {source}): {error}; recorded in kafka_gaps, going on at \
             {offset}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const AT: SourcePartition = SourcePartition { source: 1, partition: 0 };
    const KAFKA: Watermarks = Watermarks { low: 5, high: 9 };

    fn outcome(stored: &[(i32, i64)]) -> Option<WriteOutcome> {
        let at = |partition| SourcePartition { source: 1, partition };
        let mut ranges = Ranges::default();
        ranges.extend(at(0), 10, 15);
        ranges.extend(at(1), 20, 21);
        compare(&stored.iter().map(|(partition, next)| (at(*partition), *next)).collect(), &ranges)
    }

    #[test]
    fn a_batch_is_written_only_where_it_continues_what_is_stored() {
        assert!(outcome(&[(0, 10), (1, 20)]).is_none());
    }

    #[test]
    fn a_batch_that_is_in_already_is_not_written_again() {
        assert!(matches!(outcome(&[(0, 15), (1, 21)]), Some(WriteOutcome::WrittenBefore)));
    }

    #[test]
    fn a_partition_that_another_instance_has_moved_fences_the_whole_batch() {
        for stored in [&[(0, 12), (1, 20)][..], &[(0, 15), (1, 20)], &[(0, 10)], &[(0, 9), (1, 20)]]
        {
            assert!(matches!(outcome(stored), Some(WriteOutcome::Fenced(_))), "{stored:?}");
        }
    }

    fn question(watermarks: Option<Watermarks>, refused: Option<i64>) -> StartQuery {
        StartQuery {
            at: AT,
            assignment: 1,
            is_first: true,
            watermarks,
            refused,
            truncated_end: None,
            earliest_end: None,
        }
    }

    fn begin(
        question: &StartQuery,
        stored: Option<i64>,
        on_gap: OnGap,
    ) -> (StartResolution, Option<Gap>) {
        let stored =
            stored.map(|next| StoredOffset { next, log_end: None, unmoved_for: Duration::ZERO });
        let (answer, found) = answer(question, stored, on_gap);
        (answer.resolution, found.gaps.into_iter().next())
    }

    #[test]
    fn where_a_log_was_seen_to_end_counts_until_it_is_decided_on_whoever_asks() {
        let unmoved_for = Duration::ZERO;
        let row = |next, log_end| Some(StoredOffset { next, log_end, unmoved_for });
        let asked = question(None, None);
        let (first, _) = answer(&asked, row(8, Some(6)), OnGap::Skip);
        assert_eq!(first.resolution, StartResolution::NeverRead);
        let grown = question(Some(KAFKA), None);
        let (stays, found) = answer(&grown, row(8, Some(6)), OnGap::Stop);
        assert!(
            matches!(stays.resolution, StartResolution::GapNeedsDecision(why) if why.contains("ended at 6"))
        );
        assert_eq!(found.end, Some(Position { at: AT, next: 6 }));
        let (goes_on, found) = answer(&grown, row(8, Some(6)), OnGap::Skip);
        assert_eq!(goes_on.resolution, StartResolution::AfterGap(6));
        let ranges = |found: &ToRecord| -> Vec<(i64, i64)> {
            found.gaps.iter().map(|gap| (gap.from, gap.to)).collect()
        };
        assert_eq!(ranges(&found), [(8, 6)]);
        // Known until it is recorded, which may fail.
        assert_eq!(found.end, Some(Position { at: AT, next: 6 }));
        // Retention has taken some of what has come since.
        for (low, next) in [(7, 8), (9, 8)] {
            let kafka = Watermarks { low, high: 20 };
            let (goes_on, found) =
                answer(&question(Some(kafka), None), row(next, Some(6)), OnGap::Skip);
            assert_eq!(
                (goes_on.resolution, ranges(&found)),
                (StartResolution::AfterGap(low), vec![(8, 6), (6, low)])
            );
        }
        // Somebody has moved the offset.
        for stored in [row(6, Some(6)), row(7, None)] {
            let (answer, found) = answer(&grown, stored, OnGap::Stop);
            assert_eq!(
                (answer.resolution, found.end),
                (StartResolution::At(stored.unwrap().next), None)
            );
        }
    }

    #[test]
    fn a_log_that_was_seen_to_end_before_an_offset_that_stood_there_already_was_truncated() {
        let asked = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let seen = StartQuery {
            earliest_end: Some(SeenEnd { offset: 6, asked }),
            ..question(Some(Watermarks { low: 0, high: 20 }), None)
        };
        for (unmoved, goes_on) in [(60, StartResolution::AfterGap(6)), (9, StartResolution::At(8))]
        {
            let unmoved_for = Duration::from_secs(unmoved);
            let stored = Some(StoredOffset { next: 8, log_end: None, unmoved_for });
            assert_eq!(answer(&seen, stored, OnGap::Skip).0.resolution, goes_on);
        }
        let unmoved_for = Duration::from_secs(60);
        let stored = Some(StoredOffset { next: 6, log_end: None, unmoved_for });
        assert_eq!(answer(&seen, stored, OnGap::Skip).0.resolution, StartResolution::At(6));
    }

    #[test]
    fn what_is_stored_is_where_to_begin_and_kafka_is_asked_where_nothing_is() {
        assert_eq!(
            begin(&question(None, None), Some(7), OnGap::Stop),
            (StartResolution::At(7), None)
        );
        assert_eq!(
            begin(&question(None, None), None, OnGap::Stop),
            (StartResolution::NeverRead, None)
        );
    }

    #[test]
    fn latest_is_for_the_partitions_that_were_there_at_the_start() {
        let asked = question(Some(KAFKA), None);
        assert_eq!(first(&asked, Start::Latest), Some(Position { at: AT, next: 9 }));
        assert_eq!(
            first(&StartQuery { is_first: false, ..asked.clone() }, Start::Latest).unwrap().next,
            5
        );
        assert_eq!(first(&asked, Start::Earliest).unwrap().next, 5);
        // A partition that was read before has its offset, whatever Kafka has.
        assert_eq!(first(&question(Some(KAFKA), Some(3)), Start::Latest), None);
    }

    #[test]
    fn a_gap_is_a_refused_offset_that_kafka_does_not_have() {
        for (next, goes_on_at) in [(4, 5), (10, 9)] {
            let refused = question(Some(KAFKA), Some(next));
            let (begin_stop, none) = begin(&refused, Some(next), OnGap::Stop);
            assert!(matches!(begin_stop, StartResolution::GapNeedsDecision(_)) && none.is_none());
            let (begin_skip, gap) = begin(&refused, Some(next), OnGap::Skip);
            // Messages before the end of a truncated log were written already.
            assert_eq!(begin_skip, StartResolution::AfterGap(goes_on_at));
            assert_eq!(gap.map(|gap| (gap.from, gap.to)), Some((next, goes_on_at)));
        }
        // The end was seen after the stored offset.
        let find_rolled_back =
            StartQuery { truncated_end: Some(8), ..question(Some(KAFKA), Some(7)) };
        assert_eq!(begin(&find_rolled_back, Some(7), OnGap::Skip), (StartResolution::At(7), None));
        let grown = StartQuery { truncated_end: Some(6), ..question(Some(KAFKA), Some(8)) };
        assert_eq!(begin(&grown, Some(8), OnGap::Skip).0, StartResolution::AfterGap(6));
        assert_eq!(
            begin(&question(Some(KAFKA), Some(7)), Some(7), OnGap::Stop),
            (StartResolution::At(7), None)
        );
    }

    #[test]
    fn an_offset_that_another_instance_has_moved_meanwhile_is_tried_before_it_is_called_a_gap() {
        let refused = question(Some(KAFKA), Some(4));
        assert_eq!(begin(&refused, Some(20), OnGap::Stop), (StartResolution::At(20), None));
    }
}
