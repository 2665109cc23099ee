//! Long windows: progress, going on after a kill, bounded memory, many pages.

use crate::support::{LONG, Tick, World, at, finish, key, key_of, lines, some_ticks};
use futures::StreamExt;
use hourly::hour::Hour;
use std::sync::atomic::{AtomicUsize, Ordering};
use testing::s3::{Bucket, Listed};
use testing::{Child, HttpProxy, Treatment, eventually, stack};

/// `symbols` ticks of each of `hours` hours from 2025-06-02T00 on; an object an hour.
pub async fn archive(world: &World, hours: i64, symbols: i64) -> Vec<Tick> {
    let tick = |hour: i64, number: i64| Tick {
        symbol: format!("S{number}"),
        at: at(hour, 0).plus_micros(number * 1000),
        open: 10_000 + number,
        close: 20_000 + hour,
        volume: number,
        partition: 0,
        offset: hour * symbols + number,
    };
    let by_hour: Vec<Vec<Tick>> =
        (0..hours).map(|hour| (0..symbols).map(|number| tick(hour, number)).collect()).collect();
    let puts = futures::stream::iter(&by_hour).map(|ticks| async {
        let key = key_of(Hour::of(ticks[0].at), 0, ticks[0].offset);
        world.bucket.put(&key, lines(ticks)).await.unwrap();
    });
    puts.buffer_unordered(16).collect::<Vec<()>>().await;
    by_hour.concat()
}

#[tokio::test]
async fn a_backfill_says_how_far_it_is_and_goes_on_where_it_was_killed() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, 200, 3).await).await;
    // The end of the window is not read before the first run is dead.
    let store =
        HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), |request| {
            match request.path.contains("2025-06-08-20") {
                true => Treatment::StallAfter(0),
                false => Treatment::Forward,
            }
        })
        .await;
    let window = ["--from", "2025-06-02T00", "--to", "2025-06-11T00"];
    let mut command = world.command(&window);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let run = Child::spawn(command);
    run.wait_stderr("72 of 216 hours done", LONG).await;
    // A line that follows so soon is not said.
    eventually("144 hours to be written", LONG, async || {
        world.number("select count(*) from batch_hours").await == 144
    })
    .await;
    run.sigkill();
    drop(run);
    // It waits until the dead one counts as such.
    world.run_ok(&[&window[..], &["--takeover-after", "5s"]].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    let runs = world
        .rows("select concat_ws(' ', count(*), min(run_id)) from batch_hours group by run_id order by run_id")
        .await;
    assert_eq!(runs, ["144 1", "56 2"], "what was done stayed done");
}

#[tokio::test]
async fn more_bars_than_memory_may_hold_are_read_again_when_their_turn_comes() {
    let world = World::create().await;
    let (hours, symbols) = (72, 2200);
    assert!(hours * symbols > hourly::pending_hours::MAX_BARS as i64);
    let ticks = archive(&world, hours, symbols).await;
    world.run_ok(&["--from", "2025-06-02T00", "--to", "2025-06-05T00"]).await;
    let reads = world.number("select objects_read from batch_runs").await;
    assert!(reads > hours && reads < 2 * hours, "{reads} reads of {hours} objects");
    let sums = world
        .rows(
            "select concat_ws(' ', count(*), sum(ticks), sum(volume), trim_scale(sum(close)), count(distinct hour))
             from hourly_stock_summary",
        )
        .await;
    let volume: i64 = ticks.iter().map(|tick| tick.volume).sum();
    let close: i64 = ticks.iter().map(|tick| tick.close).sum();
    let close = format!("{}.{:04}", close / 10_000, close % 10_000);
    let close = close.trim_end_matches('0').trim_end_matches('.');
    assert_eq!(sums, [format!("{0} {0} {volume} {close} {hours}", hours * symbols)]);
}

#[tokio::test]
async fn objects_that_span_many_hours_each_are_indexed_some_at_a_time() {
    let world = World::create().await;
    let (objects, hours) = (90, 250);
    let mut all = Vec::new();
    for object in 0..objects {
        let tick = |hour: i64| Tick {
            symbol: "AAPL".into(),
            at: at(hour - 240, object % 60).plus_micros(object / 60),
            open: 10_000 + object,
            close: 20_000 + hour,
            volume: 1,
            partition: 0,
            offset: object * hours + hour,
        };
        let ticks: Vec<Tick> = (0..hours).map(tick).collect();
        world.put(&key(10, 0, object * hours), &ticks).await;
        all.extend(ticks);
    }
    world.insert_realtime(&all).await;
    let hour = ["--hour", "2025-06-02T10", "--query-timeout", "10s", "--anomalies", "off"];
    world.run_ok(&hour).await;
    assert_eq!(world.summary().await, world.expected().await);
    let widest = world
        .number(
            "select max(written)::bigint
             from (select count(*) * 250 as written from archive_objects group by xmin::text) as a",
        )
        .await;
    assert!(widest <= 20_000, "{widest} rows in one transaction");
}

