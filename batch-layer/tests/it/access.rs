//! How the store is reached: credentials, addresses, and the variables that other AWS tools heed,
//! too.

use crate::support::{DAY, World, finish, key, some_ticks};
use std::process::Command;
use testing::{HttpProxy, TlsProxy, Treatment, stack};

fn store() -> String {
    stack("STACK_S3_ENDPOINT_URL").replace("http://", "")
}

async fn with_an_object() -> World {
    let world = World::create().await;
    world.put(&key(10, 0, 0), &some_ticks(10, 0, 0, 100)).await;
    world
}

async fn assert_computed(world: &World, command: Command) {
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(world.number("select ticks from batch_hours").await, 100);
}

#[tokio::test]
async fn the_usual_variables_for_authorities_are_heeded() {
    for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE"] {
        let (world, proxy) = (with_an_object().await, TlsProxy::start(&store()).await);
        let mut command = world.command(&DAY);
        command
            .env("S3_ENDPOINT_URL", format!("https://{}", proxy.address()))
            .env(name, stack("STACK_TLS_CA"));
        assert_computed(&world, command).await;
    }
}

#[tokio::test]
async fn credentials_and_region_come_from_a_profile() {
    let (world, folder) = (with_an_object().await, tempfile::tempdir().unwrap());
    let (credentials, config) = (folder.path().join("credentials"), folder.path().join("config"));
    let (key, secret) = (stack("STACK_S3_ACCESS_KEY"), stack("STACK_S3_SECRET_KEY"));
    std::fs::write(
        &credentials,
        format!("[desk]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"),
    )
    .unwrap();
    std::fs::write(&config, format!("[profile desk]\nregion = {}\n", stack("STACK_S3_REGION")))
        .unwrap();
    let mut command = world.command(&DAY);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env_remove(name);
    }
    command
        .env("AWS_PROFILE", "desk")
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials)
        .env("AWS_CONFIG_FILE", config);
    assert_computed(&world, command).await;
}

#[tokio::test]
async fn a_pods_web_identity_is_changed_for_the_keys_of_its_role() {
    const ANSWER: &str = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLESKEY</AccessKeyId>
        <SecretAccessKey>roles-secret</SecretAccessKey><SessionToken>roles-token</SessionToken>
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
        </AssumeRoleWithWebIdentityResponse>";
    let (world, folder) = (with_an_object().await, tempfile::tempdir().unwrap());
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token").unwrap();
    let roles =
        HttpProxy::start(&store(), |_| Treatment::Answer { status: 200, body: ANSWER.into() })
            .await;
    // The real store would not know the role's keys.
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let signed = HttpProxy::start(&store(), move |_| Treatment::Answer {
        status: 200,
        body: listing.into(),
    })
    .await;
    let mut command = world.command(&DAY);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::1:role/batch");
    command.env("AWS_ENDPOINT_URL_STS", format!("http://{}", roles.address()));
    command.env("S3_ENDPOINT_URL", format!("http://{}", signed.address()));
    let outcome = finish(command).await;
    // Of an archive that shows nothing.
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    let requests = signed.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert!(
            request.head.contains("Credential=ROLESKEY/") && request.head.contains("roles-token"),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn the_bucket_is_addressed_by_path_or_by_host_as_is_asked_for() {
    let world = with_an_object().await;
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let bucket = world.bucket.name().to_owned();
    for (path_style, host) in
        [(None, "127.0.0.1"), (Some("true"), "localhost"), (Some("false"), "localhost")]
    {
        let answer = move |_: &_| Treatment::Answer { status: 200, body: listing.into() };
        let proxy = HttpProxy::start(&store(), answer).await;
        let mut command = world.command(&["--hour", "2025-06-02T10"]);
        command.env("S3_ENDPOINT_URL", format!("http://{host}:{}", proxy.address().port()));
        if let Some(path_style) = path_style {
            command.env("S3_PATH_STYLE", path_style);
        }
        let outcome = finish(command).await;
        let requests = proxy.requests();
        if path_style == Some("false") {
            // Where the system does not resolve names below localhost, the message says which one
            // was tried.
            let by_host = format!("{bucket}.localhost");
            let is_asked = requests.iter().any(|request| request.head.contains(&by_host));
            assert!(is_asked || outcome.code == 3, "{requests:?} {}", outcome.stderr);
        } else {
            // Of an archive that shows nothing.
            assert_eq!(outcome.code, 4, "{}", outcome.stderr);
            assert!(
                requests.iter().all(|request| request.path.starts_with(&format!("/{bucket}"))),
                "{requests:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_endpoint_by_the_services_own_variable_is_addressed_by_path_as_by_the_flag() {
    let world = with_an_object().await;
    let mut command = world.command(&DAY);
    command.env_remove("S3_ENDPOINT_URL");
    command.env("AWS_ENDPOINT_URL_S3", stack("STACK_S3_ENDPOINT_URL"));
    assert_computed(&world, command).await;
}

#[tokio::test]
async fn empty_variables_count_as_unset() {
    let world = with_an_object().await;
    let endpoint = stack("STACK_S3_ENDPOINT_URL");
    let mut command = world.command(&DAY);
    command.env("S3_ENDPOINT_URL", "").env("S3_CA_FILE", "").env("AWS_ENDPOINT_URL", endpoint);
    command.env("MIGRATIONS", "");
    assert_computed(&world, command).await;
}

/// The store takes what is meant for a proxy as well, so it serves as one.
#[tokio::test]
async fn a_proxy_of_the_environment_is_used_but_for_hosts_that_need_none() {
    let world = with_an_object().await;
    let through_proxy = || {
        let mut command = world.command(&DAY);
        command.env("S3_ENDPOINT_URL", "http://store.invalid:9000");
        command.env("HTTP_PROXY", stack("STACK_S3_ENDPOINT_URL"));
        command
    };
    let mut command = through_proxy();
    command.env("NO_PROXY", "store.invalid");
    let outcome = finish(command).await;
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert_computed(&world, through_proxy()).await;
    let mut command = world.command(&DAY);
    command.env("HTTP_PROXY", "http://proxy.invalid:3128").arg("--recompute");
    assert_computed(&world, command).await;
}
