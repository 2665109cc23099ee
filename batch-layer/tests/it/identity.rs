//! When an object is still the one that was read: by what it holds, whatever its etag, its
//! compression and the flags.

use crate::changes::{lines_without_offsets, without_offsets};
use crate::completeness::{insert_speed, ticks_of};
use crate::support::{DAY, World, gzip, key, key_of, lines, some_ticks};
use crate::verify::verify;

const TICKS: &str = "select ticks from batch_hours where hour = '2025-06-02T10:00Z'";

/// Three objects of ten ticks of one hour: the first has expired, the third is not computed yet.
async fn half_expired(text: impl Fn(i64) -> String) -> World {
    let world = World::create().await;
    for partition in 0..2 {
        world.bucket.put(&key(10, partition as i32, 0), text(partition)).await.unwrap();
    }
    world.run_ok(&DAY).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 20);
    world.bucket.put(&key(10, 2, 0), text(2)).await.unwrap();
    world
}

fn placed(partition: i64) -> String {
    lines(&some_ticks(10, partition as i32, 0, 10))
}

fn unplaced(partition: i64) -> String {
    lines_without_offsets(10, partition as i32, 10)
}

#[tokio::test]
async fn flags_that_read_the_same_of_each_message_take_no_expired_ticks_away() {
    for text in [placed, unplaced] {
        let world = half_expired(text).await;
        world.run_ok(&[&DAY[..], &["--oldest", "2000-01-01"]].concat()).await;
        assert_eq!(world.number(TICKS).await, 30);
        let outcome = world.run_ok(&[&DAY[..], &["--allow-nonpositive-prices"]].concat()).await;
        assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
        assert_eq!(world.number(TICKS).await, 30);
    }
}

#[tokio::test]
async fn flags_that_read_messages_otherwise_take_no_expired_ticks_away() {
    for text in [placed, unplaced] {
        let world = half_expired(text).await;
        let before = world.summary().await;
        let outcome = world.run(&[&DAY[..], &["--map", "close=open"]].concat()).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("would lose 10 of 20 records"), "{}", outcome.stderr);
        assert_eq!(world.summary().await, before);
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 30);
    }
}

#[tokio::test]
async fn expired_ticks_are_not_outweighed_by_as_many_that_tell_no_offset() {
    let world = half_expired(placed).await;
    world.bucket.put(&key(10, 2, 0), unplaced(2)).await.unwrap();
    let before = world.summary().await;
    let outcome = world.run(&[&DAY[..], &["--map", "close=open"]].concat()).await;
    assert_eq!((outcome.code, world.summary().await), (4, before), "{}", outcome.stderr);
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 30);
}

#[tokio::test]
async fn an_object_that_was_replaced_and_is_put_back_leaves_nothing_to_mend() {
    // By its offsets it is known that no record is missing.
    for (text, found) in [(placed as fn(i64) -> String, (0, 30)), (unplaced, (4, 20))] {
        let world = half_expired(text).await;
        world
            .bucket
            .put(&key(10, 1, 0), text(1).replacen("\"volume\":", "\"volume\":9", 1))
            .await
            .unwrap();
        let outcome = world.run(&DAY).await;
        assert_eq!((outcome.code, world.number(TICKS).await), found, "{}", outcome.stderr);
        world.bucket.put(&key(10, 1, 0), text(1)).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 30);
    }
}

#[tokio::test]
async fn an_object_that_lies_there_compressed_as_well_counts_once_until_one_of_them_is_gone() {
    for (text, is_known) in
        [(placed as fn(i64) -> String, true), (placed, false), (unplaced, true), (unplaced, false)]
    {
        let world = World::create().await;
        let packed = format!("{}.gz", key(10, 0, 0));
        world.bucket.put(&key(10, 0, 0), text(0)).await.unwrap();
        if is_known {
            world.run_ok(&DAY).await;
        }
        world.bucket.put(&packed, gzip(&text(0))).await.unwrap();
        let outcome = world.run_ok(&DAY).await;
        assert!(
            outcome.stderr.contains("is passed over: delete one of them"),
            "{}",
            outcome.stderr
        );
        assert_eq!(world.number(TICKS).await, 10);
        world.expire(&key(10, 0, 0)).await;
        world.run_ok(&DAY).await;
        let gone = "select ticks * 10 + gone_objects from batch_hours";
        assert_eq!(world.number(gone).await, 100);
        assert_eq!(world.rows("select key from archive_objects").await, [&*packed]);
    }
}

