//! Other rules of messages than before: a flag that was forgotten, another version of the program,
//! and prefixes with rules of their own.

use crate::changes::computed;
use crate::completeness::{insert_speed, ticks_of};
use crate::support::{DAY, Tick, World, key, key_of, lines, some_ticks};

/// No message names its symbol so.
const FORGOTTEN: [&str; 2] = ["--map", "symbol=instrument"];
/// Only messages of Tokyo are read so.
const TOKYO: [&str; 4] =
    ["--prefix", "tokyo/%Y-%m-%d-%H/", "--map", "symbol=s,open=o,close=c,volume=v,timestamp=t"];
/// Messages of both kinds are read so.
const BOTH: [&str; 2] =
    ["--map", "symbol=symbol|s,open=open|o,close=close|c,volume=volume|v,timestamp=timestamp|t"];

fn with<'a>(window: &[&'a str], flags: &[&'a str]) -> Vec<&'a str> {
    [window, flags].concat()
}

/// As another producer names its fields.
fn tokyo_lines(ticks: &[Tick]) -> String {
    let names =
        [("symbol", "s"), ("open", "o"), ("close", "c"), ("volume", "v"), ("timestamp", "t")];
    let rename = |text: String, (name, short): (&str, &str)| {
        text.replace(&format!("\"{name}\":"), &format!("\"{short}\":"))
    };
    names.into_iter().fold(lines(ticks), rename)
}

/// The key of an object of Tokyo's topic in its own prefix.
fn tokyo_key(hour: i64, partition: i32, offset: i64) -> String {
    key(hour, partition, offset)
        .replace("raw/stock_prices/", "tokyo/")
        .replace("stock_prices+", "tokyo+")
}

async fn put_tokyo(world: &World, hour: i64, offset: i64, count: i64) {
    let mut ticks = some_ticks(hour, 0, offset, count);
    ticks.iter_mut().for_each(|tick| tick.symbol = "7203.T".into());
    world.bucket.put(&tokyo_key(hour, 0, offset), tokyo_lines(&ticks)).await.unwrap();
    world.insert_realtime(&ticks).await;
}

async fn put_own(world: &World, hour: i64, partition: i32, offset: i64, count: i64) {
    let ticks = some_ticks(hour, partition, offset, count);
    world.put(&key(hour, partition, offset), &ticks).await;
    world.insert_realtime(&ticks).await;
}

#[tokio::test]
async fn a_run_without_the_flags_of_the_others_takes_nothing_away_and_says_so() {
    let world = computed().await;
    let before = world.footprint().await;
    for flags in [&FORGOTTEN[..], &with(&FORGOTTEN, &["--recompute"])] {
        let outcome = world.run(&with(&DAY, flags)).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        let word = "hour 2025-06-02T10:00Z: not written, because by this run's rules of messages 2 of its objects hold 0 \
                    ticks where they held 400";
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert!(
            outcome
                .stderr
                .contains("200 of its 200 lines are rejected now, the first: missing_field: ")
        );
        assert!(
            outcome.stderr.contains("5 hours were not written: 2025-06-02T09:00Z"),
            "{}",
            outcome.stderr
        );
        let noted = world.rows("select error from batch_runs order by run_id desc limit 1").await;
        assert!(noted[0].contains("; for one, hour 2025-06-02T"), "{noted:?}");
        assert_eq!(world.footprint().await, before);
    }
    let reads = "select objects_read from batch_runs order by run_id desc limit 1";
    world.run_ok(&DAY).await;
    assert_eq!(
        (world.footprint().await, world.number(reads).await),
        (before, 0),
        "nothing is to be mended"
    );
}

#[tokio::test]
async fn a_forgotten_flag_beside_allow_shrink_empties_no_hour_and_a_dry_run_tells_before() {
    let world = computed().await;
    let before = world.summary().await;
    let shrink = with(&FORGOTTEN, &["--allow-shrink"]);
    for (flags, word) in [
        (&FORGOTTEN[..], "without 400 of its 400 records, computed by other rules of messages: "),
        (&shrink, "--allow-shrink would take out 400 of its 400 records, computed by other rules"),
        (&["--allow-shrink"], "0 hours, 0 objects"),
    ] {
        let outcome = world.run_ok(&with(&with(&DAY, flags), &["--dry-run"])).await;
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    }
    let outcome = world.run(&with(&DAY, &shrink)).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let word = "hour 2025-06-02T10:00Z: not written, because by this run's rules of messages 2 of its objects hold 0 ticks \
                where they held 400: it stays as it is known; --recompute beside --allow-shrink, ";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before);
    assert_eq!(
        world.number("select count(*) from stale_hours").await,
        0,
        "nothing is to be mended"
    );
    world.run(&with(&with(&DAY, &shrink), &["--recompute"])).await;
    assert_eq!(world.summary().await, [""; 0], "a person has said it twice");
}

