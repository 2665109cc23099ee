//! Several runs that share a window: the tables are those of one that did all of it.

use crate::backfill::archive;
use crate::support::{
    LONG, Outcome, Tick, World, at, finish, key, key_of, some_summary, some_ticks,
};
use crate::together::{AT_WORK, left};
use futures::future::join_all;
use hourly::hour::Hour;
use hourly::index::BatchDb;
use hourly::lock::{self, Acquired};
use hourly::summary::{self, Written};
use std::process::Command;
use std::time::Duration;
use testing::{Child, TcpProxy, eventually, stack};

const WINDOW: [&str; 4] = ["--from", "2025-06-02T00", "--to", "2025-06-10T08"];
const HOURS: i64 = 200;
const RUNNING: &str = "select count(*) from batch_runs where status = 'running'";
const COMPUTED: &str = "select count(*) from batch_hours";

/// A store that takes its time, so that several runs come to work on one backfill.
async fn slow_store() -> TcpProxy {
    let proxy = TcpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", "")).await;
    proxy.delay(Duration::from_millis(10));
    proxy
}

fn shared(world: &World, store: &TcpProxy) -> Command {
    taken_over_after("5s", world, store)
}

fn taken_over_after(silence: &str, world: &World, store: &TcpProxy) -> Command {
    let mut command =
        world.command(&[&WINDOW[..], &["--share", "--takeover-after", silence]].concat());
    command.env("S3_ENDPOINT_URL", format!("http://{}", store.address()));
    command
}

/// Ticks of hours on either side of each stretch's ends, in folders that another run may be at work
/// on.
async fn put_late(world: &World, hours: impl Iterator<Item = i64>) -> Vec<Tick> {
    let mut all = Vec::new();
    for (number, hour) in (0..).zip(hours) {
        let mut ticks = some_ticks(hour, 7, 100 * number, 20);
        ticks.iter_mut().for_each(|tick| tick.symbol = "LATE".into());
        let folder = Hour::of(at((hour + 57) % HOURS, 0));
        world.put(&key_of(folder, 7, 100 * number), &ticks).await;
        all.extend(ticks);
    }
    all
}

async fn run_together(world: &World, runs: usize) -> Vec<Outcome> {
    let store = slow_store().await;
    let outcomes = join_all((0..runs).map(|_| finish(shared(world, &store)))).await;
    outcomes.iter().for_each(|outcome| assert_eq!(outcome.code, 0, "{}", outcome.stderr));
    outcomes
}

/// Tables that are the same but for some rows are too long to be shown.
fn assert_same(found: &[String], expected: &[String]) {
    let other = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(other, None, "{} rows, {} expected", found.len(), expected.len());
    assert_eq!(found.len(), expected.len());
}

#[tokio::test]
async fn two_and_four_runs_share_a_backfill_and_leave_what_one_leaves() {
    let (alone, two, four) = tokio::join!(World::create(), World::create(), World::create());
    for world in [&alone, &two, &four] {
        world.insert_realtime(&archive(world, HOURS, 3).await).await;
    }
    alone.run_ok(&WINDOW).await;
    let expected = left(&alone).await;
    for (world, runs) in [(&two, 2), (&four, 4)] {
        let outcomes = run_together(world, runs).await;
        assert_eq!(world.summary().await, world.expected().await);
        assert_same(&left(world).await, &expected);
        // None computes an hour that another one has.
        assert_eq!(world.number("select sum(hours_computed) from batch_runs").await, HOURS);
        assert!(
            world.number("select count(distinct run_id) from batch_hours").await >= 2,
            "{outcomes:?}"
        );
        assert_eq!(world.number("select count(*) from batch_runs where status <> 'ok'").await, 0);
        assert_eq!(world.number("select count(*) from batch_lock").await, 0);
        let judged = world.number("select count(*) from judged_hours").await;
        assert_eq!(judged, alone.number("select count(*) from judged_hours").await);
    }
}

#[tokio::test]
async fn late_ticks_in_folders_of_other_runs_are_in_the_sums_of_their_hours() {
    let (alone, world) = tokio::join!(World::create(), World::create());
    for world in [&alone, &world] {
        world.insert_realtime(&archive(world, HOURS, 2).await).await;
        world.insert_realtime(&put_late(world, (0..HOURS).step_by(3)).await).await;
    }
    alone.run_ok(&WINDOW).await;
    run_together(&world, 3).await;
    assert_eq!(world.summary().await, world.expected().await);
    // How sums are stored depends on the order in which they were merged, what they are does not.
    let left = async |world| {
        let all = left(world).await.into_iter();
        all.filter(|row| !row.starts_with("hour_sums ")).collect::<Vec<_>>()
    };
    assert_same(&left(&world).await, &left(&alone).await);
}

