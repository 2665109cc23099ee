//! Ticks that were lost after they had been written, and how they are put back.

use crate::support::{World, key, lines, some_ticks};
use crate::verify::{HOURS, Live, agreeing, bars, verify};
use sqlx::{Connection as _, PgConnection};
use testing::TestMessage;

/// An hour of ten messages with three ticks each, which was archived, computed, and then expired.
async fn expired_messages() -> World {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 30);
    world.insert_realtime(&ticks).await;
    let tick = |line: &str| line.replace("kafka_", "former_");
    let text: String = lines(&ticks)
        .lines()
        .map(tick)
        .collect::<Vec<_>>()
        .chunks(3)
        .enumerate()
        .map(|(offset, ticks)| {
            format!(
                "{{\"data\":[{}],\"kafka_partition\":0,\"kafka_offset\":{offset}}}\n",
                ticks.join(",")
            )
        })
        .collect();
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    world.execute("update realtime_stock set kafka_index = kafka_offset % 3, kafka_offset = kafka_offset / 3").await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 10).await;
    world.run_ok(&[&HOURS[..], &["--each", "data"]].concat()).await;
    assert_eq!(verify(&world, &[&HOURS[..], &["--each", "data"]].concat()).await.code, 0);
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&[&HOURS[..], &["--each", "data"]].concat()).await;
    world
}

#[tokio::test]
async fn an_element_that_was_lost_after_its_object_had_expired_is_found_and_stays_in_the_bars() {
    let world = expired_messages().await;
    let flags = [&HOURS[..], &["--each", "data"]].concat();
    let outcome = verify(&world, &flags).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    world.execute("delete from realtime_stock where kafka_offset = 7 and kafka_index = 1").await;
    let before = bars(&world).await;
    for flags in [flags.clone(), [&flags[..], &["--repair"]].concat()] {
        let outcome = verify(&world, &flags).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        let word = "1 tick of objects that have expired is not in realtime_stock: offsets 7[1]";
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
        assert_eq!(bars(&world).await, before);
    }
}

#[tokio::test]
async fn of_a_message_that_was_rejected_in_part_the_lost_ticks_are_found() {
    let live = Live::create().await;
    let tick = lines(&live.ticks[..1]).trim().replace("kafka_", "former_");
    let messages = [
        format!("[{tick},{{}}]"),
        format!("[{{}},{tick}]"),
        "[{},{}]".to_owned(),
        "[nothing".to_owned(),
    ];
    let end = live.ticks[199].at.micros() / 1000;
    let whole = messages[3].len();
    live.topic
        .produce(messages.iter().map(|message| TestMessage::new(0, message.as_str()).at(end)))
        .await;
    live.world.set_next_offset(live.topic.name(), 0, 205).await;
    live.world
        .execute(&format!(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, kafka_index, reason, detail, value_bytes)
             values (1, 0, 201, 1, 'missing_field', '', 2), (1, 0, 202, 0, 'missing_field', '', 2),
                    (1, 0, 203, 0, 'missing_field', '', 2), (1, 0, 203, 1, 'missing_field', '', 2),
                    (1, 0, 204, 0, 'not_json', '', {whole})"
        ))
        .await;
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "2 records of Kafka are neither in a table nor in the archive: offsets 201, 202[1]";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_element_that_was_lost_of_a_message_that_is_known_otherwise_is_found_in_kafka() {
    let live = Live::create().await;
    let ticks: Vec<_> =
        lines(&live.ticks[..3]).lines().map(|line| line.replace("kafka_", "former_")).collect();
    let end = live.ticks[199].at.micros() / 1000;
    live.topic
        .produce([TestMessage::new(0, format!("[{}]", ticks.join(",")).as_str()).at(end)])
        .await;
    live.world.set_next_offset(live.topic.name(), 0, 202).await;
    let insert = |offsets: &str| {
        format!(
            "insert into realtime_stock
                 (symbol, timestamp, open, close, volume, kafka_partition, source, kafka_offset, kafka_index)
             select symbol, timestamp, open, close, volume, kafka_partition, source, 201, kafka_offset
             from realtime_stock where kafka_offset in ({offsets})"
        )
    };
    live.world.execute(&insert("0, 2")).await;
    live.world.fill_minute_bars().await;
    let word = "1 record of Kafka is neither in a table nor in the archive: offsets 201[1]";
    let outcome = live.verify().await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    live.world.execute(&insert("1")).await;
    live.world.fill_minute_bars().await;
    let outcome = live.verify().await;
    assert_eq!(
        outcome.code, 4,
        "the sink has not come to it: {}{}",
        outcome.stdout, outcome.stderr
    );
}