#[tokio::test]
async fn an_hour_that_would_lose_a_part_by_other_rules_keeps_it_unless_a_person_says_otherwise() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 100);
    let text = lines(&ticks[..60]) + &lines(&ticks[60..]).replace("\"symbol\"", "\"ticker\"");
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    world.run_ok(&DAY).await;
    let before = world.summary().await;
    let strict = with(&DAY, &["--map", "symbol=symbol"]);
    let outcome = world.run(&strict).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hold 60 ticks where they held 100"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);

    let outcome = world.run_ok(&with(&strict, &["--allow-shrink"])).await;
    assert!(
        outcome.stderr.contains("40 of 100 records are taken out: --allow-shrink says so"),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.number("select ticks from batch_hours").await, 60);
    // Nobody has said that more is right, either.
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    world.run_ok(&with(&DAY, &["--recompute"])).await;
    assert_eq!(world.summary().await, before, "what can be read again comes back");
}

#[tokio::test]
async fn a_forgotten_flag_that_lets_more_be_ticks_writes_nothing_and_leaves_nothing_to_mend() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 20);
    let of_kind =
        |kind: &str, ticks: &[Tick]| lines(ticks).replace('{', &format!("{{\"type\":\"{kind}\","));
    world
        .bucket
        .put(&key(10, 0, 0), of_kind("match", &ticks[..10]) + &of_kind("book", &ticks[10..]))
        .await
        .unwrap();
    let right = with(&DAY, &["--where", "type=match"]);
    world.run_ok(&right).await;
    let before = world.footprint().await;
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    for word in [
        "1 of its objects hold 20 ticks where they held 10: it stays as it is known; --recompute, with a window",
        "then `--where type=match`, now no `--where` (is a flag missing?)",
    ] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    assert_eq!(world.footprint().await, before);
    world.run_ok(&right).await;
    let reads = "select objects_read from batch_runs order by run_id desc limit 1";
    assert_eq!(
        (world.footprint().await, world.number(reads).await),
        (before, 0),
        "nothing is to be mended"
    );
    // An object that has come to hold more explains itself, whatever the flags.
    let more = some_ticks(10, 0, 0, 30);
    world.bucket.put(&key(10, 0, 0), of_kind("match", &more)).await.unwrap();
    world.run_ok(&with(&right, &["--each", "data"])).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 30);
    // What a person asks for is done.
    world.run_ok(&right).await;
    world
        .bucket
        .put(&key(10, 0, 0), of_kind("match", &more[..5]) + &of_kind("book", &more[5..]))
        .await
        .unwrap();
    world.run_ok(&right).await;
    world.run_ok(&with(&DAY, &["--recompute"])).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 30);
}

#[tokio::test]
async fn an_hour_whose_repeated_records_would_count_twice_by_other_flags_stays_as_it_is_known() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 15);
    let named = |ticks: &[Tick]| lines(ticks).replace("kafka_offset", "off");
    world.bucket.put(&key(10, 0, 0), named(&ticks[..10])).await.unwrap();
    world.bucket.put(&key(10, 0, 5), named(&ticks[5..])).await.unwrap();
    let right = with(&DAY, &["--offset-field", "off"]);
    world.run_ok(&right).await;
    let (before, ticks) = (world.summary().await, "select ticks from batch_hours");
    assert_eq!(world.number(ticks).await, 15);
    for _ in 0..2 {
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        let word = "it would have 20 ticks of the same objects where it has 15: then `--offset-field off`, now \
                    `--offset-field kafka_offset`";
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
        assert_eq!(world.summary().await, before);
    }
    let outcome = world.run_ok(&right).await;
    assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
    assert_eq!((world.summary().await, world.number(ticks).await), (before, 15));
    world.run_ok(&with(&DAY, &["--recompute"])).await;
    assert_eq!(world.number(ticks).await, 20);
}