#[tokio::test]
async fn the_hours_of_a_run_that_is_killed_are_soon_taken_over_by_those_that_share_them() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, HOURS, 3).await).await;
    let store = slow_store().await;
    let start = || Child::spawn(taken_over_after("1h", &world, &store));
    let runs: Vec<Child> = (0..3).map(|_| start()).collect();
    eventually("all in the midst of it", LONG, || async {
        world.number("select count(*) from batch_lock where session is not null").await == 3
            && world
                .number("select count(distinct token) from batch_stretches where not is_done")
                .await
                == 3
            && world.number(COMPUTED).await > 0
    })
    .await;
    let mut runs = runs.into_iter();
    runs.next().unwrap().sigkill();
    // One that is started again in its place joins in.
    for mut run in runs.chain([start()]) {
        assert_eq!(run.wait_exit(LONG).await.code(), Some(0), "{:?}", run.stderr());
    }
    assert_eq!(world.summary().await, world.expected().await);
    world.run_ok(&WINDOW).await;
    let killed = world.rows("select error from batch_runs where status = 'failed'").await;
    assert_eq!(killed, ["the process ended without a word, or was not heard of for too long"]);
    assert_eq!(world.number("select count(*) from stale_hours").await, 0);
    assert_eq!(world.number("select count(*) from stale_indicators").await, 0);
}

#[tokio::test]
async fn a_run_whose_heartbeat_is_cut_is_not_taken_for_dead() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, HOURS, 3).await).await;
    let store = slow_store().await;
    let mut runs: Vec<Child> =
        (0..2).map(|_| Child::spawn(taken_over_after("1h", &world, &store))).collect();
    let beating = "select count(*) from batch_lock where session is not null";
    eventually("both in the midst of it", LONG, || async {
        world.number(beating).await == 2 && world.number(COMPUTED).await > 0
    })
    .await;
    world
        .execute(
            "select pg_terminate_backend(pid) from batch_lock
             join pg_locks on locktype = 'advisory' and objsubid = 2 and granted and objid = session::oid
                 -- Those of sessions: the run's own transactions hold others of the same number.
                 and classid = 1650553956",
        )
        .await;
    for run in &mut runs {
        assert_eq!(run.wait_exit(LONG).await.code(), Some(0), "{:?}", run.stderr());
    }
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(world.number("select count(*) from batch_runs where status <> 'ok'").await, 0);
}

#[tokio::test]
async fn runs_share_no_hours_that_are_not_over() {
    let world = World::create().await;
    let outcome = world.run(&["--share", "--from", "2025-06-02T00", "--to", "2999-01-01T00"]).await;
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("--to 2999-01-01T00") && outcome.stderr.contains("--share"),
        "{}",
        outcome.stderr
    );
    assert_eq!(world.number("select count(*) from batch_runs").await, 0);
}

#[tokio::test]
async fn runs_that_share_compute_each_hour_anew_once_where_they_are_asked_to() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, 60, 3).await).await;
    world.run_ok(&WINDOW).await;
    world.execute("update hourly_stock_summary set close = 0").await;
    let store = slow_store().await;
    let again = |_| {
        let mut command = shared(&world, &store);
        command.arg("--recompute");
        finish(command)
    };
    join_all((0..2).map(again))
        .await
        .iter()
        .for_each(|outcome| assert_eq!(outcome.code, 0, "{}", outcome.stderr));
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(
        world.number("select sum(hours_computed) from batch_runs where run_id > 1").await,
        60
    );
}