/// A page of a listing; `next`: the token of the one behind it.
fn page(object: &Listed, next: Option<usize>) -> String {
    let Listed { key, size, etag } = object;
    let next = match next {
        Some(token) => format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        ),
        None => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    let etag = etag.replace('"', "&quot;");
    format!(
        "<ListBucketResult>{next}<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>{size}</Size>\
         <LastModified>2025-06-02T01:00:00.000Z</LastModified></Contents></ListBucketResult>"
    )
}

#[tokio::test]
async fn a_listing_of_thousands_of_pages_gaps_checked_to_its_end() {
    const PAGES: usize = 3000;
    let world = World::create().await;
    archive(&world, 1, 5).await;
    // Pages of one object each, as no real store gives them; the only object that is there comes
    // last.
    let object = world.bucket.list("").await.unwrap().remove(0);
    let (listed, pages) = (object.clone(), AtomicUsize::new(0));
    let store =
        HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), move |request| {
            if !request.path.contains("prefix=raw%2Fstock_prices%2F2025-06-02-00%2F") {
                return Treatment::Forward;
            }
            let number = pages.fetch_add(1, Ordering::Relaxed);
            let other = Listed {
                key: format!("raw/stock_prices/2025-06-02-00/other-{number}"),
                ..listed.clone()
            };
            let body =
                if number < PAGES { page(&other, Some(number)) } else { page(&listed, None) };
            Treatment::Answer { status: 200, body }
        })
        .await;
    let mut command = world.command(&["--hour", "2025-06-02T00"]);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("2990 more files with other names were skipped"),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.rows("select key from archive_objects").await, [object.key]);
    let last = store
        .requests()
        .into_iter()
        .rfind(|request| request.path.contains("2025-06-02-00%2F"))
        .unwrap();
    assert!(last.path.contains(&format!("continuation-token={}", PAGES - 1)), "{last:?}");
}

