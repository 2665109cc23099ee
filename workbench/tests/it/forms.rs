//! Messages of which ticks need what a sink does not keep by itself, through both layers, the
//! archiver's stand-in and `verify`.

use crate::pipeline::Pipeline;
use crate::several::DIFFERENCES;
use testing::{TestMessage, TestRegistry, avro_bytes, framed};

/// 2025-06-06T14:00:01.123Z
const START: i64 = 1_749_218_401_123;
const MESSAGES: i64 = 60;

/// Sends messages, and lets everything read them; all of them must be ticks, `ticks` together.
async fn agree(message: impl Fn(i64) -> TestMessage, archive: &[&str], flags: &[&str], ticks: i64) {
    let pipeline = Pipeline::empty().await;
    pipeline.topic.produce((0..MESSAGES).map(message)).await;
    pipeline.archive_with(archive).await;
    let read: Vec<&str> = match flags.split_first() {
        Some((&"--schema-registry", rest)) => rest[1..].to_vec(),
        _ => flags.to_vec(),
    };
    pipeline.write(flags, ticks).await;
    pipeline.sum_up(&read).await;
    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(pipeline.database.pool()).await.unwrap()
    };
    assert_eq!(count("select count(*) from realtime_stock").await, ticks);
    assert_eq!(count("select sum(ticks)::bigint from hourly_stock_summary").await, ticks);
    assert_eq!(count(DIFFERENCES).await, 0, "summaries are those of the ticks");
    pipeline.verify(&read).await.unwrap();
}

fn record(number: i64, value: impl Into<Vec<u8>>) -> TestMessage {
    let value: Vec<u8> = value.into();
    TestMessage::new((number % 2) as i32, value).at(START + number * 1000)
}

#[tokio::test]
async fn symbols_in_keys_times_of_records_and_arrays_are_archived_by_keys() {
    let message = |number: i64| {
        let value = format!(r#"[{{"price":{number}.5,"volume":1}},{{"price":2.25,"volume":2}}]"#);
        record(number, value).key(["AAPL", "M&M.NS"][(number % 2) as usize])
    };
    let flags = ["--map", "symbol=@key,timestamp=@record"];
    agree(message, &["--keys"], &flags, 2 * MESSAGES).await;
}

#[tokio::test]
async fn arrays_are_archived_wrapped_and_times_of_records_beside_the_value() {
    let array = |number: i64| {
        let at = START + number * 1000;
        record(number, format!(r#"[{{"symbol":"A","price":{number}.5,"volume":1,"ts":{at}}}]"#))
    };
    agree(array, &["--wrap"], &["--each", "data"], MESSAGES).await;
    let plain = |number: i64| record(number, format!(r#"{{"symbol":"A","price":{number}.5}}"#));
    agree(plain, &["--record-time"], &["--timestamp-from", "record"], MESSAGES).await;
}

#[tokio::test]
async fn values_of_a_schema_registry_are_archived_as_the_json_that_they_mean() {
    const TRADE: &str = r#"{"type":"record","name":"T","fields":[
        {"name":"symbol","type":"string"},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4}}]}"#;
    let Some(registry) = TestRegistry::start().await else { return };
    let schema = registry.avro("trades-value", TRADE).await;
    let message = |number: i64| {
        let price = avro_bytes(&(2_015_000 + number).to_be_bytes());
        record(number, framed(schema, &[avro_bytes(b"AAPL"), price].concat()))
    };
    let url = registry.url();
    let of_registry = ["--schema-registry", &url];
    let archive = [&of_registry[..], &["--record-time"]].concat();
    let flags = [&of_registry[..], &["--timestamp-from", "record"]].concat();
    agree(message, &archive, &flags, MESSAGES).await;
}
