//! A store and a database that fail while a run is at work: right numbers later, or a clear error now.

use crate::support::{LONG, Outcome, World, finish, key, lines, some_ticks};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;
use workbench::s3::Bucket;
use workbench::testing::{HttpProxy, HttpRequest, TcpProxy, Treatment, stack};

const DAY: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-03T00"];
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";

fn throttled() -> Treatment {
    Treatment::Answer { status: 503, body: SLOW_DOWN.into() }
}

/// Stands in front of the store. `rule` says what becomes of the requests for one object, by their number from 0 on; all
/// others are forwarded.
async fn store_with(object: &str, rule: impl Fn(usize) -> Treatment + Send + Sync + 'static) -> HttpProxy {
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
    let store = store_with(&object, |number| if number < 3 { throttled() } else { Treatment::Forward }).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(store.requests().iter().filter(|request| asks_for(request, &object)).count(), 4);
}

#[tokio::test]
async fn a_store_that_goes_on_throttling_is_named_and_the_hour_is_not_written() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let store = store_with(&object, |_| throttled()).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("SlowDown"), "{}", outcome.stderr);
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
    let change = move |number: usize| put(&bucket, &replaced, lines(&some_ticks(10, 1, 0, 50 + number as i64)));
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
    let silent_once = |number| if number == 0 { Treatment::StallAfter(100_000) } else { Treatment::Forward };
    let store = store_with(&object, silent_once).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("reading it again"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_body_that_breaks_off_every_time_is_an_infrastructure_failure() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let store = store_with(&object, |_| Treatment::CutAfter(100_000)).await;
    let outcome = run_through(&world, &store).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&format!("{object}: the store broke off")), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
}

/// The database behind a proxy, which falls silent when an object is read: the connection stays open.
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
    assert!(outcome.stderr.contains("no answer within 2s"), "{}", outcome.stderr);
    assert!(outcome.took < LONG / 2, "{:?}", outcome.took);
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    workbench::testing::eventually("the lock to be free", LONG, || async {
        let outcome = world.run_ok(&DAY).await;
        !outcome.stderr.contains("another run of batch-layer is at work")
    })
    .await;
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn verify_gives_up_a_silent_database_too() {
    let world = World::create().await;
    let object = two_objects(&world).await;
    let flags = [&["verify"], &DAY[..], &["--query-timeout", "2s"]].concat();
    let outcome = run_with_silent_database(&world, &flags, &object).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no answer within 2s"), "{}", outcome.stderr);
}