#[tokio::test]
async fn a_run_that_froze_while_it_wrote_a_shared_hour_stops_nobody_and_writes_nothing_more() {
    let (alone, world) = tokio::join!(World::create(), World::create());
    for world in [&alone, &world] {
        world.insert_realtime(&archive(world, HOURS, 3).await).await;
    }
    alone.run_ok(&WINDOW).await;
    let store = slow_store().await;
    let mut lock = world.database.pool().begin().await.unwrap();
    sqlx::raw_sql("lock table hour_sums in share row exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut frozen = Child::spawn(shared(&world, &store));
    let waiting =
        "select count(*) from pg_locks where not granted and relation = 'hour_sums'::regclass";
    eventually("a run that is about to write", LONG, || async { world.number(waiting).await > 0 })
        .await;
    frozen.sigstop();
    lock.rollback().await.unwrap();
    run_together(&world, 2).await;
    assert_eq!(world.summary().await, world.expected().await);
    let found = left(&world).await;
    assert_same(&found, &left(&alone).await);
    frozen.sigcont();
    assert_eq!(frozen.wait_exit(LONG).await.code(), Some(3), "{:?}", frozen.stderr());
    assert_same(&left(&world).await, &found);
}

#[tokio::test]
async fn runs_that_share_and_those_that_do_not_wait_for_each_other_and_a_usual_one_leaves() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, 30, 3).await).await;
    let mut store = slow_store().await;
    store.stall().await;
    let address = format!("http://{}", store.address());
    let usual = |flags: &[&str]| {
        let mut command = world.command(&[&WINDOW[..], flags].concat());
        command.env("S3_ENDPOINT_URL", &address);
        Child::spawn(command)
    };
    let mut first = usual(&[]);
    eventually("a run at work", LONG, || async { world.number(RUNNING).await == 1 }).await;
    let mut sharing = Child::spawn(shared(&world, &store));
    sharing.wait_stderr("waiting for another run of batch-layer", LONG).await;
    store.restore().await;
    assert_eq!(first.wait_exit(LONG).await.code(), Some(0), "{:?}", first.stderr());
    assert_eq!(sharing.wait_exit(LONG).await.code(), Some(0), "{:?}", sharing.stderr());
    assert_eq!(world.rows("select status from batch_runs").await, ["ok", "ok"]);

    store.stall().await;
    let mut sharing = Child::spawn(shared(&world, &store));
    eventually("a run at work", LONG, || async { world.number(RUNNING).await == 1 }).await;
    let outcome = world.run_ok(&[]).await;
    assert!(outcome.stderr.contains(AT_WORK), "{}", outcome.stderr);
    let mut alone = usual(&[]);
    alone.wait_stderr("waiting for another run of batch-layer", LONG).await;
    // Other hours are not what is shared.
    let mut other = usual(&["--share", "--slack", "2h"]);
    other.wait_stderr("waiting for another run of batch-layer", LONG).await;
    store.restore().await;
    for run in [&mut sharing, &mut other, &mut alone] {
        assert_eq!(run.wait_exit(LONG).await.code(), Some(0), "{:?}", run.stderr());
    }
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn the_run_that_closes_says_what_is_missing_of_all_hours() {
    let world = World::create().await;
    world.insert_realtime(&archive(&world, HOURS, 3).await).await;
    let damaged = key_of(Hour::of(at(100, 0)), 3, 0);
    world.bucket.put(&format!("{damaged}.gz"), b"no gzip".to_vec()).await.unwrap();
    let store = slow_store().await;
    let outcomes = join_all((0..2).map(|_| finish(shared(&world, &store)))).await;
    let mut codes: Vec<i32> = outcomes.iter().map(|outcome| outcome.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 4], "{outcomes:?}");
    assert_eq!(world.number(COMPUTED).await, HOURS - 1);
}

#[tokio::test]
async fn an_hour_is_not_written_from_what_another_run_has_changed_meanwhile() {
    const OTHER: &str = "insert into archive_objects (key, folder, etag, size, last_modified, lines, rejected_lines)
                         values ('other', 'f', 'e', 1, now(), 1, 0)";
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 10)).await;
    world.run_ok(&["--hour", "2025-06-02T10"]).await;
    world.execute("insert into stale_hours values ('2025-06-02T10:00Z', true, false)").await;
    let database = service::pg::Database::parse(world.database.url(), "test").unwrap();
    let connection = database.connect().await.unwrap();
    let mut db = BatchDb { connection, pid: None, database, patience: LONG, lock: None };
    assert!(matches!(lock::acquire(&mut db, LONG).await.unwrap(), Acquired::Yes));
    let hour = Hour::parse("2025-06-02T10").unwrap();
    for change in [
        OTHER,
        "insert into archive_object_hours (hour, key, ticks, first_at, last_at, content_hash, offsets_hash)
         values ('2025-06-02T10:00Z', 'other', 1, now(), now(), 1, 1)",
        "update archive_objects set etag = 'f' where key = 'other'",
        "update archive_objects set gone = true where key = 'other'",
        "update archive_object_hours set merged = true where key = 'other'",
        "delete from archive_objects where key = 'other'",
        "update batch_hours set gone_objects = 1",
        "update batch_hours set computed_at = now()",
        "update stale_hours set replaced = true",
        "insert into broken_objects (key, folder, etag, size, kind, detail) values ('k', 'f', '', 1, 'damaged', '');
         insert into blocked_hours values ('2025-06-02T10:00Z', 'k')",
        "delete from stale_hours",
    ] {
        let snapshot = db.snapshot(hour).await.unwrap();
        world.execute(change).await;
        let before = world.footprint().await;
        let sum = db.computed(hour).await.unwrap().unwrap().sum.unwrap();
        let summary = some_summary(hour, sum, &snapshot);
        let written = summary.write(&mut db).await.unwrap();
        // What touches no hour is nothing to it.
        assert_eq!(matches!(written, Written::Outdated), change != OTHER, "{change}");
        if change != OTHER {
            db.unmark_stale(hour, &snapshot, None).await.unwrap();
            summary::withdraw(&mut db, hour, &snapshot, false).await.unwrap();
            assert_eq!(world.footprint().await, before, "{change}");
        } else {
            world.execute("insert into stale_hours values ('2025-06-02T10:00Z', true, false)").await;
        }
    }
}