#[tokio::test]
async fn flags_that_read_messages_otherwise_are_named_where_an_hour_is_written_anew() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), placed(0)).await.unwrap();
    world.run_ok(&DAY).await;
    let before = world.summary().await;
    let outcome = world.run_ok(&[&DAY[..], &["--map", "close=open"]].concat()).await;
    assert!(
        outcome.stderr.contains("was computed by other rules of messages: then"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("is a flag missing?"), "{}", outcome.stderr);
    assert_ne!(world.summary().await, before);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn an_object_with_another_etag_and_the_same_content_changes_nothing_though_others_have_expired()
 {
    for text in [placed, unplaced] {
        let world = half_expired(text).await;
        world.bucket.put(&key(10, 1, 0), gzip(&text(1))).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 30);
        let outcome = world.run_ok(&DAY).await;
        assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn computing_an_hour_anew_takes_no_expired_ticks_without_offsets_away() {
    let world = half_expired(unplaced).await;
    world.run_ok(&[&DAY[..], &["--recompute"]].concat()).await;
    assert_eq!(world.number(TICKS).await, 30);
}

#[tokio::test]
async fn an_object_that_is_compressed_where_it_lies_counts_once_and_is_unpacked_again() {
    for text in [placed, unplaced] {
        let world = World::create().await;
        world.bucket.put(&key(10, 0, 0), text(0)).await.unwrap();
        world.run_ok(&DAY).await;
        let before = world.summary().await;
        let packed = format!("{}.gz", key(10, 0, 0));
        world.bucket.put(&packed, gzip(&text(0))).await.unwrap();
        world.expire(&key(10, 0, 0)).await;
        let outcome = world.run_ok(&DAY).await;
        assert!(!outcome.stderr.contains("gone from the archive"), "{}", outcome.stderr);
        assert_eq!(world.summary().await, before);
        assert_eq!(world.rows("select key from archive_objects").await, [&*packed]);
        world.bucket.put(&key(10, 0, 0), text(0)).await.unwrap();
        world.expire(&packed).await;
        world.run_ok(&DAY).await;
        assert_eq!((world.summary().await, world.number(TICKS).await), (before, 10));
    }
}

#[tokio::test]
async fn records_that_come_again_in_other_cuts_need_one_run_for_all_their_hours() {
    let world = World::create().await;
    let hours = 6..12;
    let ticks: Vec<_> = hours.clone().flat_map(|hour| some_ticks(hour, 0, hour * 10, 10)).collect();
    world.put(&key(6, 0, 60), &ticks).await;
    world.run_ok(&DAY).await;
    let before = world.summary().await;
    for (at, hour) in hours.enumerate() {
        // Other cuts, and a new tick in each.
        world.put(&key(hour, 0, hour * 10), &ticks[at * 10..at * 10 + 10]).await;
        world.put(&key(hour, 1, hour), &some_ticks(hour, 1, hour, 1)).await;
    }
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("6 hours computed"), "{}", outcome.stderr);
    assert_eq!(world.number("select sum(ticks)::bigint from batch_hours").await, 66);
    assert_ne!(world.summary().await, before);
}

#[tokio::test]
async fn values_without_a_newline_between_them_are_each_read() {
    let world = World::create().await;
    let glued = placed(0).replace('\n', "") + &placed(1);
    world.bucket.put(&key(10, 0, 0), glued).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 20);
    // A line that is longer than any message.
    let world = World::create().await;
    world
        .bucket
        .put(&key(10, 0, 0), lines(&some_ticks(10, 0, 0, 20_000)).replace('\n', ""))
        .await
        .unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 20_000);
    // Arrays, whose elements tell their offsets.
    let world = World::create().await;
    let array = |partition: i64| format!("[{}]", placed(partition).trim_end().replace('\n', ","));
    world
        .bucket
        .put(&key(10, 0, 0), format!("{}{}{}\n", placed(2), array(0), array(1)))
        .await
        .unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 30);
    assert_eq!(world.number("select rejected_lines from archive_objects").await, 0);
    // What stands between is kept.
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), placed(0).trim_end().replace('\n', "xx")).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 10);
    let rejects = "select count(*) from rejected_lines where convert_from(value, 'UTF8') = 'xx'";
    assert_eq!(world.number(rejects).await, 9);
    // Without offsets nobody can tell them from one message of several values, of which Connect
    // takes the first.
    let world = World::create().await;
    world
        .bucket
        .put(&key(10, 0, 0), unplaced(0).replace('\n', "") + "\n" + &unplaced(1))
        .await
        .unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(
        (world.number(TICKS).await, world.number("select count(*) from rejected_lines").await),
        (11, 9)
    );
}