#[tokio::test]
async fn without_kafka_a_message_counts_as_rejected_where_no_element_is_missing_before_a_rejected_one()
 {
    let world = agreeing().await;
    world
        .execute(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, kafka_index, reason, detail)
             values (1, 0, 9500, 1, 'missing_field', ''), (1, 0, 9500, 2, 'missing_field', '')",
        )
        .await;
    // Both hours, so that the offsets in between are looked at.
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    world
        .execute("delete from rejected_ticks where kafka_partition = 0 and kafka_offset = 9500 and kafka_index < 2")
        .await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("1 offset is in no table and not in the archive"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("(--kafka-brokers): offsets 9500"), "{}", outcome.stdout);
}

#[tokio::test]
async fn an_offset_whose_line_the_archive_has_and_which_is_no_tick_is_accounted_for() {
    let world = agreeing().await;
    let line = "{\"symbol\":\"\",\"kafka_partition\":0,\"kafka_offset\":9450}\n";
    let text = lines(&some_ticks(9, 0, 9000, 400)) + line;
    world.bucket.put(&key(9, 0, 9000), text).await.unwrap();
    world.run_ok(&HOURS).await;
    let forget = async |offset| {
        let of = "delete from rejected_ticks where kafka_partition = 0 and kafka_offset";
        world.execute(&format!("{of} = {offset}")).await;
        verify(&world, &HOURS).await
    };
    let outcome = forget(9450).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let outcome = forget(9451).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("(--kafka-brokers): offsets 9451"), "{}", outcome.stdout);
}

