//! The archiver's stand-in writes what the real sink has written.

use crate::prometheus::delete_records;
use crate::recording::{self, TOPIC};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;
use testing::{Child, TcpProxy, TestBucket, TestMessage, TestTopic, eventually, stack};
use workbench::archive::convert::{Converted, Position, convert};
use workbench::archive::objects::{Naming, OpenObjects};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn conversion_and_cutting_give_the_recorded_objects_byte_for_byte() {
    let recording = recording::load();
    let naming = Naming { folder: "raw".into(), topic: TOPIC.into(), gzip: false };
    let mut partitions: BTreeMap<i32, (i64, OpenObjects)> = BTreeMap::new();
    for record in &recording.messages {
        let id = record.partition;
        let (offset, objects) = partitions.entry(id).or_insert_with(|| (0, OpenObjects::new(id)));
        if let Converted::Line(line) =
            convert(record.value.as_deref(), Position { partition: id, offset: *offset })
        {
            objects.push(*offset, record.timestamp.unwrap(), &line);
        }
        *offset += 1;
    }
    let cut = partitions.values_mut().flat_map(|(_, objects)| objects.cut(&naming));
    let written: BTreeMap<String, Vec<u8>> = cut.map(|object| (object.key, object.body)).collect();
    assert_same(&written, &recording.objects);
}

#[tokio::test]
async fn the_archiver_writes_the_recorded_objects_byte_for_byte() {
    let recording = recording::load();
    let (topic, dead_letters) = (TestTopic::create(4).await, TestTopic::create(1).await);
    let bucket = TestBucket::create().await;
    topic.produce(recording.messages).await;
    // One cut at the end, as in the recording: its messages arrived between two rotations.
    let mut command = archiver(&topic, &bucket);
    command.args([
        "--until-caught-up",
        "--rotate",
        "1h",
        "--dead-letter-topic",
        dead_letters.name(),
    ]);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());

    let written = contents(&bucket).await;
    let renamed =
        written.into_iter().map(|(key, body)| (key.replace(topic.name(), TOPIC), body)).collect();
    assert_same(&renamed, &recording.objects);
    assert_eq!(
        dead_letters.high_watermarks().await,
        [i64::try_from(recording.dead_letters).unwrap()]
    );
}

#[tokio::test]
async fn a_terminated_archiver_writes_what_is_open_and_the_next_one_goes_on_there() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    let dead_letters = TestTopic::create(1).await;
    // 50 ticks a partition: 40 by size, 10 open; and one dead letter behind them, which tells when
    // all were read.
    topic.produce((0..100).map(tick).chain([broken(0), broken(1)])).await;
    let mut command = archiver(&topic, &bucket);
    command.args([
        "--rotate",
        "1h",
        "--flush-size",
        "40",
        "--dead-letter-topic",
        dead_letters.name(),
    ]);
    let mut child = Child::spawn(command);
    eventually("both dead letters", PATIENCE, || async {
        dead_letters.high_watermarks().await == [2]
    })
    .await;
    child.sigterm();
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    assert_eq!(identities(&bucket).await, identities_of(100));

    topic.produce((102..150).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--until-caught-up", "--gzip"]);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let mut expected = identities_of(150);
    expected.retain(|(_, offset)| *offset != 50);
    assert_eq!(identities(&bucket).await, expected, "each line once: nothing was read again");
}