#[tokio::test]
async fn an_object_that_ends_within_a_line_is_broken_and_takes_nothing_away() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), placed(0)).await.unwrap();
    world.run_ok(&DAY).await;
    let (text, before) = (placed(0), world.summary().await);
    for cut in [text.len() / 2, text.len() - 3] {
        world.bucket.put(&key(10, 0, 0), text[..cut].to_owned()).await.unwrap();
        let outcome = world.run(&DAY).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("it ends in the middle of a value, in line"),
            "{}",
            outcome.stderr
        );
        assert_eq!(world.summary().await, before);
    }
    world.bucket.put(&key(10, 0, 0), text.trim_end().to_owned()).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn of_two_objects_of_one_name_that_tell_no_offsets_the_newer_counts_however_many_ticks_each_has()
 {
    for is_known in [true, false] {
        for (old, new) in [
            (lines_without_offsets(10, 0, 10), lines_without_offsets(10, 0, 20)),
            (lines_without_offsets(10, 0, 20), lines_without_offsets(10, 0, 10)),
        ] {
            // The sink began the object anew, with another compression.
            let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
            for (first, second) in [(&plain, &packed), (&packed, &plain)] {
                let world = World::create().await;
                world.bucket.put(first, old.clone()).await.unwrap();
                if is_known {
                    world.run_ok(&DAY).await;
                }
                put_later(&world, second, &new).await;
                let outcome = world.run_ok(&DAY).await;
                let word = format!("{first} is passed over, because");
                assert!(outcome.stderr.contains(&word), "{is_known} {first}: {}", outcome.stderr);
                let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours";
                let expected = format!("{} 1 0", new.lines().count());
                assert_eq!(world.rows(hour).await, [&*expected], "{is_known} {first}");
                for flags in [&[][..], &["--recompute"][..], &["--oldest", "2000-01-01"][..]] {
                    world.run_ok(&[&DAY[..], flags].concat()).await;
                    assert_eq!(
                        world.rows(hour).await,
                        [&*expected],
                        "{is_known} {first} {flags:?}"
                    );
                }
                world.expire(first).await;
                let outcome = world.run_ok(&DAY).await;
                assert!(!outcome.stderr.contains("passed over"), "{}", outcome.stderr);
                assert_eq!(world.rows(hour).await, [&*expected], "{is_known} {first}");
            }
        }
    }
}

#[tokio::test]
async fn of_three_objects_of_one_name_that_tell_no_offsets_one_counts() {
    for (counts, is_each_known) in
        [([10, 10, 10], false), ([10, 15, 20], false), ([10, 15, 20], true), ([10, 15, 10], false)]
    {
        let world = World::create().await;
        let keys = ["", ".gz", ".zst"].map(|end| format!("{}{end}", key(10, 0, 0)));
        for (at, (key, count)) in keys.iter().zip(counts).enumerate() {
            put_later(&world, key, &lines_without_offsets(10, 0, count)).await;
            if at == 0 || is_each_known {
                world.run_ok(&DAY).await;
            }
        }
        for flags in [&[][..], &[][..], &["--recompute"][..]] {
            let outcome = world.run_ok(&[&DAY[..], flags].concat()).await;
            let passed_over = outcome.stderr.matches("passed over").count();
            assert_eq!(passed_over, 2, "{counts:?} {flags:?}: {}", outcome.stderr);
            let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours";
            let expected = format!("{} 1 0", counts[2]);
            assert_eq!(world.rows(hour).await, [&*expected], "{counts:?} {flags:?}");
        }
    }
}

/// Puts an object whose time in listings is later than that of any other.
async fn put_later(world: &World, key: &str, text: &str) {
    // Some stores tell whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world.bucket.put(key, text.to_owned()).await.unwrap();
}

