//! A store and a database that fail while a run is at work: right numbers later, or a clear error
//! now.

use crate::changes::lines_without_offsets;
use crate::support::{DAY, LONG, Outcome, World, at, finish, key, key_of, lines, some_ticks};
use hourly::hour::Hour;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testing::s3::Bucket;
use testing::{HttpProxy, HttpRequest, TcpProxy, Treatment, stack};
use tokio::sync::Mutex;

const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

fn throttled() -> Treatment {
    Treatment::Answer { status: 503, body: SLOW_DOWN.into() }
}

/// Stands in front of the store. `rule` says what becomes of the requests for one object, by their
/// number from 0 on; all others are forwarded.
async fn store_with(
    object: &str,
    rule: impl Fn(usize) -> Treatment + Send + Sync + 'static,
) -> HttpProxy {
    let (object, number) = (object.to_owned(), AtomicUsize::new(0));
    let rule = move |request: &HttpRequest| match asks_for(request, &object) {
        true => rule(number.fetch_add(1, Ordering::Relaxed)),
        false => Treatment::Forward,
    };
    HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), rule).await
}

fn asks_for(request: &HttpRequest, object: &str) -> bool {
    request.path.replace("%2B", "+").contains(object)
}

/// Something that happens to the bucket while a request for an object is on its way.
fn put(bucket: &Bucket, key: &str, text: String) -> Treatment {
    let (bucket, key) = (bucket.clone(), key.to_owned());
    Treatment::After(Box::pin(async move { bucket.put(&key, text).await.unwrap() }))
}

fn delete(bucket: &Bucket, key: &str) -> Treatment {
    let (bucket, key) = (bucket.clone(), key.to_owned());
    Treatment::After(Box::pin(async move { bucket.delete(&key).await.unwrap() }))
}

async fn run_through(world: &World, proxy: &HttpProxy) -> Outcome {
    let mut command = world.command(&DAY);
    command.env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    finish(command).await
}

/// An hour of two objects that agree with `realtime_stock`; gives the key of the second.
async fn two_objects(world: &World) -> String {
    for partition in 0..2 {
        let ticks = some_ticks(10, partition, 0, 3000);
        world.put(&key(10, partition, 0), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    key(10, 1, 0)
}

#[tokio::test]
async fn a_store_that_throttles_for_a_while_is_waited_for() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let store =
        store_with(&object, |number| if number < 3 { throttled() } else { Treatment::Forward })
            .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
    // The fourth time it is given, and once more to be judged with hindsight.
    assert_eq!(store.requests().iter().filter(|request| asks_for(request, &object)).count(), 5);
}

#[tokio::test]
async fn an_object_that_the_store_never_gives_is_named_and_its_hour_is_not_written() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let store = store_with(&object, |_| throttled()).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("SlowDown") && outcome.stderr.contains(&object),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_that_vanishes_after_it_was_listed_is_left_out() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let (bucket, gone) = (world.bucket.clone(), object.clone());
    let store = store_with(&object, move |_| delete(&bucket, &gone)).await;
    world.execute("delete from realtime_stock where kafka_partition = 1").await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_that_is_replaced_after_it_was_listed_counts_as_it_is_then() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let (bucket, replaced, now) = (world.bucket.clone(), object.clone(), some_ticks(10, 1, 0, 50));
    world.execute("delete from realtime_stock where kafka_partition = 1").await;
    world.insert_realtime(&now).await;
    let store = store_with(&object, move |number| match number {
        0 => put(&bucket, &replaced, lines(&now)),
        _ => Treatment::Forward,
    })
    .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_that_is_replaced_while_its_body_is_read_counts_as_it_is_then() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let (bucket, replaced, now) = (world.bucket.clone(), object.clone(), some_ticks(10, 1, 0, 50));
    world.execute("delete from realtime_stock where kafka_partition = 1").await;
    world.insert_realtime(&now).await;
    let store = store_with(&object, move |number| match number {
        0 => Treatment::CutAfter(100_000),
        1 => put(&bucket, &replaced, lines(&now)),
        _ => Treatment::Forward,
    })
    .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the store broke off"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn an_object_that_changes_at_every_read_holds_its_hour_back() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let (bucket, replaced) = (world.bucket.clone(), object.clone());
    let change = move |number: usize| {
        put(&bucket, &replaced, lines(&some_ticks(10, 1, 0, 50 + number as i64)))
    };
    let store = store_with(&object, change).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("replaced again and again"), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
}

