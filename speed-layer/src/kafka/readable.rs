//! The first readable offset of a partition, found out by a client of its own.
//!
//! The first message after a damaged batch: neither the broker nor librdkafka says where such a
//! batch ends, and the client stays before it for ever; so later offsets are tried. And whether a
//! right that was missing is there again: a client that was refused once does not say when it is
//! not refused any more.

use super::leave::drop_with_timeout;
use super::settings::client_settings;
use crate::config::Config;
use crate::source::TopicPartition;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use service::kafka::Quiet;
use std::time::{Duration, Instant};

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of reading from an offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadAttempt {
    /// The first message.
    Message(i64),
    Damaged,
    /// Neither up to the partition's end: only markers are left.
    Nothing,
    /// The log does not have the offset: it begins after it by now, or ends before it.
    OutOfRange,
}

/// The first offset from `damaged` on that can be read, or `high` where there is none: the end of
/// the partition. Messages between several damaged batches may be passed over as well.
///
/// # Errors
/// If the client fails, or no broker answers; with the client's error.
pub fn first_readable(
    config: &Config,
    at: &TopicPartition,
    damaged: i64,
    high: i64,
) -> KafkaResult<i64> {
    with_client(config, |consumer| search(damaged, high, |offset| read_at(consumer, at, offset)))
}

/// Whether the brokers let this user read the partition from `next` on, be there a message or not.
///
/// # Errors
/// If they do not, or do not answer.
pub fn may_read(config: &Config, at: &TopicPartition, next: i64) -> KafkaResult<()> {
    // A client that is told anything of it may read; the meaning is another question.
    with_client(config, |consumer| read_at(consumer, at, next).map(drop))
}

/// Tries something with a client that nobody waits for when it does not end in time.
fn with_client<T>(
    config: &Config,
    work: impl FnOnce(&BaseConsumer<Quiet>) -> KafkaResult<T>,
) -> KafkaResult<T> {
    let consumer = trying(config)?;
    let done = work(&consumer);
    drop_with_timeout(move || drop(consumer));
    done
}

/// A client that belongs to no group.
fn trying(config: &Config) -> KafkaResult<BaseConsumer<Quiet>> {
    let mut settings = client_settings(config, &[]);
    let group = format!("{}-readable", config.group_id);
    settings.set("group.id", group).set("enable.auto.commit", "false").set("check.crcs", "true");
    settings.set("auto.offset.reset", "error").set("group.protocol", "classic");
    // An explicit end can be told from a broker that says nothing.
    settings.set("enable.partition.eof", "true");
    settings.create_with_context(Quiet)
}

fn begin(consumer: &BaseConsumer<Quiet>, at: &TopicPartition, offset: i64) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&at.topic, at.partition, Offset::Offset(offset))?;
    consumer.assign(&list)
}

/// # Errors
/// If no broker answers: silence is no damage, nor an end.
fn read_at(
    consumer: &BaseConsumer<Quiet>,
    at: &TopicPartition,
    offset: i64,
) -> KafkaResult<ReadAttempt> {
    begin(consumer, at, offset)?;
    let deadline = Instant::now() + TRY_TIMEOUT;
    let mut refusal = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.poll(left) {
            Some(Ok(message)) => return Ok(ReadAttempt::Message(message.offset())),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(ReadAttempt::Nothing),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
                    return Ok(ReadAttempt::OutOfRange);
                }
                Some(Code::TopicAuthorizationFailed) => return Err(error),
                _ if is_damage(&error) => return Ok(ReadAttempt::Damaged),
                _ => {
                    tracing::debug!("reading {at} at {offset}: {error}");
                    refusal = Some(error);
                }
            },
            None if left.is_zero() => {
                return Err(
                    refusal.unwrap_or(KafkaError::MessageConsumption(Code::OperationTimedOut))
                );
            }
            None => {}
        }
    }
}

/// Whether the client could not make messages of what the broker sent: it is spoiled, or of a codec
/// or a format that the client does not know (`NotImplemented`).
pub fn is_damage_code(code: Code) -> bool {
    use Code::{BadCompression, BadMessage, InvalidMessage, NotImplemented, Underflow};
    matches!(code, BadMessage | BadCompression | InvalidMessage | NotImplemented | Underflow)
}

fn is_damage(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_damage_code)
}