#[tokio::test]
async fn an_object_that_was_replaced_explains_nothing_to_a_run_that_reads_it_by_other_rules() {
    let world = computed().await;
    world.put(&key(11, 0, 11_000), &some_ticks(11, 0, 11_000, 150)).await;
    let before = world.summary().await;
    assert_eq!(world.run(&with(&DAY, &FORGOTTEN)).await.code, 4);
    assert_eq!(world.summary().await, before);
    world.run_ok(&DAY).await;
    assert_eq!(
        world.number("select ticks from batch_hours where hour = '2025-06-02T11:00Z'").await,
        350
    );
}

#[tokio::test]
async fn another_version_of_the_program_computes_anew_and_takes_nothing_away_either() {
    let world = computed().await;
    let before = world.summary().await;
    let age = "update archive_objects set decode_rules = regexp_replace(decode_rules, '^[0-9]+', '0');
               update batch_hours set decode_rules = regexp_replace(decode_rules, '^[0-9]+', '0');
               update archive_object_hours set (content_hash, summed_content_hash) = (content_hash # 1, summed_content_hash # 1);
               update hour_sums set bars = set_byte(bars, 0, 0), offsets = set_byte(offsets, 0, 0)";
    world.execute(age).await;
    assert_eq!(world.run(&with(&DAY, &FORGOTTEN)).await.code, 4);
    assert_eq!(world.summary().await, before);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before);
    assert_eq!(
        world.number("select count(distinct run_id) from batch_hours where run_id = 3").await,
        1
    );
}

#[tokio::test]
async fn a_late_tick_of_an_hour_whose_objects_were_read_by_other_rules_takes_none_of_theirs_away() {
    let world = computed().await;
    let before = world.summary().await;
    // Both kinds of names are read by these flags, but the old objects' are not.
    let late = some_ticks(9, 3, 0, 7);
    world
        .bucket
        .put(&key(13, 3, 0), lines(&late).replace("\"symbol\"", "\"instrument\""))
        .await
        .unwrap();
    let outcome = world.run(&with(&["--hour", "2025-06-02T13"], &FORGOTTEN)).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hour 2025-06-02T09:00Z: not written"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("again and again"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn prefixes_with_rules_of_their_own_share_hours() {
    for tokyo_first in [false, true] {
        let world = World::create().await;
        for hour in [10, 11] {
            put_own(&world, hour, 0, hour * 1000, 100).await;
            put_tokyo(&world, hour, hour * 1000, 50).await;
        }
        let runs = [DAY.to_vec(), with(&DAY, &TOKYO)];
        let both = async || {
            for flags in if tokyo_first { [&runs[1], &runs[0]] } else { [&runs[0], &runs[1]] } {
                world.run_ok(flags).await;
            }
        };
        both().await;
        assert_eq!(world.summary().await, world.expected().await);
        let before = world.footprint().await;
        both().await;
        assert_eq!(world.footprint().await, before, "nothing is read or written twice");

        // Late ones, of which one repeats what is known.
        put_own(&world, 10, 1, 0, 7).await;
        world.put(&key(11, 0, 11_050), &some_ticks(11, 0, 11_000, 100)[50..]).await;
        put_tokyo(&world, 10, 20_000, 5).await;
        both().await;
        assert_eq!(world.summary().await, world.expected().await);
        assert_eq!(world.number("select count(*) from stale_hours").await, 0);
    }
}

#[tokio::test]
async fn verify_calls_an_hour_open_that_another_prefix_has_ticks_of() {
    let world = World::create().await;
    put_own(&world, 10, 0, 10_000, 100).await;
    put_tokyo(&world, 10, 20_000, 50).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 30_000).await;
    world.run_ok(&DAY).await;
    world.run_ok(&with(&DAY, &TOKYO)).await;
    for flags in [DAY.to_vec(), with(&DAY, &TOKYO)] {
        let outcome = world.run(&with(&["verify"], &flags)).await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("it lies below another --prefix"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("run batch-layer"), "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn an_hour_that_one_prefix_has_indexed_and_not_computed_is_finished_by_both() {
    let world = World::create().await;
    put_own(&world, 11, 0, 0, 100).await;
    put_tokyo(&world, 11, 0, 50).await;
    // As a neighbour's folder.
    world.run_ok(&["--hour", "2025-06-02T10"]).await;
    world.run_ok(&with(&DAY, &TOKYO)).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 50);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select count(*) from stale_hours").await, 0);
}