#[tokio::test]
async fn of_two_objects_of_one_name_and_age_the_first_by_key_counts_and_that_is_said() {
    let (world, folder) = (World::create().await, tempfile::tempdir().unwrap());
    let path = folder.path().join(key(10, 0, 0));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (at, packed) = (std::time::SystemTime::now(), format!("{}.gz", path.display()));
    for (path, text) in [
        (path.to_str().unwrap(), lines_without_offsets(10, 0, 20).into_bytes()),
        (packed.as_str(), gzip(&lines_without_offsets(10, 0, 10))),
    ] {
        std::fs::write(path, text).unwrap();
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }
    let bucket = format!("file://{}", folder.path().display());
    let outcome = world.run_ok(&[&DAY[..], &["--bucket", &bucket]].concat()).await;
    let word = "is as old, the first by key and of the same name";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("is newer"), "{}", outcome.stderr);
    assert_eq!(world.number(TICKS).await, 20);
}

#[tokio::test]
async fn of_two_objects_of_one_name_of_which_one_tells_no_offsets_the_newer_counts() {
    for is_known in [true, false] {
        for (old, new) in [
            (placed(0), lines_without_offsets(10, 0, 20)),
            (lines_without_offsets(10, 0, 20), placed(0)),
        ] {
            let world = World::create().await;
            world.bucket.put(&key(10, 0, 0), old.clone()).await.unwrap();
            if is_known {
                world.run_ok(&DAY).await;
            }
            put_later(&world, &format!("{}.gz", key(10, 0, 0)), &new).await;
            world.run_ok(&DAY).await;
            assert_eq!(world.number(TICKS).await, new.lines().count() as i64, "{is_known}");
        }
    }
}

#[tokio::test]
async fn two_objects_of_one_name_that_tell_their_offsets_are_both_read() {
    for is_known in [true, false] {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 30);
        world.put(&key(10, 0, 0), &ticks[..20]).await;
        if is_known {
            world.run_ok(&DAY).await;
        }
        put_later(&world, &format!("{}.gz", key(10, 0, 0)), &lines(&ticks[10..])).await;
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 30, "{is_known}");
    }
}

#[tokio::test]
async fn an_object_that_is_back_without_offsets_is_not_added_to_its_own_ticks() {
    for (end, is_expired, count) in
        [("", true, 10), ("", true, 1), (".gz", true, 10), ("", false, 10), (".gz", false, 10)]
    {
        let world = World::create().await;
        let (object, back) = (key(10, 0, 0), format!("{}{end}", key(10, 0, 0)));
        world.bucket.put(&object, placed(0)).await.unwrap();
        world.bucket.put(&key(10, 1, 0), placed(1)).await.unwrap();
        world.run_ok(&DAY).await;
        let before = world.summary().await;
        match is_expired {
            true => world.expire(&object).await,
            false => world.bucket.delete(&object).await.unwrap(),
        }
        world.run_ok(&DAY).await;
        let text: String =
            unplaced(0).lines().take(count).map(|line| format!("{line}\n")).collect();
        world.bucket.put(&back, text).await.unwrap();
        let flags = ["--hour", "2025-06-02T10", "--recompute"];
        for args in [&DAY[..], &flags[..], &DAY[..]] {
            let outcome = world.run(args).await;
            // Of one that was deleted it is known what the sums have.
            let code = if is_expired { 4 } else { 0 };
            assert_eq!(outcome.code, code, "{end} {is_expired} {count}: {}", outcome.stderr);
            assert_eq!(world.summary().await, before, "{end} {is_expired} {count}");
            let word = "have no offsets, and by its name it holds records that the hour has";
            assert_eq!(outcome.stderr.contains(word), is_expired, "{}", outcome.stderr);
        }
        world.bucket.put(&back, placed(0)).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.summary().await, before, "{end} {is_expired} {count}");
        assert_eq!(world.number(TICKS).await, 20);
    }
}

/// What the sums have of it is taken out, and it may not be left there for the sake of a copy.
#[tokio::test]
async fn an_object_that_was_replaced_by_a_copy_of_another_of_its_name_takes_its_ticks_out() {
    let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
    let ticks = some_ticks(10, 0, 0, 20);
    let mut wrong = ticks.clone();
    wrong.iter_mut().for_each(|tick| tick.volume += 7);
    for (before, after) in [(&ticks[..], &ticks[..10]), (&wrong[..], &ticks[..])] {
        let world = World::create().await;
        world.put(&plain, before).await;
        world.bucket.put(&packed, gzip(&lines(after))).await.unwrap();
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 20);
        world.put(&plain, after).await;
        world.run_ok(&DAY).await;
        world.insert_realtime(after).await;
        assert_eq!(world.summary().await, world.expected().await);
        let recompute = ["--hour", "2025-06-02T10", "--recompute"];
        world.run_ok(&recompute).await;
        assert_eq!(world.summary().await, world.expected().await);
        // And of the two one may be deleted: nothing is lost.
        world.bucket.delete(&packed).await.unwrap();
        let outcome = world.run_ok(&DAY).await;
        assert!(!outcome.stderr.contains("it was deleted"), "{}", outcome.stderr);
        assert_eq!(world.summary().await, world.expected().await);
        assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    }
}

