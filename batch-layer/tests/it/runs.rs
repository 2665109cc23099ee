//! A run as a process: alone, stopped, killed, and rehearsed.

use crate::support::{DAY, LONG, World, finish, key, lines, some_summary, some_ticks};
use hourly::archive::Object;
use hourly::completeness::Lacks;
use hourly::index::{BatchDb, Fingerprints, IndexedHour, IndexedObject, NewestPlaces};
use hourly::ledger::{self, Begun, RunCounts};
use hourly::lock::{self, Acquired};
use hourly::reader::{Breakage, BrokenKind};
use hourly::summary::{self, Summary};
use std::collections::BTreeMap;
use std::time::Duration;
use testing::{Child, PgBouncer, Pooler, Pooling, TcpProxy, eventually, stack};

async fn proxied_store() -> TcpProxy {
    TcpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", "")).await
}

/// A run whose store does not answer: it has the lock and waits.
async fn waiting_run(world: &World, proxy: &mut TcpProxy) -> Child {
    proxy.stall().await;
    let mut command = world.command(&DAY);
    command.env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    let child = Child::spawn(command);
    eventually("a run at work", LONG, || async {
        world.number("select count(*) from batch_runs where status = 'running'").await == 1
    })
    .await;
    child
}

#[tokio::test]
async fn a_usual_run_beside_another_leaves_at_once_and_one_for_hours_of_its_own_waits() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    let mut proxy = proxied_store().await;
    let mut first = waiting_run(&world, &mut proxy).await;
    let usual = world.run_ok(&[]).await;
    assert!(usual.stderr.contains("another run of batch-layer is at work"), "{}", usual.stderr);
    assert!(usual.took < Duration::from_secs(5), "{:?}", usual.took);
    world.put(&key(11, 0, 10), &some_ticks(11, 0, 10, 10)).await;
    let [mut asked, mut stopped] = [["--hour", "2025-06-02T11"], ["--hour", "2025-06-02T12"]]
        .map(|hour| Child::spawn(world.command(&hour)));
    for run in [&mut asked, &mut stopped] {
        run.wait_stderr("waiting for another run of batch-layer", LONG).await;
    }
    stopped.sigterm();
    let ended = stopped.wait_exit(Duration::from_secs(5)).await;
    assert_eq!(ended.code(), Some(4), "{:?}", stopped.stderr());
    assert_eq!(world.number("select count(*) from batch_runs").await, 1);
    proxy.restore().await;
    for run in [&mut first, &mut asked] {
        assert_eq!(run.wait_exit(LONG).await.code(), Some(0), "{:?}", run.stderr());
    }
    assert_eq!(world.number("select count(*) from batch_hours").await, 2);
}

#[tokio::test]
async fn sigterm_ends_a_run_soon_with_its_end_noted_and_the_next_one_goes_on() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    let mut proxy = proxied_store().await;
    let mut run = waiting_run(&world, &mut proxy).await;
    run.sigterm();
    assert_eq!(run.wait_exit(Duration::from_secs(5)).await.code(), Some(4), "{:?}", run.stderr());
    let noted = world
        .rows("select concat_ws(' ', status, finished_at is not null, error) from batch_runs")
        .await;
    assert!(noted[0].starts_with("partial t stopped by a signal"), "{noted:?}");
    world.run_ok(&DAY).await;
    assert_eq!(world.number("select count(*) from batch_hours").await, 1);
}

#[tokio::test]
async fn a_run_that_was_killed_is_made_good_by_the_next() {
    let world = World::create().await;
    for hour in 0..24 {
        for partition in 0..2 {
            let ticks = some_ticks(hour, partition, hour * 10_000, 2000);
            world.put(&key(hour, partition, hour * 10_000), &ticks).await;
            world.insert_realtime(&ticks).await;
        }
    }
    // Each waits until the one before counts as dead.
    let flags = [&DAY[..], &["--takeover-after", "5s"]].concat();
    for looked_for in ["select count(*) from archive_objects", "select count(*) from batch_hours"] {
        let run = Child::spawn(world.command(&flags));
        eventually("the run in its midst", LONG, || async { world.number(looked_for).await > 0 })
            .await;
        run.sigkill();
        drop(run);
    }
    world.run_ok(&flags).await;
    assert_eq!(world.summary().await, world.expected().await);
    let words = world.rows("select distinct error from batch_runs where status = 'failed'").await;
    assert!(
        words.is_empty()
            || words == ["the process ended without a word, or was not heard of for too long"],
        "{words:?}"
    );
    assert_eq!(world.number("select count(*) from batch_runs where status = 'running'").await, 0);
}

