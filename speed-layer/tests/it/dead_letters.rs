//! The topic of rejected messages, also where it takes none.

use crate::scene::{PATIENCE, Scene, get, http_address, metric, tick, wait_ready};
use rdkafka::message::{Headers, Message, OwnedMessage};
use std::time::{Duration, Instant};
use testing::{TestMessage, TestTopic, eventually};

#[tokio::test]
async fn rejected_messages_go_to_the_dead_letter_topic_whole_and_with_their_reason() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let long = "x".repeat(100_000);
    let _speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene
        .topic
        .produce([
            TestMessage::new(0, tick(1)),
            TestMessage::new(0, long.clone()).key("AAPL"),
            TestMessage::tombstone(0, "MSFT"),
        ])
        .await;
    scene.wait_all_in().await;
    assert_eq!(letters.high_watermarks().await, [2]);

    let letter = &all_of(&letters)[0];
    assert_eq!((letter.key(), letter.payload()), (Some(&b"AAPL"[..]), Some(long.as_bytes())));
    let headers: Vec<(String, String)> = letter
        .headers()
        .unwrap()
        .iter()
        .map(|header| {
            (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned())
        })
        .collect();
    assert_eq!(headers[0], ("reason".into(), "not_json".into()));
    let place =
        [("topic", scene.topic.name()), ("partition", "0"), ("offset", "1"), ("index", "0")];
    assert_eq!(headers[2..], place.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

fn all_of(letters: &TestTopic) -> Vec<OwnedMessage> {
    let mut all = Vec::new();
    let reading = letters.read(|letter| {
        all.push(letter.detach());
        Ok(())
    });
    reading.unwrap();
    all
}

/// They were sent again with each try, every three seconds without end.
#[tokio::test]
async fn what_lies_behind_a_message_that_is_not_taken_has_one_letter_however_often_it_is_tried() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let _speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene.send_ticks(1, 5).await;
    scene.wait_all_in().await;
    let breaks = "create sequence tries;
                  create function breaks() returns trigger language plpgsql as
                  $$ begin perform nextval('tries'); raise exception 'not now' using errcode = \
                  'XX000'; end $$;
                  create trigger breaks before insert on realtime_stock for each row execute \
                  function breaks()";
    scene.execute(breaks).await;
    let broken = (0..20).map(|_| TestMessage::new(0, "no tick"));
    scene.topic.produce(std::iter::once(TestMessage::new(0, tick(6))).chain(broken)).await;
    eventually("it to be tried again and again", PATIENCE, || async {
        scene.count("select last_value from tries").await >= 12
    })
    .await;
    scene.execute("drop function breaks() cascade").await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(letters.high_watermarks().await, [20]);
}

#[tokio::test]
async fn of_a_message_that_holds_several_ticks_each_broken_element_is_a_letter() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let _speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene
        .topic
        .produce([TestMessage::new(0, format!(r#"[{},{{"symbol":"X"}}, 7 ]"#, tick(1))).key("K")])
        .await;
    scene.wait_count("both to be rejected", "select count(*) from rejected_ticks", 2).await;
    let found: Vec<(String, String)> = all_of(&letters)
        .iter()
        .map(|letter| {
            let index =
                letter.headers().unwrap().iter().find(|header| header.key == "index").unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
            (text(letter.payload()), text(index.value))
        })
        .collect();
    assert_eq!(
        found,
        [(r#"{"symbol":"X"}"#.to_owned(), "1".to_owned()), ("7".to_owned(), "2".to_owned())]
    );
}

#[tokio::test]
async fn a_dead_letter_topic_that_is_not_there_holds_the_batch_back_and_is_named() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&["--dead-letter-topic", "nowhere"]);
    scene.topic.produce([TestMessage::new(0, tick(1)), TestMessage::new(0, "x")]).await;
    let line = speed_layer.wait_stderr("--dead-letter-topic", PATIENCE).await;
    assert!(line.contains("nowhere"), "{line}");
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 0);
}

/// The first letter may come weeks later.
#[tokio::test]
async fn a_dead_letter_topic_that_is_not_there_is_named_before_the_first_reject() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&["--dead-letter-topic", "nowhere-at-all"]);
    scene.send_ticks(1, 5).await;
    scene.wait_all_in().await;
    let line = speed_layer.wait_stderr("does not exist; create it", PATIENCE).await;
    assert!(line.contains("nowhere-at-all") && line.contains("--dead-letter-topic"), "{line}");
    let address = http_address(&speed_layer).await;
    let (status, body) = get(&address, "/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("nowhere-at-all"), "{body}");
}

/// More than the client sends, with headers less than the topic takes; and company that is refused
/// with it.
#[tokio::test]
async fn a_message_that_is_too_large_for_the_dead_letter_topic_holds_up_nothing() {
    let scene = Scene::new(1).await;
    let letters = TestTopic::with_settings(1, &[("max.message.bytes", "100000")]).await;
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    for bytes in [999_950, 500_000, 99_950] {
        let broken = [
            TestMessage::new(0, "x"),
            TestMessage::new(0, "x".repeat(bytes)),
            TestMessage::new(0, "y"),
            TestMessage::new(0, tick(1)),
        ];
        scene.topic.produce(broken).await;
    }
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 3);
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 9);
    assert_eq!(metric(&address, "speed_layer_dead_letters_cut_total"), Some(3));
    let line =
        speed_layer.wait_stderr("does not take a rejected message of 999950 bytes", PATIENCE).await;
    assert!(line.contains(letters.name()), "{line}");
    // Each is there, the large ones as far as they were sent; what was refused in their company
    // more than once perhaps.
    assert!(letters.high_watermarks().await[0] >= 9);
}