#[tokio::test]
async fn an_hour_that_lacks_nothing_without_a_deleted_object_is_no_longer_incomplete_when_computed_anew()
 {
    let (world, ticks) = (World::create().await, some_ticks(10, 0, 0, 20));
    let packed = format!("{}.gz", key(10, 0, 0));
    world.put(&key(10, 0, 0), &ticks).await;
    world.bucket.put(&packed, gzip(&lines(&ticks[..10]))).await.unwrap();
    world.run_ok(&DAY).await;
    world.bucket.delete(&packed).await.unwrap();
    world.run_ok(&DAY).await;
    let status = "select status from hour_completeness where hour = '2025-06-02T10:00Z'";
    assert_eq!(world.rows(status).await, ["incomplete"]);
    world.run_ok(&["--hour", "2025-06-02T10", "--recompute"]).await;
    assert_eq!(world.rows(status).await, ["complete"]);
    assert_eq!(
        world.rows("select concat(ticks, ' ', gone_objects) from batch_hours").await,
        ["20 0"]
    );
}

#[tokio::test]
async fn of_two_objects_of_one_name_that_tell_no_offsets_verify_counts_the_newer() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 20);
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 20).await;
    let all = lines_without_offsets(10, 0, 20);
    let some: String = all.lines().take(10).map(|line| format!("{line}\n")).collect();
    world.bucket.put(&key(10, 0, 0), some).await.unwrap();
    put_later(&world, &format!("{}.gz", key(10, 0, 0)), &all).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
    let outcome = world.run(&[&["verify"], &DAY[..]].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

#[tokio::test]
async fn an_object_that_batch_layer_passes_over_as_a_copy_is_no_news_to_verify() {
    for text in [lines(&some_ticks(10, 0, 0, 20)), lines_without_offsets(10, 0, 20)] {
        let world = World::create().await;
        world.insert_realtime(&some_ticks(10, 0, 0, 20)).await;
        world.fill_minute_bars().await;
        world.set_next_offset("stock_prices", 0, 20).await;
        world.bucket.put(&key(10, 0, 0), text.clone()).await.unwrap();
        put_later(&world, &format!("{}.gz", key(10, 0, 0)), &text).await;
        let verify = [&["verify"], &DAY[..]].concat();
        for _ in 0..2 {
            let outcome = world.run_ok(&DAY).await;
            assert!(outcome.stderr.contains("is passed over"), "{}", outcome.stderr);
            let outcome = world.run(&verify).await;
            assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        }
        // So the rows are compared as ever.
        world
            .execute("update hourly_stock_summary set high = high + 1 where symbol = 'AAPL'")
            .await;
        let outcome = world.run(&verify).await;
        assert_eq!(outcome.code, 1, "{}{}", outcome.stdout, outcome.stderr);
        let word = "rows of hourly_stock_summary are wrong, missing or too many: AAPL";
        assert!(outcome.stdout.contains(word), "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn a_copy_with_ticks_of_a_day_before_leaves_no_hour_open() {
    let world = World::create().await;
    let ticks = [some_ticks(10, 0, 0, 20), some_ticks(34, 0, 20, 20)].concat();
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 40).await;
    world.put(&key(10, 0, 0), &ticks[..10]).await;
    // As days' rows lie: ticks of the first day in a folder of the second.
    let late = "raw/stock_prices/2025-06-03-10/stock_prices+0+0000000010.json";
    world.put(late, &ticks[10..]).await;
    put_later(&world, &format!("{late}.gz"), &lines(&ticks[10..])).await;
    let days = ["--from", "2025-06-02T00", "--to", "2025-06-04T00"];
    world.run_ok(&days).await;
    let outcome = world.run(&[&["verify"], &days[..]].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(world.rows("select distinct status from reconciled_hours").await, ["ok"]);
}

#[tokio::test]
async fn an_hour_is_open_though_what_no_run_has_read_yet_repeats_its_records_alone() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 20);
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 20).await;
    world.put(&key(10, 0, 0), &ticks).await;
    world.run_ok(&DAY).await;
    world.put(&key(10, 0, 5), &ticks[5..]).await;
    let verify = [&["verify"], &DAY[..]].concat();
    let outcome = world.run(&verify).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("no run has read it yet"), "{}", outcome.stdout);
    world.run_ok(&DAY).await;
    assert_eq!(world.run(&verify).await.code, 0);
}

