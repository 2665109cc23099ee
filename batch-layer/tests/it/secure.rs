//! The batch layer as `batch_writer`, over TLS on both sides, with every secret in a file.

use crate::support::{Outcome, World, finish, key, some_ticks};
use std::process::Command;
use testing::{ROLE_PASSWORD, Secrets, TlsProxy, assert_refused, foreign_authority, stack};
use url::Url;

/// A world whose store is also behind TLS, and whose tables have an owner of their own.
struct Secured {
    world: World,
    proxy: TlsProxy,
    secrets: Secrets,
}

impl Secured {
    async fn create() -> Self {
        let world = World::create_without_tables().await;
        world.database.set_up_roles().await;
        let proxy =
            TlsProxy::start(stack("STACK_S3_ENDPOINT_URL").trim_start_matches("http://")).await;
        Self { world, proxy, secrets: Secrets::new() }
    }

    /// The binary with nothing in its environment, and its secrets in files. The store's
    /// certificate must be signed by `authority`.
    fn command(&self, authority: &str) -> Command {
        let mut url = Url::parse(&self.world.database.url_of("batch_writer")).unwrap();
        url.set_host(Some("localhost")).unwrap();
        let database_authority = stack("STACK_TLS_CA");
        url.query_pairs_mut()
            .append_pair("sslmode", "verify-full")
            .append_pair("sslrootcert", &database_authority);
        let credentials = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            stack("STACK_S3_ACCESS_KEY"),
            stack("STACK_S3_SECRET_KEY")
        );
        let mut command =
            self.world.command(&["--migrations", "check", "--bucket", self.world.bucket.name()]);
        command.env_clear().env("AWS_EC2_METADATA_DISABLED", "true").env("RUST_LOG", "trace");
        command
            .env("AWS_SHARED_CREDENTIALS_FILE", self.secrets.file("aws-credentials", &credentials));
        command.env("DATABASE_URL_FILE", self.secrets.file("database-url", url.as_str()));
        command.args([
            "--s3-endpoint-url",
            &format!("https://{}", self.proxy.address()),
            "--s3-ca-file",
            authority,
        ]);
        command
    }

    async fn run(&self, authority: &str, more: &[&str]) -> Outcome {
        let mut command = self.command(authority);
        command.args(more);
        finish(command).await
    }
}

#[tokio::test]
async fn hours_are_computed_through_tls_with_the_least_rights_and_no_secret_shows() {
    let secured = Secured::create().await;
    let (world, authority) = (&secured.world, stack("STACK_TLS_CA"));
    let ticks = some_ticks(13, 0, 0, 300);
    world.put(&key(13, 0, 0), &ticks).await;
    world
        .bucket
        .put(
            &key(14, 0, 300),
            format!("no tick\n{}", crate::support::lines(&some_ticks(14, 0, 301, 50))),
        )
        .await
        .unwrap();
    let window = ["--from", "2025-06-02T12", "--to", "2025-06-02T16"];
    let mut first = secured.run(&authority, &window).await;
    assert_eq!(first.code, 0, "{}", first.stderr);
    world.insert_realtime(&ticks).await;
    let expected = world.expected().await;
    assert_eq!(world.summary().await[..expected.len()], expected[..]);
    // Replacing and deleting objects needs other rights than adding them.
    world.put(&key(13, 0, 0), &ticks[..200]).await;
    world.bucket.delete(&key(14, 0, 300)).await.unwrap();
    let second = secured.run(&authority, &window).await;
    assert_eq!(second.code, 0, "{}", second.stderr);
    first.stderr.push_str(&second.stderr);
    for secret in [ROLE_PASSWORD, "Signature="] {
        assert!(!first.stderr.contains(secret) && !first.stdout.contains(secret), "{secret} shows");
    }
    assert!(
        world
            .rows("select arguments from batch_runs")
            .await
            .iter()
            .all(|line| !line.contains(ROLE_PASSWORD))
    );
}

/// The SDK says at the usual level where it has found credentials: three lines a run.
#[tokio::test]
async fn a_quiet_run_does_not_say_where_credentials_were_found() {
    let secured = Secured::create().await;
    secured.world.put(&key(13, 0, 0), &some_ticks(13, 0, 0, 30)).await;
    let mut command = secured.command(&stack("STACK_TLS_CA"));
    command.env_remove("RUST_LOG").args(["--quiet", "--hour", "2025-06-02T13"]);
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("aws_"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("1 hour computed"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_store_that_cannot_prove_who_it_is_gets_no_request() {
    let secured = Secured::create().await;
    let foreign = foreign_authority(secured.secrets.folder());
    let outcome = secured.run(foreign.to_str().unwrap(), &[]).await;
    assert_ne!(outcome.code, 0, "{}", outcome.stderr);
    let line = outcome.stderr.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default();
    assert!(line.contains("certificate") && line.contains("--s3-endpoint-url"), "{line}");
}

#[tokio::test]
async fn batch_writer_may_do_nothing_else() {
    let secured = Secured::create().await;
    assert_refused(
        &secured.world.database,
        "batch_writer",
        &[
            "insert into realtime_stock values ('X', now(), 1, 1, 1, 1, 1, 1, 1)",
            "delete from realtime_stock",
            "update minute_bars set ticks = 0",
            "update kafka_offsets set next_offset = 0",
            "delete from rejected_ticks",
            "delete from batch_runs",
            "truncate hourly_stock_summary",
            "drop table hourly_stock_summary",
            "alter table batch_hours add column more text",
            "delete from _sqlx_migrations",
            "select make_realtime_days(array['2020-01-01']::date[])",
            "create table public.mine (i int)",
            "create table realtime_days.mine (i int)",
            "create schema mine",
            "create temporary table mine (i int)",
            "set role stocks_owner",
            "select pg_read_file('/etc/passwd')",
            "copy hourly_stock_summary to program 'true'",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_missing_migration_ends_the_run_as_something_to_try_again() {
    let world = World::create_without_tables().await;
    let outcome = world.run(&["--migrations", "check"]).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("migration 1") && outcome.stderr.contains("--migrations only"),
        "{}",
        outcome.stderr
    );
}
