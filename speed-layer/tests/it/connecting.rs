//! Ways to PostgreSQL: several servers, a pooler, a password that changes.

use crate::outages::server;
use crate::scene::{PATIENCE, Scene, get, http_address, wait_ready};
use sqlx::{AssertSqlSafe, Connection};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;
use workbench::testing::{Child, Secrets, eventually, stack};

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
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '$database' and application_name = 'speed-layer'",
    )
    .await;
    eventually("/readyz to say so", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        if status == 503 && body.contains("takes no writes") { Ok(()) } else { Err(format!("{status} {body}")) }
    })
    .await;
    server(&scene, "alter database $database reset default_transaction_read_only").await;
    wait_ready(&address, 200).await;
}

#[tokio::test]
async fn a_password_that_is_changed_is_read_anew_from_its_file() {
    let scene = Scene::new(1).await;
    let role = format!("{}_role", scene.database.name());
    let set = |password: &str| format!("alter role {role} password '{password}'");
    for sql in [format!("create role {role} login superuser"), set("first")] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(scene.database.pool()).await.unwrap();
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
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;

    sqlx::raw_sql(AssertSqlSafe(set("second"))).execute(scene.database.pool()).await.unwrap();
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'");
    sqlx::raw_sql(AssertSqlSafe(end)).execute(scene.database.pool()).await.unwrap();
    scene.send_ticks(1, 10).await;
    let line = speed_layer.wait_stderr("password authentication failed", PATIENCE).await;
    assert!(line.contains("read again at each try") && !line.contains("first"), "{line}");
    assert_eq!(speed_layer.exit_status(), None);
    std::fs::write(&file, url("second")).unwrap();
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    drop(speed_layer);
    let (role, name) = (role.clone(), scene.database.name().to_owned());
    drop(scene);
    let mut connection = sqlx::PgConnection::connect(&stack("STACK_DATABASE_URL")).await.unwrap();
    for sql in [format!("drop database if exists {name} with (force)"), format!("drop role {role}")] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

/// As a pooler sees its clients: PgBouncer 1.18 refuses parameters that it does not know, and in transaction mode nothing
/// may outlive a transaction. `seen` gets what does.
async fn pooler(target: String, seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target.clone(), Arc::clone(&seen)));
        }
    });
    address
}

async fn serve(mut client: TcpStream, target: String, seen: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut startup = read_body(&mut client).await?;
    let parameters = String::from_utf8_lossy(&startup).into_owned();
    for unknown in ["extra_float_digits", "options"] {
        if parameters.contains(unknown) {
            let text = format!("SFATAL\0C08P01\0Munsupported startup parameter: {unknown}\0\0");
            client.write_all(b"E").await?;
            client.write_all(&(text.len() as u32 + 4).to_be_bytes()).await?;
            return client.write_all(text.as_bytes()).await;
        }
    }
    let mut server = TcpStream::connect(target).await?;
    let mut framed = (startup.len() as u32 + 4).to_be_bytes().to_vec();
    framed.append(&mut startup);
    server.write_all(&framed).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    loop {
        let kind = from_client.read_u8().await?;
        let body = read_body(&mut from_client).await?;
        note(kind, &body, &seen);
        to_server.write_all(&[kind]).await?;
        to_server.write_all(&(body.len() as u32 + 4).to_be_bytes()).await?;
        to_server.write_all(&body).await?;
    }
}

/// A message of the protocol without its length.
async fn read_body(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; from.read_u32().await? as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn note(kind: u8, body: &[u8], seen: &Mutex<Vec<String>>) {
    let text = String::from_utf8_lossy(body).to_lowercase();
    let outlives = match kind {
        // Parse: a statement with a name.
        b'P' => body[0] != 0,
        b'Q' => text.starts_with("set ") && !text.starts_with("set local") || text.contains("pg_advisory_lock"),
        _ => false,
    };
    if outlives {
        seen.lock().unwrap().push(text);
    }
}

#[tokio::test]
async fn through_a_pooler_nothing_outlives_its_transaction() {
    let scene = Scene::new(1).await;
    let (before, place, database) = place(scene.database.url());
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    let seen = Arc::default();
    let pooler = pooler(place.to_owned(), Arc::clone(&seen)).await;
    let speed_layer = Child::spawn({
        let mut command = command(&scene, &format!("{before}@{pooler}/{database}?sslmode=disable"));
        command.args(["--upkeep-interval", "100ms", "--linger", "1ms"]);
        command
    });
    scene.send_ticks(1, 300).await;
    scene.topic.produce([workbench::testing::Record::new(0, "no tick")]).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    speed_layer.wait_stderr("a pooler stands before PostgreSQL", PATIENCE).await;
    speed_layer.wait_stderr("indexed partition", PATIENCE).await;
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
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
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let _speed_layer = Child::spawn(command(&scene, &format!("{before}@[::1]:{port}/{database}")));
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
}
