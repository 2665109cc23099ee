//! What goes wrong before the work begins: one line, the right exit code, soon.

use crate::support::{Outcome, World, finish};
use std::process::Command;
use std::time::Duration;
use testing::{HttpProxy, TcpProxy, Treatment, free_port, stack};

/// One line of standard error that holds every one of `words`, no panic, and no later than 15 s.
fn assert_fails(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{}", outcome.stderr);
    let errors: Vec<_> = outcome.stderr.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{}", outcome.stderr);
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is missing in {:?}", errors[0]);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(outcome.took < Duration::from_secs(15), "{:?}", outcome.took);
}

fn set(mut command: Command, name: &str, value: &str) -> Command {
    command.env(name, value);
    command
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let world = World::create().await;
    let outcome = finish(set(world.command(&[]), "S3_BUCKET", "no-such-bucket-here")).await;
    assert_fails(&outcome, 2, &["no such bucket", "s3://no-such-bucket-here/", "--bucket"]);
    let run = world
        .rows("select concat_ws(' ', status, finished_at is not null, error) from batch_runs")
        .await;
    assert!(run[0].starts_with("failed t configuration: "), "{run:?}");
}

#[tokio::test]
async fn wrong_credentials_are_named_without_the_secret() {
    let world = World::create().await;
    let outcome = finish(set(world.command(&[]), "AWS_SECRET_ACCESS_KEY", "wr0ng-secret")).await;
    assert_fails(&outcome, 2, &["AWS_SECRET_ACCESS_KEY"]);
    assert!(!outcome.stderr.contains("wr0ng-secret"), "{}", outcome.stderr);
}

