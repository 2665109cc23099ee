//! Ways to PostgreSQL: several servers, a pooler, a password that changes.

use crate::outages::server;
use crate::scene::{PATIENCE, Scene, get, http_address, wait_ready};
use sqlx::{AssertSqlSafe, Connection};
use std::process::Command;
use testing::{Child, PgBouncer, Pooler, Pooling, Secrets, eventually, stack};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// The speed layer with another URL.
fn command(scene: &Scene, url: &str) -> Command {
    let mut command = scene.command();
    command.env("DATABASE_URL", url);
    command
}

fn place(url: &str) -> (&str, &str, &str) {
    let (before, after) = url.split_once('@').unwrap();
    let (place, database) = after.split_once('/').unwrap();
    (before, place, database)
}

#[tokio::test]
async fn of_several_servers_the_one_that_takes_writes_is_found() {
    let scene = Scene::new(1).await;
    let (before, place, database) = place(scene.database.url());
    // Nobody listens on port 1.
    let url = format!("{before}@127.0.0.1:1,{place}/{database}");
    let read_only = "alter database $database set default_transaction_read_only = on";
    server(&scene, read_only).await;
    let speed_layer = Child::spawn(command(&scene, &url));
    let line = speed_layer.wait_stderr("takes no writes at this moment", PATIENCE).await;
    assert!(line.contains("127.0.0.1:1,") && line.contains("onnection refused"), "{line}");
    server(&scene, "alter database $database reset default_transaction_read_only").await;
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_ready_though_no_tick_comes() {
    let scene = Scene::new(1).await;
    let speed_layer = scene.start(&[]);
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    server(
        &scene,
        "alter database $database set default_transaction_read_only = on;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '$database' and \
         application_name = 'speed-layer'",
    )
    .await;
    eventually("/readyz to say so", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        if status == 503 && body.contains("takes no writes") {
            Ok(())
        } else {
            Err(format!("{status} {body}"))
        }
    })
    .await;
    server(&scene, "alter database $database reset default_transaction_read_only").await;
    wait_ready(&address, 200).await;
}

#[tokio::test]
async fn a_password_that_is_changed_is_read_anew_from_its_file() {
    change_password(10).await;
}

/// As an instance that has no partition, or a market that is closed.
#[tokio::test]
async fn so_it_is_by_an_instance_that_has_written_nothing_yet() {
    change_password(0).await;
}

async fn change_password(ticks_before: i64) {
    let scene = Scene::new(1).await;
    let role = format!("{}_role", scene.database.name());
    let set = |password: &str| format!("alter role {role} password '{password}'");
    for sql in [format!("create role {role} login superuser"), set("first")] {
        scene.execute(&sql).await;
    }
    let url = |password: &str| {
        let mut url = Url::parse(scene.database.url()).unwrap();
        url.set_username(&role).unwrap();
        url.set_password(Some(password)).unwrap();
        url.to_string()
    };
    let secrets = Secrets::new();
    let file = secrets.file("database-url", &url("first"));
    let mut command = scene.command();
    command.env_remove("DATABASE_URL").args(["--database-url-file", &file]);
    let mut speed_layer = Child::spawn(command);
    scene.send_ticks(1, ticks_before).await;
    scene.wait_all_in().await;
    wait_ready(&http_address(&speed_layer).await, 200).await;

    sqlx::raw_sql(AssertSqlSafe(set("second"))).execute(scene.database.pool()).await.unwrap();
    let end =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'");
    scene.execute(&end).await;
    scene.send_ticks(1, 10).await;
    let line = speed_layer.wait_stderr("password authentication failed", PATIENCE).await;
    assert!(line.contains("read again at each try") && !line.contains("first"), "{line}");
    assert!(line.contains("(--database-url-file)"), "{line}");
    assert_eq!(speed_layer.exit_status(), None);
    std::fs::write(&file, url("second")).unwrap();
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    drop(speed_layer);
    let (role, name) = (role.clone(), scene.database.name().to_owned());
    drop(scene);
    let mut connection = sqlx::PgConnection::connect(&stack("STACK_DATABASE_URL")).await.unwrap();
    for sql in [format!("drop database if exists {name} with (force)"), format!("drop role {role}")]
    {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn through_a_pooler_nothing_outlives_its_transaction() {
    let scene = Scene::new(1).await;
    let (before, place, database) = place(scene.database.url());
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    let pooler = Pooler::start(place).await;
    let speed_layer = Child::spawn({
        let mut command =
            command(&scene, &format!("{before}@{}/{database}?sslmode=disable", pooler.address()));
        command.args(["--upkeep-interval", "100ms", "--linger", "1ms"]);
        command
    });
    scene.send_ticks(1, 300).await;
    scene.topic.produce([testing::TestMessage::new(0, "no tick")]).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    speed_layer.wait_stderr("a pooler is before PostgreSQL", PATIENCE).await;
    speed_layer.wait_stderr("indexed partition", PATIENCE).await;
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    assert_eq!(pooler.outliving(), Vec::<String>::new());
}

/// With so few connections each of them serves another instance at each transaction.
#[tokio::test]
async fn through_a_real_pgbouncer_two_instances_write_each_tick_once_in_either_mode() {
    for pooling in [Pooling::Session, Pooling::Transaction] {
        let connections = if pooling == Pooling::Session { 10 } else { 2 };
        let (scene, pooler) = (Scene::new(4).await, PgBouncer::start(pooling, connections).await);
        let url = pooler.url(scene.database.name());
        let start = || {
            let mut command = command(&scene, &url);
            command.args(["--upkeep-interval", "100ms", "--linger", "1ms"]);
            Child::spawn(command)
        };
        let first = start();
        first.wait_stderr("assigned partitions", PATIENCE).await;
        let second = start();
        second.wait_stderr("assigned partitions", PATIENCE).await;
        scene.send_ticks(4, 500).await;
        scene.topic.produce([testing::TestMessage::new(0, "no tick")]).await;
        scene.wait_all_in().await;
        second.sigkill();
        scene.send_ticks(4, 500).await;
        scene.wait_all_in().await;
        eventually("one of them to index the day", PATIENCE, || async {
            let mut said = first.stderr().into_iter().chain(second.stderr());
            said.any(|line| line.contains("indexed partition"))
        })
        .await;
        wait_ready(&http_address(&first).await, 200).await;
        scene.assert_each_once().await;
        assert!(
            !first.stderr().iter().any(|line| line.contains("trying again")),
            "{:#?}",
            first.stderr()
        );
    }
}

#[tokio::test]
async fn a_host_may_be_an_ipv6_address() {
    let scene = Scene::new(1).await;
    let (before, place, database) = place(scene.database.url());
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = place.to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    let _speed_layer = Child::spawn(command(&scene, &format!("{before}@[::1]:{port}/{database}")));
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
}

#[tokio::test]
async fn instances_that_start_together_share_a_database_that_isolates_strictly_by_default() {
    let scene = Scene::new(2).await;
    server(&scene, "alter database $database set default_transaction_isolation = 'serializable'")
        .await;
    let instances: Vec<Child> =
        (0..4).map(|_| scene.start(&["--upkeep-interval", "100ms"])).collect();
    scene.send_ticks(2, 500).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    for mut instance in instances {
        assert_eq!(instance.exit_status(), None, "{:#?}", instance.stderr());
    }
}
