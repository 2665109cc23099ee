//! Data that PostgreSQL does not take.

use crate::abandoned::{send_apart, three_apart, wait_offsets};
use crate::outages::{postgres_proxy, through, wait_retries};
use crate::scene::{PATIENCE, Scene, get, http_address, metric, tick, wait_ready};
use std::time::{Duration, Instant};
use testing::{Child, TestMessage, eventually};

/// The tables, and on top of them what a test adds.
async fn prepared(sql: &'static str) -> Scene {
    let scene = Scene::new(2).await;
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    scene.execute(sql).await;
    scene
}

async fn refused(scene: &Scene) -> Vec<(String, String)> {
    sqlx::query_as(
        "select detail, convert_from(value, 'UTF8') from rejected_ticks where reason = \
         'refused_by_database'
         order by kafka_partition, kafka_offset",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap()
}

/// A tick of a symbol, by which triggers tell it.
fn of(symbol: &str, partition: i32) -> TestMessage {
    let value = format!(r#"{{"symbol":"{symbol}","timestamp":"2025-06-02T14:00:00Z","price":1}}"#);
    TestMessage::new(partition, value)
}

/// Lets each row of realtime_stock go through the body of a trigger.
async fn linger(scene: &Scene, body: &str) {
    let sql = format!(
        "create function linger() returns trigger language plpgsql as
         $$ begin {body} return new; end $$;
         create trigger linger before insert on realtime_stock for each row execute function \
         linger()"
    );
    scene.execute(&sql).await;
}

async fn linger_no_more(scene: &Scene) {
    scene.execute("drop function linger() cascade").await;
}

#[tokio::test]
async fn a_tick_that_a_constraint_forbids_is_kept_aside_and_all_others_are_written() {
    let scene =
        prepared("alter table realtime_stock add constraint not_seven check (volume <> 7)").await;
    scene.send_ticks(2, 50).await;
    scene.topic.produce([TestMessage::new(0, "no tick"), TestMessage::new(1, "no tick")]).await;
    scene.send_ticks(2, 50).await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    let refused = refused(&scene).await;
    assert_eq!(refused.len(), 4);
    for (detail, value) in refused {
        assert!(detail.contains("not_seven") && detail.contains("23514"), "{detail}");
        let value: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert_eq!((value["symbol"].as_str(), value["volume"].as_i64()), (Some("MSFT"), Some(7)));
    }
    let rejected = "speed_layer_messages_rejected_total{reason=\"refused_by_database\"}";
    assert_eq!(metric(&address, rejected), Some(4));
    speed_layer.wait_stderr("PostgreSQL refuses message", PATIENCE).await;
    // The bars hold the other ticks, and only those.
    assert_eq!(scene.count("select sum(ticks)::bigint from minute_bars").await, 196);
    assert_eq!(
        scene.count("select sum(volume)::bigint from hour_bars").await,
        4 * (49 * 50 / 2 - 7)
    );
}

#[tokio::test]
async fn a_tick_that_a_trigger_or_a_number_s_range_forbids_is_kept_aside() {
    for raise in [
        "raise exception 'not on my watch'",
        "raise exception 'unknown symbol' using errcode = '23514'",
        "raise numeric_value_out_of_range",
        "new.volume = 1 / 0",
    ] {
        let sql = format!(
            "create function watch() returns trigger language plpgsql as
             $$ begin if new.volume = 3 then {raise}; end if; return new; end $$;
             create trigger watch before insert on realtime_stock for each row execute function \
             watch()"
        );
        let scene = prepared(sql.leak()).await;
        scene.send_ticks(1, 20).await;
        let _speed_layer = scene.start(&[]);
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        assert_eq!(refused(&scene).await.len(), 1, "{raise}");
    }
}

#[tokio::test]
async fn a_reject_that_is_in_the_table_already_holds_nothing_up() {
    let scene = prepared(
        "insert into rejected_ticks (source, kafka_partition, kafka_offset, reason, detail)
         values (1, 0, 1, 'x', 'before')",
    )
    .await;
    scene
        .topic
        .produce([tick(0), "y".to_owned(), tick(1)].map(|value| TestMessage::new(0, value)))
        .await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 2);
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_made_smaller() {
    let scene = prepared(
        "create function slow() returns trigger language plpgsql as
         $$ begin perform pg_sleep(0.02); return new; end $$;
         create trigger slow before insert on realtime_stock for each row execute function slow()",
    )
    .await;
    scene.send_ticks(1, 400).await;
    let speed_layer: Child = scene.start(&["--writer-timeout", "5s"]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    let line = speed_layer.wait_stderr("takes too long", PATIENCE).await;
    assert!(line.contains("messages at once"), "{line}");
}

/// A statement that this side gives up goes on at the server, and its lock is met by the next try.
#[tokio::test]
async fn a_batch_is_made_smaller_where_the_way_to_the_server_is_too_slow_for_it() {
    let scene = Scene::new(1).await;
    let proxy = postgres_proxy().await;
    let mut command = through(&scene, &proxy);
    command.args(["--writer-timeout", "5s"]);
    let speed_layer = Child::spawn(command);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    // A tick takes some 70 bytes, a try at most ten seconds.
    proxy.throttle(8_000);
    scene.send_ticks(1, 1_500).await;
    speed_layer.wait_stderr("messages at once", PATIENCE).await;
    eventually("all of them", PATIENCE * 2, || async {
        let count = scene.count("select count(*) from realtime_stock").await;
        if count == 1_510 { Ok(()) } else { Err(count) }
    })
    .await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn a_log_line_for_a_collector_has_what_it_names_as_members_and_its_session_and_batch() {
    let scene =
        prepared("alter table realtime_stock add constraint not_seven check (volume <> 7)").await;
    scene.send_ticks(1, 10).await;
    let speed_layer = scene.start(&["--log-format", "json"]);
    let line = speed_layer.wait_stderr("PostgreSQL refuses message", PATIENCE).await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["topic"].as_str()),
        (Some("WARN"), Some(scene.topic.name()))
    );
    assert_eq!((line["partition"].as_i64(), line["offset"].as_i64()), (Some(0), Some(7)));
    assert!(line["error"].as_str().unwrap().contains("not_seven"), "{line}");
    let spans: Vec<_> = line["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    assert_eq!(spans, ["session", "batch"]);
    assert_eq!(line["spans"][0]["session"], 1);

    let named = speed_layer.wait_stderr("is source", PATIENCE).await;
    let named: serde_json::Value = serde_json::from_str(&named).unwrap();
    assert_eq!(
        (named["topic"].as_str(), named["source"].as_i64()),
        (Some(scene.topic.name()), Some(1))
    );
    for line in speed_layer.stderr() {
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
}

/// A trigger that passes over some rows of a table without an error.
pub fn passing_over(table: &str, timing: &str, which: &str) -> &'static str {
    let sql = format!(
        "create function pass_over() returns trigger language plpgsql as
         $$ begin if {which} then return null; end if; return new; end $$;
         create trigger pass_over before {timing} on {table} for each row execute function \
         pass_over()"
    );
    sql.leak()
}

pub const NO_MORE_TRIGGER: &str = "drop function pass_over() cascade";

#[tokio::test]
async fn a_tick_that_a_trigger_passes_over_in_silence_is_kept_aside() {
    let scene = prepared(passing_over("realtime_stock", "insert", "new.volume = 7")).await;
    scene.send_ticks(2, 50).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    let refused = refused(&scene).await;
    assert_eq!(refused.len(), 2);
    for (detail, _) in refused {
        assert!(detail.contains("realtime_stock took 0 of 1 rows without an error"), "{detail}");
    }
    assert_eq!(scene.count("select sum(ticks)::bigint from minute_bars").await, 98);
}

#[tokio::test]
async fn a_reject_that_is_not_taken_holds_up_its_partition_alone_until_it_is() {
    let rule = "create rule nothing as on insert to rejected_ticks do instead nothing";
    let cases = [
        (passing_over("rejected_ticks", "insert", "true"), NO_MORE_TRIGGER),
        (rule, "drop rule nothing on rejected_ticks"),
    ];
    for (harm, mend) in cases {
        let scene = prepared(harm).await;
        let ticks = (0..20).map(|number| TestMessage::new(1, tick(number)));
        scene.topic.produce([TestMessage::new(0, tick(1)), TestMessage::new(0, "no tick")]).await;
        scene.topic.produce(ticks).await;
        let mut speed_layer = scene.start(&[]);
        let address = http_address(&speed_layer).await;
        let said =
            speed_layer.wait_stderr("rejected_ticks takes no row for message", PATIENCE).await;
        assert!(said.contains("/0/1: ") && said.contains("took 0 of 1 rows"), "{said}");
        wait_ready(&address, 503).await;
        scene.wait_count("the others", "select count(*) from realtime_stock", 21).await;
        assert!(speed_layer.exit_status().is_none());
        scene.execute(mend).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        wait_ready(&address, 200).await;
    }
}

/// Each of them alone takes some ten milliseconds.
#[tokio::test]
async fn a_partition_whose_messages_are_all_refused_holds_up_no_other() {
    let (scene, speed_layer, address) = three_apart(&[]).await;
    let forbid = "alter table realtime_stock add constraint no_bad check (symbol <> 'BAD')";
    scene.execute(forbid).await;
    let bad = r#"{"symbol":"BAD","timestamp":"2025-06-02T14:00:00Z","price":1}"#;
    scene.topic.produce((0..800).map(|_| TestMessage::new(0, bad))).await;
    let mut refused = 0;
    for sent in [40, 60, 80] {
        let others = (sent - 20..sent).flat_map(|number| {
            [1, 2].map(|partition| {
                TestMessage::new(
                    partition,
                    format!(r#"{{"symbol":"S{partition}","timestamp":"2025-06-03T14:00:00Z","price":1,"volume":{number}}}"#),
                )
            })
        });
        scene.topic.produce(others).await;
        let begun = Instant::now();
        eventually("the others", PATIENCE, || async {
            let of_others =
                "select sum(next_offset)::bigint from kafka_offsets where partition > 0";
            let written = scene.count(of_others).await;
            if written == 2 * sent { Ok(()) } else { Err(written.to_string()) }
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        refused = scene.count("select count(*) from rejected_ticks").await;
    }
    assert!(refused < 800, "they are all in: this shows nothing");
    let line = speed_layer.wait_stderr("written in small parts", PATIENCE).await;
    assert!(line.contains("no_bad"), "{line}");
    wait_ready(&address, 503).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(scene.count("select count(*) from rejected_ticks").await, 800);
    wait_ready(&address, 200).await;
}

/// Ticks after the first days were tried all the same, and taken for another instance's doing.
#[tokio::test]
async fn a_refused_message_among_hundreds_of_days_is_kept_aside_and_holds_nothing_up() {
    let scene = prepared("alter table realtime_stock add check (symbol <> 'BAD')").await;
    let of_day = |day: i64| {
        let symbol = if day == 50 { "BAD" } else { "S0" };
        let seconds = 1_640_995_200 + day * 86_400;
        TestMessage::new(0, format!(r#"{{"symbol":"{symbol}","timestamp":{seconds},"price":1}}"#))
    };
    scene.topic.produce((0..400).map(of_day)).await;
    scene.topic.produce((0..100).map(|number| TestMessage::new(1, tick(number)))).await;
    let speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(refused(&scene).await.len(), 1);
    let said = speed_layer.stderr();
    assert!(said.iter().all(|line| !line.contains("another instance")), "{said:#?}");
}

/// A message is not to blame for what is so with any other one.
#[tokio::test]
async fn what_is_gone_for_all_messages_is_said_of_none_and_waited_for() {
    let cases = [
        ("alter table realtime_stock rename to gone", "alter table gone rename to realtime_stock"),
        (
            "alter function make_realtime_days rename to gone",
            "alter function gone rename to make_realtime_days",
        ),
        ("alter table minute_bars rename to gone", "alter table gone rename to minute_bars"),
    ];
    for (harm, mend) in cases {
        let (scene, speed_layer, address) = three_apart(&[]).await;
        scene.execute(harm).await;
        // A day that has no partition yet.
        let of_another_day = r#"{"symbol":"S0","timestamp":"2025-05-20T14:00:00Z","price":1}"#;
        scene.topic.produce([TestMessage::new(0, of_another_day)]).await;
        send_apart(&scene, 20..40).await;
        wait_ready(&address, 503).await;
        wait_retries(&address, "PostgreSQL").await;
        let (_, body) = get(&address, "/readyz");
        assert!(body.contains("does not exist"), "{body}");
        let said = speed_layer.stderr();
        assert!(said.iter().all(|line| !line.contains("cannot be written")), "{said:#?}");
        scene.execute(mend).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        wait_ready(&address, 200).await;
    }
}

/// Each good tick of the partition became a reject.
#[tokio::test]
async fn what_a_deferred_trigger_on_bars_or_detectors_forbids_makes_no_tick_a_reject() {
    for table in ["minute_bars", "detector_log"] {
        let sql = format!(
            "create function later() returns trigger language plpgsql as
             $$ begin raise exception 'later'; end $$;
             create constraint trigger later after insert on {table} deferrable initially deferred
             for each row execute function later()"
        );
        let scene = prepared(sql.leak()).await;
        scene.send_ticks(2, 20).await;
        let speed_layer = scene.start(&[]);
        let address = http_address(&speed_layer).await;
        let line = speed_layer.wait_stderr("does not take what a batch needs", PATIENCE).await;
        assert!(line.contains(table), "{line}");
        wait_ready(&address, 503).await;
        let mend = "drop function later() cascade";
        scene.execute(mend).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        assert_eq!(scene.count("select count(*) from rejected_ticks").await, 0, "{table}");
    }
}

/// In each of these ways one message broke the stream of all partitions.
#[tokio::test]
async fn a_message_at_which_something_breaks_holds_up_its_partition_alone_and_is_named() {
    let cases = [
        ("realtime_stock", "raise exception 'not this' using errcode = '0A000'", "0A000"),
        ("realtime_stock", "raise exception 'not this' using errcode = 'XX000'", "XX000"),
        ("realtime_stock", "raise exception 'not this' using errcode = '57014'", "57014"),
        ("realtime_stock", "insert into nowhere values (1)", "42P01"),
        ("realtime_stock", "perform pg_sleep(60)", "takes too long"),
        ("realtime_stock", "perform pg_terminate_backend(pg_backend_pid())", "writing to"),
        ("minute_bars", "raise exception 'not this'", "minute_bars does not take"),
        ("hour_bars", "return null", "hour_bars took 0 of 1 rows"),
    ];
    for (table, harm, said) in cases {
        let (scene, speed_layer, address) = three_apart(&["--writer-timeout", "5s"]).await;
        let sql = format!(
            "create function break_at() returns trigger language plpgsql as
             $$ begin if new.symbol = 'BREAK' then {harm}; end if; return new; end $$;
             create trigger break_at before insert on {table} for each row execute function \
             break_at()"
        );
        scene.execute(&sql).await;
        send_apart(&scene, 20..30).await;
        let breaking = r#"{"symbol":"BREAK","timestamp":"2025-06-02T14:00:00Z","price":1}"#;
        scene.topic.produce([TestMessage::new(0, breaking)]).await;
        // The one that is held up is tried again and again.
        for sent in [40, 50, 60] {
            send_apart(&scene, sent - 10..sent).await;
            wait_offsets(&scene, [30, sent, sent]).await;
        }
        let line = speed_layer.wait_stderr("/0/30 cannot be written: ", PATIENCE).await;
        assert!(line.contains(said) && line.contains("from offset 30"), "{said}: {line}");
        let (status, body) = get(&address, "/readyz");
        assert!(status == 503 && body.contains(said), "{status} {body}");
        let mend = "drop function break_at() cascade";
        scene.execute(mend).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        assert_eq!(scene.count("select count(*) from rejected_ticks").await, 0, "{said}");
        wait_ready(&address, 200).await;
    }
}

/// Each of them takes as long as its limit whenever it is tried.
#[tokio::test]
async fn of_several_slow_messages_one_is_tried_at_a_time_and_the_others_go_on() {
    let scene = Scene::new(5).await;
    let speed_layer = scene.start(&["--writer-timeout", "5s"]);
    let address = http_address(&speed_layer).await;
    let of_all = (0..5).map(|partition| of("A", partition));
    scene.topic.produce(of_all).await;
    scene.wait_all_in().await;
    let body = "if new.symbol = 'SLOW' then perform pg_sleep(7); end if;";
    linger(&scene, body).await;
    let slow = (0..4).map(|partition| of("SLOW", partition));
    scene.topic.produce(slow.chain([of("A", 4)])).await;
    for next in 2..7 {
        let at: &str = format!(
            "select count(*) from kafka_offsets where partition = 4 and next_offset >= {next}"
        )
        .leak();
        // The batch for --writer-timeout, and each of them once, for a second and a half.
        let limit = Duration::from_secs(20);
        eventually("the others to go on", limit, || async {
            let count = scene.count(at).await;
            if count == 1 { Ok(()) } else { Err(next) }
        })
        .await;
        scene.topic.produce([of("A", 4)]).await;
    }
    wait_ready(&address, 503).await;
    linger_no_more(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// They waited for their turn among those that take long.
#[tokio::test]
async fn messages_that_are_refused_are_kept_aside_while_others_take_too_long() {
    let scene = Scene::new(6).await;
    let speed_layer = scene.start(&["--writer-timeout", "5s"]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(6, 5).await;
    scene.wait_all_in().await;
    let body = "if new.symbol = 'BAD' then raise exception 'not this'; end if;
                if new.symbol = 'SLOW' then perform pg_sleep(7); end if;";
    linger(&scene, body).await;
    scene.topic.produce((0..4).map(|partition| of("SLOW", partition))).await;
    wait_ready(&address, 503).await;
    speed_layer.wait_stderr("cannot be written: it takes too long", PATIENCE).await;
    scene.topic.produce((0..150).map(|_| of("BAD", 4)).chain([of("GOOD", 5)])).await;
    eventually("all of them to be rejects", Duration::from_secs(60), || async {
        let seen = scene.count("select count(*) from rejected_ticks").await;
        if seen == 150 { Ok(()) } else { Err(seen) }
    })
    .await;
    linger_no_more(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// With a linger of some milliseconds that is the usual batch. It was tried four times.
#[tokio::test]
async fn a_slow_message_that_comes_alone_holds_up_the_others_once() {
    let scene = Scene::new(2).await;
    let speed_layer = scene.start(&["--writer-timeout", "15s"]);
    scene.send_ticks(2, 5).await;
    scene.wait_all_in().await;
    linger(&scene, "if new.symbol = 'SLOW' then perform pg_sleep(60); end if;").await;
    scene.topic.produce([of("SLOW", 0)]).await;
    let sleeps = "select count(*) from pg_stat_activity
                  where datname = current_database() and wait_event = 'PgSleep'";
    scene.wait_count("it to be tried", sleeps, 1).await;
    let begun = Instant::now();
    scene.topic.produce([of("GOOD", 1)]).await;
    scene
        .wait_count(
            "the other partition",
            "select count(*) from realtime_stock where symbol = 'GOOD'",
            1,
        )
        .await;
    // The limit, and five seconds more to make sure; and a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(15 + 5 + 25), "{:?}", begun.elapsed());
    speed_layer.wait_stderr("cannot be written: it takes too long", PATIENCE).await;
    linger_no_more(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// Together they take longer than the limit, and each of them longer than a brief try.
#[tokio::test]
async fn slow_messages_that_come_together_are_written_as_each_alone_would_be() {
    let scene = Scene::new(3).await;
    let speed_layer = scene.start(&["--writer-timeout", "8s"]);
    let body = "if new.symbol = 'SLOW' then perform pg_sleep(6); end if;";
    scene.send_ticks(3, 5).await;
    scene.wait_all_in().await;
    linger(&scene, body).await;
    scene.topic.produce((0..2).map(|partition| of("SLOW", partition))).await;
    speed_layer.wait_stderr("cannot be written: it takes too long", PATIENCE).await;
    eventually("both to be written", 2 * PATIENCE, || async {
        let seen = scene.count("select count(*) from realtime_stock where symbol = 'SLOW'").await;
        if seen == 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    scene.assert_each_once().await;
}

/// The one at which something breaks fails at once, and would take each full try for itself.
#[tokio::test]
async fn a_slow_message_is_given_its_time_beside_one_at_which_something_breaks() {
    let scene = Scene::new(3).await;
    // Both come in one batch, however slowly they are sent.
    let speed_layer = scene.start(&["--writer-timeout", "8s", "--linger", "1s"]);
    scene.send_ticks(3, 5).await;
    scene.wait_all_in().await;
    let body = "if new.symbol = 'BROKEN' then raise exception 'out of order' using errcode = \
        'XX000'; end if;
                if new.symbol = 'SLOW' then perform pg_sleep(6); end if;";
    linger(&scene, body).await;
    // Together they take longer than the limit.
    scene.topic.produce([of("SLOW", 1), of("SLOW", 2)]).await;
    speed_layer.wait_stderr("cannot be written: it takes too long", PATIENCE).await;
    scene.topic.produce([of("BROKEN", 0)]).await;
    speed_layer.wait_stderr("cannot be written: out of order", PATIENCE).await;
    eventually("the slow ones to be written", 2 * PATIENCE, || async {
        let seen = scene.count("select count(*) from realtime_stock where symbol = 'SLOW'").await;
        if seen == 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(scene.count("select count(*) from realtime_stock where symbol = 'BROKEN'").await, 0);
    linger_no_more(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// The second that a partition is taken apart for was over before it began.
#[tokio::test]
async fn a_refused_message_is_kept_aside_while_the_others_messages_take_seconds() {
    let scene = Scene::new(7).await;
    let _speed_layer = scene.start(&[]);
    scene.send_ticks(7, 5).await;
    scene.wait_all_in().await;
    let body = "if new.symbol = 'BAD' then raise exception 'not this'; end if;
                perform pg_sleep(0.2);";
    linger(&scene, body).await;
    scene.topic.produce((0..7).map(|id| of(if id == 0 { "BAD" } else { "GOOD" }, id))).await;
    // The others are never without a message.
    let good = "select count(*) from realtime_stock where symbol = 'GOOD'";
    eventually("the refused one to be a reject", PATIENCE, || async {
        let before = scene.count(good).await;
        scene.topic.produce((1..7).map(|id| of("GOOD", id))).await;
        eventually("them to be written", PATIENCE, || async {
            let seen = scene.count(good).await;
            if seen >= before + 6 { Ok(()) } else { Err(seen) }
        })
        .await;
        let seen = scene.count("select count(*) from rejected_ticks").await;
        if seen == 1 { Ok(()) } else { Err(seen) }
    })
    .await;
    linger_no_more(&scene).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// A batch of its own that could not be handed over once ended all reading.
#[tokio::test]
async fn what_one_writer_cannot_hand_over_stops_no_other() {
    let scene = Scene::new(2).await;
    let speed_layer = scene.start(&["--writers", "2", "--batch-rows", "10"]);
    scene.send_ticks(2, 10).await;
    scene.wait_all_in().await;
    let sql = "create table held as select 1;
               create function linger() returns trigger language plpgsql as
               $$ begin
                  while new.kafka_partition = 0 and exists (select from held) loop
                      perform pg_sleep(0.1);
                  end loop;
                  return new;
               end $$;
               create trigger linger before insert on realtime_stock for each row execute function \
               linger()";
    scene.execute(sql).await;
    let of = |partition, numbers: std::ops::Range<i64>| {
        numbers.map(move |number| TestMessage::new(partition, tick(number))).collect::<Vec<_>>()
    };
    scene.topic.produce(of(0, 10..200)).await;
    let lingers = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event = 'PgSleep'";
    scene.wait_count("a batch of the first writer to stand", lingers, 1).await;
    // Both well within --writer-timeout, after which a batch is made smaller.
    for sent in [100, 200] {
        scene.topic.produce(of(1, sent - 90..sent)).await;
        let all = scene.topic.high_watermarks().await[1];
        eventually("the other writer to go on", Duration::from_secs(20), || async {
            let next = scene.count("select next_offset from kafka_offsets where partition = 1");
            let next = next.await;
            if next == all { Ok(()) } else { Err(next) }
        })
        .await;
    }
    let first = scene.count("select next_offset from kafka_offsets where partition = 0").await;
    assert!(first < 200, "{:?}", speed_layer.stderr());
    scene.execute("delete from held").await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn where_bars_detectors_or_offsets_take_no_row_the_layer_waits_and_rejects_no_tick() {
    let raise = "create function refuse() returns trigger language plpgsql as
                 $$ begin raise exception 'not here'; end $$;
                 create trigger refuse before insert or update on {table} for each row execute \
                 function refuse()";
    let refusing = |table: &str| -> &'static str { raise.replace("{table}", table).leak() };
    let cases = [
        ("minute_bars", passing_over("minute_bars", "insert or update", "true"), NO_MORE_TRIGGER),
        ("kafka_offsets", passing_over("kafka_offsets", "update", "true"), NO_MORE_TRIGGER),
        (
            "kafka_offsets",
            "create function stay() returns trigger language plpgsql as 'begin return old; end';
             create trigger stay before update on kafka_offsets for each row execute function \
             stay()",
            "drop function stay() cascade",
        ),
        (
            "minute_bars",
            "create rule nothing as on insert to minute_bars do instead nothing",
            "drop rule nothing on minute_bars",
        ),
        ("hour_bars", refusing("hour_bars"), "drop function refuse() cascade"),
        ("detector_log", refusing("detector_log"), "drop function refuse() cascade"),
    ];
    for (table, harm, mend) in cases {
        let scene = prepared(harm).await;
        scene.send_ticks(2, 50).await;
        let speed_layer = scene.start(&[]);
        let address = http_address(&speed_layer).await;
        let said = speed_layer.wait_stderr("does not take what a batch needs", PATIENCE).await;
        assert!(said.contains(table), "{said}");
        wait_ready(&address, 503).await;
        let written =
            "select (select count(*) from realtime_stock) + (select count(*) from rejected_ticks)";
        assert_eq!(scene.count(written).await, 0, "{table}");
        scene.execute(mend).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        assert_eq!(scene.count("select count(*) from rejected_ticks").await, 0, "{table}");
    }
}

/// Each refusal once cost a new connection, a dozen times for each message.
#[tokio::test]
async fn messages_that_are_refused_cost_no_new_connections() {
    let scene = prepared(
        "alter table realtime_stock add constraint rare check (volume::bigint % 100 <> 7)",
    )
    .await;
    scene.send_ticks(1, 2000).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(refused(&scene).await.len(), 20);
    let sessions = scene
        .count("select sessions from pg_stat_database where datname = current_database()")
        .await;
    assert!(sessions < 60, "{sessions} sessions for 20 messages that were refused");
}