#[tokio::test]
async fn of_two_objects_of_one_name_that_are_known_by_offsets_one_that_comes_again_without_counts_alone()
 {
    for (is_deleted, end) in [(true, ""), (true, ".gz"), (false, ""), (false, ".gz")] {
        let (world, ticks) = (World::create().await, some_ticks(10, 0, 0, 4));
        let again = format!("{}{end}", key(10, 0, 0));
        world.put(&key(10, 0, 0), &ticks).await;
        put_later(&world, &format!("{}.gz", key(10, 0, 0)), &lines(&ticks[..2])).await;
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 4);
        if is_deleted {
            world.bucket.delete(&again).await.unwrap();
            world.run_ok(&DAY).await;
        }
        put_later(&world, &again, &lines_without_offsets(10, 0, 3)).await;
        for flags in [&[][..], &[][..], &["--recompute"][..]] {
            let outcome = world.run_ok(&[&DAY[..], flags].concat()).await;
            assert!(outcome.stderr.contains("is newer and of the same name"), "{}", outcome.stderr);
            let hour = "select concat_ws(' ', ticks, objects, gone_objects) from batch_hours";
            assert_eq!(world.rows(hour).await, ["3 1 0"], "{is_deleted} {end} {flags:?}");
        }
        assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
        // Each record counts once again when it tells its offset.
        world.put(&again, &ticks[..3]).await;
        world.run_ok(&DAY).await;
        let all = if end.is_empty() { 3 } else { 4 };
        assert_eq!(world.number(TICKS).await, all, "{is_deleted} {end}");
    }
}

#[tokio::test]
async fn an_older_object_that_is_replaced_by_one_without_offsets_is_taken_out() {
    let (world, ticks) = (World::create().await, some_ticks(10, 0, 0, 20));
    let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
    world.put(&plain, &ticks).await;
    world.bucket.put(&packed, gzip(&lines(&ticks[..5]))).await.unwrap();
    world.run_ok(&DAY).await;
    world.bucket.put(&plain, lines_without_offsets(10, 0, 20)).await.unwrap();
    put_later(&world, &packed, &lines(&ticks[..10])).await;
    for _ in 0..2 {
        world.run_ok(&DAY).await;
        assert_eq!(world.number(TICKS).await, 10);
    }
}

#[tokio::test]
async fn an_object_that_is_known_by_a_version_that_was_not_computed_is_not_passed_over_as_a_copy() {
    let (world, ticks) = (World::create().await, some_ticks(10, 0, 0, 20));
    let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
    world.bucket.put(&packed, gzip(&lines(&ticks[..10]))).await.unwrap();
    world.run_ok(&DAY).await;
    world.put(&plain, &ticks).await;
    world.bucket.put(&key(10, 1, 0), "<html>").await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    world.put(&plain, &ticks[..10]).await;
    world.bucket.delete(&key(10, 1, 0)).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 10);
}