#[tokio::test]
async fn of_a_window_of_centuries_only_the_folders_that_are_there_are_listed() {
    let world = World::create().await;
    let old = Hour::parse("2025-03-14T07").unwrap();
    let mut ticks = some_ticks(0, 0, 0, 20);
    ticks.iter_mut().for_each(|tick| tick.at = old.start());
    world.put(&key_of(old, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    let new = some_ticks(9, 0, 9000, 30);
    world.put(&key(9, 0, 9000), &new).await;
    world.insert_realtime(&new).await;
    let store = HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), |_| {
        Treatment::Forward
    })
    .await;
    let run = async || {
        let mut command = world.command(&["--from", "0001-01-01T00", "--to", "2025-06-03T00"]);
        command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
        let outcome = finish(command).await;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    };
    run().await;
    assert_eq!(world.summary().await, world.expected().await);
    let listings =
        store.requests().iter().filter(|request| request.path.contains("list-type")).count();
    // Every three days since the oldest folder it is looked for new ones.
    assert!(listings < 40, "{listings} listings");
    // A folder that is there no longer is known to have been.
    world.bucket.delete(&key_of(old, 0, 0)).await.unwrap();
    let outcome = run().await;
    assert!(outcome.stderr.contains("1 object is gone from the archive"), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn folders_of_a_time_far_from_now_are_named() {
    let world = World::create().await;
    let ticks = some_ticks(9, 0, 0, 3);
    world.put(&key(9, 0, 0), &ticks).await;
    world.put("raw/stock_prices/57389-01-01-00/stock_prices+0+0000000000.json", &ticks).await;
    let outcome = world.run_ok(&["--hour", "2025-06-02T09"]).await;
    let word = "raw/stock_prices/57389-01-01-00/: a folder of a time far from now";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    world.put("raw/stock_prices/1970-01-21-05/stock_prices+0+0000000000.json", &ticks).await;
    let outcome = world.run_ok(&["--hour", "2025-06-02T09"]).await;
    let word = "raw/stock_prices/1970-01-21-05/: a folder of a time far from now";
    assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    // One that the run has read is no news.
    let outcome = world.run_ok(&["--from", "1970-01-21T05", "--to", "1970-01-21T06"]).await;
    assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    // Far from now, and not from what --grace calls the last hour that is over.
    world
        .bucket
        .delete("raw/stock_prices/57389-01-01-00/stock_prices+0+0000000000.json")
        .await
        .unwrap();
    let outcome = world.run_ok(&["--grace", "20700d"]).await;
    assert_eq!(
        outcome.stderr.matches("a folder of a time far from now").count(),
        1,
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn a_folder_that_appears_during_a_backfill_is_read_with_its_hour() {
    let world = World::create().await;
    let first = some_ticks(0, 0, 0, 20);
    world.put(&key(0, 0, 0), &first).await;
    let late = some_ticks(500, 0, 9000, 30);
    let object =
        (Bucket::clone(&world.bucket), key_of(Hour::of(late[0].at), 0, 9000), lines(&late));
    // The sink writes it while the window's first hour is looked at.
    let store =
        HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), move |request| {
            if !request.path.contains("prefix=raw%2Fstock_prices%2F2025-06-02-00%2F") {
                return Treatment::Forward;
            }
            let (bucket, key, text) = object.clone();
            Treatment::After(Box::pin(async move { bucket.put(&key, text).await.unwrap() }))
        })
        .await;
    let mut command = world.command(&["--from", "2025-06-02T00", "--to", "2025-06-27T00"]);
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    world.insert_realtime(&[first, late].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    let folders =
        store.requests().iter().filter(|request| request.path.contains("delimiter")).count();
    assert!(folders > 1, "the store was asked by folders");
}

/// A store in which the folder of hour 11 has a listing without an end.
async fn endless_folder() -> HttpProxy {
    let object = |number: usize| {
        format!(
            "<Contents><Key>raw/stock_prices/2025-06-02-11/other-{number:09}</Key><ETag>&quot;e&quot;</ETag><Size>9</Size>\
             <LastModified>2025-06-02T01:00:00.000Z</LastModified></Contents>"
        )
    };
    let pages = AtomicUsize::new(0);
    HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), move |request| {
        if !request.path.contains("prefix=raw%2Fstock_prices%2F2025-06-02-11%2F") {
            return Treatment::Forward;
        }
        let number = pages.fetch_add(1, Ordering::Relaxed);
        let objects: String = (number * 5000..(number + 1) * 5000).map(object).collect();
        let next = format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>"
        );
        let body = format!("<ListBucketResult>{next}{objects}</ListBucketResult>");
        Treatment::Answer { status: 200, body }
    })
    .await
}

#[tokio::test]
async fn a_folder_of_more_objects_than_there_is_memory_for_is_its_own_hours_trouble_everywhere() {
    let world = World::create().await;
    let ticks = some_ticks(9, 0, 9000, 30);
    world.put(&key(9, 0, 9000), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.set_next_offset("stock_prices", 0, 9030).await;
    let store = endless_folder().await;
    let run = async |command: &[&str], flags: &[&str]| {
        let window = ["--from", "2025-06-02T09", "--to", "2025-06-02T12"];
        let mut command = world.command(&[command, &window[..], flags].concat());
        command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
        finish(command).await
    };
    let folder = format!(
        "s3://{}/raw/stock_prices/2025-06-02-11/: more than 250000 objects",
        world.bucket.name()
    );

    let rehearsal = run(&[], &["--dry-run"]).await;
    assert_eq!(rehearsal.code, 0, "{}", rehearsal.stderr);
    assert!(rehearsal.stdout.contains(&folder), "{}", rehearsal.stdout);
    assert!(rehearsal.stdout.contains("2025-06-02T09:00Z") && rehearsal.stdout.contains("1 new"));

    let outcome = run(&[], &[]).await;
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let word = format!("hour 2025-06-02T11:00Z: not written: {folder}");
    assert!(outcome.stderr.contains(&word), "{}", outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);

    let verified = run(&["verify"], &["--format", "json"]).await;
    assert_eq!(verified.code, 4, "{}{}", verified.stdout, verified.stderr);
    let line = |hour: &str| {
        verified.stdout.lines().find(|line| line.contains(hour)).unwrap_or_default().to_owned()
    };
    assert!(line("2025-06-02T09:00:00").contains(r#""status":"ok""#), "{}", verified.stdout);
    let eleven = line("2025-06-02T11:00:00");
    assert!(
        eleven.contains(r#""status":"open""#) && eleven.contains(&folder),
        "{}",
        verified.stdout
    );
}
