//! TLS and authentication on both sides, with every secret in a file.

use crate::scene::{PATIENCE, Scene, get, http_address, last_words, wait_ready};
use std::process::Command;
use testing::{Child, ROLE_PASSWORD, Secrets, assert_hidden, foreign_authority, stack};
use url::Url;

/// The scene's database by the name in the server's certificate, which must be signed by
/// `authority`.
fn database_url(scene: &Scene, authority: &str) -> Url {
    let mut url = Url::parse(scene.database.url()).unwrap();
    url.set_host(Some("localhost")).unwrap();
    url.query_pairs_mut()
        .append_pair("sslmode", "verify-full")
        .append_pair("sslrootcert", authority);
    url
}

fn kafka_properties(password: &str, authority: &str) -> String {
    let user = stack("STACK_KAFKA_USER");
    format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.ca.location={authority}\n\
         sasl.username={user}\nsasl.password={password}\n"
    )
}

/// The binary with an environment of its own, so that the test's shows nowhere.
fn command(scene: &Scene, database_url_file: &str) -> Command {
    let mut command = scene.command();
    command.env_clear().args([
        "--database-url-file",
        database_url_file,
        "--topic",
        scene.topic.name(),
    ]);
    command.args(["--http-addr", "127.0.0.1:0"]);
    command
}

fn with_kafka(mut command: Command, brokers: &str, properties_file: &str) -> Command {
    command.args(["--kafka-brokers", brokers, "--kafka-properties-file", properties_file]);
    command
}

#[tokio::test]
async fn ticks_pass_through_verified_tls_and_scram_and_no_secret_shows() {
    let scene = Scene::new(1).await;
    let (secrets, authority) = (Secrets::new(), stack("STACK_TLS_CA"));
    scene.database.set_up_roles().await;
    let mut url = database_url(&scene, &authority);
    url.set_username("speed_writer").unwrap();
    url.set_password(Some(ROLE_PASSWORD)).unwrap();
    let kafka_secret = stack("STACK_KAFKA_PASSWORD");
    let mut command = with_kafka(
        command(&scene, &secrets.file("database-url", &format!("{url}\n"))),
        &stack("STACK_KAFKA_SECURE_BROKERS"),
        &secrets.file("kafka.properties", &kafka_properties(&kafka_secret, &authority)),
    );
    command.args(["--migrations", "check"]).env("RUST_LOG", "trace");
    let speed_layer = Child::spawn(command);
    scene.send_ticks(1, 500).await;
    scene.wait_all_in().await;
    let encrypted: Vec<bool> = sqlx::query_scalar(
        "select ssl from pg_stat_ssl join pg_stat_activity using (pid)
         where datname = current_database() and application_name = 'speed-layer'",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    assert!(!encrypted.is_empty() && encrypted.iter().all(|ssl| *ssl), "{encrypted:?}");
    let address = http_address(&speed_layer).await;
    wait_ready(&address, 200).await;
    for path in ["/metrics", "/readyz", "/healthz"] {
        let (_, body) = get(&address, path);
        assert!(!body.contains(ROLE_PASSWORD) && !body.contains(&kafka_secret), "{path}: {body}");
    }
    assert_hidden(&[ROLE_PASSWORD, &kafka_secret], &speed_layer);
}

#[tokio::test]
async fn a_database_that_cannot_prove_who_it_is_gets_no_password() {
    let scene = Scene::new(1).await;
    let secrets = Secrets::new();
    let foreign = foreign_authority(secrets.folder());
    let untrusted = database_url(&scene, foreign.to_str().unwrap());
    let mut misnamed = database_url(&scene, &stack("STACK_TLS_CA"));
    misnamed.set_host(Some("127.0.0.1")).unwrap();
    let no_authority = database_url(&scene, "/no/such/ca.pem");
    for (url, word) in
        [(untrusted, "certificate"), (misnamed, "certificate"), (no_authority, "No such file")]
    {
        let file = secrets.file("database-url", url.as_str());
        let mut command = command(&scene, &file);
        command.args(["--kafka-brokers", scene.topic.brokers()]);
        let line = last_words(Child::spawn(command)).await;
        assert!(line.contains(word) && line.contains("PostgreSQL at"), "{line}");
    }
}

#[tokio::test]
async fn brokers_that_cannot_prove_who_they_are_get_no_password() {
    let scene = Scene::new(1).await;
    let (secrets, authority, password) =
        (Secrets::new(), stack("STACK_TLS_CA"), stack("STACK_KAFKA_PASSWORD"));
    let foreign = foreign_authority(secrets.folder());
    let brokers = stack("STACK_KAFKA_SECURE_BROKERS");
    let misnamed = brokers.replace("localhost", "127.0.0.1");
    let database = secrets.file("database-url", scene.database.url());
    for (brokers, authority) in
        [(&brokers, foreign.to_str().unwrap()), (&misnamed, authority.as_str())]
    {
        let properties = secrets.file("kafka.properties", &kafka_properties(&password, authority));
        let line =
            last_words(Child::spawn(with_kafka(command(&scene, &database), brokers, &properties)))
                .await;
        assert!(line.contains("certificate") && line.contains(brokers.as_str()), "{line}");
    }
}

#[tokio::test]
async fn a_login_that_kafka_refuses_is_named_without_the_password() {
    let scene = Scene::new(1).await;
    let secrets = Secrets::new();
    let database = secrets.file("database-url", scene.database.url());
    let wrong = kafka_properties("wr0ng-secret", &stack("STACK_TLS_CA"));
    let properties = secrets.file("kafka.properties", &wrong);
    let line = last_words(Child::spawn(with_kafka(
        command(&scene, &database),
        &stack("STACK_KAFKA_SECURE_BROKERS"),
        &properties,
    )))
    .await;
    assert!(
        line.contains("refuses the connection") && line.contains("--kafka-properties-file"),
        "{line}"
    );
    assert!(!line.contains("wr0ng-secret"), "{line}");
}

#[tokio::test]
async fn a_secret_file_that_is_not_there_is_named_with_its_flag() {
    let scene = Scene::new(1).await;
    for flag in ["--database-url-file", "--kafka-properties-file"] {
        let mut command = scene.command();
        command.env_remove("DATABASE_URL").args([flag, "/no/such/secret"]);
        if flag != "--database-url-file" {
            command.args(["--database-url", scene.database.url()]);
        }
        let mut child = Child::spawn(command);
        assert_eq!(child.wait_exit(PATIENCE).await.code(), Some(2));
        let line = child.stderr()[0].clone();
        assert!(
            line.contains(flag)
                && line.contains("/no/such/secret")
                && line.contains("No such file"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_manual_shows_no_secret_of_the_environment() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    command
        .env("DATABASE_URL", "postgres://u:s3cret-1@h/d")
        .env("KAFKA_PROPERTIES", "sasl.password=s3cret-2");
    let mut child = Child::spawn({
        command.arg("--help");
        command
    });
    assert!(child.wait_exit(PATIENCE).await.success());
    let manual = child.stdout().join("\n");
    assert!(manual.contains("--kafka-properties-file") && !manual.contains("s3cret"), "{manual}");
}
