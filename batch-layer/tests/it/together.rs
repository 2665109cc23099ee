//! Runs beside other runs and beside `verify --repair`, and runs that were killed: the tables are
//! those of one that nobody disturbed.

use crate::support::{DAY, LONG, Tick, World, finish, key, some_ticks};
use crate::verify::{HOURS, agreeing, verify};
use futures::future::join_all;
use testing::{Child, eventually};

const TAKEOVER: [&str; 2] = ["--takeover-after", "5s"];
pub const AT_WORK: &str = "another run of batch-layer is at work";

/// Objects of some hours, of which nothing is computed.
async fn archived() -> World {
    World::with_hours(8..14, 2, 100).await
}

/// All that a run leaves behind but its own number and times.
pub async fn left(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for (table, without) in [
        ("hourly_stock_summary", "'computed_at'"),
        (
            "batch_hours",
            "'run_id', 'computed_at', 'first_computed_at', 'start_changed_at', 'end_changed_at'",
        ),
        ("hour_sums", "''"),
        ("archive_objects", "'indexed_at', 'last_modified'"),
        ("archive_object_hours", "''"),
        ("archive_hours", "'listed_at', 'since'"),
        ("stale_hours", "''"),
        ("technical_indicators", "'computed_at'"),
        ("indicator_states", "''"),
        ("stale_indicators", "''"),
        ("stale_bars", "''"),
    ] {
        let rows = world
            .rows(&format!("select concat('{table} ', to_jsonb(t) - array[{without}]) from {table} t order by 1"))
            .await;
        all.extend(rows.into_iter().map(|row| row.replace(world.bucket.name(), "bucket")));
    }
    all
}

#[tokio::test]
async fn two_runs_of_one_window_at_once_leave_what_one_leaves() {
    let (world, alone) = (archived().await, archived().await);
    alone.run_ok(&DAY).await;
    let (one, other) = tokio::join!(world.run_ok(&DAY), world.run_ok(&DAY));
    // Whichever comes second waits, and finds nothing to do.
    let computed = "select count(*) from batch_runs where hours_computed > 0";
    assert_eq!(world.number(computed).await, 1, "{}{}", one.stderr, other.stderr);
    assert_eq!(world.summary().await, world.expected().await);
    assert_eq!(left(&world).await, left(&alone).await);
}

/// Kills a run when it is about to write a table, and lets another one go on. The world is for
/// being kept: while it is cleaned up, those beside it stand.
async fn killed_at(table: &str) -> (Vec<String>, World) {
    let world = archived().await;
    let mut lock = world.database.pool().begin().await.unwrap();
    let statement = format!("lock table {table} in share row exclusive mode");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *lock).await.unwrap();
    let run = Child::spawn(world.command(&[&DAY[..], &TAKEOVER].concat()));
    let waiting = format!(
        "select count(*) from pg_locks where not granted and relation = '{table}'::regclass"
    );
    eventually("a run that is about to write", LONG, || async { world.number(&waiting).await > 0 })
        .await;
    run.sigkill();
    drop(run);
    lock.rollback().await.unwrap();
    world.run_ok(&[&DAY[..], &TAKEOVER].concat()).await;
    assert_eq!(world.summary().await, world.expected().await, "{table}");
    (left(&world).await, world)
}

#[tokio::test]
async fn a_run_that_was_killed_at_whatever_it_was_about_to_write_is_made_good_by_the_next() {
    const PHASES: [&str; 7] = [
        "archive_objects",
        "archive_object_hours",
        "hourly_stock_summary",
        "batch_hours",
        "hour_sums",
        "technical_indicators",
        "archive_hours",
    ];
    let undisturbed = archived().await;
    undisturbed.run_ok(&DAY).await;
    let expected = left(&undisturbed).await;
    let worlds = join_all(PHASES.map(killed_at)).await;
    for (table, (found, _)) in PHASES.iter().zip(&worlds) {
        assert_eq!(*found, expected, "{table}");
    }
}

#[tokio::test]
async fn a_run_beside_a_repair_leaves_right_summaries_and_right_bars() {
    let world = agreeing().await;
    world
        .execute("update minute_bars set high = high + 1; update hour_bars set volume = volume + 1")
        .await;
    let late: Vec<Tick> = some_ticks(10, 0, 10_400, 50);
    world.put(&key(10, 0, 10_400), &late).await;
    world
        .execute("delete from rejected_ticks where kafka_partition = 0 and kafka_offset between 10400 and 10449")
        .await;
    world.insert_realtime(&late).await;
    let repair = world.command(&[&["verify"], &HOURS[..], &["--repair"]].concat());
    let (run, repaired) = tokio::join!(world.run_ok(&HOURS), finish(repair));
    assert!([0, 1, 4].contains(&repaired.code), "{}{}", repaired.stdout, repaired.stderr);
    // An hour that was computed meanwhile may have been left open, or its bars alone.
    verify(&world, &[&HOURS[..], &["--repair"]].concat()).await;
    let outcome = verify(&world, &HOURS).await;
    assert_eq!(outcome.code, 0, "{}{}{}", run.stderr, outcome.stdout, outcome.stderr);
    assert_eq!(world.summary().await, world.expected().await);
}

