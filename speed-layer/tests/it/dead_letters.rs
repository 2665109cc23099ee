use crate::scene::{PATIENCE, Scene, http_address, metric, tick};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use workbench::testing::{Record, TestTopic, eventually};

#[tokio::test]
async fn rejected_messages_go_to_the_dead_letter_topic_whole_and_with_their_reason() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let long = "x".repeat(100_000);
    let _speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene
        .topic
        .produce([Record::new(0, tick(1)), Record::new(0, long.clone()).key("AAPL"), Record::tombstone(0, "MSFT")])
        .await;
    scene.wait_all_in().await;
    assert_eq!(letters.high_watermarks().await, [2]);

    let consumer = reader(&letters);
    let letter = consumer.iter().next().unwrap().unwrap();
    assert_eq!((letter.key(), letter.payload()), (Some(&b"AAPL"[..]), Some(long.as_bytes())));
    let headers: Vec<(String, String)> = letter
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
        .collect();
    assert_eq!(headers[0], ("reason".into(), "not_json".into()));
    let place = [("topic", scene.topic.name()), ("partition", "0"), ("offset", "1"), ("index", "0")];
    assert_eq!(headers[2..], place.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

/// Of all that is in the topic.
fn reader(letters: &TestTopic) -> BaseConsumer {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", letters.brokers()).set("group.id", "test").create().unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(letters.name(), 0, Offset::Beginning).unwrap();
    consumer.assign(&all).unwrap();
    consumer
}

#[tokio::test]
async fn of_a_message_that_holds_several_ticks_each_broken_element_is_a_letter() {
    let (scene, letters) = (Scene::new(1).await, TestTopic::create(1).await);
    let _speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    scene.topic.produce([Record::new(0, format!(r#"[{},{{"symbol":"X"}}, 7 ]"#, tick(1))).key("K")]).await;
    eventually("both to be rejected", PATIENCE, || async {
        let rejects = scene.count("select count(*) from rejected_ticks").await;
        if rejects == 2 { Ok(()) } else { Err(rejects.to_string()) }
    })
    .await;
    let consumer = reader(&letters);
    let found: Vec<(String, String)> = consumer
        .iter()
        .take(2)
        .map(|letter| {
            let letter = letter.unwrap().detach();
            let index = letter.headers().unwrap().iter().find(|header| header.key == "index").unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
            (text(letter.payload()), text(index.value))
        })
        .collect();
    assert_eq!(found, [(r#"{"symbol":"X"}"#.to_owned(), "1".to_owned()), ("7".to_owned(), "2".to_owned())]);
}

#[tokio::test]
async fn a_dead_letter_topic_that_is_not_there_holds_the_batch_back_and_is_named() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&["--dead-letter-topic", "nowhere"]);
    scene.topic.produce([Record::new(0, tick(1)), Record::new(0, "x")]).await;
    let line = speed_layer.wait_stderr("--dead-letter-topic", PATIENCE).await;
    assert!(line.contains("nowhere"), "{line}");
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 0);
}

/// More than the client sends, with headers less than the topic takes; and company that is refused with it.
#[tokio::test]
async fn a_message_that_is_too_large_for_the_dead_letter_topic_holds_up_nothing() {
    let scene = Scene::new(1).await;
    let letters = TestTopic::with_settings(1, &[("max.message.bytes", "100000")]).await;
    let speed_layer = scene.start(&["--dead-letter-topic", letters.name()]);
    let address = http_address(&speed_layer).await;
    for bytes in [999_950, 500_000, 99_950] {
        let broken =
            [Record::new(0, "x"), Record::new(0, "x".repeat(bytes)), Record::new(0, "y"), Record::new(0, tick(1))];
        scene.topic.produce(broken).await;
    }
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 3);
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 9);
    assert_eq!(metric(&address, "speed_layer_dead_letters_cut_total"), Some(3));
    let line = speed_layer.wait_stderr("does not take a rejected message of 500000 bytes", PATIENCE).await;
    assert!(line.contains(letters.name()), "{line}");
    // Each is there, the large ones as far as they were sent; what was refused in their company more than once perhaps.
    assert!(letters.high_watermarks().await[0] >= 9);
}