/// A run that is at work, and the proxy through which it reads the store.
async fn run_on_a_slow_store(world: &World) -> (TcpProxy, Child) {
    let proxy = proxied_store().await;
    proxy.delay(Duration::from_millis(100));
    let mut command = world.command(&DAY);
    command.env("S3_ENDPOINT_URL", format!("http://{}", proxy.address()));
    let run = Child::spawn(command);
    eventually("a run at work", LONG, || async {
        world.number("select count(*) from batch_runs where status = 'running'").await == 1
    })
    .await;
    (proxy, run)
}

#[tokio::test]
async fn a_hiccup_of_the_store_in_the_midst_of_reading_is_got_over() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 40_000);
    world.put(&key(10, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    let (mut proxy, mut run) = run_on_a_slow_store(&world).await;
    proxy.cut().await;
    proxy.restore().await;
    assert_eq!(run.wait_exit(LONG).await.code(), Some(0), "{:?}", run.stderr());
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn a_store_that_falls_silent_in_the_midst_of_reading_is_given_up_and_nothing_half_read_is_written()
 {
    let world = World::create().await;
    for hour in 9..12 {
        world.put(&key(hour, 0, 0), &some_ticks(hour, 0, 0, 40_000)).await;
    }
    let (mut proxy, mut run) = run_on_a_slow_store(&world).await;
    proxy.stall().await;
    assert_eq!(run.wait_exit(LONG).await.code(), Some(3), "{:?}", run.stderr());
    assert_eq!(world.number("select count(*) from batch_hours").await, 0);
    assert_eq!(world.rows("select status from batch_runs").await, ["failed"]);
}

#[tokio::test]
async fn a_run_whose_connection_is_ended_gives_its_lock_back_over_another() {
    let world = World::create().await;
    for hour in 9..12 {
        world.put(&key(hour, 0, 0), &some_ticks(hour, 0, 0, 40_000)).await;
    }
    let (mut proxy, mut run) = run_on_a_slow_store(&world).await;
    let ending = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                  where datname = current_database() and application_name = 'batch-layer'";
    // It does not come to its own end meanwhile.
    proxy.stall().await;
    assert!(world.number(ending).await > 0);
    proxy.restore().await;
    assert_eq!(run.wait_exit(LONG).await.code(), Some(3), "{:?}", run.stderr());
    assert_eq!(world.number("select count(*) from batch_lock").await, 0);
}

#[tokio::test]
async fn a_statement_that_a_run_has_given_up_ends_at_the_server_too_and_leaves_no_lock_behind() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    let mut other = world.database.pool().begin().await.unwrap();
    sqlx::raw_sql("lock table hourly_stock_summary in access exclusive mode")
        .execute(&mut *other)
        .await
        .unwrap();
    let outcome = world.run(&[&DAY[..], &["--query-timeout", "2s"]].concat()).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("no answer within 2 s (--query-timeout)"),
        "{}",
        outcome.stderr
    );
    let who = "the statement waits for a lock of pid ";
    assert!(outcome.stderr.contains(who), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("error communicating"), "{}", outcome.stderr);
    let says_it_twice = |line: &str| line.matches("no answer within").count() > 1;
    assert!(!outcome.stderr.lines().any(says_it_twice), "{}", outcome.stderr);
    // What it has waited for is still not to be had: who only hung up would wait on.
    let sessions = "select count(*) from pg_stat_activity
                    where datname = current_database() and application_name = 'batch-layer'";
    eventually("its sessions to be gone", Duration::from_secs(15), || async {
        world.number(sessions).await == 0
    })
    .await;
    assert_eq!(world.number("select count(*) from batch_lock").await, 0);
    other.rollback().await.unwrap();
    let outcome = world.run_ok(&DAY).await;
    assert!(!outcome.stderr.contains("another run"), "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from batch_hours").await, 1);
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let world = World::create().await;
    for hour in 9..11 {
        world.put(&key(hour, 0, 0), &some_ticks(hour, 0, hour * 1000, 10)).await;
    }
    let dry = [&DAY[..], &["--dry-run"]].concat();
    let before = world.footprint().await;
    let outcome = world.run_ok(&dry).await;
    assert!(outcome.stdout.contains("2025-06-02T09:00Z"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("1 new"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("2 hours, 2 objects"), "{}", outcome.stdout);
    assert_eq!(world.footprint().await, before);
    assert_eq!(world.number("select count(*) from batch_runs").await, 0);

    world.run_ok(&DAY).await;
    let outcome = world.run_ok(&dry).await;
    assert!(outcome.stdout.contains("0 hours, 0 objects"), "{}", outcome.stdout);
    world.put(&key(9, 0, 0), &some_ticks(9, 0, 9000, 11)).await;
    let outcome = world.run_ok(&dry).await;
    assert!(outcome.stdout.contains("1 replaced"), "{}", outcome.stdout);
    // A run of the next hour reads hour 9's folder for its neighbour's sake, and leaves hour 9 to
    // be computed.
    let outcome = world.run_ok(&["--hour", "2025-06-02T10", "--dry-run"]).await;
    assert!(outcome.stdout.contains("1 replaced; outside of the window"), "{}", outcome.stdout);
    world.run_ok(&DAY).await;
    world.bucket.delete(&key(9, 0, 0)).await.unwrap();
    world.run_ok(&DAY).await;
    world.put(&key(9, 0, 0), &some_ticks(9, 0, 9000, 11)).await;
    let outcome = world.run_ok(&dry).await;
    assert!(outcome.stdout.contains("1 back as it was"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_dry_run_makes_no_tables_in_an_empty_database() {
    let world = World {
        database: testing::TestDatabase::create().await,
        bucket: testing::TestBucket::create().await,
    };
    world.put(&key(9, 0, 0), &some_ticks(9, 0, 0, 10)).await;
    let outcome = world.run_ok(&[&DAY[..], &["--dry-run"]].concat()).await;
    assert!(outcome.stdout.contains("1 hour, 1 object"), "{}", outcome.stdout);
    assert_eq!(world.number("select count(*) from pg_tables where schemaname = 'public'").await, 0);
}

#[tokio::test]
async fn the_default_window_ends_with_the_last_hour_that_is_over_plus_grace() {
    use common::Timestamp;
    use hourly::hour::Hour;
    let world = World::create().await;
    let now = Hour::of(Timestamp::now());
    for back in [0, 1, 2, 47, 60] {
        let hour = now.plus(-back);
        let mut ticks = some_ticks(0, 0, back * 100, 10);
        ticks.iter_mut().for_each(|tick| tick.at = hour.start());
        let folder = hour.to_string().replace('T', "-");
        let key =
            format!("raw/stock_prices/{}/stock_prices+0+{:010}.json", &folder[..13], back * 100);
        world.bucket.put(&key, lines(&ticks)).await.unwrap();
    }
    // With a grace of two hours the last hour that is over is two back.
    world.run_ok(&["--grace", "1h", "--lookback", "50h"]).await;
    let computed = world
        .rows("select concat(round(extract(epoch from now() - hour) / 3600 - 0.5)) from batch_hours order by hour")
        .await;
    assert_eq!(computed, ["47", "2"]);
    let described = world.rows("select arguments from batch_runs").await;
    assert!(
        described[0].contains("--grace 3600s") && !described[0].contains("postgres"),
        "{described:?}"
    );
    assert!(described[0].contains(" --map "), "which messages were ticks: {described:?}");
}

#[tokio::test]
async fn an_hour_that_is_not_over_is_left_alone() {
    let world = World::create().await;
    let next = hourly::hour::Hour::of(common::Timestamp::now());
    let outcome = finish(world.command(&["--hour", &next.start().to_string()])).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("is over yet"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_run_that_has_lost_its_lock_can_write_nothing_more() {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    world.run_ok(&DAY).await;
    world.execute("insert into stale_hours values ('2025-06-02T10:00Z', true, false)").await;
    world
        .execute(
            "insert into broken_objects (key, folder, etag, size, kind, detail) values ('k', 'f', '', 1, 'damaged', '');
             insert into stale_indicators values ('AAPL', '2025-06-02T10:00Z')",
        )
        .await;
    let db = async || {
        let database = service::pg::Database::parse(world.database.url(), "test").unwrap();
        let connection = database.connect().await.unwrap();
        BatchDb { connection, pid: None, database, patience: LONG, lock: None }
    };
    let begun = |arguments| Begun { arguments, engine: "", looks_back: true, window: None };
    let (mut old, mut new) = (db().await, db().await);
    assert!(matches!(lock::acquire(&mut old, LONG).await.unwrap(), Acquired::Yes));
    let old_run = ledger::begin(&mut old, begun("the old run")).await.unwrap();
    assert!(matches!(lock::acquire(&mut new, Duration::ZERO).await.unwrap(), Acquired::Yes));
    let before = world.footprint().await;
    let hour = hourly::hour::Hour::parse("2025-06-02T10").unwrap();
    let window = hour..hour.plus(1);
    let stop = tokio_util::sync::CancellationToken::new();
    let object = Object {
        key: key(11, 0, 0).into(),
        etag: "e".into(),
        size: 1,
        last_modified: Some(hour.start()),
    };
    let broken = Breakage { kind: BrokenKind::Damaged, why: "a test".into(), hours: Vec::new() };
    let entry = IndexedObject {
        object: object.clone(),
        folder: "raw/".into(),
        wanted: true,
        lines: 1,
        rejected: 0,
        rejects: Vec::new(),
        hours: vec![IndexedHour {
            hour,
            ticks: 1,
            without_offsets: 0,
            span: hour.start()..=hour.start(),
            fingerprints: Fingerprints { content: 0, offsets: 0 },
            offsets: None,
        }],
        lacks_offsets: false,
        newest: NewestPlaces::new(),
        decode_rules: "lines".into(),
        instead_of: Vec::new(),
    };
    let nothing = BTreeMap::new();
    let lacks = Lacks { rejected: &nothing, offsets: &BTreeMap::new() };
    let snapshot = old.snapshot(hour).await.unwrap();
    let sum = old.computed(hour).await.unwrap().unwrap().sum.unwrap();
    let summary = Summary {
        rebuild_indicators: true,
        conflicts: 7,
        location: "s3://elsewhere/",
        run_id: old_run,
        ..some_summary(hour, sum, &snapshot)
    };
    let refused = [
        old.store(&[entry]).await,
        old.note_broken(&object, "raw/", &broken, &[hour].into_iter().collect()).await.map(drop),
        summary.write(&mut old).await.map(drop),
        summary::withdraw(&mut old, hour, &snapshot, false).await,
        hourly::completeness::check_completeness(&mut old, &window, (&[], lacks)).await.map(drop),
        ledger::begin(&mut old, begun("the old run, once more")).await.map(drop),
        old.unmark_stale(hour, &snapshot, None).await,
        old.mend(&["k".to_owned()]).await,
        old.restore(&[key(10, 0, 0)], true).await,
        old.mark_shrunk(&window).await,
        old.remove(&[key(10, 0, 0)], hour.start()).await.map(drop),
        hourly::indicators::refresh(&mut old, &stop).await,
        hourly::completeness::archive_lag(&mut old, LONG).await.map(drop),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        let error = result.expect_err(&format!("write {number} was not refused")).to_string();
        assert!(error.contains("another run has taken over the lock"), "{number}: {error}");
    }
    assert_eq!(world.footprint().await, before);
    assert_eq!(world.number("select count(*) from stale_indicators").await, 1);
    // What the new run says of the old one stays said.
    ledger::begin(&mut new, begun("the new run")).await.unwrap();
    ledger::finish(&mut old, old_run, &RunCounts::default(), &Ok(())).await;
    let runs = world
        .rows("select concat_ws(': ', arguments, status) from batch_runs order by run_id")
        .await;
    assert_eq!(runs[1..], ["the old run: failed", "the new run: running"]);
    let snapshot = new.snapshot(hour).await.unwrap();
    new.unmark_stale(hour, &snapshot, None).await.unwrap();
    assert_eq!(world.number("select count(*) from stale_hours").await, 0);
}

#[tokio::test]
async fn through_a_pooler_nothing_outlives_its_transaction() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    world.put(&key(10, 0, 0), &ticks).await;
    world.bucket.put(&key(11, 0, 0), "\0\0\0").await.unwrap();
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    let url = world.database.url();
    let (before, place) = url.split_once('@').unwrap();
    let (place, database) = place.split_once('/').unwrap();
    let pooler = Pooler::start(place).await;
    let pooled = format!("{before}@{}/{database}?sslmode=disable", pooler.address());
    // The zeros can be read by neither.
    for (args, code) in [(&DAY[..], 4), (&[&["verify"], &DAY[..]].concat(), 4)] {
        let mut command = world.command(args);
        command.env("DATABASE_URL", &pooled).env("TAKEOVER_AFTER", "1s");
        let outcome = finish(command).await;
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("a pooler is before PostgreSQL"), "{}", outcome.stderr);
    }
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(pooler.outliving(), Vec::<String>::new());
}

/// They met each other's statements, and the values of those.
#[tokio::test]
async fn through_a_real_pgbouncer_several_at_once_come_to_their_end() {
    let world = World::create().await;
    let ticks = some_ticks(10, 0, 0, 300);
    world.put(&key(10, 0, 0), &ticks).await;
    world.insert_realtime(&ticks).await;
    world.fill_minute_bars().await;
    world.run_ok(&DAY).await;
    let pooler = PgBouncer::start(Pooling::Transaction, 3).await;
    let url = pooler.url(world.database.name());
    let verify = [&["verify"], &DAY[..]].concat();
    let again = [&DAY[..], &["--recompute"]].concat();
    let share = [&DAY[..], &["--recompute", "--share"]].concat();
    for others in [&verify, &again, &share, &verify] {
        let start = |args: &Vec<&str>| {
            let mut command = world.command(args);
            command.env("DATABASE_URL", &url);
            finish(command)
        };
        let ended = futures::future::join_all([others, &verify, &verify].map(start)).await;
        for (number, outcome) in ended.into_iter().enumerate() {
            // An hour that is being computed anew is open to who compares it.
            let is_right = outcome.code == 0 || number > 0 && outcome.code == 4;
            assert!(is_right, "{others:?}: {}{}", outcome.stdout, outcome.stderr);
        }
    }
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn postgresql_compiles_no_statement_of_ours() {
    let world = World::create().await;
    let database = service::pg::Database::parse(world.database.url(), "test").unwrap();
    let mut connection = database.connect().await.unwrap();
    let jit: String = sqlx::query_scalar("show jit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(jit, "off");
}

#[tokio::test]
async fn a_log_line_for_a_collector_tells_the_run_and_the_hour_and_one_for_a_person_the_sentence_alone()
 {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    let for_a_person = world.run_ok(&[&DAY[..], &["--recompute"]].concat()).await;
    let sentence =
        for_a_person.stderr.lines().find(|line| line.contains("10 ticks of")).unwrap().to_owned();
    assert!(sentence.contains(" INFO hourly::work::compute: hour 2025-06-02T10"), "{sentence}");

    let for_a_collector =
        world.run_ok(&[&DAY[..], &["--recompute", "--log-format", "json"]].concat()).await;
    let lines = for_a_collector.stderr.lines();
    let lines: Vec<serde_json::Value> =
        lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_hour = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().contains("10 ticks of"))
        .unwrap();
    assert_eq!(of_hour["ticks"], 10, "{of_hour}");
    assert_eq!(of_hour["spans"][0]["run"], 2, "{of_hour}");
    assert!(
        of_hour["spans"][1]["hour"].as_str().unwrap().starts_with("2025-06-02T10"),
        "{of_hour}"
    );
}
