//! Messages that are written by the schemas of a registry, which nobody here wrote.

use crate::scene::{PATIENCE, Scene, get, http_address, last_words, metric, wait_ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use testing::{
    Child, HttpProxy, Secrets, TcpProxy, TestMessage, TestRegistry, TlsProxy, Treatment,
    assert_hidden, avro_bytes, avro_long, eventually, framed, stack,
};

const TRADE: &str = r#"{"type":"record","name":"Trade","namespace":"test","fields":[
    {"name":"venue","type":{"type":"enum","name":"Venue","symbols":["XNYS","XNAS"]}},
    {"name":"symbol","type":"string"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4}},
    {"name":"size","type":["null","long"],"default":null},
    {"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;

/// 2025-06-06T14:00:01.123456Z
const AT: i64 = 1_749_218_401_123_456;

/// A [`TRADE`] of 201.5 and `number` * 0.0001.
fn trade(schema: u32, symbol: &str, number: i64) -> Vec<u8> {
    let price = (2_015_000 + number).to_be_bytes();
    let size = if number % 2 == 0 { vec![0] } else { [avro_long(1), avro_long(number)].concat() };
    let body = [
        avro_long(1),
        avro_bytes(symbol.as_bytes()),
        avro_bytes(&price),
        size,
        avro_long(AT + number),
    ]
    .concat();
    framed(schema, &body)
}

async fn rows(scene: &Scene) -> Vec<String> {
    let sql = "select concat_ws(' ', symbol, timestamp at time zone 'UTC', open, close, \
        coalesce(volume::text, '-'))
               from realtime_stock order by kafka_partition, kafka_offset";
    sqlx::query_scalar(sql).fetch_all(scene.database.pool()).await.unwrap()
}

async fn rejects(scene: &Scene) -> Vec<String> {
    let sql = "select concat_ws(' ', kafka_offset, reason, detail) from rejected_ticks order by \
        kafka_offset";
    sqlx::query_scalar(sql).fetch_all(scene.database.pool()).await.unwrap_or_default()
}

async fn wait_for_ticks(scene: &Scene, ticks: i64) {
    eventually("the ticks to be written", PATIENCE, || async {
        let seen = scene.count("select count(*) from realtime_stock").await;
        if seen == ticks {
            Ok(())
        } else {
            Err(format!("{seen} of {ticks}; rejected: {:?}", rejects(scene).await))
        }
    })
    .await;
}

#[tokio::test]
async fn avro_messages_are_written_exactly_with_json_beside_them() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let schema = registry.avro("trades-value", TRADE).await;
    let json = r#"{"symbol":"MSFT","price":1.5,"ts":1749218401}"#;
    let messages = [
        trade(schema, "AAPL", 1),
        trade(schema, "BRK-B", 2),
        json.as_bytes().to_vec(),
        trade(schema + 100, "AAPL", 1),
        trade(schema, "AAPL", 1)[..20].to_vec(),
    ];
    scene.topic.produce(messages.map(|value| TestMessage::new(0, value))).await;
    let _speed_layer = scene.start(&["--schema-registry", &registry.url()]);
    scene.wait_all_in().await;
    assert_eq!(
        rows(&scene).await,
        [
            "AAPL 2025-06-06 14:00:01.123457 201.5001 201.5001 1",
            "BRK-B 2025-06-06 14:00:01.123458 201.5002 201.5002 -",
            "MSFT 2025-06-06 14:00:01 1.5 1.5 -",
        ]
    );
    let rejects = rejects(&scene).await;
    assert!(
        rejects[0].starts_with("3 unknown_schema ") && rejects[0].contains("schema not found"),
        "{rejects:?}"
    );
    assert!(
        rejects[1].starts_with("4 not_of_schema ") && rejects[1].contains("ends after 15 bytes"),
        "{rejects:?}"
    );
    assert_eq!(
        scene
            .count("select octet_length(value)::bigint from rejected_ticks where kafka_offset = 4")
            .await,
        20
    );
    scene.assert_each_once().await;
}

