//! The traces of an instance on the server, and how long they stay.

use crate::outages::{RECOVERY, postgres_proxy, through, wait_retries};
use crate::scene::{PATIENCE, Scene, get, http_address, wait_ready};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};
use testing::{Child, TestMessage, TestPostgres, eventually};

const SESSIONS: &str = "select count(*) from pg_stat_activity
                        where application_name = 'speed-layer' and datname = current_database()";

#[tokio::test]
async fn a_table_that_stays_locked_gathers_no_sessions_and_is_named() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&["--writer-timeout", "5s"]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    let mut locking = scene.database.connection().await;
    sqlx::raw_sql("begin; lock table minute_bars in access exclusive mode")
        .execute(&mut locking)
        .await
        .unwrap();
    scene.send_ticks(1, 100).await;
    wait_ready(&address, 503).await;
    wait_retries(&address, "PostgreSQL").await;
    let (_, body) = get(&address, "/readyz");
    assert!(body.contains("lock timeout"), "{body}");
    assert!(scene.count(SESSIONS).await <= 2);
    sqlx::raw_sql("rollback").execute(&mut locking).await.unwrap();
    let released = Instant::now();
    scene.wait_all_in().await;
    assert!(released.elapsed() < RECOVERY, "{:?}", released.elapsed());
    scene.assert_each_once().await;
}

/// Each partition has ticks of a day and a symbol of its own.
pub async fn send_apart(scene: &Scene, numbers: std::ops::Range<i64>) {
    let tick = |partition: i32, number: i64| {
        let day = partition + 2;
        TestMessage::new(
            partition,
            format!(
                r#"{{"symbol":"S{partition}","timestamp":"2025-06-0{day}T14:00:00Z","price":1,"volume":{number}}}"#
            ),
        )
    };
    let records = numbers.flat_map(|number| (0..3).map(move |p| tick(p, number)));
    scene.topic.produce(records).await;
}

/// Three partitions that are written up to offset 20 by one instance, and its address.
pub async fn three_apart(flags: &[&str]) -> (Scene, Child, String) {
    let scene = Scene::new(3).await;
    let speed_layer = scene.start(flags);
    let address = http_address(&speed_layer).await;
    send_apart(&scene, 0..20).await;
    scene.wait_all_in().await;
    (scene, speed_layer, address)
}