#[tokio::test]
async fn an_object_that_appears_while_its_hour_is_read_counts_from_the_next_run_on() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let before = world.expected().await;
    let (bucket, late) = (world.bucket.clone(), some_ticks(10, 2, 0, 70));
    world.insert_realtime(&late).await;
    let store = store_with(&object, move |_| put(&bucket, &key(10, 2, 0), lines(&late))).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, before, "the objects that were listed, and all of them");
    world.run_ok(&DAY).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_body_that_falls_silent_is_given_up_and_read_again() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let silent_once =
        |number| if number == 0 { Treatment::StallAfter(100_000) } else { Treatment::Forward };
    let store = store_with(&object, silent_once).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("reading it again"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_body_that_breaks_off_every_time_holds_back_its_hour() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let store = store_with(&object, |_| Treatment::CutAfter(100_000)).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("{object}: the store broke off")),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
}

/// The database behind a proxy, which falls silent when an object is read: the connection stays
/// open.
async fn run_with_silent_database(world: &World, args: &[&str], object: &str) -> Outcome {
    let url = world.database.url().to_owned();
    let (_, host) = url.split_once('@').unwrap();
    let (host, _) = host.split_once('/').unwrap();
    let database = Arc::new(Mutex::new(TcpProxy::start(host).await));
    let url = url.replace(host, &database.lock().await.address().to_string());
    let silenced = Arc::clone(&database);
    let store = store_with(object, move |_| {
        let database = Arc::clone(&silenced);
        Treatment::After(Box::pin(async move { database.lock().await.stall().await }))
    })
    .await;
    let mut command = world.command(args);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address())).env("DATABASE_URL", url);
    finish(command).await
}

#[tokio::test]
async fn a_database_that_falls_silent_is_given_up_and_nothing_half_done_stays() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let flags = [&DAY[..], &["--query-timeout", "2s"]].concat();
    let outcome = run_with_silent_database(&world, &flags, &object).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no answer within 2 s (--query-timeout)"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.took < LONG / 2, "{:?}", outcome.took);
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    world.run_ok(&[&DAY[..], &["--takeover-after", "5s"]].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn verify_gives_up_a_silent_database_too() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let flags = [&["verify"], &DAY[..], &["--query-timeout", "2s"]].concat();
    let outcome = run_with_silent_database(&world, &flags, &object).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no answer within 2 s (--query-timeout)"),
        "{}",
        outcome.stderr
    );
}

/// The store behind a rule for each of its requests.
async fn store_where(
    rule: impl Fn(&HttpRequest) -> Treatment + Send + Sync + 'static,
) -> HttpProxy {
    HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), rule).await
}

fn is_listing_of_ten(request: &HttpRequest) -> bool {
    request.path.contains("list-type") && request.path.contains("2025-06-02-10")
}

fn answer(status: u16, body: &str) -> Treatment {
    Treatment::Answer { status, body: body.into() }
}

/// Hours 9 to 11 of one object each; the one of hour 10 is to fail.
async fn three_hours(world: &World) -> String {
    for hour in 9..12 {
        let ticks = some_ticks(hour, 0, hour * 1000, 50);
        world.put(&key(hour, 0, hour * 1000), &ticks).await;
        world.insert_realtime(&ticks).await;
    }
    key(10, 0, 10_000)
}