#[tokio::test]
async fn several_ticks_of_an_avro_message_and_schemas_that_refer_to_others() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let one = r#"{"type":"record","name":"One","namespace":"test","fields":[{"name":"p","type":"double"},{"name":"n","type":"int"}]}"#;
    registry.avro("one", one).await;
    let all = r#"{"type":"record","name":"All","fields":[{"name":"sym","type":"string"},
        {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"data","type":{"type":"array","items":"test.One"}}]}"#;
    let references = serde_json::json!([{"name": "test.One", "subject": "one", "version": 1}]);
    let schema = registry
        .register("all", serde_json::json!({"schema": all, "references": references}))
        .await;
    let item = |price: f64, number| [price.to_le_bytes().to_vec(), avro_long(number)].concat();
    let items =
        [avro_long(3), item(150.72, 7), item(0.1, 0), item(f64::NAN, 1), avro_long(0)].concat();
    let body = [avro_bytes(b"AAPL"), avro_long(AT / 1000), items].concat();
    scene.topic.produce([TestMessage::new(0, framed(schema, &body))]).await;
    let flags = [
        "--each",
        "data",
        "--map",
        "symbol=sym,price=p,volume=n",
        "--schema-registry",
        &registry.url(),
    ];
    let _speed_layer = scene.start(&flags);
    wait_for_ticks(&scene, 2).await;
    let at = "2025-06-06 14:00:01.123";
    let mut written = rows(&scene).await;
    written.sort_unstable();
    assert_eq!(written, [format!("AAPL {at} 0.1 0.1 0"), format!("AAPL {at} 150.72 150.72 7")]);
    let broken =
        "select count(*) from rejected_ticks where kafka_index = 2 and reason = 'bad_price'";
    assert_eq!(scene.count(broken).await, 1);
}

#[tokio::test]
async fn protobuf_and_json_schema_messages_are_written_exactly() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let text = r#"syntax = "proto3"; package test; import "google/protobuf/timestamp.proto"; import "money.proto";
        message Other { string name = 1; }
        message Trade { string symbol = 1; Money money = 2; int64 size = 3; google.protobuf.Timestamp ts = 4; }"#;
    let money = r#"syntax = "proto3"; package test; message Money { double price = 1; }"#;
    registry
        .register("money", serde_json::json!({"schemaType": "PROTOBUF", "schema": money}))
        .await;
    let references = serde_json::json!([{"name": "money.proto", "subject": "money", "version": 1}]);
    let body =
        serde_json::json!({"schemaType": "PROTOBUF", "schema": text, "references": references});
    let protobuf = registry.register("trades", body).await;
    let json = registry
        .register(
            "quotes",
            serde_json::json!({"schemaType": "JSON", "schema": r#"{"type":"object"}"#}),
        )
        .await;
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let price = [&[1 << 3 | 1][..], &150.72_f64.to_le_bytes()].concat();
    // Seconds and nanoseconds: 1,749,218,401 and 500,000.
    let ts = [8, 0xe1, 0xe8, 0x8b, 0xc2, 6, 16, 0xa0, 0xc2, 0x1e];
    // The second message of its file; its size is absent, which is zero.
    let trade = [vec![2, 2], field(1, b"AAPL"), field(2, &price), field(4, &ts)].concat();
    let quote = br#"{"symbol":"MSFT","price":"0.1","volume":7,"ts":1749218401}"#;
    let values = [framed(protobuf, &trade), framed(json, quote), framed(protobuf, &[0, 10, 9])];
    scene.topic.produce(values.map(|value| TestMessage::new(0, value))).await;
    let _speed_layer =
        scene.start(&["--schema-registry", &registry.url(), "--map", "price=money.price|price"]);
    scene.wait_all_in().await;
    let expected =
        ["AAPL 2025-06-06 14:00:01.0005 150.72 150.72 0", "MSFT 2025-06-06 14:00:01 0.1 0.1 7"];
    assert_eq!(rows(&scene).await, expected, "rejected: {:?}", rejects(&scene).await);
    let rejects = rejects(&scene).await;
    assert!(
        rejects[0].starts_with("2 not_of_schema ") && rejects[0].contains("in the midst"),
        "{rejects:?}"
    );
}

#[tokio::test]
async fn without_the_flag_a_reject_names_it() {
    let scene = Scene::new(1).await;
    scene.topic.produce([TestMessage::new(0, trade(1, "AAPL", 1))]).await;
    let _speed_layer = scene.start(&[]);
    scene.wait_all_in().await;
    let rejects = rejects(&scene).await;
    assert!(
        rejects[0].contains("unknown_schema") && rejects[0].contains("--schema-registry"),
        "{rejects:?}"
    );
}

#[tokio::test]
async fn a_partition_waits_for_a_registry_that_is_away_and_the_others_are_read() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(2).await;
    let (first, second) =
        (registry.avro("a", TRADE).await, registry.avro("b", &TRADE.replace("XNYS", "XLON")).await);
    // Nothing is known of the second schema for a while.
    let (status, path) = (Arc::new(AtomicU16::new(503)), format!("/schemas/ids/{second}"));
    let now = Arc::clone(&status);
    let proxy =
        HttpProxy::start(&registry.address(), move |request| match now.load(Ordering::Relaxed) {
            0 => Treatment::Forward,
            1 => Treatment::CutAfter(10),
            _ if request.path != path => Treatment::Forward,
            status => Treatment::Answer { status, body: "busy".to_owned() },
        })
        .await;
    scene
        .topic
        .produce([
            TestMessage::new(0, trade(first, "A", 1)),
            TestMessage::new(1, trade(second, "B", 1)),
        ])
        .await;
    let speed_layer = scene.start(&["--schema-registry", &format!("http://{}", proxy.address())]);
    let address = http_address(&speed_layer).await;
    wait_for_ticks(&scene, 1).await;
    let line = speed_layer.wait_stderr("answers 503: busy", PATIENCE).await;
    assert!(line.contains("schema registry: http://") && line.contains("trying again"), "{line}");
    eventually("/readyz to name the registry", PATIENCE, || async {
        let (status, body) = get(&address, "/readyz");
        if status == 503 && body.contains("answers 503: busy") { Ok(()) } else { Err(body) }
    })
    .await;
    eventually("the partition to be counted as standing", PATIENCE, || async {
        let stalled = metric(&address, "speed_layer_stalled_partitions ");
        if stalled == Some(1) { Ok(()) } else { Err(format!("{stalled:?}")) }
    })
    .await;
    // The partition whose schema is known goes on meanwhile.
    scene.topic.produce((2..40).map(|number| TestMessage::new(0, trade(first, "A", number)))).await;
    wait_for_ticks(&scene, 39).await;
    // An answer that is cut is none either.
    status.store(1, Ordering::Relaxed);
    speed_layer.wait_stderr("does not work yet, now because", PATIENCE).await;
    status.store(0, Ordering::Relaxed);
    wait_for_ticks(&scene, 40).await;
    speed_layer.wait_stderr("schema registry: works again", PATIENCE).await;
    wait_ready(&address, 200).await;
    assert!(
        metric(&address, "speed_layer_retries_total{target=\"schema registry\"} ").unwrap() > 1
    );
    assert_eq!(rejects(&scene).await, [""; 0]);
    scene.assert_each_once().await;
    // Each schema was given once.
    let asked = proxy
        .requests()
        .iter()
        .filter(|request| request.path == format!("/schemas/ids/{first}"))
        .count();
    assert!(
        asked <= 2,
        "once to see whether the registry is there, and once for the schema: {asked}"
    );
}