#[tokio::test]
async fn two_topics_below_two_prefixes_keep_each_what_has_expired_and_grow_beside_it() {
    const COINS: [&str; 2] = ["--prefix", "coins/%Y-%m-%d-%H/"];
    let coins_key =
        |partition: i32| format!("coins/2025-06-02-10/coins+{partition}+0000000000.json");
    let world = World::create().await;
    let of = [0, 1, 2, 3].map(|partition| some_ticks(10, partition, 0, 40));
    world.insert_realtime(&of.concat()).await;
    world.put(&key(10, 0, 0), &of[0]).await;
    world.put(&key(10, 1, 0), &of[1][..10]).await;
    world.put(&coins_key(2), &of[2]).await;
    world.put(&coins_key(3), &of[3][..10]).await;
    let run = async |flags: &[&str]| world.run_ok(&[&DAY[..], flags].concat()).await;
    let hour = "select concat_ws(' ', ticks, objects, gone_objects, withdrawn) from batch_hours";
    run(&[]).await;
    run(&COINS).await;
    assert_eq!(world.rows(hour).await, ["100 4 0 0"]);
    world.expire(&key(10, 0, 0)).await;
    world.expire(&coins_key(2)).await;
    run(&[]).await;
    run(&COINS).await;
    assert_eq!(world.rows(hour).await, ["100 4 2 0"]);
    world.put(&key(10, 1, 0), &of[1]).await;
    run(&[]).await;
    assert_eq!(world.rows(hour).await, ["130 4 2 0"]);
    world.put(&coins_key(3), &of[3]).await;
    run(&COINS).await;
    assert_eq!(world.rows(hour).await, ["160 4 2 0"]);
    assert_eq!(world.summary().await, world.expected().await);
    // Of both, what has expired is written anew, too.
    world.execute("delete from hourly_stock_summary").await;
    run(&["--recompute"]).await;
    assert_eq!(world.summary().await, world.expected().await);
}

/// A run that stands still in the transaction that writes an hour, as one whose machine was paused.
async fn frozen_while_it_writes(world: &World, takeover: &str) -> Child {
    let mut lock = world.database.pool().begin().await.unwrap();
    let statement = "lock table hour_sums in share row exclusive mode";
    sqlx::raw_sql(statement).execute(&mut *lock).await.unwrap();
    let run = Child::spawn(world.command(&[&DAY[..], &["--takeover-after", takeover]].concat()));
    let waiting =
        "select count(*) from pg_locks where not granted and relation = 'hour_sums'::regclass";
    eventually("a run that is about to write", LONG, || async { world.number(waiting).await > 0 })
        .await;
    run.sigstop();
    lock.rollback().await.unwrap();
    run
}

#[tokio::test]
async fn a_run_that_froze_in_a_transaction_is_taken_over_with_what_it_has_locked() {
    let world = archived().await;
    let mut frozen = frozen_while_it_writes(&world, "1h").await;
    world.run_ok(&[&DAY[..], &TAKEOVER].concat()).await;
    assert_eq!(world.summary().await, world.expected().await);
    let words = world.rows("select error from batch_runs where status = 'failed'").await;
    assert_eq!(
        words,
        ["the process ended without a word, or was not heard of for too long"],
        "a run that died is no run that is at work"
    );
    let left = left(&world).await;
    frozen.sigcont();
    assert_eq!(frozen.wait_exit(LONG).await.code(), Some(3), "{:?}", frozen.stderr());
    assert_eq!(self::left(&world).await, left);
}

#[tokio::test]
async fn the_server_ends_a_transaction_of_a_run_that_froze_in_it() {
    let world = archived().await;
    let _frozen = frozen_while_it_writes(&world, "2s").await;
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'batch-layer' and xact_start is not null";
    eventually("the end of its transaction", LONG, || async { world.number(open).await == 0 })
        .await;
}

#[tokio::test]
async fn a_run_that_fails_as_soon_as_it_has_the_lock_gives_it_back() {
    let world = archived().await;
    let mut lock = world.database.pool().begin().await.unwrap();
    sqlx::raw_sql("lock table batch_runs in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let outcome = world.run(&[&DAY[..], &["--query-timeout", "2s"]].concat()).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert_eq!(world.number("select count(*) from batch_lock").await, 0, "{}", outcome.stderr);
    lock.rollback().await.unwrap();
    assert!(!world.run_ok(&[]).await.stderr.contains(AT_WORK));
}
