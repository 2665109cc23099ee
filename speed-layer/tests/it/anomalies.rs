//! The detectors' findings are a function of the ticks that are committed.

use crate::scene::{self, PATIENCE, Scene, http_address, wait_ready};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use testing::{Child, TestMessage, eventually};

const PARTITIONS: i64 = 2;
const TICKS: i64 = 6000;

/// Ticks of two partitions and six symbols; one price in 41 is wrong, and the market is silent once
/// for ten minutes. Some have a quote, conditions and a number, in which there are holes and steps
/// back.
fn tick(number: i64) -> TestMessage {
    let cents = 20_000 + number * number % 11;
    let cents = if number % 41 == 0 { cents * 103 / 100 } else { cents };
    let pause = if number > TICKS / 2 { 600_000 } else { 0 };
    // From 2025-06-06, 10:00 in New York, on.
    let millis = 1_749_218_400_000 + number * 50 + pause;
    let symbol = number / PARTITIONS % 3 + 3 * (number % PARTITIONS);
    let json = format!(
        r#"{{"symbol":"S{symbol}","timestamp":{millis},"price":{}.{:02},"volume":10{}}}"#,
        cents / 100,
        cents % 100,
        beside(number)
    );
    TestMessage::new((number % PARTITIONS) as i32, json)
}