#[tokio::test]
async fn a_schema_that_this_user_may_not_see_holds_up_its_own_partition_alone() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(2).await;
    let (first, second) =
        (registry.avro("a", TRADE).await, registry.avro("b", &TRADE.replace("XNYS", "XLON")).await);
    // It is also the one by which it is looked whether the registry is there.
    let (forbids, path) = (Arc::new(AtomicBool::new(true)), format!("/schemas/ids/{first}"));
    let now = Arc::clone(&forbids);
    let proxy = HttpProxy::start(&registry.address(), move |request| {
        if !now.load(Ordering::Relaxed) || request.path != path {
            return Treatment::Forward;
        }
        Treatment::Answer {
            status: 403,
            body: r#"{"error_code":40301,"message":"not yours"}"#.to_owned(),
        }
    })
    .await;
    scene.topic.produce([TestMessage::new(0, trade(first, "A", 1))]).await;
    let mut speed_layer =
        scene.start(&["--schema-registry", &format!("http://{}", proxy.address())]);
    speed_layer.wait_stderr("answers 403: not yours", PATIENCE).await;
    scene.topic.produce([TestMessage::new(1, trade(second, "B", 1))]).await;
    wait_for_ticks(&scene, 1).await;
    assert_eq!(speed_layer.exit_status(), None);
    forbids.store(false, Ordering::Relaxed);
    wait_for_ticks(&scene, 2).await;
    assert_eq!(rejects(&scene).await, [""; 0]);
}