pub async fn wait_offsets(scene: &Scene, expected: [i64; 3]) {
    eventually("offsets", PATIENCE, || async {
        let sql = "select next_offset from kafka_offsets order by partition";
        let all = sqlx::query_scalar::<_, i64>(sql).fetch_all(scene.database.pool()).await;
        if all.as_ref().is_ok_and(|all| *all == expected) {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn what_somebody_holds_of_one_partition_holds_up_no_other() {
    for lock in [
        "lock table realtime_days.realtime_stock_20250602 in access exclusive mode",
        "select from kafka_offsets where partition = 0 for update",
        "select from minute_bars where symbol = 'S0' for update",
    ] {
        let (scene, speed_layer, address) = three_apart(&[]).await;
        let mut locking = scene.database.connection().await;
        let sql = AssertSqlSafe(format!("begin; {lock}"));
        sqlx::raw_sql(sql).execute(&mut locking).await.unwrap();
        // The one that waits comes back again and again.
        let (mut sent, begun) = (20, Instant::now());
        while begun.elapsed() < Duration::from_secs(20) {
            send_apart(&scene, sent..sent + 20).await;
            sent += 20;
            wait_offsets(&scene, [20, sent, sent]).await;
        }
        speed_layer
            .wait_stderr("PostgreSQL does not take its messages from offset 20", PATIENCE)
            .await;
        let (status, body) = get(&address, "/readyz");
        assert!(status == 503 && body.contains("/0: PostgreSQL does not take"), "{status} {body}");
        assert!(scene.count(SESSIONS).await <= 2);
        let said = speed_layer.stderr();
        let said = said
            .iter()
            .filter(|line| line.contains("PostgreSQL does not take its messages"))
            .count();
        assert_eq!(said, 1, "{lock}");
        sqlx::raw_sql("rollback").execute(&mut locking).await.unwrap();
        let released = Instant::now();
        scene.wait_all_in().await;
        assert!(released.elapsed() < RECOVERY, "{:?}", released.elapsed());
        wait_ready(&address, 200).await;
        let over = format!("{}/0: goes on after ", scene.topic.name());
        speed_layer.wait_stderr(&over, PATIENCE).await;
        scene.assert_each_once().await;
    }
}

#[tokio::test]
async fn a_day_that_cannot_be_made_holds_up_no_partition_but_those_that_need_it() {
    let (scene, speed_layer, address) = three_apart(&[]).await;
    // As a vacuum of it does.
    let mut locking = scene.database.connection().await;
    let lock = "begin; lock table only realtime_stock in share update exclusive mode";
    sqlx::raw_sql(lock).execute(&mut locking).await.unwrap();
    let of_another_day = r#"{"symbol":"S0","timestamp":"2025-05-20T14:00:00Z","price":1}"#;
    scene.topic.produce([TestMessage::new(0, of_another_day)]).await;
    for sent in [30, 40, 50] {
        send_apart(&scene, sent - 10..sent).await;
        wait_offsets(&scene, [20, sent, sent]).await;
    }
    speed_layer.wait_stderr("PostgreSQL does not take its messages from offset 20", PATIENCE).await;
    wait_ready(&address, 503).await;
    sqlx::raw_sql("rollback").execute(&mut locking).await.unwrap();
    scene.wait_all_in().await;
    wait_ready(&address, 200).await;
    scene.assert_each_once().await;
}

/// The server's view of a process that gets SIGSTOP there: the row of its offset is locked, and no
/// rows come.
#[tokio::test]
async fn what_an_instance_holds_that_is_frozen_in_mid_copy_is_free_again_in_time() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&["--writer-timeout", "5s"]);
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    let database = service::pg::Database::parse(scene.database.url(), "speed-layer").unwrap();
    let mut frozen = database.connect().await.unwrap();
    sqlx::raw_sql("begin; select * from kafka_offsets for update")
        .execute(&mut frozen)
        .await
        .unwrap();
    let copy = frozen.copy_in_raw("copy realtime_stock from stdin (format binary)").await.unwrap();
    scene.send_ticks(1, 100).await;
    let begun = Instant::now();
    scene.wait_all_in().await;
    // A try may take 10 s with this flag, and is abandoned two seconds later; as many again for a
    // busy machine.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    speed_layer.wait_stderr("ended 1 sessions", PATIENCE).await;
    assert!(copy.finish().await.is_err());
    scene.assert_each_once().await;
}

#[tokio::test]
async fn sigterm_is_heard_while_a_start_waits_for_a_lock_which_is_said() {
    let scene = Scene::new(1).await;
    let mut first = scene.start(&["--migrations", "only"]);
    assert!(first.wait_exit(PATIENCE).await.success());
    let mut locking = scene.database.connection().await;
    sqlx::raw_sql("begin; lock table _sqlx_migrations").execute(&mut locking).await.unwrap();
    let mut speed_layer = scene.start(&[]);
    let line = speed_layer.wait_stderr("no answer for 6 s", PATIENCE).await;
    assert!(line.contains("opening PostgreSQL at") && line.contains("lock"), "{line}");
    speed_layer.sigterm();
    assert!(speed_layer.wait_exit(RECOVERY).await.success());
}

/// The server has given it what it waited for, and it does not hear of that.
#[tokio::test]
async fn a_start_whose_way_falls_silent_while_it_waits_for_a_lock_is_tried_again() {
    let scene = Scene::new(1).await;
    let mut first = scene.start(&["--migrations", "only"]);
    assert!(first.wait_exit(PATIENCE).await.success());
    let mut locking = scene.database.connection().await;
    sqlx::raw_sql("begin; lock table _sqlx_migrations").execute(&mut locking).await.unwrap();
    let mut proxy = postgres_proxy().await;
    let speed_layer = Child::spawn(through(&scene, &proxy));
    speed_layer.wait_stderr("no answer for 6 s", PATIENCE).await;
    proxy.stall().await;
    sqlx::raw_sql("rollback").execute(&mut locking).await.unwrap();
    let line = speed_layer.wait_stderr("no answer within", PATIENCE).await;
    assert!(line.contains("migrating the tables in PostgreSQL at"), "{line}");
    proxy.restore().await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// Commits then wait on the server, where no client's timeout and no lock's reaches them.
#[tokio::test]
async fn a_synchronous_standby_that_is_away_gathers_no_sessions_and_costs_no_tick() {
    let (scene, postgres) = (Scene::new(1).await, TestPostgres::start().await);
    let mut command = scene.command();
    command.env("DATABASE_URL", postgres.url()).args(["--writer-timeout", "5s"]);
    let speed_layer = Child::spawn(command);
    let address = http_address(&speed_layer).await;
    let mut looking = postgres.connection().await;
    scene.send_ticks(1, 100).await;
    wait_written(&mut looking, 100).await;
    set_standby(&mut looking, "nobody").await;
    scene.send_ticks(1, 100).await;
    // The first try is given up by this side alone, the next ones wait for its lock.
    wait_retries(&address, "PostgreSQL").await;
    wait_ready(&address, 503).await;
    let sessions: i64 = sqlx::query_scalar(SESSIONS).fetch_one(&mut looking).await.unwrap();
    assert!(sessions <= 2, "{sessions}");
    set_standby(&mut looking, "").await;
    let back = Instant::now();
    wait_written(&mut looking, 200).await;
    assert!(back.elapsed() < RECOVERY, "{:?}", back.elapsed());
    scene.send_ticks(1, 100).await;
    wait_written(&mut looking, 300).await;
    wait_ready(&address, 200).await;
    let once = "select count(distinct kafka_offset) from realtime_stock";
    assert_eq!(sqlx::query_scalar::<_, i64>(once).fetch_one(&mut looking).await.unwrap(), 300);
}

async fn set_standby(connection: &mut PgConnection, name: &str) {
    let sql = format!("alter system set synchronous_standby_names = '{name}'");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()").execute(connection).await.unwrap();
}

async fn wait_written(connection: &mut PgConnection, expected: i64) {
    let begun = Instant::now();
    loop {
        let sql = "select count(*) from realtime_stock";
        let count =
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *connection).await.unwrap_or_default();
        if count == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{count} of {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The list of days was asked for with a lock on each of them.
#[tokio::test]
async fn an_instance_that_starts_while_a_day_is_locked_writes_the_others() {
    let scene = Scene::new(1).await;
    let first = scene.start(&[]);
    scene.send_ticks(1, 5).await;
    scene.wait_all_in().await;
    drop(first);
    let mut holder = scene.database.pool().begin().await.unwrap();
    let lock = "lock table realtime_days.realtime_stock_20250606 in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut *holder).await.unwrap();
    let other_day = r#"{"symbol":"A","timestamp":"2025-06-02T14:00:00Z","price":1}"#;
    scene.topic.produce([TestMessage::new(0, other_day)]).await;
    let _second = scene.start(&[]);
    scene.wait_count("the other day's tick", "select next_offset from kafka_offsets", 6).await;
    holder.rollback().await.unwrap();
    scene.assert_each_once().await;
}
