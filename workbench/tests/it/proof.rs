//! The proof itself: it must agree with what is right, and find everything that is wrong.

use crate::market::read;
use crate::pipeline::Pipeline;
use common::Timestamp;
use common::decode::{Decoder, Rules};
use serde_json::Value;
use speed_layer::SourcePartition;
use speed_layer::batch::{Batch, Message};
use sqlx::AssertSqlSafe;
use testing::TestDatabase;

/// What is done to the database behind the pipeline's back, and how the proof must name it.
const SPOILED: [(&str, &str); 17] = [
    (
        "delete from realtime_stock where (kafka_partition, kafka_offset) = (0, 700)",
        "partition 0: 1 records of the topic are in no table: offsets 700",
    ),
    (
        "insert into realtime_stock select * from realtime_stock where (kafka_partition, kafka_offset) = (0, 700)",
        "partition 0: 1 rows stand for a record that has a row already",
    ),
    (
        "update realtime_stock set kafka_offset = 100000 where (kafka_partition, kafka_offset) = (0, 700)",
        "partition 0: 1 records of the topic are in no table: offsets 700",
    ),
    (
        "update realtime_stock set close = close + 0.000000001 where (kafka_partition, kafka_offset) = (0, 700)",
        "1 ticks differ from what was sent: 0/700",
    ),
    (
        "update realtime_stock set high = null where (kafka_partition, kafka_offset) = (0, 700)",
        "1 ticks differ from what was sent: 0/700",
    ),
    (
        "update realtime_stock set symbol = 'WRONG' where (kafka_partition, kafka_offset) = (0, 700)",
        "minute bars differ from an aggregate of realtime_stock",
    ),
    (
        "with moved as (delete from realtime_stock where (kafka_partition, kafka_offset) = (0, 700) returning *)
      insert into rejected_ticks (source, reason, detail, kafka_partition, kafka_offset)
      select source, 'bad_price', '', 0, 700 from moved limit 1",
        "rejected messages have another reason or other bytes than what was sent: 0/700",
    ),
    (
        "delete from rejected_ticks where ctid = (select min(ctid) from rejected_ticks)",
        "1 records of the topic are in no table",
    ),
    (
        "update rejected_ticks set value = value || 'x' where ctid = (select min(ctid) from rejected_ticks where value_bytes > 0)",
        "1 rejected messages have another reason or other bytes",
    ),
    (
        "update kafka_offsets set next_offset = next_offset - 1 where partition = 0",
        "the speed layer is 1 records behind the topic",
    ),
    ("update kafka_offsets set next_offset = next_offset + 1 where partition = 1", "partition 1: the stored offset is"),
    (
        "update minute_bars set notional = notional + 0.000000001 where ctid = (select min(ctid) from minute_bars)",
        "1 minute bars differ from an aggregate of realtime_stock",
    ),
    (
        "update minute_bars set last_offset = last_offset + 1 where ctid = (select min(ctid) from minute_bars)",
        "1 minute bars differ from an aggregate of realtime_stock",
    ),
    (
        "update hourly_stock_summary set vwap = vwap + 0.0000000000000001 where ctid = (select min(ctid) from hourly_stock_summary)",
        "summary against the ticks in the archive",
    ),
    ("delete from hourly_stock_summary where ctid = (select min(ctid) from hourly_stock_summary)", "no summary of"),
    (
        "insert into anomalies (source, kafka_partition, kafka_offset, kafka_index, symbol, time, detector, version, kind, score, observed, expected)
         select source, kafka_partition, kafka_offset, kafka_index, symbol, timestamp, 'guess', 1, 'spike', 1, 1, 1
         from realtime_stock where (kafka_partition, kafka_offset) = (0, 700)",
        "1 anomalies differ from what the detectors find in realtime_stock: 0/700",
    ),
    (
        "create table realtime_stock_20300101 (like realtime_stock)",
        "1 day partitions hang in the air: made, but not attached: realtime_stock_20300101",
    ),
];

fn findings(proof: &Value) -> String {
    proof["findings"].to_string()
}

async fn spoil(database: &TestDatabase, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(database.pool()).await.unwrap();
}