#[tokio::test]
async fn one_objects_failure_is_that_objects_and_is_remembered_until_it_is_mended() {
    const FAILURES: [(u16, &str, &str); 3] = [
        (500, "<Error><Code>InternalError</Code><Message>disk</Message></Error>", "unavailable"),
        (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "refused"),
        (429, "<Error><Code>TooManyRequests</Code><Message>slow</Message></Error>", "unavailable"),
    ];
    for (status, body, kind) in FAILURES {
        let world = World::create().await;
        let object = three_hours(&world).await;
        let store = store_with(&object, move |_| answer(status, body)).await;
        let outcome = run_through(&world, &store).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&object), "{status}: {}", outcome.stderr);
        assert_eq!(world.computed_by().await, ["02T09 by 1", "02T11 by 1"]);
        let known = "select concat_ws(' ', key, kind, hours_blocked) from broken_archive_objects";
        assert_eq!(world.rows(known).await, [format!("{object} {kind} 1")]);
        // Another window looks at it, too, and finds it mended.
        let elsewhere = ["--from", "2025-06-01T00", "--to", "2025-06-01T03"];
        let mut command = world.command(&elsewhere);
        command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
        let outcome = finish(command).await;
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&object), "{}", outcome.stderr);
        world.run_ok(&elsewhere).await;
        assert!(world.rows(known).await.is_empty());
        world.run_ok(&DAY).await;
        assert_eq!(world.summary().await, world.expected().await);
    }
}

#[tokio::test]
async fn a_broken_object_that_is_deleted_is_forgotten() {
    let world = World::create().await;
    let object = three_hours(&world).await;
    let store = store_with(&object, |_| answer(500, "")).await;
    assert_eq!(run_through(&world, &store).await.code, 4);
    world.bucket.delete(&object).await.unwrap();
    world.run_ok(&["--from", "2025-06-01T00", "--to", "2025-06-01T03"]).await;
    assert_eq!(world.number("select count(*) from broken_objects").await, 0);
}

#[tokio::test]
async fn an_object_in_cold_storage_is_said_once_and_holds_back_its_hour() {
    const FROZEN: &str =
        "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>";
    let world = World::create().await;
    let object = three_hours(&world).await;
    let store = store_with(&object, |_| answer(403, FROZEN)).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&format!("{object}: it lies in cold storage")),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.computed_by().await, ["02T09 by 1", "02T11 by 1"]);
    let outcome = run_through(&world, &store).await;
    assert!(!outcome.stderr.contains("cold storage"), "{}", outcome.stderr);
    assert_eq!(world.rows("select kind from broken_archive_objects").await, ["frozen"]);
}

#[tokio::test]
async fn broken_objects_of_other_windows_are_tried_behind_the_hours_of_the_window() {
    const FROZEN: &str =
        "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>";
    let world = World::create().await;
    let object = three_hours(&world).await;
    let store = store_with(&object, |_| answer(403, FROZEN)).await;
    assert_eq!(run_through(&world, &store).await.code, 0);
    let later = Hour::of(at(48 + 10, 0));
    world.put(&key_of(later, 0, 90_000), &some_ticks(48 + 10, 0, 90_000, 5)).await;
    let (pool, written) = (world.database.pool().clone(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&written);
    let store = store_with(&object, move |_| {
        let (pool, seen) = (pool.clone(), Arc::clone(&seen));
        Treatment::After(Box::pin(async move {
            let hours = "select count(*) from batch_hours where hour = '2025-06-04T10:00Z'";
            let hours: i64 = sqlx::query_scalar(hours).fetch_one(&pool).await.unwrap();
            seen.store(usize::try_from(hours).unwrap(), Ordering::Relaxed);
        }))
    })
    .await;
    let mut command = world.command(&["--hour", "2025-06-04T10"]);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(written.load(Ordering::Relaxed), 1, "{}", outcome.stderr);
    // It was readable then.
    assert_eq!(world.number("select count(*) from broken_objects").await, 0);
    world.run_ok(&DAY).await;
    let hours = ["02T09 by 1", "02T10 by 3", "02T11 by 1", "04T10 by 2"];
    assert_eq!(world.computed_by().await, hours);
}

#[tokio::test]
async fn many_objects_in_a_row_that_the_store_does_not_give_are_an_outage() {
    let world = World::create().await;
    for offset in 0..40 {
        world.put(&key(10, 0, offset), &some_ticks(10, 0, offset, 1)).await;
    }
    let store = store_without_reading(NO_SUCH_OPERATION).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("objects in a row could not be read"), "{}", outcome.stderr);
}

