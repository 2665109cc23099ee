//! PostgreSQL or Kafka is away, full or locked.

use crate::scene::{PATIENCE, Scene, get, http_address, metric, wait_ready};
use std::process::Command;
use std::time::{Duration, Instant};
use testing::{Child, TcpProxy, eventually, stack};

/// Work goes on within five seconds; as many again for a test machine that is busy with other
/// things.
pub const RECOVERY: Duration = Duration::from_secs(10);

pub fn through(scene: &Scene, proxy: &TcpProxy) -> Command {
    let mut command = scene.command();
    let (before, after) = scene.database.url().split_once('@').unwrap();
    let (_, database) = after.split_once('/').unwrap();
    command.env("DATABASE_URL", format!("{before}@{}/{database}", proxy.address()));
    command
}

pub async fn postgres_proxy() -> TcpProxy {
    let url = stack("STACK_DATABASE_URL");
    let address = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    TcpProxy::start(&address).await
}

#[tokio::test]
async fn postgresql_away_is_waited_for_and_said_once_and_nothing_is_lost() {
    let scene = Scene::new(2).await;
    let mut proxy = postgres_proxy().await;
    let mut speed_layer = Child::spawn(through(&scene, &proxy));
    let address = http_address(&speed_layer).await;
    scene.send_ticks(2, 100).await;
    scene.wait_all_in().await;
    wait_ready(&address, 200).await;

    proxy.cut().await;
    scene.send_ticks(2, 100).await;
    wait_ready(&address, 503).await;
    wait_retries(&address, "PostgreSQL").await;
    assert_eq!(speed_layer.exit_status(), None);

    proxy.restore().await;
    scene.wait_all_in().await;
    wait_ready(&address, 200).await;
    scene.assert_each_once().await;
    let said =
        speed_layer.stderr().into_iter().filter(|line| line.contains("trying again")).count();
    assert_eq!(said, 1, "{:#?}", speed_layer.stderr());
    let joined = speed_layer
        .stderr()
        .into_iter()
        .filter(|line| line.contains("assigned partitions"))
        .count();
    assert_eq!(joined, 1, "the outage must not cost the group membership");
}

