//! Objects as Aiven's connector writes them: names of its own, and the record's other parts beside
//! its value.

use crate::support::{DAY, Tick, World, gzip, lines, some_ticks};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

const NAMES: [&str; 2] = ["--file-name", "{{topic}}-{{partition}}-{{start_offset}}"];
const FIELDS: &str = "key,value,offset,timestamp";

/// The values of ticks as their producer sent them: without a place.
fn values(ticks: &[Tick]) -> Vec<String> {
    let bare = |line: &str| {
        let mut value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        value.retain(|name, _| !name.starts_with("kafka_"));
        serde_json::to_string(&value).unwrap()
    };
    lines(ticks).lines().map(bare).collect()
}

/// Lines of `format.output.fields` key, value, offset and timestamp; `value` says how a value is
/// written.
fn jsonl(ticks: &[Tick], value: fn(&str) -> String) -> Vec<String> {
    let line = |(tick, text): (&Tick, String)| {
        let (offset, value) = (tick.offset, value(&text));
        // Kafka's record time, which is not the tick's.
        format!(
            r#"{{"key":"k","value":{value},"offset":{offset},"timestamp":"2025-06-02T23:00:00Z"}}"#
        )
    };
    ticks.iter().zip(values(ticks)).map(line).collect()
}

fn key(partition: i32, offset: i64, ending: &str) -> String {
    format!("raw/stock_prices/2025-06-02-10/stock-prices-{partition}-{offset}{ending}")
}

/// Archives the ticks in two objects that share some records, as a sink does that was killed.
async fn put_overlapping(
    world: &World,
    ticks: &[Tick],
    body: impl Fn(&[Tick]) -> Vec<u8>,
    ending: &str,
) {
    world.insert_realtime(ticks).await;
    for part in [&ticks[..300], &ticks[250..]] {
        world
            .bucket
            .put(&key(ticks[0].partition, part[0].offset, ending), body(part))
            .await
            .unwrap();
    }
}

async fn assert_all_read(world: &World, flags: &[&str]) {
    let outcome = world.run_ok(&[&DAY[..], &NAMES, flags].concat()).await;
    assert_eq!(world.summary().await, world.expected().await, "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from rejected_lines").await, 0);
}

#[tokio::test]
async fn json_lines_give_their_ticks_whether_values_are_json_text_or_base64() {
    let world = World::create().await;
    let writers: [fn(&str) -> String; 3] = [
        str::to_owned,
        |value| serde_json::to_string(value).unwrap(),
        |value| format!("\"{}\"", BASE64.encode(value)),
    ];
    for (partition, writer) in (0..).zip(writers) {
        let ticks = some_ticks(10, partition, 1000, 500);
        let body = |ticks: &[Tick]| gzip(&jsonl(ticks, writer).join("\n"));
        put_overlapping(&world, &ticks, body, ".gz").await;
    }
    assert_all_read(&world, &[]).await;
    assert_eq!(world.number("select duplicates from batch_hours").await, 3 * 50);
}

#[tokio::test]
async fn a_json_array_is_read_by_its_elements_and_a_truncated_one_is_an_error() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 1000, 500);
    let body =
        |ticks: &[Tick]| format!("[\n{}\n]", jsonl(ticks, str::to_owned).join(",\n")).into_bytes();
    put_overlapping(&world, &ticks, body, "").await;
    assert_all_read(&world, &[]).await;
    let whole = body(&some_ticks(11, 0, 5000, 10));
    let torn = key(0, 5000, "").replace("-10/", "-11/");
    world.bucket.put(&torn, whole[..whole.len() - 2].to_vec()).await.unwrap();
    let outcome = world.run(&[&DAY[..], &NAMES].concat()).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("{torn}: it ends in the middle of a JSON array")),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.computed_by().await, ["02T10 by 1"]);
}

#[tokio::test]
async fn comma_separated_lines_give_their_ticks_in_base64_or_as_they_are() {
    for writer in [(|value| BASE64.encode(value)) as fn(&str) -> String, str::to_owned] {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 1000, 500);
        let line = |(tick, value): (&Tick, String)| {
            format!("a2V5,{},{},1748869200000", writer(&value), tick.offset)
        };
        let body = |ticks: &[Tick]| {
            ticks.iter().zip(values(ticks)).map(line).collect::<Vec<_>>().join("\n").into_bytes()
        };
        put_overlapping(&world, &ticks, body, "").await;
        assert_all_read(&world, &["--csv-fields", FIELDS]).await;
    }
}

#[tokio::test]
async fn values_alone_are_ordered_by_the_objects_name() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 1000, 500);
    world.insert_realtime(&ticks).await;
    let body = values(&ticks)
        .iter()
        .map(|value| format!("{{\"value\":{value}}}"))
        .collect::<Vec<_>>()
        .join("\n");
    world.bucket.put(&key(0, 1000, ""), body).await.unwrap();
    assert_all_read(&world, &[]).await;
}

#[tokio::test]
async fn a_bad_value_in_an_envelope_is_kept_with_the_reason_of_the_value() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 1000, 20);
    world.insert_realtime(&ticks).await;
    let mut lines = jsonl(&ticks, str::to_owned);
    lines.insert(
        0,
        r#"{"key":"k","value":{"symbol":"A B"},"offset":999,"timestamp":"2025-06-02T23:00:00Z"}"#
            .into(),
    );
    lines.push(
        r#"{"key":"k","value":{"symbol":"AAPL"},"offset":2000,"timestamp":"2025-06-02T23:00:00Z"}"#
            .into(),
    );
    world
        .bucket
        .put(&key(0, 999, ".zst"), zstd::encode_all(lines.join("\n").as_bytes(), 3).unwrap())
        .await
        .unwrap();
    world.run_ok(&[&DAY[..], &NAMES].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    let kept =
        world.rows("select concat_ws(' ', line, detail) from rejected_lines order by line").await;
    assert_eq!(kept.len(), 2);
    assert!(kept[1].starts_with("22 ") && kept[1].contains("is missing"), "{kept:?}");
}

#[tokio::test]
async fn the_names_of_the_places_in_a_line_can_be_chosen() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 200);
    world.insert_realtime(&ticks).await;
    let renamed = |ticks: &[Tick]| {
        lines(ticks).replace("kafka_offset", "_o").replace("kafka_partition", "_p")
    };
    for part in [&ticks[..150], &ticks[100..]] {
        let key = crate::support::key(10, 0, part[0].offset);
        world.bucket.put(&key, renamed(part)).await.unwrap();
    }
    world.run_ok(&[&DAY[..], &["--partition-field", "_p", "--offset-field", "_o"]].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select duplicates from batch_hours").await, 50);
}

#[tokio::test]
async fn verify_reads_the_same_formats() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 1000, 500);
    let body = |ticks: &[Tick]| jsonl(ticks, str::to_owned).join("\n").into_bytes();
    put_overlapping(&world, &ticks, body, "").await;
    assert_all_read(&world, &[]).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 1500).await;
    let outcome = world.run_ok(&[&["verify"], &DAY[..], &NAMES].concat()).await;
    assert!(outcome.stdout.contains("1 hour: 1 ok"), "{}", outcome.stdout);
}
