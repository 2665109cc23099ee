//! The settings of this program's librdkafka clients.

use crate::config::Config;
use rdkafka::config::ClientConfig;

/// Settings that a `--kafka-property` may override. Small fetches and queues keep the process below
/// 64 MB, because each queued message costs librdkafka several times its length; and a full queue
/// is looked at again after 5 ms rather than a second, which would cost three quarters of the rate
/// (docs/benchmarks.md).
const TUNING: [(&str, &str); 13] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    (SESSION_TIMEOUT, "10000"),
    ("heartbeat.interval.ms", "2000"),
    // The intake asks for messages all the time. An abandoned client of an earlier session does
    // not, but goes on with its heartbeats: for so long the whole group waits for it.
    (MAX_POLL_INTERVAL, "60000"),
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "10000"),
    ("fetch.message.max.bytes", "262144"),
    ("fetch.max.bytes", "2097152"),
    ("fetch.queue.backoff.ms", "5"),
    // A broker is asked for one thing at a time, and never for what has a full queue. Where the
    // others have nothing new, their question must not hold up that queue for half a second.
    ("fetch.wait.max.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.max.ms", "2000"),
    // A broker that says nothing for so long is away; librdkafka's default is a minute.
    ("socket.timeout.ms", "15000"),
];

/// The settings that are added if several writers wait for messages: on a busy machine each answer
/// takes its time, and only one is on its way (docs/tried.md).
const OF_SEVERAL_WRITERS: [(&str, &str); 4] = [
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "40000"),
    ("fetch.message.max.bytes", "524288"),
    ("fetch.max.bytes", "4194304"),
];

const MAX_POLL_INTERVAL: &str = "max.poll.interval.ms";
const SESSION_TIMEOUT: &str = "session.timeout.ms";
/// As long as the interval: librdkafka refuses one below the session's time-out.
const LONGEST_SESSION: u64 = 60_000;

/// Settings that the promises of this program rest on: PostgreSQL holds the offsets, and a gap must
/// never be skipped in silence.
pub(super) const FIXED: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("statistics.interval.ms", "1000"),
    // Without it a price that a disk has spoiled is stored as true.
    ("check.crcs", "true"),
    // The client counts such an event as a message, and may then go on one too far.
    ("enable.partition.eof", "false"),
];

/// Settings that have a flag of their own, which each program reads elsewhere as well.
pub(super) const FLAGS: [(&str, &str); 3] = [
    ("bootstrap.servers", "--kafka-brokers"),
    ("metadata.broker.list", "--kafka-brokers"),
    ("group.id", "--group-id"),
];

/// Defaults of [`TUNING`] that librdkafka refuses where the group's coordinator decides
/// (`group.protocol=consumer`).
const CLASSIC_ONLY: [&str; 3] =
    ["partition.assignment.strategy", SESSION_TIMEOUT, "heartbeat.interval.ms"];

const INTERNAL_TOPICS: &str = "^__.*";

pub(super) fn consumer_settings(config: &Config, client_id: &str) -> ClientConfig {
    let more = OF_SEVERAL_WRITERS.into_iter().filter(|_| config.writers > 1);
    let tuning = TUNING.into_iter().chain(more).filter(|(key, _)| is_possible(config, key));
    let tuning: Vec<_> = tuning.collect();
    let mut settings = config.kafka.client_settings(&config.kafka_brokers, client_id, &tuning);
    for (key, value) in FIXED {
        settings.set(key, value);
    }
    settings.set("group.id", &config.group_id);
    if config.topics.iter().any(|topic| topic.starts_with('^')) {
        // Kafka's own, among them that of the groups' offsets: each commit would be a message to
        // read.
        settings.set("topic.blacklist", INTERNAL_TOPICS);
    }
    settings
}

/// Whether a default of [`TUNING`] goes with what the user has set.
fn is_possible(config: &Config, key: &str) -> bool {
    let session = || config.kafka_property(SESSION_TIMEOUT)?.parse().ok();
    match key {
        MAX_POLL_INTERVAL => session().is_none_or(|millis: u64| millis <= LONGEST_SESSION),
        key => !(config.has_newer_groups() && CLASSIC_ONLY.contains(&key)),
    }
}

/// The settings that a consumer and a producer have in common: where Kafka is, and how to log in. A
/// `--kafka-property` overrides the `defaults`.
pub(super) fn client_settings(config: &Config, defaults: &[(&str, &str)]) -> ClientConfig {
    config.kafka.client_settings(&config.kafka_brokers, "speed-layer", defaults)
}

#[cfg(test)]
mod tests {
    use super::super::consumer;
    use super::*;
    use clap::Parser as _;

    #[test]
    fn more_is_fetched_at_once_for_several_writers_unless_somebody_says_otherwise() {
        let fetch = |more: &[&str]| {
            let flags = ["speed-layer", "--database-url=postgres://h/d", "--kafka-brokers=b"];
            let config = Config::try_parse_from(flags.iter().chain(more)).unwrap();
            consumer_settings(&config, "test").get("fetch.message.max.bytes").map(str::to_owned)
        };
        let (two, own) = ("--writers=2", "--kafka-property=fetch.message.max.bytes=9000");
        let found = [fetch(&[]), fetch(&[two]), fetch(&[two, own])].map(Option::unwrap);
        assert_eq!(found, ["262144", "524288", "9000"]);
    }

    #[test]
    fn a_client_that_is_left_behind_holds_up_its_group_no_longer_where_its_session_is_set() {
        let interval = |properties: &[&str]| {
            let flags = ["speed-layer", "--database-url=postgres://h/d", "--kafka-brokers=b"];
            let properties = properties.iter().flat_map(|property| ["--kafka-property", *property]);
            let config = Config::try_parse_from(flags.into_iter().chain(properties)).unwrap();
            assert!(consumer(&config, "test").is_ok());
            consumer_settings(&config, "test").get(MAX_POLL_INTERVAL).map(str::to_owned)
        };
        assert_eq!(interval(&[]).as_deref(), Some("60000"));
        assert_eq!(interval(&["session.timeout.ms=6000"]).as_deref(), Some("60000"));
        assert_eq!(interval(&["group.protocol=consumer"]).as_deref(), Some("60000"));
        // The client's own, which is five minutes.
        assert_eq!(interval(&["session.timeout.ms=120000"]), None);
        let both = ["session.timeout.ms=6000", "max.poll.interval.ms=7000"];
        assert_eq!(interval(&both).as_deref(), Some("7000"));
    }
}