/// Waits until several tries have failed: an alert takes one for no outage.
pub async fn wait_retries(address: &str, target: &str) {
    let series = format!("speed_layer_retries_total{{target=\"{target}\"}}");
    eventually("several tries", PATIENCE, || async {
        let tries = metric(address, &series).unwrap_or_default();
        if tries >= 3 { Ok(()) } else { Err(tries.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn postgresql_away_at_the_start_is_waited_for() {
    let scene = Scene::new(1).await;
    let mut proxy = postgres_proxy().await;
    proxy.cut().await;
    let speed_layer = Child::spawn(through(&scene, &proxy));
    scene.send_ticks(1, 10).await;
    speed_layer.wait_stderr("trying again", PATIENCE).await;
    proxy.restore().await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn an_instance_that_heard_of_the_topics_end_long_ago_takes_no_later_offset_for_a_gap() {
    let scene = Scene::new(1).await;
    let session = ["--kafka-property", "session.timeout.ms=6000"];
    let first = scene.start(&session);
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    let mut proxy = postgres_proxy().await;
    let mut command = through(&scene, &proxy);
    command.args(session);
    let mut late = Child::spawn(command);
    late.wait_stderr("assigned partitions", PATIENCE).await;
    // It gets the partition, asks Kafka for its end, and cannot ask PostgreSQL where to begin.
    proxy.cut().await;
    first.sigkill();
    late.wait_stderr("trying again", PATIENCE).await;
    late.sigstop();
    let other = scene.start(&session);
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    other.sigkill();
    proxy.restore().await;
    late.sigcont();
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert_eq!(late.exit_status(), None);
}

#[tokio::test]
async fn a_terminated_backend_costs_no_tick() {
    let scene = Scene::new(1).await;
    let _speed_layer = scene.start(&["--batch-rows", "50", "--linger", "1ms"]);
    for _ in 0..10 {
        scene.send_ticks(1, 200).await;
        // A superuser may end the speed layer's connection whenever it likes.
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where application_name = 'speed-layer' and datname = current_database()";
        scene.count(sql).await;
    }
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

/// The broker advertises one address for a proxy, so its users take turns.
pub static KAFKA_PROXY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A speed layer that has written its first messages, and the address of its health.
async fn behind_kafka_proxy(scene: &Scene) -> (TcpProxy, Child, String) {
    let (listen, target) = (stack("STACK_KAFKA_PROXY_LISTEN"), stack("STACK_KAFKA_PROXY_TARGET"));
    let proxy = TcpProxy::listen(&listen, &target).await;
    let mut command = scene.command();
    command.env("KAFKA_BROKERS", &listen);
    let speed_layer = Child::spawn(command);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    (proxy, speed_layer, address)
}

#[tokio::test]
async fn it_ends_in_time_although_kafka_is_away() {
    let _turn = KAFKA_PROXY.lock().await;
    let scene = Scene::new(1).await;
    let (mut proxy, mut speed_layer, address) = behind_kafka_proxy(&scene).await;
    proxy.cut().await;
    wait_ready(&address, 503).await;
    speed_layer.sigterm();
    // Ten seconds are promised, and as many again are for a busy machine.
    assert!(speed_layer.wait_exit(Duration::from_secs(20)).await.success());
    scene.assert_each_once().await;
}

#[tokio::test]
async fn kafka_away_is_waited_for_and_nothing_is_lost() {
    let _turn = KAFKA_PROXY.lock().await;
    let scene = Scene::new(1).await;
    let (mut proxy, mut speed_layer, address) = behind_kafka_proxy(&scene).await;
    wait_ready(&address, 200).await;

    proxy.cut().await;
    scene.send_ticks(1, 100).await;
    wait_ready(&address, 503).await;
    speed_layer.wait_stderr("Kafka: no connection", PATIENCE).await;
    wait_retries(&address, "Kafka").await;
    assert_eq!(speed_layer.exit_status(), None);

    proxy.restore().await;
    scene.wait_all_in().await;
    wait_ready(&address, 200).await;
    speed_layer.wait_stderr("Kafka: works again", PATIENCE).await;
    scene.assert_each_once().await;
}

/// Waits until the speed layer has failed, runs `mend`, and expects every message once.
async fn recovers_from(scene: &Scene, break_it: &str, mend: &str) {
    let mut speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    execute(scene, break_it).await;
    scene.send_ticks(1, 100).await;
    let line = speed_layer.wait_stderr("trying again", PATIENCE).await;
    // PostgreSQL's words once, without a line of its source code.
    assert!(!line.contains("at line") && !line.contains("error returned from database"), "{line}");
    wait_ready(&address, 503).await;
    assert_eq!(speed_layer.exit_status(), None);
    execute(scene, mend).await;
    let mended = Instant::now();
    scene.wait_all_in().await;
    assert!(mended.elapsed() < RECOVERY, "{:?}", mended.elapsed());
    wait_ready(&address, 200).await;
    scene.assert_each_once().await;
}

async fn execute(scene: &Scene, sql: &str) {
    if sql.contains("$database") {
        return server(scene, sql).await;
    }
    let mut connection = scene.database.connection().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

/// On the server's own database, since that of the test, `$database`, may take no connection.
/// PostgreSQL may need a moment to end those that were there.
pub async fn server(scene: &Scene, sql: &str) {
    use sqlx::Connection;
    let sql = sql.replace("$database", scene.database.name());
    eventually("the server to do as it is told", PATIENCE, || async {
        let mut connection = sqlx::PgConnection::connect(&stack("STACK_DATABASE_URL")).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(&mut connection).await
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    // A disk cannot be filled here; the server's error for it can be raised.
    let full = "create function full_disk() returns trigger language plpgsql as
                $$ begin raise exception 'could not extend file' using errcode = 'disk_full'; end \
                $$;
                create trigger full_disk before insert on minute_bars execute function full_disk()";
    recovers_from(&Scene::new(1).await, full, "drop trigger full_disk on minute_bars").await;
}

#[tokio::test]
async fn a_database_that_takes_no_connections_is_waited_for() {
    let closed = "alter database $database with allow_connections false;
                  select pg_terminate_backend(pid) from pg_stat_activity where datname = \
                  '$database'";
    recovers_from(
        &Scene::new(1).await,
        closed,
        "alter database $database with allow_connections true",
    )
    .await;
}

#[tokio::test]
async fn a_statement_timeout_of_the_database_is_for_others() {
    let scene = Scene::new(1).await;
    // A tick takes longer than that.
    let slow = "create function slow() returns trigger language plpgsql as
                $$ begin perform pg_sleep(0.5); return new; end $$;
                create trigger slow before insert on minute_bars for each row execute function \
                slow()";
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    execute(&scene, slow).await;
    server(&scene, "alter database $database set statement_timeout = '200ms'").await;
    let _speed_layer = scene.start(&[]);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
}

#[tokio::test]
async fn the_reason_is_said_anew_when_it_changes_during_an_outage() {
    let scene = Scene::new(1).await;
    let mut proxy = postgres_proxy().await;
    let speed_layer = Child::spawn(through(&scene, &proxy));
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    proxy.cut().await;
    scene.send_ticks(1, 10).await;
    speed_layer.wait_stderr("trying again", PATIENCE).await;
    server(&scene, "alter database $database with allow_connections false").await;
    proxy.restore().await;
    let line = speed_layer.wait_stderr("not currently accepting connections", PATIENCE).await;
    assert!(line.contains("does not work yet, now because"), "{line}");
    // Once, and without the line of the server's source code, which sqlx's own text has.
    assert_eq!(line.matches("not currently accepting connections").count(), 1, "{line}");
    assert!(line.contains("SQLSTATE 55000") && !line.contains("at line"), "{line}");
    let (_, body) = crate::scene::get(&address, "/readyz");
    assert!(body.contains("not currently accepting connections"), "{body}");
    server(&scene, "alter database $database with allow_connections true").await;
    scene.wait_all_in().await;
}

#[tokio::test]
async fn a_table_locked_by_an_alter_holds_it_up_only_as_long_as_the_lock() {
    let scene = Scene::new(1).await;
    let mut speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    scene.send_ticks(1, 100).await;
    scene.wait_all_in().await;
    // Else it may not be ready yet for another reason: Kafka's client tells only after a second
    // that it is connected.
    wait_ready(&address, 200).await;
    let mut altering = scene.database.connection().await;
    sqlx::raw_sql("begin; alter table minute_bars add column note text")
        .execute(&mut altering)
        .await
        .unwrap();
    scene.send_ticks(1, 100).await;
    let waiting = "select count(*) from pg_stat_activity where application_name = 'speed-layer'
                   and datname = current_database() and wait_event_type = 'Lock'";
    scene.wait_count("the speed layer to wait for the lock", waiting, 1).await;
    assert_eq!(speed_layer.exit_status(), None);
    // As long as the lock lasts, and through one try after the other, nothing is logged as working.
    wait_ready(&address, 503).await;
    eventually("several tries", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        assert_eq!(status, 503, "{body}");
        metric(&address, "speed_layer_retries_total{target=\"PostgreSQL\"}")
            .is_some_and(|tries| tries >= 3)
    })
    .await;
    let said = speed_layer.stderr();
    assert!(!said.iter().any(|line| line.contains("works again")), "{said:#?}");
    sqlx::raw_sql("rollback").execute(&mut altering).await.unwrap();
    let released = Instant::now();
    scene.wait_all_in().await;
    assert!(released.elapsed() < RECOVERY, "{:?}", released.elapsed());
    scene.assert_each_once().await;
}