#[tokio::test]
async fn an_hour_that_needs_the_objects_of_a_prefix_with_other_rules_says_which_and_takes_one_set_of_flags()
 {
    let world = World::create().await;
    put_own(&world, 10, 0, 0, 100).await;
    put_tokyo(&world, 10, 0, 50).await;
    world.run_ok(&DAY).await;
    world.run_ok(&with(&DAY, &TOKYO)).await;
    let mut corrected = some_ticks(10, 0, 0, 100);
    corrected[7].close += 5000;
    world.put(&key(10, 0, 0), &corrected).await;
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let words = [
        "hour 2025-06-02T10:00Z: not written, because all of its objects would have to be read again",
        &tokyo_key(10, 0, 0),
        "were read by other rules of messages: theirs `--map symbol=s,",
        "by the same flags",
    ];
    assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{}", outcome.stderr);

    assert_eq!(
        world.run(&with(&DAY, &BOTH)).await.code,
        4,
        "the other prefix is still read as before"
    );
    world.run_ok(&with(&DAY, &with(&TOKYO[..2], &BOTH))).await;
    world.execute("truncate realtime_stock").await;
    world.insert_realtime(&corrected).await;
    put_tokyo(&world, 10, 0, 50).await;
    world.run_ok(&with(&DAY, &BOTH)).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_of_another_prefix_that_was_replaced_takes_none_of_its_records_from_an_hour() {
    let world = World::create().await;
    put_own(&world, 10, 0, 0, 100).await;
    put_tokyo(&world, 10, 0, 50).await;
    world.run_ok(&DAY).await;
    world.run_ok(&with(&DAY, &TOKYO)).await;
    let before = world.summary().await;
    let mut corrected = some_ticks(10, 0, 0, 50);
    corrected[7].close += 5000;
    world.bucket.put(&tokyo_key(10, 0, 0), tokyo_lines(&corrected)).await.unwrap();
    for flags in
        [with(&DAY, &TOKYO), DAY.to_vec(), with(&DAY, &["--recompute"]), with(&DAY, &TOKYO)]
    {
        let outcome = world.run(&flags).await;
        assert_eq!(outcome.code, 4, "{flags:?}: {}", outcome.stderr);
        assert_eq!(world.summary().await, before, "{flags:?}");
    }
    world.run(&with(&DAY, &with(&TOKYO[..2], &BOTH))).await;
    world.run_ok(&with(&DAY, &BOTH)).await;
    assert_eq!(world.number("select ticks from batch_hours").await, 150);
}

#[tokio::test]
async fn a_window_of_nothing_but_pings_is_a_warning_where_the_same_rules_have_read_ticks() {
    let world = World::create().await;
    put_own(&world, 10, 0, 0, 100).await;
    world.run_ok(&DAY).await;
    world.bucket.put(&key(14, 0, 100), "{\"type\":\"ping\"}\n".repeat(20)).await.unwrap();
    let outcome = world.run_ok(&["--hour", "2025-06-02T14"]).await;
    assert!(
        outcome.stderr.contains("20 of the 20 lines of the window are no ticks"),
        "{}",
        outcome.stderr
    );
    let outcome = world.run(&with(&["--hour", "2025-06-02T14"], &FORGOTTEN)).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
}

#[tokio::test]
async fn what_a_first_run_has_read_by_wrong_rules_is_read_again_beside_the_window_too() {
    let world = World::create().await;
    // Ticks of the window's last hour lie in the folder behind it.
    let ticks = some_ticks(11, 0, 0, 100);
    world.put(&key(12, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    let window = ["--from", "2025-06-02T10", "--to", "2025-06-02T12"];
    assert_eq!(world.run(&with(&window, &FORGOTTEN)).await.code, 4);
    world.run_ok(&window).await;
    assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 1);
    world.run_ok(&["--hour", "2025-06-02T12"]).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_archive_of_which_every_line_is_rejected_ends_with_4_and_says_why_and_nothing_of_the_sink()
 {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    insert_speed(&world, &ticks).await;
    world.put(&key_of(hour, 0, 0), &ticks).await;
    for run in 1..3 {
        let outcome = world.run(&FORGOTTEN).await;
        assert_eq!(outcome.code, 4, "{run}: {}", outcome.stderr);
        let words = ["50 of the 50 lines of the window are no ticks", "missing_field: ", "--map"];
        assert!(
            words.iter().all(|word| outcome.stderr.contains(word)),
            "{run}: {}",
            outcome.stderr
        );
        for wrong in ["the sink", "has no ticks"] {
            assert!(!outcome.stderr.contains(wrong), "{run}: {}", outcome.stderr);
        }
        let reason = world.rows("select reason from hour_completeness").await;
        assert_eq!(
            reason,
            ["all 50 lines in its folder are rejected (table rejected_lines says why)"]
        );
    }
    world.run_ok(&[]).await;
    assert_eq!(world.rows("select status from hour_completeness").await, ["complete"]);
}

#[tokio::test]
async fn an_archive_of_which_most_lines_are_rejected_is_named_and_the_others_count() {
    for (rejected, is_logged) in [(50, false), (51, true)] {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 100);
        let text = lines(&ticks[..rejected]).replace("\"symbol\"", "\"instrument\"")
            + &lines(&ticks[rejected..]);
        world.bucket.put(&key(10, 0, 0), text).await.unwrap();
        let outcome = world.run_ok(&DAY).await;
        let word = format!(
            "{rejected} of the 100 lines of the window are no ticks; the commonest reason is missing_field"
        );
        assert_eq!(outcome.stderr.contains(&word), is_logged, "{}", outcome.stderr);
        assert_eq!(world.number("select ticks from batch_hours").await, 100 - rejected as i64);
    }
}

#[tokio::test]
async fn recompute_reads_every_object_of_the_windows_hours_wherever_it_lies() {
    let world = computed().await;
    let far = some_ticks(9, 3, 0, 7);
    world.put(&key(13, 3, 0), &far).await;
    world.insert_realtime(&far).await;
    world.run_ok(&DAY).await;
    let wrong =
        "update hourly_stock_summary set volume = volume + 1 where hour = '2025-06-02T09:00Z'";
    // Of an hour whose ticks all lie elsewhere, too.
    let night = some_ticks(3, 4, 0, 20);
    world.put(&key(13, 4, 0), &night).await;
    world.insert_realtime(&night).await;
    world.run_ok(&DAY).await;
    for hour in ["03", "09"] {
        world.execute(&wrong.replace("09", hour)).await;
        assert_ne!(world.summary().await, world.expected().await);
        world.run_ok(&["--hour", &format!("2025-06-02T{hour}"), "--recompute"]).await;
        assert_eq!(world.summary().await, world.expected().await, "{hour}");
    }
}

#[tokio::test]
async fn hours_of_which_other_rules_read_the_same_are_theirs_from_then_on() {
    const UPPERCASE: [&str; 1] = ["--uppercase-symbols"];
    let world = World::create().await;
    for hour in [9, 10] {
        put_own(&world, hour, 0, (hour - 9) * 50, 50).await;
        put_own(&world, hour, 1, (hour - 9) * 50, 50).await;
    }
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    let before = world.summary().await;
    let verify = ["verify", "--from", "2025-06-02T09", "--to", "2025-06-02T11"];
    for flags in [&UPPERCASE[..], &[]] {
        let outcome = world.run_ok(&with(&DAY, flags)).await;
        assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
        assert_eq!(world.summary().await, before);
        let outcome = world.run(&with(&verify, flags)).await;
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    }
}

/// Nobody can read a gone object by them.
#[tokio::test]
async fn an_hour_that_has_ticks_of_expired_objects_keeps_the_rules_that_they_were_read_by() {
    let world = World::create().await;
    put_own(&world, 10, 0, 0, 50).await;
    put_own(&world, 10, 1, 0, 50).await;
    world.run_ok(&DAY).await;
    world.expire(&key(10, 1, 0)).await;
    world.run_ok(&DAY).await;
    let rules = "select decode_rules from batch_hours";
    let before = world.rows(rules).await;
    world.run_ok(&with(&DAY, &["--uppercase-symbols"])).await;
    assert_eq!(world.rows(rules).await, before);
}