const DENIED: (u16, &str) = (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
/// What no client asks for again.
const NO_SUCH_OPERATION: (u16, &str) =
    (501, "<Error><Code>NotImplemented</Code><Message>no</Message></Error>");

/// A store that lists its objects and gives none.
async fn store_without_reading((status, body): (u16, &'static str)) -> HttpProxy {
    store_where(move |request| match request.path.contains("list-type") {
        true => Treatment::Forward,
        false => answer(status, body),
    })
    .await
}

/// Puts objects of one tick each into the hour of 10:00; gives a store that lists them and does not
/// give them.
async fn kept_back_objects(
    world: &World,
    count: i64,
    (status, body): (u16, &'static str),
) -> HttpProxy {
    for offset in 0..count {
        world.put(&key(10, 1, offset), &some_ticks(10, 1, offset, 1)).await;
    }
    let is_listing = |request: &HttpRequest| request.path.contains("list-type");
    store_where(move |request| match asks_for(request, "stock_prices+1+") && !is_listing(request) {
        true => answer(status, body),
        false => Treatment::Forward,
    })
    .await
}

/// What the database says after a run that could read nothing for its caller's sake.
async fn assert_nothing_is_held_back(world: &World, outcome: &Outcome) {
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("AccessDenied").count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("the store lists objects and gives none that was asked for"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("readable or deleted"), "{}", outcome.stderr);
    for table in ["broken_objects", "blocked_hours"] {
        assert_eq!(world.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_right_to_list_without_one_to_read_is_the_callers_fault_and_no_objects() {
    for objects in [1, 3, 40] {
        let world = World::create().await;
        for offset in 0..objects {
            world.put(&key(10, 0, offset), &some_ticks(10, 0, offset, 1)).await;
        }
        let store = store_without_reading(DENIED).await;
        assert_nothing_is_held_back(&world, &run_through(&world, &store).await).await;
        world.run_ok(&DAY).await;
        assert_eq!(world.number("select ticks from batch_hours").await, objects);
        // All but one are known from before.
        world.put(&key(11, 0, objects), &some_ticks(11, 0, objects, 1)).await;
        assert_nothing_is_held_back(&world, &run_through(&world, &store).await).await;
    }
}

#[tokio::test]
async fn verify_and_compact_of_an_archive_that_may_not_be_read_are_wrongly_set() {
    let world = World::create().await;
    three_hours(&world).await;
    world.run_ok(&DAY).await;
    let store = store_without_reading(DENIED).await;
    for command in ["verify", "compact"] {
        let mut command = world.command(&[&[command], &DAY[..]].concat());
        command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
        assert_nothing_is_held_back(&world, &finish(command).await).await;
    }
}

#[tokio::test]
async fn objects_that_are_refused_are_bad_by_themselves_where_one_that_is_known_or_beside_them_is_given()
 {
    let (first_run, beside, known) =
        (World::create().await, World::create().await, World::create().await);
    for world in [&first_run, &beside, &known] {
        world.insert_realtime(&some_ticks(11, 0, 0, 50)).await;
    }
    // In another folder, behind the refused ones; in theirs; read by an earlier run.
    first_run.put(&key(11, 0, 0), &some_ticks(11, 0, 0, 50)).await;
    let store = kept_back_objects(&first_run, 70, DENIED).await;
    assert_eq!(run_through(&first_run, &store).await.code, 4);
    assert_eq!(first_run.number("select count(*) from broken_objects").await, 70);
    assert_eq!(first_run.summary().await, first_run.expected().await);
    beside.put(&key(10, 2, 0), &some_ticks(11, 0, 0, 50)).await;
    let store = kept_back_objects(&beside, 3, DENIED).await;
    assert_eq!(run_through(&beside, &store).await.code, 4);
    assert_eq!(beside.number("select count(*) from broken_objects").await, 3);
    known.put(&key(11, 0, 0), &some_ticks(11, 0, 0, 50)).await;
    known.run_ok(&DAY).await;
    let store = kept_back_objects(&known, 1, DENIED).await;
    assert_eq!(run_through(&known, &store).await.code, 4);
    assert_eq!(known.number("select count(*) from broken_objects").await, 1);
    assert_eq!(known.summary().await, known.expected().await);
}

#[tokio::test]
async fn objects_that_are_bad_by_themselves_stop_no_run_however_many_they_are() {
    let world = World::create().await;
    let good = some_ticks(11, 0, 0, 50);
    world.put(&key(11, 0, 0), &good).await;
    world.insert_realtime(&good).await;
    let store = kept_back_objects(&world, 70, NO_SUCH_OPERATION).await;
    let broken = "select count(*) from broken_objects";
    let mut known = 0;
    // They come first, so nothing that the store gives tells them from its outage.
    for run in 0.. {
        let outcome = run_through(&world, &store).await;
        let now = world.number(broken).await;
        if outcome.code == 4 {
            assert_eq!(now, 70, "{}", outcome.stderr);
            break;
        }
        assert_eq!(outcome.code, 3, "{}", outcome.stderr);
        assert!(
            now > known && run < 20,
            "run {run} has come no further than {known} objects: {}",
            outcome.stderr
        );
        known = now;
    }
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_store_that_gives_what_it_gave_before_is_not_away_whatever_else_it_refuses() {
    let world = World::create().await;
    let good = some_ticks(9, 0, 0, 50);
    world.put(&key(9, 0, 0), &good).await;
    world.insert_realtime(&good).await;
    let store = kept_back_objects(&world, 70, NO_SUCH_OPERATION).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from broken_objects").await, 70);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn throttling_by_whatever_status_is_waited_for_in_listings_and_reads() {
    for status in [408, 425, 429, 503] {
        let world = World::create().await;
        three_hours(&world).await;
        let (lists, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let store = store_where(move |request| {
            let count = if request.path.contains("list-type") { &lists } else { &reads };
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => answer(status, "<Error><Code>Throttled</Code><Message>slow</Message></Error>"),
                _ => Treatment::Forward,
            }
        })
        .await;
        let outcome = run_through(&world, &store).await;
        assert_eq!(outcome.code, 0, "{status}: {}", outcome.stderr);
        assert_eq!(world.summary().await, world.expected().await);
    }
}

/// Runs over a store whose listing of the hour of 10:00 has no end: what its page with a number
/// shows, and its token.
async fn endless_listing(
    page: impl Fn(usize) -> (String, usize) + Send + Sync + 'static,
) -> (World, Outcome) {
    let world = World::create().await;
    three_hours(&world).await;
    let number = AtomicUsize::new(0);
    let store = store_where(move |request| {
        if !(request.path.contains("list-type") && request.path.contains("2025-06-02-10")) {
            return Treatment::Forward;
        }
        let (shown, token) = page(number.fetch_add(1, Ordering::Relaxed));
        let next = format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        );
        answer(200, &format!("<ListBucketResult>{next}{shown}</ListBucketResult>"))
    })
    .await;
    let outcome = run_through(&world, &store).await;
    (world, outcome)
}

#[tokio::test]
async fn a_listing_that_has_no_end_is_the_stores_fault_and_holds_back_that_folder_alone() {
    let object = |number: usize| {
        let key = key(10, 0, number as i64);
        format!("<Contents><Key>{key}</Key><Size>9</Size><ETag>x</ETag></Contents>")
    };
    let circle = endless_listing(|number| (String::new(), number % 3)).await;
    let same = endless_listing(move |number| (object(7), number)).await;
    let back = endless_listing(move |number| (object(number % 5), number)).await;
    let nothing = endless_listing(|number| (String::new(), number)).await;
    for ((world, outcome), word) in [
        (circle, "one follows which was there before"),
        (same, "stock_prices+0+0000000007.json is shown twice"),
        (back, "stock_prices+0+0000000000.json is shown twice"),
        (nothing, "1000 pages in a row show nothing"),
    ] {
        assert_eq!(outcome.code, 4, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("hour 2025-06-02T10:00Z: not written"),
            "{}",
            outcome.stderr
        );
        assert_eq!(world.computed_by().await, ["02T09 by 1", "02T11 by 1"], "{word}");
    }
}

#[tokio::test]
async fn a_listing_that_ends_in_the_middle_is_asked_for_again_and_never_taken_for_a_short_one() {
    let cut = "<ListBucketResult><IsTruncated>false</IsTruncated>";
    for is_lasting in [false, true] {
        let world = World::create().await;
        three_hours(&world).await;
        let number = AtomicUsize::new(0);
        let store = store_where(move |request| {
            let is_listing =
                request.path.contains("list-type") && request.path.contains("2025-06-02-10");
            match is_listing && (is_lasting || number.fetch_add(1, Ordering::Relaxed) == 0) {
                true => answer(200, cut),
                false => Treatment::Forward,
            }
        })
        .await;
        let outcome = run_through(&world, &store).await;
        if is_lasting {
            assert_eq!(outcome.code, 3, "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("the listing ends in the middle"),
                "{}",
                outcome.stderr
            );
            assert_eq!(
                world
                    .number("select count(*) from batch_hours where hour = '2025-06-02T10:00Z'")
                    .await,
                0
            );
        } else {
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert_eq!(world.summary().await, world.expected().await);
        }
    }
}

#[tokio::test]
async fn a_listing_that_is_none_is_said_once_and_by_this_program() {
    let world = World::create().await;
    three_hours(&world).await;
    let store = store_where(|request| match request.path.contains("list-type") {
        true => answer(200, "<html>a portal</html></ListBucketResult>"),
        false => Treatment::Forward,
    })
    .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("aws_smithy") && !outcome.stderr.contains("orchestrator"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stderr.matches("ERROR").count(), 1, "{}", outcome.stderr);
}

#[tokio::test]
async fn a_store_that_refuses_every_condition_is_asked_without() {
    let world = World::create().await;
    three_hours(&world).await;
    let store =
        store_where(|request| match request.head.to_ascii_lowercase().contains("if-match") {
            true => {
                answer(412, "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>")
            }
            false => Treatment::Forward,
        })
        .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn objects_that_are_listed_without_etag_or_time_are_read() {
    for (etag, modified) in [
        ("", "<LastModified>2025-06-02T11:00:00.000Z</LastModified>"),
        ("<ETag></ETag>", ""),
        ("", ""),
    ] {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 50);
        world.put(&key(10, 0, 0), &ticks).await;
        world.insert_realtime(&ticks).await;
        let body = format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{}</Key><Size>{}</Size>{etag}{modified}\
             </Contents></ListBucketResult>",
            key(10, 0, 0),
            lines(&ticks).len()
        );
        let store = store_where(move |request| match is_listing_of_ten(request) {
            true => answer(200, &body),
            false => Treatment::Forward,
        })
        .await;
        let outcome = run_through(&world, &store).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(world.summary().await, world.expected().await);
        run_through(&world, &store).await;
        assert_eq!(world.number("select objects_read from batch_runs where run_id = 2").await, 0);
    }
}

#[tokio::test]
async fn what_the_store_has_against_the_caller_is_no_objects_fault() {
    for code in
        ["ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch"]
    {
        let world = World::create().await;
        let object = three_hours(&world).await;
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        let store = store_with(&object, move |_| answer(403, &body)).await;
        let outcome = run_through(&world, &store).await;
        assert_eq!(outcome.code, 2, "{code}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(code), "{}", outcome.stderr);
        assert_eq!(world.number("select count(*) from broken_objects").await, 0, "{code}");
        world.run_ok(&DAY).await;
        assert_eq!(world.summary().await, world.expected().await);
    }
}

#[tokio::test]
async fn a_listing_whose_sizes_cannot_be_is_false_and_holds_back_its_hours() {
    for size in ["", "<Size>-5</Size>"] {
        let world = World::create().await;
        three_hours(&world).await;
        world.run_ok(&DAY).await;
        let before = world.summary().await;
        let listing = format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{}</Key>{size}<ETag>\"e\"</ETag>\
             <LastModified>2025-06-02T11:00:00.000Z</LastModified></Contents></ListBucketResult>",
            key(10, 0, 10_000)
        );
        let store = store_where(move |request| match is_listing_of_ten(request) {
            true => answer(200, &listing),
            false => Treatment::Forward,
        })
        .await;
        let outcome = run_through(&world, &store).await;
        assert_eq!(outcome.code, 4, "{size}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("is shown without its size"), "{size}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("are gone from"), "{size}: {}", outcome.stderr);
        assert_eq!(world.summary().await, before, "{size}");
        world.run_ok(&DAY).await;
    }
}

#[tokio::test]
async fn an_object_whose_time_is_told_wrong_at_first_is_read_again_when_it_is_told_right() {
    for (told, is_rejected) in
        [("1970-01-01T00:00:00.000Z", false), ("2025-06-01T00:00:00.000Z", true)]
    {
        let world = World::create().await;
        let ticks = some_ticks(10, 0, 0, 50);
        world.put(&key(10, 0, 0), &ticks).await;
        world.put(&key(9, 0, 0), &some_ticks(9, 0, 0, 50)).await;
        let objects = world.bucket.list("raw/stock_prices/2025-06-02-10/").await.unwrap();
        let listing = format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag>\
             <LastModified>{told}</LastModified></Contents></ListBucketResult>",
            key(10, 0, 0),
            lines(&ticks).len(),
            objects[0].etag
        );
        let store = store_where(move |request| match is_listing_of_ten(request) {
            true => answer(200, &listing),
            false => Treatment::Forward,
        })
        .await;
        let outcome = run_through(&world, &store).await;
        let ten = "select count(*) from batch_hours where hour = '2025-06-02T10:00Z'";
        assert_eq!(world.number(ten).await == 0, is_rejected, "{told}: {}", outcome.stderr);
        world.run_ok(&DAY).await;
        assert_eq!(world.number(ten).await, 1, "{told}");
        let outcome = world.run_ok(&DAY).await;
        assert!(outcome.stderr.contains("0 objects read"), "{told}: {}", outcome.stderr);
    }
}

#[tokio::test]
async fn ticks_without_offsets_of_an_object_that_is_said_to_be_stored_later_count_once() {
    let world = World::create().await;
    let text = lines_without_offsets(10, 0, 20);
    world.bucket.put(&key(10, 0, 0), text.clone()).await.unwrap();
    let objects = world.bucket.list("raw/stock_prices/2025-06-02-10/").await.unwrap();
    // A day before half past ten: what is later cannot be.
    let listing = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag>\
         <LastModified>2025-06-01T10:29:00.000Z</LastModified></Contents></ListBucketResult>",
        key(10, 0, 0),
        text.len(),
        objects[0].etag
    );
    let store = store_where(move |request| match is_listing_of_ten(request) {
        true => answer(200, &listing),
        false => Treatment::Forward,
    })
    .await;
    let ticks = "select ticks from batch_hours where hour = '2025-06-02T10:00Z'";
    let outcome = run_through(&world, &store).await;
    assert_eq!(world.number(ticks).await, 10, "{}", outcome.stderr);
    world.run_ok(&DAY).await;
    assert_eq!(world.number(ticks).await, 20);
}

#[tokio::test]
async fn an_object_that_is_said_to_be_stored_later_when_its_folder_is_listed_again_counts_as_then()
{
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 20);
    world.put(&key(10, 0, 0), &ticks).await;
    world.put(&key(10, 1, 0), &some_ticks(10, 1, 0, 5)).await;
    let objects = world.bucket.list("raw/stock_prices/2025-06-02-10/").await.unwrap();
    // The second one is no longer what the first listing tells, so there is another listing.
    let contents = |(partition, size, etag): (i32, usize, &str)| {
        format!(
            "<Contents><Key>{}</Key><Size>{size}</Size><ETag>{etag}</ETag>\
             <LastModified>2025-06-01T10:29:00.000Z</LastModified></Contents>",
            key(10, partition, 0)
        )
    };
    let listing = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated>{}{}</ListBucketResult>",
        contents((0, lines(&ticks).len(), &objects[0].etag)),
        contents((1, 7, "\"another\""))
    );
    let listings = AtomicUsize::new(0);
    let store = store_where(move |request| {
        match is_listing_of_ten(request) && listings.fetch_add(1, Ordering::Relaxed) == 0 {
            true => answer(200, &listing),
            false => Treatment::Forward,
        }
    })
    .await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.number("select ticks from batch_hours").await, 25, "{}", outcome.stderr);
}