/// What docs/operations.md says to do under HourNotReconciled: what stands before `\\copy`, its own
/// statement, and what comes behind it.
fn runbook() -> [String; 3] {
    let docs = include_str!("../../../docs/operations.md");
    let (_, section) = docs.split_once("### HourNotReconciled\n").unwrap();
    let (_, block) = section.split_once("```sql\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let (before, rest) = block.split_once("\\copy ").unwrap();
    let (copy, behind) = rest.split_once('\n').unwrap();
    // What psql makes of it.
    let copy = format!("copy {}", copy.replace("'lines.json'", "stdin"));
    [before.to_owned(), copy, behind.to_owned()]
}

/// The same for all elements of Finnhub's messages.
fn runbook_of_elements() -> [String; 3] {
    let [before, copy, behind] = runbook();
    let docs = include_str!("../../../docs/operations.md");
    let (_, reshape) = docs.split_once("```sql\n   with messages as").unwrap();
    let (reshape, _) = reshape.split_once("```").unwrap();
    [before, copy, format!("with messages as{reshape}{behind}")]
}

#[tokio::test]
async fn rows_that_stand_twice_are_named_and_taken_out_as_the_docs_say() {
    let world = agreeing().await;
    let double = |offsets: &str, close: &str| {
        format!(
            "insert into realtime_stock (symbol, timestamp, open, close, volume, kafka_partition, source, kafka_offset)
             select symbol, timestamp, open, {close}, volume, kafka_partition, source, kafka_offset
             from realtime_stock where kafka_partition = 0 and kafka_offset in ({offsets})"
        )
    };
    world.execute(&double("11007, 11008, 11300", "close")).await;
    world.execute(&double("11008", "close + 1")).await;
    let outcome = verify(&world, &HOURS).await;
    let word = "5 rows of realtime_stock stand for a record that has a row already: offsets 11007-11008, 11300";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    let docs = include_str!("../../../docs/operations.md");
    let (_, recipe) = docs.split_once("```sql\n   with rows as").unwrap();
    let (recipe, _) = recipe.split_once("```").unwrap();
    world.execute(&format!("with rows as{recipe}")).await;
    // Of two that differ nobody but Kafka knows which is right.
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "1 row of realtime_stock stands for a record that has a row already: offsets 11008";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    world
        .execute(
            "delete from realtime_stock where kafka_partition = 0 and kafka_offset = 11008 and close =
             (select max(close) from realtime_stock where kafka_partition = 0 and kafka_offset = 11008)",
        )
        .await;
    let outcome = verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

/// As after a rebuild, or of history from before there was a speed layer.
#[tokio::test]
async fn hours_older_than_what_kafka_had_agree_once_it_is_said_as_the_docs_do() {
    let world = agreeing().await;
    world.execute("delete from realtime_stock where kafka_offset < 10000").await;
    world.fill_minute_bars().await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
    let word = "400 ticks of the archive are not in realtime_stock: offsets 9000-9399";
    assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    let docs = include_str!("../../../docs/operations.md");
    let (_, section) = docs.split_once("## Rebuild from the archive\n").unwrap();
    let (_, statement) = section.split_once("```sql\n").unwrap();
    world.execute(statement.split_once("```").unwrap().0).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    // What came later is still looked at.
    world.execute("delete from realtime_stock where kafka_offset = 10017").await;
    assert_eq!(verify(&world, &HOURS).await.code, 1);
}

/// Does what the docs say, with the content of an object; gives how many ticks it has put back.
async fn put_back(world: &World, statements: [String; 3], content: &str) -> i64 {
    put_back_as(world.database.connection().await, world, statements, content).await
}

async fn put_back_as(
    mut connection: PgConnection,
    world: &World,
    [create, copy, insert]: [String; 3],
    content: &str,
) -> i64 {
    let count = "select count(*) from realtime_stock";
    let before = world.number(count).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    let mut copying = connection.copy_in_raw(&copy).await.unwrap();
    copying.send(content.as_bytes()).await.unwrap();
    copying.finish().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
    world.number(count).await - before
}

#[tokio::test]
async fn ticks_that_were_lost_are_put_back_as_the_docs_say() {
    let repair = [&HOURS[..], &["--repair"]].concat();
    for bars_have_them in [true, false] {
        let world = agreeing().await;
        let lost = "kafka_partition = 0 and kafka_offset between 9010 and 9012";
        world.execute(&format!("delete from realtime_stock where {lost}")).await;
        if !bars_have_them {
            world.fill_minute_bars().await;
        }
        let before = bars(&world).await;
        let outcome = verify(&world, &repair).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        assert!(
            outcome.stdout.contains("not in realtime_stock: offsets 9010-9012"),
            "{}",
            outcome.stdout
        );
        assert_eq!(bars(&world).await, before);

        let ticks = some_ticks(9, 0, 9000, 400);
        let mut content = lines(&ticks);
        if !bars_have_them {
            // Times in milliseconds, as many producers have them.
            for tick in &ticks {
                content = content
                    .replace(&format!("\"{}\"", tick.at), &(tick.at.micros() / 1000).to_string());
            }
        }
        assert_eq!(put_back(&world, runbook(), &content).await, 3);
        assert_eq!(put_back(&world, runbook(), &content).await, 0, "nothing is put back twice");
        let outcome = verify(&world, &repair).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(bars(&world).await == before, bars_have_them);
        assert_eq!(outcome.stdout.contains("repaired: "), !bars_have_them, "{}", outcome.stdout);
    }
}

/// As after a rebuild: the speed layer has made no partition for the day.
#[tokio::test]
async fn the_owner_of_the_tables_puts_ticks_back_of_a_day_that_is_not_there() {
    let world = World::create_without_tables().await;
    world.database.set_up_roles().await;
    world.source("stock_prices").await;
    let content = lines(&some_ticks(9, 0, 9000, 400));
    for put_in in [3, 0] {
        let owner = PgConnection::connect(&world.database.url_of("stocks_owner")).await.unwrap();
        assert_eq!(put_back_as(owner, &world, runbook(), &content).await, put_in);
    }
    let days = "select name from realtime_partitions";
    assert_eq!(world.rows(days).await, ["realtime_stock_20250602"]);
}

#[tokio::test]
async fn elements_of_messages_with_others_names_are_put_back_as_the_docs_say() {
    let world = World::create().await;
    world.set_next_offset("stock_prices", 0, 9011).await;
    world.insert_realtime(&some_ticks(9, 0, 9010, 2)).await;
    world
        .execute(
            "update realtime_stock
             set kafka_index = kafka_offset - 9010, kafka_offset = 9010, open = close, high = null, low = null",
        )
        .await;
    let all = "select concat_ws(' ', symbol, timestamp, open::float8, high, low, close::float8, volume::float8, source,
                                kafka_partition, kafka_offset, kafka_index) from realtime_stock order by kafka_index";
    let before = world.rows(all).await;
    let elements = "select string_agg(jsonb_build_object('s', symbol, 'p', close, 'v', volume, 't',
                                                         extract(epoch from timestamp)::bigint * 1000)::text, ','
                                      order by kafka_index) from realtime_stock";
    let elements = world.rows(elements).await.remove(0);
    // Beside one without ticks, and one whose tick was rejected.
    let message = format!(
        "{{\"type\":\"trade\",\"data\":[{elements}],\"kafka_partition\":0,\"kafka_offset\":9010}}\n\
         {{\"type\":\"ping\",\"kafka_partition\":0,\"kafka_offset\":9011}}\n\
         {{\"type\":\"trade\",\"data\":[{elements}],\"kafka_partition\":0,\"kafka_offset\":9012}}\n"
    );
    world
        .execute(
            "insert into rejected_ticks (source, kafka_partition, kafka_offset, kafka_index, reason, detail)
             select 1, 0, 9012, index, 'bad_price', '' from generate_series(0, 1) as index;
             delete from realtime_stock",
        )
        .await;
    assert_eq!(put_back(&world, runbook_of_elements(), &message).await, 2);
    assert_eq!(world.rows(all).await, before);
    assert_eq!(
        put_back(&world, runbook_of_elements(), &message).await,
        0,
        "nothing is put back twice"
    );
}