#[tokio::test]
async fn a_killed_archiver_loses_nothing() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    topic.produce((0..2000).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--rotate", "1h", "--flush-size", "300"]);
    let child = Child::spawn(command);
    eventually("some objects", PATIENCE, || async { bucket.list("").await.unwrap().len() >= 2 })
        .await;
    child.sigkill();

    let mut command = archiver(&topic, &bucket);
    command.args(["--until-caught-up", "--flush-size", "170"]);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let distinct: BTreeSet<_> = identities(&bucket).await.into_iter().collect();
    assert_eq!(distinct.into_iter().collect::<Vec<_>>(), identities_of(2000));
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_named_in_one_line() {
    let bucket = TestBucket::create().await;
    let topic = TestTopic::create(1).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--topic", "no-such-topic"]);
    let mut child = Child::spawn(command);
    assert_eq!(child.wait_exit(Duration::from_secs(15)).await.code(), Some(1));
    let line = child.wait_stderr("no-such-topic", PATIENCE).await;
    assert!(line.contains("create it first"), "{line}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_in_one_line() {
    let (bucket, topic) = (TestBucket::create().await, TestTopic::create(2).await);
    topic.produce((0..10).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--bucket", "no-such-bucket", "--until-caught-up"]);
    let mut child = Child::spawn(command);
    assert_eq!(child.wait_exit(Duration::from_secs(15)).await.code(), Some(1));
    let line = child.wait_stderr("no-such-bucket", PATIENCE).await;
    assert!(line.contains("create it first"), "{line}");
    assert_eq!(child.stderr().iter().filter(|line| line.contains("WARN")).count(), 0);
}

#[tokio::test]
async fn offsets_that_kafka_has_lost_since_the_last_commit_are_said_and_counted() {
    let (bucket, topic) = (TestBucket::create().await, TestTopic::create(1).await);
    topic.produce((0..10).map(|number| TestMessage { partition: 0, ..tick(number) })).await;
    let run = async || {
        let mut command = archiver(&topic, &bucket);
        command.arg("--until-caught-up");
        let mut child = Child::spawn(command);
        assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
        child
    };
    let first = run().await;
    assert!(!first.stderr().iter().any(|line| line.contains("has lost")), "{:?}", first.stderr());
    topic.produce((10..40).map(|number| TestMessage { partition: 0, ..tick(number) })).await;
    delete_records(&topic, 30).await;
    let second = run().await;
    let said = "Kafka has lost offsets 10 to 29 of partition 0";
    assert!(second.stderr().iter().any(|line| line.contains(said)), "{:?}", second.stderr());
}

#[tokio::test]
async fn a_store_that_falls_silent_is_said_and_a_terminated_archiver_does_not_wait_for_it() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    let store = stack("STACK_S3_ENDPOINT_URL");
    let mut proxy = TcpProxy::start(store.trim_start_matches("http://")).await;
    topic.produce((0..10).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command
        .args(["--rotate", "500ms"])
        .env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    let mut child = Child::spawn(command);
    eventually("the first ticks", PATIENCE, || async {
        identities(&bucket).await == identities_of(10)
    })
    .await;
    proxy.stall().await;
    topic.produce((10..20).map(tick)).await;
    let line = child.wait_stderr("attempt 1 of 30", PATIENCE).await;
    assert!(line.contains("WARN") && line.contains("no answer of the store within 30 s"), "{line}");
    child.sigterm();
    assert_eq!(child.wait_exit(Duration::from_secs(10)).await.code(), Some(1));
    let said = child.stderr().join("\n");
    assert!(said.contains("it is not committed, and the next start archives it"), "{said}");

    proxy.restore().await;
    let mut command = archiver(&topic, &bucket);
    command.arg("--until-caught-up");
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let mut distinct = identities(&bucket).await;
    distinct.dedup();
    assert_eq!(distinct, identities_of(20));
}

#[tokio::test]
async fn what_a_living_member_has_committed_is_caught_up() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    topic.produce((0..10).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--rotate", "500ms"]);
    let living = Child::spawn(command);
    eventually("all ticks", PATIENCE, || async { identities(&bucket).await == identities_of(10) })
        .await;
    let mut command = archiver(&topic, &bucket);
    command.arg("--until-caught-up");
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    drop(living);
}

#[tokio::test]
async fn what_a_living_member_does_not_commit_is_waited_for_and_said() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    let mut command = archiver(&topic, &bucket);
    command.args(["--rotate", "1h"]);
    let living = Child::spawn(command);
    // The group has given it both partitions once it has read of both.
    topic.produce([broken(0), broken(1)]).await;
    living.wait_stderr("the archive gets no line", PATIENCE).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--until-caught-up", "--rotate", "500ms"]);
    let mut child = Child::spawn(command);
    let line = child.wait_stderr("waiting for other members", PATIENCE).await;
    assert!(line.contains("(committed: nothing, of 1)"), "{line}");
    living.sigterm();
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_said_and_overwrites_nothing() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    topic.produce((0..40).map(tick)).await;
    let mut command = archiver(&topic, &bucket);
    command.args(["--rotate", "500ms", "--gzip"]);
    let mut child = Child::spawn(command);
    eventually("all ticks", PATIENCE, || async { identities(&bucket).await == identities_of(40) })
        .await;
    let before = contents(&bucket).await;

    topic.make_anew(2).await;
    topic.produce((100..110).map(tick)).await;
    assert_eq!(child.wait_exit(PATIENCE).await.code(), Some(1), "{:?}", child.stderr());
    let said = child.stderr().join("\n");
    for part in ["was made anew", "+0000000000.json.gz is of another topic", "--topics-dir"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(contents(&bucket).await, before);

    let mut command = archiver_in(&format!("{}-2", topic.name()), &topic, &bucket);
    command.args(["--until-caught-up", "--topics-dir", "raw2"]);
    let mut child = Child::spawn(command);
    assert!(child.wait_exit(PATIENCE).await.success(), "{:?}", child.stderr());
    let written = bucket.list(&format!("raw2/{}/", topic.name())).await.unwrap();
    assert_eq!(written.len(), 2, "{written:?}");
}

/// As one that an earlier version has written, or the real sink.
#[tokio::test]
async fn an_object_without_a_topic_s_id_is_overwritten_where_it_begins_alike_and_only_there() {
    let (topic, bucket) = (TestTopic::create(2).await, TestBucket::create().await);
    topic.produce((0..4).map(tick)).await;
    let run = async |group: &str| {
        let mut command = archiver_in(&format!("{}-{group}", topic.name()), &topic, &bucket);
        command.args(["--until-caught-up", "--rotate", "1h"]);
        let mut child = Child::spawn(command);
        child.wait_exit(PATIENCE).await;
        child
    };
    assert!(run("1").await.exit_status().unwrap().success());
    let whole = contents(&bucket).await;
    for (key, body) in &whole {
        let first = body.iter().position(|byte| *byte == b'\n').unwrap();
        bucket.put(key, body[..=first].to_vec()).await.unwrap();
    }
    assert!(run("2").await.exit_status().unwrap().success());
    assert_eq!(contents(&bucket).await, whole);
    let foreign = b"{\"another\":\"message\"}\n".to_vec();
    for key in whole.keys() {
        bucket.put(key, foreign.clone()).await.unwrap();
    }
    let mut third = run("3").await;
    assert_eq!(third.exit_status().unwrap().code(), Some(1));
    assert!(third.stderr().iter().any(|line| line.contains("its first line is another message")));
    assert!(contents(&bucket).await.values().all(|body| *body == foreign));
}

fn archiver(topic: &TestTopic, bucket: &TestBucket) -> Command {
    archiver_in(topic.name(), topic, bucket)
}

fn archiver_in(group: &str, topic: &TestTopic, bucket: &TestBucket) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workbench"));
    command
        .args(["archive", "--group-id", group])
        .env("KAFKA_BROKERS", topic.brokers())
        .env("KAFKA_TOPIC", topic.name())
        .envs(bucket.env());
    command
}

fn tick(number: i32) -> TestMessage {
    let value = format!(
        r#"{{"symbol":"AAPL","timestamp":"2025-06-02T13:00:00Z","open":1.5,"close":1.5,"volume":{number}}}"#
    );
    TestMessage::new(number % 2, value).at(1_748_869_200_000)
}

fn broken(partition: i32) -> TestMessage {
    TestMessage::new(partition, "no JSON")
}

/// (partition, offset) of each of the first `count` ticks, ascending.
fn identities_of(count: i64) -> Vec<(i64, i64)> {
    let mut identities: Vec<_> = (0..count).map(|number| (number % 2, number / 2)).collect();
    identities.sort_unstable();
    identities
}

async fn contents(bucket: &TestBucket) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for object in bucket.list("").await.unwrap() {
        let body = bucket.get(&object.key).await.unwrap().to_vec();
        contents.insert(object.key, body);
    }
    contents
}

/// (partition, offset) of each line of the archive, ascending, as often as it is there.
async fn identities(bucket: &TestBucket) -> Vec<(i64, i64)> {
    let mut identities = Vec::new();
    for (key, body) in contents(bucket).await {
        let mut text = String::new();
        if key.ends_with(".gz") {
            use std::io::Read;
            flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(body).unwrap();
        }
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            identities.push((
                value["kafka_partition"].as_i64().unwrap(),
                value["kafka_offset"].as_i64().unwrap(),
            ));
        }
    }
    identities.sort_unstable();
    identities
}

fn assert_same(written: &BTreeMap<String, Vec<u8>>, recorded: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(written.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    for (key, body) in written {
        let lines = |body: &[u8]| {
            String::from_utf8(body.to_vec()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(body), lines(&recorded[key]), "{key}");
        assert_eq!(body, &recorded[key], "{key}: line ends");
    }
}