/// A message that was cut went in one request with the next one, was refused with it, and left out.
#[tokio::test]
async fn of_several_letters_that_are_too_large_each_has_its_beginning_in_the_topic() {
    let scene = Scene::new(1).await;
    let letters = TestTopic::with_settings(1, &[("max.message.bytes", "40000")]).await;
    let large = (0..6).map(|number| TestMessage::new(0, "x".repeat(60_000 + number)));
    scene.topic.produce(large.chain([TestMessage::new(0, tick(1))])).await;
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene.wait_all_in().await;
    assert!(letters.high_watermarks().await[0] >= 6);
    let left_out = "rejected_ticks has it";
    assert!(!speed_layer.stderr().iter().any(|line| line.contains(left_out)));
}

/// Each was sent whole, called cut and sent again, one after the other: two minutes for these.
#[tokio::test]
async fn thousands_of_letters_that_are_too_large_hold_up_nothing_for_long_and_are_said_once() {
    let scene = Scene::new(2).await;
    let letters = TestTopic::with_settings(1, &[("max.message.bytes", "1000")]).await;
    let broken = |number: i64| TestMessage::new(0, format!("{number:940}"));
    let small = |number: i64| TestMessage::new(0, format!("no tick {number}"));
    scene.topic.produce((0..3000).map(broken)).await;
    scene.topic.produce((0..50).map(small).chain([TestMessage::new(1, tick(1))])).await;
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    let begun = Instant::now();
    scene.wait_all_in().await;
    assert!(begun.elapsed() < Duration::from_secs(80), "{:?}", begun.elapsed());
    assert_eq!(letters.high_watermarks().await, [50]);
    assert_eq!(metric(&address, "speed_layer_dead_letters_cut_total"), Some(3000));
    let said = |line: &&String| line.contains("does not take a rejected message");
    assert!(speed_layer.stderr().iter().filter(said).count() <= 2);
    assert!(!speed_layer.stderr().iter().any(|line| line.contains("its first")));
}

#[tokio::test]
async fn a_topic_that_would_read_its_own_dead_letters_is_refused() {
    let scene = Scene::new(1).await;
    let topic = scene.topic.name();
    let pattern = format!("^{topic}$");
    for flags in [
        ["--dead-letter-topic", topic, "--topic", topic],
        ["--dead-letter-topic", topic, "--topic", &pattern],
    ] {
        let mut speed_layer = scene.start(&flags);
        assert_eq!(speed_layer.wait_exit(PATIENCE).await.code(), Some(2));
        let said = speed_layer.stderr().last().cloned().unwrap();
        assert!(said.contains(topic) && said.contains("--dead-letter-topic"), "{said}");
    }
}

#[tokio::test]
async fn letters_without_a_key_that_a_compacted_topic_refuses_stay_in_the_table_and_hold_up_nothing()
 {
    let scene = Scene::new(1).await;
    let letters = TestTopic::with_settings(1, &[("cleanup.policy", "compact")]).await;
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    let messages = [
        TestMessage::new(0, "x"),
        TestMessage::new(0, "y").key("AAPL"),
        TestMessage::new(0, "z"),
        TestMessage::new(0, tick(1)),
    ];
    scene.topic.produce(messages).await;
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 3);
    assert_eq!(letters.high_watermarks().await, [1]);
    assert_eq!(metric(&address, "speed_layer_dead_letters_cut_total"), Some(2));
    speed_layer.wait_stderr("rejected_ticks has it", PATIENCE).await;
}

#[tokio::test]
async fn a_dead_letter_topic_that_goes_away_is_named_and_its_letters_arrive_when_it_is_back() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    scene.topic.produce([TestMessage::new(0, "x")]).await;
    scene.wait_all_in().await;
    letters.delete().await;
    scene.topic.produce([TestMessage::new(0, "y"), TestMessage::new(0, tick(1))]).await;
    eventually("/readyz to name it", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        if status == 503 && body.contains(letters.name()) && !body.contains("Kafka is away") {
            Ok(())
        } else {
            Err(body)
        }
    })
    .await;
    // Messages that come meanwhile are not read, which is no fault of their topic.
    scene.topic.produce([TestMessage::new(0, tick(2))]).await;
    eventually(
        "it to have been waited for longer than a silent partition is",
        PATIENCE,
        || async {
            let waits = metric(&address, "speed_layer_retries_total{target=\"dead letters\"} ");
            if waits > Some(25) { Ok(()) } else { Err(format!("{waits:?}")) }
        },
    )
    .await;
    assert_eq!(metric(&address, "speed_layer_stalled_partitions "), Some(0));
    let said = speed_layer.stderr();
    assert!(said.iter().all(|line| !line.contains("sends none")), "{said:#?}");
    letters.make_anew_after_delete(1).await;
    scene.wait_all_in().await;
    wait_ready(&address, 200).await;
    assert_eq!(letters.high_watermarks().await, [1]);
    let assigned = format!("assigned partitions (with next offsets): {}/0", scene.topic.name());
    let joined = speed_layer.stderr().into_iter().filter(|line| line.contains(&assigned)).count();
    assert_eq!(joined, 1, "{:#?}", speed_layer.stderr());
}

#[tokio::test]
async fn large_letters_take_no_more_memory_than_a_batch_may() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    // Nothing that compresses well: the client unpacks a fetch as a whole.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(900_000)
    .collect();
    let large = TestMessage::new(0, noise);
    for _ in 0..10 {
        scene.topic.produce((0..20).map(|_| large.clone())).await;
    }
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    let mut peak = 0;
    eventually("all of them", PATIENCE, || {
        peak = peak.max(metric(&address, "speed_layer_resident_memory_bytes").unwrap_or_default());
        async { scene.count("select count(*) from rejected_ticks").await == 200 }
    })
    .await;
    assert!(peak < 160_000_000, "{peak}");
}