fn beside(number: i64) -> String {
    let conditions = match number % 997 {
        5 => r#","conditions":["@","cancelled"]"#,
        6 => r#","conditions":"corrected""#,
        _ if number / (3 * PARTITIONS) % 3 == 1 => r#","conditions":["@","U"]"#,
        _ => "",
    };
    let quote = if number % 5 == 0 { r#","bid":199.99,"ask":"200.11""# } else { "" };
    // One higher with each tick of a symbol.
    let in_order = number / (3 * PARTITIONS);
    let sequence = if number % 601 == 600 { in_order - 3 } else { in_order + number / 1500 };
    format!(r#"{conditions}{quote},"n":{sequence}"#)
}

/// Partition, offset, symbol, kind, and how far beyond the limit to the last bit.
type Row = (i32, i64, String, String, String);

async fn rows(scene: &Scene) -> BTreeSet<Row> {
    let sql = "select kafka_partition, kafka_offset, symbol, kind, score::text from anomalies";
    sqlx::query_as(sql).fetch_all(scene.database.pool()).await.unwrap().into_iter().collect()
}

const FLAGS: [&str; 4] = ["--kafka-property", "session.timeout.ms=6000", "--map", "sequence=n"];

/// Writes the ticks by instances that are killed when so many of them are in.
async fn found(flags: &[&str], kills: &[i64]) -> BTreeSet<Row> {
    let scene = Scene::new(PARTITIONS as i32).await;
    let flags = [flags, &FLAGS].concat();
    let sent = kills.len() as i64 + 1;
    for (number, kill) in kills.iter().chain([&TICKS]).enumerate() {
        let (from, number) = (TICKS * number as i64 / sent, number as i64);
        scene.topic.produce((from..TICKS * (number + 1) / sent).map(tick)).await;
        let speed_layer = scene.start(&flags);
        eventually("ticks to be written", PATIENCE, || async {
            let written = scene.count("select count(*) from realtime_stock").await;
            if written >= *kill { Ok(()) } else { Err(format!("{written} of {kill}")) }
        })
        .await;
        speed_layer.sigkill();
    }
    scene.assert_each_once().await;
    rows(&scene).await
}

#[tokio::test]
async fn what_is_found_is_the_same_after_kills_and_with_any_batches() {
    let (undisturbed, killed) = tokio::join!(
        found(&["--batch-rows", "100000"], &[]),
        found(&["--batch-rows", "97", "--linger", "1ms"], &[300, 2100, 2600]),
    );
    let kinds: BTreeSet<&str> = undisturbed.iter().map(|row| row.3.as_str()).collect();
    let expected = [
        "cancel",
        "correction",
        "excluded_condition",
        "market_silence",
        "outside_quotes",
        "sequence_hole",
        "sequence_step",
        "silence",
        "spike",
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
    let is_of_price =
        |kind: &str| ["spike", "outside_quotes", "excluded_condition"].contains(&kind);
    let wrong = undisturbed.iter().filter(|row| is_of_price(&row.3)).count();
    assert!(wrong >= TICKS as usize / 41 - 12, "{wrong}");
    assert_eq!(killed, undisturbed);
}

/// Writes a third of the ticks by one instance, one by it and another, and the last one by the
/// first again.
async fn found_by_two() -> BTreeSet<Row> {
    let scene = Scene::new(PARTITIONS as i32).await;
    let send = async |third: i64| {
        scene.topic.produce((TICKS * third / 3..TICKS * (third + 1) / 3).map(tick)).await;
        scene.wait_all_in().await;
    };
    let mut command = scene.command();
    command.env("RUST_LOG", "info,speed_layer::store=debug").args(FLAGS);
    let first = Child::spawn(command);
    send(0).await;
    let mut second = scene.start(&FLAGS);
    second.wait_stderr("assigned partitions (with next offsets): ", PATIENCE).await;
    // Nothing of what is the other's now stays in memory.
    first.wait_stderr("gave up 1 partitions; the detectors know 1 others", PATIENCE).await;
    send(1).await;
    second.sigterm();
    assert!(second.wait_exit(PATIENCE).await.success(), "{:#?}", second.stderr());
    send(2).await;
    scene.assert_each_once().await;
    rows(&scene).await
}

#[tokio::test]
async fn what_is_found_is_the_same_where_a_partition_moves_to_another_instance_and_back() {
    let (undisturbed, moved) = tokio::join!(found(&[], &[]), found_by_two());
    assert!(!undisturbed.is_empty());
    assert_eq!(moved, undisturbed);
}

#[tokio::test]
async fn nothing_is_looked_for_where_that_is_off() {
    assert!(found(&["--anomalies", "off"], &[]).await.is_empty());
}

/// Ten minutes of ticks that nobody looked at are no silence.
#[tokio::test]
async fn what_came_while_they_were_off_is_no_silence_when_they_are_on_again() {
    let scene = Scene::new(1).await;
    let send = async |numbers: std::ops::Range<i64>, every: i64, start: i64| {
        let tick = |number: i64| {
            let millis = 1_749_218_400_000 + start + (number - numbers.start) * every;
            TestMessage::new(
                0,
                format!(r#"{{"symbol":"S","timestamp":{millis},"price":200,"volume":10}}"#),
            )
        };
        scene.topic.produce(numbers.clone().map(tick)).await;
    };
    let write = async |flags: &[&str]| {
        let mut speed_layer = scene.start(flags);
        scene.wait_all_in().await;
        speed_layer.sigterm();
        speed_layer.wait_exit(PATIENCE).await;
    };
    send(0..1000, 50, 0).await;
    write(&[]).await;
    send(1000..1300, 2000, 50_000).await;
    write(&["--anomalies", "off"]).await;
    send(1300..2300, 50, 650_000).await;
    write(&[]).await;
    assert!(rows(&scene).await.is_empty(), "{:?}", rows(&scene).await);
}

#[tokio::test]
async fn a_partition_whose_detectors_cannot_be_read_holds_up_no_other() {
    let scene = Scene::read_and_stopped(2, 10).await;
    // Reading the rows of partition 0 divides by it.
    let harm = "alter table detector_log rename to detector_rows;
                create view detector_log as
                select source, is_whole, partition, number / partition as number, states from \
                detector_rows";
    scene.execute(harm).await;

    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.topic.produce([TestMessage::new(0, scene::tick(11))]).await;
    let line = speed_layer.wait_stderr("what the detectors know of it cannot", PATIENCE).await;
    assert!(line.contains("division by zero"), "{line}");
    for number in 0..5 {
        scene.topic.produce([0, 1].map(|at| TestMessage::new(at, scene::tick(12 + number)))).await;
        eventually("the other partition", Duration::from_secs(3), || async {
            let rows = "select count(*) from realtime_stock where kafka_partition = 1";
            scene.count(rows).await == 11 + number
        })
        .await;
    }
    wait_ready(&address, 503).await;
    let mend = "drop view detector_log; alter table detector_rows rename to detector_log";
    scene.execute(mend).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    wait_ready(&address, 200).await;
}

/// A view in the place of the log whose rows need `body` first, by `at`.
async fn hinder_reading(scene: &Scene, body: &str) {
    let harm = format!(
        "create function stay(at integer) returns bigint language plpgsql as
         $$ begin {body} return 0; end $$;
         alter table detector_log rename to detector_rows;
         create view detector_log as
         select source, is_whole, partition, states,
                number + case when is_whole then stay(partition) else 0 end as number
         from detector_rows"
    );
    scene.execute(&harm).await;
}

/// Its turn never came: what is held for another reason took it away each time.
#[tokio::test]
async fn detectors_that_take_long_to_read_are_given_their_time_beside_one_that_cannot_be_read() {
    let scene = Scene::read_and_stopped(3, 3).await;
    let body = "if at = 0 then perform pg_sleep(6); end if;
                if at = 2 then raise exception 'out of order' using errcode = 'XX000'; end if;";
    hinder_reading(&scene, body).await;
    let speed_layer = scene.start(&["--writer-timeout", "9s"]);
    scene.topic.produce((0..3).map(|at| TestMessage::new(at, scene::tick(10)))).await;
    speed_layer.wait_stderr("cannot be read: it takes too long", PATIENCE).await;
    speed_layer.wait_stderr("cannot be read: out of order", PATIENCE).await;
    eventually("the one that takes long", PATIENCE, || async {
        let rows = "select count(*) from realtime_stock where kafka_partition = 0";
        scene.count(rows).await == 4
    })
    .await;
    let seen = scene.count("select count(*) from realtime_stock where kafka_partition = 2").await;
    assert_eq!(seen, 3);
}

/// Each of them took its time in each batch.
#[tokio::test]
async fn of_several_whose_detectors_take_for_ever_to_read_one_is_tried_at_a_time() {
    let scene = Scene::read_and_stopped(7, 2).await;
    hinder_reading(&scene, "if at < 6 then perform pg_sleep(600); end if;").await;
    let speed_layer = scene.start(&[]);
    let one = |number: i64| (0..7).map(move |at| TestMessage::new(at, scene::tick(number)));
    scene.topic.produce(one(15)).await;
    speed_layer.wait_stderr("cannot be read: it takes too long", PATIENCE).await;
    let good = "select count(*) from realtime_stock where kafka_partition = 6";
    scene.wait_count("the first one", good, 3).await;
    let begun = Instant::now();
    for number in 0..4 {
        scene.topic.produce(one(16 + number)).await;
        eventually("the good one", PATIENCE, || async { scene.count(good).await == 4 + number })
            .await;
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