#[tokio::test]
async fn a_deleted_object_without_which_its_hour_was_written_is_new_when_it_comes_again() {
    let (world, ticks) = (World::create().await, some_ticks(10, 0, 0, 20));
    let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 20).await;
    world.put(&plain, &ticks).await;
    world.bucket.put(&packed, gzip(&lines(&ticks[..10]))).await.unwrap();
    world.run_ok(&DAY).await;
    world.bucket.delete(&packed).await.unwrap();
    world.run_ok(&DAY).await;
    world.run_ok(&["--hour", "2025-06-02T10", "--recompute"]).await;
    // The other one is compressed now: first both lie there.
    put_later(&world, &packed, &lines(&ticks)).await;
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("is passed over"), "{}", outcome.stderr);
    let outcome = world.run(&[&["verify"], &DAY[..]].concat()).await;
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    world.bucket.delete(&plain).await.unwrap();
    let outcome = world.run_ok(&DAY).await;
    assert!(outcome.stderr.contains("0 hours computed"), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn records_that_come_again_without_their_offsets_excuse_no_others_that_are_missing() {
    let world = World::create().await;
    let (hour, ticks) = ticks_of(5, 50);
    insert_speed(&world, &ticks).await;
    let first = key_of(hour, 0, 5000);
    let stands = async || {
        let said = "select concat_ws(' ', status, reason, withdrawn)
                    from hour_completeness join batch_hours using (hour)";
        world.rows(said).await
    };
    world.put(&first, &ticks[..10]).await;
    world.put(&key_of(hour, 0, 5010), &ticks[10..40]).await;
    world.run_ok(&[]).await;
    let lacks = "incomplete 10 ticks of the speed layer are not in the archive 0";
    assert_eq!(stands().await, [lacks]);
    world.bucket.put(&first, without_offsets(&ticks[..10])).await.unwrap();
    world.run_ok(&[]).await;
    assert_eq!(stands().await, [lacks]);
    // What is truly out of it is excused.
    world.bucket.put(&first, without_offsets(&ticks[..7])).await.unwrap();
    world.run_ok(&[]).await;
    let seven = "incomplete 10 ticks of the speed layer are not in the archive 3";
    assert_eq!(stands().await, [seven]);
    world.put(&key_of(hour, 0, 5040), &ticks[40..]).await;
    world.run_ok(&[]).await;
    let three = "complete 3 records were taken out: replaced by a version without them, or by --allow-shrink 3";
    assert_eq!(stands().await, [three]);
    world.put(&first, &ticks[..10]).await;
    world.run_ok(&[]).await;
    assert_eq!(stands().await, ["complete 0"]);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_is_no_copy_of_what_another_one_of_its_name_held_before_it_was_replaced() {
    let ticks = some_ticks(10, 0, 0, 10);
    for (now, code) in
        [(lines(&ticks[..5]), 0), (without_offsets(&ticks), 0), ("null\n".to_owned(), 4)]
    {
        for is_packed_newer in [true, false] {
            let world = World::create().await;
            let (plain, packed) = (key(10, 0, 0), format!("{}.gz", key(10, 0, 0)));
            world.put(&plain, &ticks).await;
            world.put(&key(10, 1, 0), &some_ticks(10, 1, 0, 10)).await;
            world.run_ok(&DAY).await;
            if !is_packed_newer {
                world.bucket.put(&packed, gzip(&lines(&ticks))).await.unwrap();
            }
            put_later(&world, &plain, &now).await;
            if is_packed_newer {
                tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
                world.bucket.put(&packed, gzip(&lines(&ticks))).await.unwrap();
            }
            for _ in 0..2 {
                let outcome = world.run(&DAY).await;
                let what = format!("{now:?} {is_packed_newer}: {}", outcome.stderr);
                assert_eq!((outcome.code, world.number(TICKS).await), (code, 20), "{what}");
                assert!(!outcome.stderr.contains("delete one of them"), "{what}");
            }
            world.run_ok(&[&DAY[..], &["--allow-shrink"]].concat()).await;
            assert_eq!(world.number(TICKS).await, 20, "{now:?} {is_packed_newer}");
        }
    }
}

const BY_NAME: &str = "have no offsets, and by its name it holds records that the hour has";

/// Beside the offsets 0 to 9: by its name it holds 4 to 6.
fn inside() -> (String, String) {
    let text = unplaced(0).lines().skip(4).take(3).map(|line| format!("{line}\n")).collect();
    (key(10, 0, 4), text)
}

#[tokio::test]
async fn an_object_without_offsets_whose_name_lies_among_others_records_is_counted_with_none_of_them()
 {
    let allowed = ["--hour", "2025-06-02T10", "--allow-shrink"];
    for (is_whole_known, is_inside_known) in [(true, false), (false, true), (false, false)] {
        let world = World::create().await;
        world.insert_realtime(&some_ticks(10, 0, 0, 10)).await;
        world.fill_minute_bars().await;
        world.set_next_offset("stock_prices", 0, 10).await;
        let (object, text) = inside();
        for (is_known, key, text) in
            [(is_whole_known, key(10, 0, 0), placed(0)), (is_inside_known, object.clone(), text)]
        {
            if is_known {
                world.bucket.put(&key, text).await.unwrap();
            }
        }
        if is_whole_known || is_inside_known {
            world.run_ok(&DAY).await;
        }
        let before = world.summary().await;
        world.bucket.put(&key(10, 0, 0), placed(0)).await.unwrap();
        world.bucket.put(&object, inside().1).await.unwrap();
        for flags in [&[][..], &["--recompute"], &[]] {
            let outcome = world.run(&[&DAY[..], flags].concat()).await;
            assert_eq!(outcome.code, 4, "{}", outcome.stderr);
            assert!(outcome.stderr.contains(BY_NAME), "{}", outcome.stderr);
            assert_eq!(world.summary().await, before);
        }
        let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
        assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
        world.bucket.delete(&object).await.unwrap();
        let outcome = world.run(&DAY).await;
        if is_inside_known {
            // Its ticks are in the sums, and nobody can tell them from those of the other one.
            assert_eq!(outcome.code, 4, "{}", outcome.stderr);
            let word = "had no offsets before it was gone, and by its name it held records";
            assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
            world.run_ok(&allowed).await;
        }
        assert_eq!(world.number(TICKS).await, 10);
        world.run_ok(&DAY).await;
        assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
    }
}

#[tokio::test]
async fn an_object_that_one_without_offsets_stood_in_the_way_of_is_not_missed_when_it_goes() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), unplaced(0)).await.unwrap();
    world.run_ok(&DAY).await;
    world.expire(&key(10, 0, 0)).await;
    world.run_ok(&DAY).await;
    world.put(&key(10, 0, 5), &some_ticks(10, 0, 5, 3)).await;
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    world.bucket.delete(&key(10, 0, 5)).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 10);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn verify_waits_while_lines_without_offsets_may_be_those_of_an_object_that_is_gone() {
    let world = World::create().await;
    world.insert_realtime(&some_ticks(10, 0, 0, 10)).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 10).await;
    world.bucket.put(&key(10, 0, 0), placed(0)).await.unwrap();
    world.run_ok(&DAY).await;
    let (object, text) = inside();
    world.bucket.put(&object, text).await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    world.bucket.delete(&key(10, 0, 0)).await.unwrap();
    assert_eq!(world.run(&DAY).await.code, 4);
    let outcome = verify(&world, &["--hour", "2025-06-02T10"]).await;
    assert_eq!(outcome.code, 4, "{}{}", outcome.stdout, outcome.stderr);
}