#[tokio::test]
async fn what_agrees_is_proven_and_whatever_is_spoiled_is_found() {
    let pipeline = Pipeline::of_a_market().await;
    let (code, proof) = pipeline.prove(&pipeline.database).await;
    assert_eq!((code, proof["proof"].as_str()), (0, Some("ok")), "{proof}");
    assert_eq!(proof["records"], 3000);
    assert!(proof["summaries"].as_u64().unwrap() > 20, "{proof}");

    // The statements say 700; what they spoil has to be a tick with a high.
    let offset: i64 = sqlx::query_scalar(
        "select min(kafka_offset) from realtime_stock
         where kafka_partition = 0 and kafka_offset >= 700 and high is not null",
    )
    .fetch_one(pipeline.database.pool())
    .await
    .unwrap();
    for (sql, expected) in SPOILED {
        let of_that = |text: &str| text.replace("700", &offset.to_string());
        let (sql, expected) = (of_that(sql), of_that(expected));
        let (sql, expected) = (&*sql, &*expected);
        let copy = pipeline.database.copy().await;
        spoil(&copy, sql).await;
        let (code, proof) = pipeline.prove(&copy).await;
        assert_eq!((code, proof["proof"].as_str()), (1, Some("failed")), "{sql}: {proof}");
        assert!(findings(&proof).contains(expected), "{sql}: {proof}");
    }
    find_an_open_session(&pipeline).await;
    find_a_writer_without_the_protocol(&pipeline).await;
    find_a_changed_archive(&pipeline).await;
}

async fn find_an_open_session(pipeline: &Pipeline) {
    let database = service::pg::Database::parse(pipeline.database.url(), "speed-layer").unwrap();
    let mut left_open = database.connect().await.unwrap();
    sqlx::raw_sql("begin; select count(*) from realtime_stock")
        .execute(&mut left_open)
        .await
        .unwrap();
    let (code, proof) = pipeline.prove(&pipeline.database).await;
    assert_eq!(code, 1, "{proof}");
    assert!(findings(&proof).contains("1 sessions were left behind: speed-layer"), "{proof}");
}

/// A consumer that writes without comparing offsets, as one does that was killed before it told
/// Kafka how far it was: after the restart it writes the same messages again.
async fn find_a_writer_without_the_protocol(pipeline: &Pipeline) {
    let copy = pipeline.database.copy().await;
    let (mut decoder, mut batch) =
        (Decoder::new(Rules::default(), Timestamp::now()), Batch::default());
    for record in read(&pipeline.topic).iter().filter(|record| record.partition == 1).take(50) {
        let (partition, offset, value) = (record.partition, record.offset, record.value.as_deref());
        let message = Message { topic: "", partition, offset, timestamp: None, key: None, value };
        batch.push(
            &mut decoder,
            &message,
            SourcePartition { source: 1, partition },
            offset,
            |_, _, _| (),
        );
    }
    let again = u64::from(batch.rows.count());
    speed_layer::write_ticks(&mut copy.connection().await, &batch).await.unwrap();
    let (code, proof) = pipeline.prove(&copy).await;
    assert_eq!((code, proof["doubled"].as_u64()), (1, Some(again)), "{proof}");
    assert!(
        findings(&proof).contains("summaries have other ticks than the minute bars"),
        "{proof}"
    );
}

/// First a changed line, which both layers' numbers cannot know of, then a missing object.
async fn find_a_changed_archive(pipeline: &Pipeline) {
    let objects = pipeline.bucket.list("raw/").await.unwrap();
    let key = &objects.iter().find(|object| object.size > 1000).unwrap().key;
    let body = String::from_utf8(pipeline.bucket.get(key).await.unwrap().to_vec()).unwrap();
    let at = body.find("\"volume\":1").expect("some volume begins with 1") + "\"volume\":".len();
    let changed = format!("{}2{}", &body[..at], &body[at + 1..]);
    pipeline.bucket.put(key, changed).await.unwrap();
    let (code, proof) = pipeline.prove(&pipeline.database).await;
    assert_eq!(code, 1, "{proof}");
    assert!(
        findings(&proof).contains("1 lines of the archive differ from what was sent"),
        "{proof}"
    );
    assert!(findings(&proof).contains("summary against the ticks in the archive"), "{proof}");

    pipeline.bucket.delete(key).await.unwrap();
    let (code, proof) = pipeline.prove(&pipeline.database).await;
    assert_eq!(code, 1, "{proof}");
    assert!(findings(&proof).contains("records of the topic are not in the archive"), "{proof}");
}