#[tokio::test]
async fn a_schema_that_is_too_large_makes_its_messages_rejects_and_is_asked_for_once() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let money = r#"{"type":"record","name":"Money","namespace":"m","fields":[{"name":"units","type":"int"}]}"#;
    let first = registry.avro("money", money).await;
    let referring = r#"{"type":"record","name":"T","fields":[{"name":"price","type":"m.Money"}]}"#;
    let references = serde_json::json!([{"name": "m.Money", "subject": "money", "version": 1}]);
    let body = serde_json::json!({"schema": referring, "references": references});
    let second = registry.register("trades", body).await;
    let paths = [format!("/schemas/ids/{first}"), "/subjects/money/versions/1".to_owned()];
    let large = paths.clone();
    let proxy =
        HttpProxy::start(&registry.address(), move |request| match large.contains(&request.path) {
            true => Treatment::Answer {
                status: 200,
                body: format!(r#"{{"schema":"{}"}}"#, "x".repeat(5 << 20)),
            },
            false => Treatment::Forward,
        })
        .await;
    let values =
        [first, second, first, second].map(|schema| TestMessage::new(0, framed(schema, &[2])));
    scene.topic.produce(values).await;
    scene
        .topic
        .produce([TestMessage::new(0, r#"{"symbol":"MSFT","price":1.5,"ts":1749218401}"#)])
        .await;
    let _speed_layer = scene.start(&["--schema-registry", &format!("http://{}", proxy.address())]);
    scene.wait_all_in().await;
    assert_eq!(scene.count("select count(*) from realtime_stock").await, 1);
    let rejects = rejects(&scene).await;
    assert_eq!(rejects.len(), 4);
    for (reject, path) in rejects.iter().zip(paths.iter().cycle()) {
        assert!(
            reject.contains(" unknown_schema ") && reject.contains("more than 4 MiB"),
            "{reject}"
        );
        assert!(reject.contains(path), "{path}: {reject}");
    }
    let asked = proxy.requests().iter().filter(|request| request.path == paths[1]).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_schema_whose_request_hangs_delays_no_other() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(4).await;
    let mut schemas = Vec::new();
    for number in 0..4 {
        let text = TRADE.replace("XNYS", &format!("V{number}"));
        schemas.push(registry.avro(&format!("s{number}"), &text).await);
    }
    let hanging: Vec<String> =
        schemas[..3].iter().map(|schema| format!("/schemas/ids/{schema}")).collect();
    let paths = hanging.clone();
    let proxy =
        HttpProxy::start(&registry.address(), move |request| match paths.contains(&request.path) {
            true => Treatment::After(Box::pin(std::future::pending())),
            false => Treatment::Forward,
        })
        .await;
    let speed_layer = scene.start(&["--schema-registry", &format!("http://{}", proxy.address())]);
    let address = http_address(&speed_layer).await;
    scene
        .topic
        .produce((0..3).map(|at| TestMessage::new(at, trade(schemas[at as usize], "A", 1))))
        .await;
    eventually("the three to be asked for", PATIENCE, || async {
        let asked = proxy.requests();
        let is_asked = |path: &String| asked.iter().any(|request| request.path == *path);
        if hanging.iter().all(is_asked) { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await;
    scene.topic.produce([TestMessage::new(3, trade(schemas[3], "B", 1))]).await;
    wait_for_ticks(&scene, 1).await;
    // None of those that hang has been given up meanwhile.
    assert_eq!(metric(&address, "speed_layer_retries_total{target=\"schema registry\"} "), Some(0));
    let line = speed_layer.wait_stderr("schema registry: http://", PATIENCE).await;
    assert!(line.contains("timeout"), "{line}");
}

#[tokio::test]
async fn google_types_need_no_reference_in_the_registry() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let text = r#"syntax = "proto3"; import "google/type/decimal.proto"; import "google/protobuf/timestamp.proto";
        message Trade { string symbol = 1; google.type.Decimal price = 2; google.protobuf.Timestamp ts = 3; }"#;
    let schema = registry
        .register("trades", serde_json::json!({"schemaType": "PROTOBUF", "schema": text}))
        .await;
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    // Seconds: 1,749,218,401.
    let ts = [8, 0xe1, 0xe8, 0x8b, 0xc2, 6];
    let trade =
        [vec![0], field(1, b"AAPL"), field(2, &field(1, b"201.500000001")), field(3, &ts)].concat();
    let broken = [&trade[..], &[0]].concat();
    scene
        .topic
        .produce([trade, broken].map(|body| TestMessage::new(0, framed(schema, &body))))
        .await;
    let _speed_layer = scene.start(&["--schema-registry", &registry.url()]);
    scene.wait_all_in().await;
    assert_eq!(rows(&scene).await, ["AAPL 2025-06-06 14:00:01 201.500000001 201.500000001 -"]);
    let rejects = rejects(&scene).await;
    assert!(
        rejects[0].starts_with("1 not_of_schema ") && rejects[0].contains("without a number"),
        "{rejects:?}"
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_at_the_start_is_waited_for() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let schema = registry.avro("a", TRADE).await;
    scene.topic.produce([TestMessage::new(0, trade(schema, "A", 1))]).await;
    let mut proxy = TcpProxy::start(&registry.address()).await;
    proxy.cut().await;
    let speed_layer = scene.start(&["--schema-registry", &format!("http://{}", proxy.address())]);
    let line = speed_layer.wait_stderr("schema registry: http://127.0.0.1", PATIENCE).await;
    assert!(line.contains("trying again"), "{line}");
    // One that accepts and says nothing is away as well.
    proxy.stall().await;
    speed_layer.wait_stderr("does not work yet, now because: http://127.0.0.1", PATIENCE).await;
    proxy.restore().await;
    wait_for_ticks(&scene, 1).await;
    speed_layer.wait_stderr("schema registry: works again", PATIENCE).await;
}

#[tokio::test]
async fn a_registry_is_asked_through_verified_tls_with_a_password_that_shows_nowhere() {
    let authorization = "Basic cmVhZGVyOnMzY3JldC1yZWdpc3RyeQ==";
    let Some(registry) = TestRegistry::with_authorization(authorization).await else { return };
    let (scene, secrets) = (Scene::new(1).await, Secrets::new());
    let schema = registry.avro("a", TRADE).await;
    scene.topic.produce([TestMessage::new(0, trade(schema, "A", 1))]).await;
    let tls = TlsProxy::start(&registry.address()).await;
    let url = format!("https://{}", tls.address());
    let password = secrets.file("password", "s3cret-registry\n");
    let wrong = secrets.file("wrong", "wr0ng-registry\n");
    let authority = stack("STACK_TLS_CA");
    let flags = [
        "--schema-registry",
        &url,
        "--schema-registry-ca-file",
        &authority,
        "--schema-registry-user",
        "reader",
    ];
    let with = |file: &str| {
        let mut command = scene.command();
        command
            .env("RUST_LOG", "trace")
            .args(flags)
            .args(["--schema-registry-password-file", file]);
        Child::spawn(command)
    };
    // This registry tells a wrong password and a right that is missing apart as little as it may.
    let refused = with(&wrong);
    let line = refused
        .wait_stderr("--schema-registry-user must be allowed to read schemas", PATIENCE)
        .await;
    assert!(line.contains("User not authorized") && line.contains("trying again"), "{line}");
    assert_hidden(&["s3cret-registry", "wr0ng-registry", "cmVhZGVyOn"], &refused);
    drop(refused);
    let speed_layer = with(&password);
    wait_for_ticks(&scene, 1).await;
    assert_hidden(&["s3cret-registry", "wr0ng-registry", "cmVhZGVyOn"], &speed_layer);
    drop(speed_layer);
    // The stack's authority is none of the system's.
    let distrusting = scene.start(&["--schema-registry", &url]);
    let line = distrusting.wait_stderr("schema registry: https://localhost", PATIENCE).await;
    assert!(line.contains("certificate"), "{line}");
}

#[tokio::test]
async fn a_registry_that_lets_nobody_in_ends_it_with_its_words() {
    let Some(registry) = TestRegistry::with_authorization("Basic x").await else { return };
    let scene = Scene::new(1).await;
    let line = last_words(scene.start(&["--schema-registry", &registry.url()])).await;
    assert!(line.contains("answers 401: Missing Authorization header"), "{line}");
    for (flags, said) in [
        (&["--schema-registry", "127.0.0.1:8081"][..], "expected http://host:8081"),
        (
            &["--schema-registry", "https://h", "--schema-registry-ca-file", "/no/such/file"],
            "/no/such/file",
        ),
    ] {
        let line = last_words(scene.start(flags)).await;
        assert!(line.contains(said), "{line}");
    }
}

#[tokio::test]
async fn a_registry_that_lets_nobody_in_does_not_stand_before_another_one() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let schema = registry.avro("a", TRADE).await;
    let closed = HttpProxy::start(&registry.address(), |_| Treatment::Answer {
        status: 401,
        body: r#"{"error_code":40101,"message":"who?"}"#.to_owned(),
    })
    .await;
    scene.topic.produce([TestMessage::new(0, trade(schema, "A", 1))]).await;
    let urls = format!("http://{},{}", closed.address(), registry.url());
    let mut speed_layer = scene.start(&["--schema-registry", &urls]);
    wait_for_ticks(&scene, 1).await;
    // A schema that neither gives stalls the partition, as one of them has not said that there is
    // none.
    scene.topic.produce([TestMessage::new(0, trade(schema + 100, "A", 1))]).await;
    let line = speed_layer.wait_stderr("answers 401: who?", PATIENCE).await;
    assert!(line.contains("trying again"), "{line}");
    assert_eq!(speed_layer.exit_status(), None);
    assert_eq!(rejects(&scene).await, [""; 0]);
}

#[tokio::test]
async fn the_password_for_a_registry_may_come_from_a_variable_and_is_never_printed() {
    let authorization = "Basic cmVhZGVyOnMzY3JldC1yZWdpc3RyeQ==";
    let Some(registry) = TestRegistry::with_authorization(authorization).await else { return };
    let scene = Scene::new(1).await;
    let schema = registry.avro("a", TRADE).await;
    scene.topic.produce([TestMessage::new(0, trade(schema, "A", 1))]).await;
    let (url, mut command) = (registry.url(), scene.command());
    command.env("SCHEMA_REGISTRY_PASSWORD", "s3cret-registry").args([
        "--schema-registry",
        &url,
        "--schema-registry-user",
        "reader",
    ]);
    let speed_layer = Child::spawn(command);
    wait_for_ticks(&scene, 1).await;
    let printed = [speed_layer.stderr(), speed_layer.stdout()].concat().join("\n");
    for secret in ["s3cret-registry", "cmVhZGVyOn"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn doctor_reads_avro_and_proposes_flags_for_it() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let schema = registry
        .avro("a", &TRADE.replace("\"symbol\"", "\"s\"").replace("\"price\"", "\"p\""))
        .await;
    let values = (0..20).map(|number| TestMessage::new(0, trade(schema, "AAPL", number)));
    scene.topic.produce(values).await;
    let doctor = |flags: &[&str]| {
        let mut command = scene.command();
        command.arg("doctor").args(flags);
        async move {
            let mut doctor = Child::spawn(command);
            let status = doctor.wait_exit(PATIENCE).await;
            (status.code(), doctor.stdout().join("\n"))
        }
    };
    let (code, report) = doctor(&[]).await;
    assert!(
        code == Some(1)
            && report.contains("unknown_schema: 20")
            && report.contains("--schema-registry"),
        "{report}"
    );
    let url = registry.url();
    let (code, report) = doctor(&["--schema-registry", &url]).await;
    assert!(
        code == Some(1)
            && report.contains("missing_field: 20")
            && report.contains("With these flags 20"),
        "{report}"
    );
    let (code, report) = doctor(&["--schema-registry", &url, "--map", "symbol=s,price=p"]).await;
    assert!(
        code == Some(0) && report.contains("AAPL at 2025-06-06T14:00:01.123456Z, price 201.5"),
        "{report}"
    );
}

#[tokio::test]
async fn doctor_names_a_schema_that_it_may_not_see_and_reads_the_others() {
    let Some(registry) = TestRegistry::start().await else { return };
    let scene = Scene::new(1).await;
    let (first, second) =
        (registry.avro("a", TRADE).await, registry.avro("b", &TRADE.replace("XNYS", "XLON")).await);
    let path = format!("/schemas/ids/{first}");
    let proxy = HttpProxy::start(&registry.address(), move |request| match request.path == path {
        true => Treatment::Answer {
            status: 403,
            body: r#"{"error_code":40301,"message":"not yours"}"#.to_owned(),
        },
        false => Treatment::Forward,
    })
    .await;
    let values = [first, second, second].map(|schema| TestMessage::new(0, trade(schema, "A", 1)));
    scene.topic.produce(values).await;
    let mut command = scene.command();
    command.args(["doctor", "--schema-registry", &format!("http://{}", proxy.address())]);
    let mut doctor = Child::spawn(command);
    let status = doctor.wait_exit(PATIENCE).await;
    let report = doctor.stdout().join("\n");
    assert_eq!(status.code(), Some(1), "{report}");
    for said in [
        "2 of 3 messages",
        "unknown_schema: 1",
        "this user may not see it",
        "answers 403: not yours",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
}