#[tokio::test]
async fn missing_credentials_are_named() {
    let world = World::create().await;
    let mut command = world.command(&[]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    assert_fails(&finish(command).await, 2, &["no credentials", "AWS_ACCESS_KEY_ID"]);
}

/// A pod that takes the keys of a role, which `sts` should give.
fn with_web_identity(world: &World, token: &std::path::Path, sts: &str) -> Command {
    let mut command = world.command(&[]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/batch");
    command.env("AWS_ENDPOINT_URL_STS", format!("http://{sts}"));
    command
}

#[tokio::test]
async fn a_service_that_gives_credentials_and_is_away_is_an_infrastructure_failure_and_its_refusal_is_none()
 {
    const REFUSAL: &str =
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>
        <Message>no such token</Message></Error><RequestId>1</RequestId></ErrorResponse>";
    const FAULT: &str = "<ErrorResponse><Error><Type>Receiver</Type><Code>InternalFailure</Code>
        <Message>of ours</Message></Error><RequestId>1</RequestId></ErrorResponse>";
    let (world, folder) = (World::create().await, tempfile::tempdir().unwrap());
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token").unwrap();
    let free = format!("127.0.0.1:{}", free_port());
    let outcome = finish(with_web_identity(&world, &token, &free)).await;
    assert_fails(&outcome, 3, &["the service that gives the credentials"]);
    for (status, body, code, words) in
        [(400, REFUSAL, 2, "were refused"), (500, FAULT, 3, "the service that gives")]
    {
        let answer = move |_: &_| Treatment::Answer { status, body: body.into() };
        let sts =
            HttpProxy::start(&stack("STACK_S3_ENDPOINT_URL").replace("http://", ""), answer).await;
        let outcome = finish(with_web_identity(&world, &token, &sts.address().to_string())).await;
        assert_fails(&outcome, code, &[words]);
    }
}

#[tokio::test]
async fn a_store_that_refuses_connections_is_an_infrastructure_failure() {
    let world = World::create().await;
    let free = format!("127.0.0.1:{}", free_port());
    let outcome =
        finish(set(world.command(&[]), "S3_ENDPOINT_URL", &format!("http://{free}"))).await;
    assert_fails(&outcome, 3, &["no answer", "--s3-endpoint-url", &free]);
}

#[tokio::test]
async fn a_store_that_accepts_and_never_answers_is_an_infrastructure_failure() {
    let world = World::create().await;
    let target = stack("STACK_S3_ENDPOINT_URL").replace("http://", "");
    let mut proxy = TcpProxy::start(&target).await;
    proxy.stall().await;
    let outcome =
        finish(set(world.command(&[]), "S3_ENDPOINT_URL", &format!("http://{}", proxy.address())))
            .await;
    assert_fails(&outcome, 3, &["no answer", "--s3-endpoint-url"]);
}

#[tokio::test]
async fn a_wrong_database_password_is_a_configuration_failure() {
    let world = World::create().await;
    let role = world.database.name().replace("test_", "role_");
    let create = format!("create role {role} login password 'right'");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(world.database.pool()).await.unwrap();
    let url = world.database.url().to_owned();
    let (_, host) = url.split_once('@').unwrap();
    let outcome =
        finish(set(world.command(&[]), "DATABASE_URL", &format!("postgres://{role}:wr0ng@{host}")))
            .await;
    let drop = format!("drop role {role}");
    sqlx::query(sqlx::AssertSqlSafe(drop)).execute(world.database.pool()).await.unwrap();
    assert_fails(&outcome, 2, &["PostgreSQL", "--database-url", "password"]);
    assert!(!outcome.stderr.contains("wr0ng"), "{}", outcome.stderr);
}

#[tokio::test]
async fn an_unreachable_database_is_an_infrastructure_failure() {
    let world = World::create().await;
    let free = format!("127.0.0.1:{}", free_port());
    let outcome =
        finish(set(world.command(&[]), "DATABASE_URL", &format!("postgres://u:p@{free}/d"))).await;
    assert_fails(&outcome, 3, &["PostgreSQL", &free]);
}

#[tokio::test]
async fn flags_that_cannot_be_meant_are_refused_with_the_reason() {
    let world = World::create().await;
    for (args, word) in [
        (&["--prefix", "raw/%Y-%m-%d-%H"][..], "must end with `/`"),
        (&["--prefix", "raw/%Y-%m-%d-%H-%M/"], "must not go below the hour"),
        (&["--hour", "yesterday"], "expected an hour"),
        (&["--hour", "2025-06-02T13:30:00Z"], "not the start of an hour"),
        (&["--to", "2025-06-02T13"], "--from"),
        (&["--grace", "5"], "expected a number and a unit"),
        (&["--query-timeout", "1000000000d"], "is too long to wait: at most 24d"),
        (&["verify", "--grace", "1000000000d"], "is too long: at most 36500d"),
        (&["--takeover-after", "1000000000d"], "is too long: at most 36500d"),
        (&["--archive-delay", "1000000000d"], "is too long: at most 36500d"),
        (&["compact", "--takeover-after", "1000000000d"], "is too long: at most 36500d"),
        (&["compact", "--older-than", "1000000000d"], "is too long: at most 36500d"),
        (&["verify", "--kafka-timeout", "1000000000d"], "is too long to wait: at most 24d"),
        (&["--s3-endpoint-url", "127.0.0.1:9000"], "expected http://"),
        (&["--frobnicate"], "--frobnicate"),
    ] {
        let outcome = world.run(args).await;
        assert_eq!(outcome.code, 2, "{args:?}");
        let first = outcome.stderr.lines().take(2).collect::<String>();
        assert!(first.contains(word), "{args:?}: {}", outcome.stderr);
    }
    for subcommand in [&[][..], &["verify"]] {
        for (flags, word) in [
            (["--hour", "2999-01-01T00"], "--hour 2999-01-01T00:00Z is in the future"),
            (["--from", "2999-01-01T00"], "--from 2999-01-01T00:00Z is in the future"),
            (["--slack", "9999999d"], "is more than 31 days"),
        ] {
            let outcome = world.run(&[subcommand, &flags].concat()).await;
            assert_fails(&outcome, 2, &[word]);
        }
    }
    let outcome = world.run(&["--from", "2025-06-02T13", "--to", "2025-06-02T13"]).await;
    assert_fails(&outcome, 2, &["--from 2025-06-02T13:00Z is not before --to"]);
    let outcome = world.run(&["--bucket", "file:///no/such/folder"]).await;
    assert_fails(&outcome, 2, &["/no/such/folder is no directory"]);
    let outcome = world.run(&["--s3-ca-file", "/no/such/ca.pem"]).await;
    assert_fails(&outcome, 2, &["/no/such/ca.pem", "--s3-ca-file"]);
}

#[tokio::test]
async fn who_may_not_migrate_is_told_what_to_give() {
    let world = World::create().await;
    world.database.add_roles().await;
    for subcommand in [&[][..], &["verify"]] {
        let mut command = world.command(subcommand);
        command.env("DATABASE_URL", world.database.url_of("batch_writer"));
        assert_fails(
            &finish(command).await,
            2,
            &["batch_writer may not change the tables", "give --migrations check"],
        );
    }
}

#[tokio::test]
async fn tables_of_an_older_commit_are_refused_with_the_cure() {
    let world = World::create().await;
    world.execute("update _sqlx_migrations set checksum = '\\x00' where version = 3").await;
    for migrations in ["run", "check", "only"] {
        let outcome = world.run(&["--migrations", migrations]).await;
        assert_fails(&outcome, 2, &["migration 3", "make them anew from the archive"]);
    }
}

#[tokio::test]
async fn the_manual_explains_exit_codes_and_shows_no_secret() {
    let world = World::create().await;
    let outcome = world.run_ok(&["--help"]).await;
    for word in ["Exit codes:", "partial", "--lookback", "LOOKBACK", "[default: 48h]"] {
        assert!(outcome.stdout.contains(word), "{word}");
    }
    assert!(!outcome.stdout.contains(world.database.url()), "{}", outcome.stdout);
}