/// A sink that was given its offsets and goes back.
#[tokio::test]
async fn an_object_with_offsets_that_begins_among_those_of_one_without_is_not_counted_beside_it() {
    let world = World::create().await;
    world.bucket.put(&key(10, 0, 0), unplaced(0)).await.unwrap();
    world.run_ok(&DAY).await;
    world.put(&key(10, 0, 6), &some_ticks(10, 0, 6, 8)).await;
    let outcome = world.run(&DAY).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(BY_NAME), "{}", outcome.stderr);
    assert_eq!(world.number(TICKS).await, 10);
    world.bucket.delete(&key(10, 0, 6)).await.unwrap();
    world.put(&key(10, 0, 10), &some_ticks(10, 0, 10, 4)).await;
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 14);
    assert_eq!(world.number("select count(*) from deleted_objects").await, 0);
}

#[tokio::test]
async fn what_a_person_has_allowed_to_count_beside_others_is_not_refused_again() {
    let world = World::create().await;
    let (object, text) = inside();
    world.bucket.put(&key(10, 0, 0), placed(0)).await.unwrap();
    world.bucket.put(&object, text).await.unwrap();
    world.run_ok(&["--hour", "2025-06-02T10", "--allow-shrink"]).await;
    assert_eq!(world.number(TICKS).await, 13);
    world.bucket.put(&key(10, 1, 0), placed(1)).await.unwrap();
    world.run_ok(&DAY).await;
    assert_eq!(world.number(TICKS).await, 23);
}

#[tokio::test]
async fn an_object_of_which_some_lines_tell_offsets_is_not_taken_for_a_repetition_of_itself() {
    let world = World::create().await;
    let text = placed(0).replace("\"kafka_offset\":3", "\"kafka_offset\":-3");
    assert_ne!(text, placed(0));
    world.bucket.put(&key(10, 0, 0), text).await.unwrap();
    for flags in [&[][..], &["--recompute"]] {
        world.run_ok(&[&DAY[..], flags].concat()).await;
        assert_eq!(world.number(TICKS).await, 10);
    }
}