/// Steps that double until a message comes, then halves back to the first one.
fn search(
    damaged: i64,
    high: i64,
    mut read_at: impl FnMut(i64) -> KafkaResult<ReadAttempt>,
) -> KafkaResult<i64> {
    match read_at(damaged)? {
        // It may be read now: from another replica, or since the damage was on the way.
        ReadAttempt::Message(first) => return Ok(first),
        // There is no damage any more; what there is instead, who reads on there is told.
        ReadAttempt::Nothing | ReadAttempt::OutOfRange => return Ok(damaged),
        ReadAttempt::Damaged => {}
    }
    let (mut last_damaged, mut step) = (damaged, 1);
    let mut readable = loop {
        let offset = last_damaged.max(damaged) + step;
        if offset >= high {
            break high;
        }
        match read_at(offset)? {
            ReadAttempt::Message(first) => break first,
            ReadAttempt::Nothing => break high,
            // The log has changed meanwhile.
            ReadAttempt::OutOfRange => return Ok(damaged),
            ReadAttempt::Damaged => {
                last_damaged = offset;
                step *= 2;
            }
        }
    };
    while readable - last_damaged > 1 {
        let middle = last_damaged + (readable - last_damaged) / 2;
        match read_at(middle)? {
            // Offsets below it are no messages.
            ReadAttempt::Message(first) if first >= readable => return Ok(readable),
            ReadAttempt::Message(first) if first > middle => readable = first,
            ReadAttempt::Message(_) | ReadAttempt::Nothing => readable = middle,
            ReadAttempt::OutOfRange => return Ok(damaged),
            ReadAttempt::Damaged => last_damaged = middle,
        }
    }
    Ok(readable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use proptest::prelude::*;
    use rdkafka::mocking::MockCluster;

    /// Reads in a partition whose batch [start, end) is damaged; `hole` offsets after it are no
    /// messages.
    fn in_partition(
        start: i64,
        end: i64,
        hole: i64,
    ) -> impl FnMut(i64) -> KafkaResult<ReadAttempt> {
        move |offset| {
            Ok(if (start..end).contains(&offset) {
                ReadAttempt::Damaged
            } else {
                ReadAttempt::Message(offset.max(end + hole))
            })
        }
    }

    proptest! {
        #[test]
        fn the_first_message_behind_a_damaged_batch_is_found_however_long_it_is(
            start in 0_i64..50, length in 1_i64..3000, hole in 0_i64..5, behind in 1_i64..1000,
        ) {
            let (end, mut tries) = (start + length, 0);
            let mut read = in_partition(start, end, hole);
            let found = search(start, end + hole + behind, |offset| {
                tries += 1;
                read(offset)
            });
            let found = found.unwrap();
            prop_assert!((end..=end + hole).contains(&found), "{found} for {end} and {hole}");
            prop_assert!(tries < 40, "{tries}");
        }
    }

    fn config(cluster: &MockCluster<'_, impl rdkafka::ClientContext>) -> Config {
        let flags =
            ["speed-layer", "--database-url=postgres://h/d", "--topic=ticks", "--kafka-brokers"];
        let brokers = cluster.bootstrap_servers();
        Config::try_parse_from(flags.into_iter().chain([brokers.as_str()])).unwrap()
    }

    fn at() -> TopicPartition {
        TopicPartition { topic: "ticks".into(), partition: 0 }
    }

    #[test]
    fn brokers_that_go_away_hold_up_who_tries_only_for_a_moment() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        let (config, at) = (config(&cluster), at());
        let begun = Instant::now();
        let went_away = with_client(&config, |consumer| {
            read_at(consumer, &at, 0)?;
            cluster.broker_down(1)?;
            read_at(consumer, &at, 0)
        });
        assert!(went_away.is_err());
        assert!(first_readable(&config, &at, 0, 5).is_err());
        // Three tries of five seconds, and two for the end of each client.
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[test]
    fn silence_is_no_damage() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("ticks", 1, 1).unwrap();
        let at = at();
        let found = with_client(&config(&cluster), |consumer| {
            // It is empty, and the broker says so.
            assert_eq!(read_at(consumer, &at, 0)?, ReadAttempt::Nothing);
            cluster.broker_down(1)?;
            search(0, 5, |offset| read_at(consumer, &at, offset))
        });
        assert!(found.is_err(), "{found:?}");
    }

    #[test]
    fn where_there_is_no_damage_nothing_is_passed_over() {
        for tried in [ReadAttempt::Nothing, ReadAttempt::OutOfRange] {
            let read = |offset: i64| match offset {
                10 => Ok(tried),
                behind => Ok(ReadAttempt::Message(behind)),
            };
            assert_eq!(search(10, 20, read).unwrap(), 10, "{tried:?}");
        }
    }

    #[test]
    fn a_log_that_changes_during_the_search_is_looked_at_anew() {
        for lost in [11, 13, 17, 15] {
            let found = search(10, 20, |offset| {
                Ok(match offset {
                    _ if offset == lost => ReadAttempt::OutOfRange,
                    10..16 => ReadAttempt::Damaged,
                    _ => ReadAttempt::Message(offset),
                })
            });
            assert_eq!(found.unwrap(), 10, "{lost}");
        }
    }

    #[test]
    fn what_can_be_read_after_all_is_not_passed_over() {
        assert_eq!(search(10, 20, |offset| Ok(ReadAttempt::Message(offset))).unwrap(), 10);
    }

    #[test]
    fn where_nothing_can_be_read_up_to_the_end_the_end_is_what_is_left() {
        assert_eq!(search(10, 20, |_| Ok(ReadAttempt::Damaged)).unwrap(), 20);
        assert_eq!(search(10, 11, |_| Ok(ReadAttempt::Damaged)).unwrap(), 11);
    }
}
