//! The speed layer as `speed_writer`: enough rights for everything it does, and none for anything
//! else.

use crate::scene::{PATIENCE, Scene, http_address, tick, wait_ready};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testing::{Child, TestMessage, assert_refused, eventually};

/// The binary as its least-privileged role.
fn command(scene: &Scene, flags: &[&str]) -> std::process::Command {
    let mut command = scene.command();
    command
        .env("DATABASE_URL", scene.database.url_of("speed_writer"))
        .env("MIGRATIONS", "check")
        .args(flags);
    command
}

#[tokio::test]
async fn it_writes_rejects_records_gaps_indexes_and_drops_days_with_the_least_rights() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let day_ago = |days: i64| {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let millis = (i64::try_from(now).unwrap() - days * 86_400) * 1000;
        TestMessage::new(
            0,
            tick(1).replace("\"2025-06-06T10:00:00.001-04:00\"", &millis.to_string()),
        )
    };
    // As if Kafka had lost all that was read before.
    sqlx::query(
        "with entered as (
             insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
             values ($2, '', $1, '', 1) returning source)
         insert into kafka_offsets (source, partition, next_offset) select source, 0, 99 from \
         entered",
    )
    .bind(scene.topic.name())
    .bind(scene.group())
    .execute(scene.database.pool())
    .await
    .unwrap();
    let flags = ["--retention-days", "7", "--upkeep-interval", "200ms", "--on-gap", "skip"];
    let _speed_layer = Child::spawn(command(&scene, &flags));
    let gaps = || scene.count("select count(*) from kafka_gaps");
    eventually("the gap", PATIENCE, || async { gaps().await == 1 }).await;
    scene
        .topic
        .produce([day_ago(400), day_ago(2), day_ago(0), TestMessage::new(0, "no tick")])
        .await;
    eventually(
        "a gap, a reject, and one day dropped, one indexed, one being \
        written",
        PATIENCE,
        || async {
            let seen = [
                scene.count("select count(*) from kafka_gaps").await,
                scene.count("select count(*) from rejected_ticks").await,
                scene
                    .count("select count(*) from realtime_partitions where to_time <= now()")
                    .await,
                scene
                    .count(
                        "select count(*) from pg_indexes where indexname like \
                '%_symbol_timestamp_idx'",
                    )
                    .await,
            ];
            if seen == [1, 1, 1, 1] { Ok(()) } else { Err(format!("{seen:?}")) }
        },
    )
    .await;
}

#[tokio::test]
async fn speed_writer_may_do_nothing_else() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let mut owner = PgConnection::connect(&scene.database.url_of("stocks_owner")).await.unwrap();
    let day = "select make_realtime_days(array['2025-06-06']::date[])";
    sqlx::raw_sql(day).execute(&mut owner).await.unwrap();
    assert_refused(
        &scene.database,
        "speed_writer",
        &[
            "delete from realtime_days.realtime_stock_20250606",
            "update realtime_days.realtime_stock_20250606 set volume = 0",
            "truncate realtime_days.realtime_stock_20250606",
            "drop table realtime_days.realtime_stock_20250606",
            "alter table realtime_stock detach partition realtime_days.realtime_stock_20250606",
            "create function realtime_days.mine() returns trigger language plpgsql as 'begin \
             return null; end'",
            "create trigger mine before insert on realtime_stock for each row execute function \
             suppress_redundant_updates_trigger()",
            "create table realtime_days.mine (i int)",
            "delete from realtime_upkeep",
            "delete from dropped_days",
            "insert into dropped_days values ('2025-06-06', 'x', now(), 'x')",
            "select * from realtime_stock",
            "update realtime_stock set volume = 0",
            "delete from realtime_stock",
            "truncate realtime_stock",
            "alter table realtime_stock add column more text",
            "drop table realtime_stock",
            "drop table minute_bars",
            "delete from minute_bars",
            "delete from kafka_offsets",
            "select * from rejected_ticks",
            "delete from rejected_ticks",
            "delete from kafka_gaps",
            "select * from hourly_stock_summary",
            "insert into hourly_stock_summary (symbol, hour) values ('X', now())",
            "delete from archive_objects",
            "select * from batch_runs",
            "delete from _sqlx_migrations",
            "create table public.mine (i int)",
            "create schema mine",
            "create temporary table mine (i int)",
            "create role another",
            "set role stocks_owner",
            "alter function make_realtime_days owner to speed_writer",
            "copy minute_bars to program 'true'",
            "copy minute_bars to '/tmp/minute_bars'",
            "select pg_read_file('/etc/passwd')",
        ],
    )
    .await;
}

#[tokio::test]
async fn grafana_reader_reads_and_may_do_nothing_else() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let mut connection =
        PgConnection::connect(&scene.database.url_of("grafana_reader")).await.unwrap();
    for view in ["minute_stock", "hourly_stock", "technical_indicators"] {
        let query = format!("select count(*) from {view}");
        sqlx::raw_sql(AssertSqlSafe(query)).execute(&mut connection).await.unwrap();
    }
    // A dashboard's editor can switch the read-only default off, so rights alone must hold.
    let write = "set transaction_read_only = off";
    let attempts = [
        "insert into realtime_stock values ('X', now(), 1, 1, 1, 1, 1, 1, 1)",
        "update minute_bars set ticks = 0",
        "delete from hourly_stock_summary",
        "truncate batch_runs",
        "drop view hourly_stock",
        "select * from _sqlx_migrations",
        "select * from realtime_stock",
        "select * from rejected_ticks",
        "select make_realtime_days(array['2020-01-01']::date[])",
        "select drop_realtime_day('realtime_stock_20200101', 1)",
        "select seal_realtime_day('realtime_stock_20200101')",
        "select * from realtime_upkeep for update",
        "begin; lock table realtime_upkeep in access share mode",
        "begin; lock table _sqlx_migrations in access share mode",
        "create table realtime_days.mine (i int)",
        "create table public.mine (i int)",
        "create temporary table mine (i int)",
        "set role speed_writer",
        "select pg_read_file('/etc/passwd')",
        "copy minute_bars to program 'true'",
    ];
    let unlocked: Vec<String> =
        attempts.iter().map(|attempt| format!("{write}; {attempt}")).collect();
    for attempts in [attempts.to_vec(), unlocked.iter().map(String::as_str).collect()] {
        assert_refused(&scene.database, "grafana_reader", &attempts).await;
    }
}

/// Any role may take any advisory lock.
#[tokio::test]
async fn grafana_reader_cannot_stop_writers_with_a_lock() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let mut reader = PgConnection::connect(&scene.database.url_of("grafana_reader")).await.unwrap();
    // That of sqlx's migrations, by its rule, and every one that this project has ever had.
    let take = "set transaction_read_only = off;
        select pg_advisory_lock(hashtext(name)) from \
        unnest(array['stocks.realtime_stock.partitions',
            'stocks.realtime_stock.upkeep', 'stocks.grants', 'stocks.migrations']) as name";
    sqlx::raw_sql(take).execute(&mut reader).await.unwrap();
    let mut command = scene.command();
    command.env("DATABASE_URL", scene.database.url_of("stocks_owner"));
    let _speed_layer = Child::spawn(command);
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    scene
        .wait_count(
            "the days to be made ahead",
            "select count(*) from realtime_partitions where to_time > now()",
            2,
        )
        .await;
}

/// As RDS, Cloud SQL and Azure give it.
#[tokio::test]
async fn the_roles_are_made_without_a_superuser() {
    const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");
    let scene = Scene::new(1).await;
    // Roles are the server's: others make them at the same moment, and this one has to be allowed
    // to alter them.
    scene.database.set_up_roles().await;
    let manager = format!("{}_manager", scene.database.name());
    let (own, url) = (format!("{manager}_db"), scene.database.url_of(&manager));
    let password = testing::ROLE_PASSWORD;
    for sql in [
        format!("create role {manager} login createdb createrole password '{password}'"),
        format!(
            "grant stocks_owner, speed_writer, batch_writer, grafana_reader to {manager} with \
             admin option"
        ),
    ] {
        scene.execute(&sql).await;
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database {own}")))
        .execute(&mut connection)
        .await
        .unwrap();
    let mut own_url = url::Url::parse(&url).unwrap();
    own_url.set_path(&own);
    eventually("the roles to be made", PATIENCE, || async {
        let mut connection = PgConnection::connect(own_url.as_str()).await?;
        sqlx::raw_sql(ROLES).execute(&mut connection).await?;
        connection.close().await
    })
    .await;
    drop(connection);
    for sql in [
        format!("drop database {own} with (force)"),
        format!("drop owned by {manager}"),
        format!("drop role {manager}"),
    ] {
        scene.execute(&sql).await;
    }
}

#[tokio::test]
async fn the_owner_of_the_tables_rules_no_more_than_its_database() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    assert_refused(
        &scene.database,
        "stocks_owner",
        &[
            "create role another",
            "create database another",
            "alter role speed_writer superuser",
            "alter system set work_mem = '1GB'",
            "select pg_read_file('/etc/passwd')",
            "copy minute_bars to program 'true'",
        ],
    )
    .await;
}

#[tokio::test]
async fn without_the_right_to_migrate_it_waits_for_the_tables() {
    let scene = Scene::new(1).await;
    let mut command = scene.command();
    command.args(["--migrations", "check"]);
    let speed_layer = Child::spawn(command);
    let line = speed_layer.wait_stderr("older than this program", PATIENCE).await;
    assert!(line.contains("migration 1") && line.contains("--migrations only"), "{line}");
    let mut migrating = Child::spawn({
        let mut command = scene.command();
        command.args(["--migrations", "only"]);
        command
    });
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
}

#[tokio::test]
async fn every_table_has_a_role_that_may_change_it() {
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let orphans: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> \
         '_sqlx_migrations'
           -- Only its function writes it.
           and relname <> 'dropped_days'
           and not has_table_privilege('speed_writer', oid, 'insert, update')
           and not has_table_privilege('batch_writer', oid, 'insert, update')",
    )
    .fetch_all(scene.database.pool())
    .await
    .unwrap();
    assert_eq!(orphans, Vec::<String>::new(), "say in migrations/grants.sql who writes them");
}

/// They were made by who started the layer first, and hold rows.
#[tokio::test]
async fn tables_from_before_the_roles_are_handed_over_with_all_that_belongs_to_them() {
    let scene = Scene::new(1).await;
    scene.send_ticks(1, 10).await;
    let mut first = scene.start(&[]);
    scene.wait_all_in().await;
    first.sigterm();
    first.wait_exit(PATIENCE).await;
    scene.database.make_roles_alone().await;
    // Other tests have made the roles long ago, so the first start gave them their rights.
    let as_if_new = "revoke all on all tables in schema public from speed_writer, stocks_owner";
    scene.execute(as_if_new).await;
    let mut refused = Child::spawn(command(&scene, &[]));
    assert_eq!(refused.wait_exit(PATIENCE).await.code(), Some(2));
    let said = refused.stderr().last().cloned().unwrap();
    assert!(said.contains("belong to") && said.contains("hand-over.sql"), "{said}");
    scene.database.hand_over().await;
    let of_others = "select count(*) from (
                         select relowner as owner from pg_class where relnamespace = \
                         'public'::regnamespace
                         union all
                         select proowner from pg_proc where pronamespace = 'public'::regnamespace) \
                         as made
                     where owner <> 'stocks_owner'::regrole";
    assert_eq!(scene.count(of_others).await, 0);

    let _speed_layer = Child::spawn(command(&scene, &[]));
    scene.send_ticks(1, 10).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
}

#[tokio::test]
async fn a_right_that_is_missing_at_the_start_ends_it_and_one_that_goes_before_the_first_tick_is_waited_for()
 {
    let (take_away, give_back) = (
        "revoke insert on realtime_stock from speed_writer",
        "grant insert on realtime_stock to speed_writer",
    );
    let scene = Scene::new(1).await;
    scene.database.set_up_roles().await;
    let mut running = Child::spawn(command(&scene, &[]));
    let address = http_address(&running).await;
    wait_ready(&address, 200).await;
    scene.execute(take_away).await;
    let mut refused = Child::spawn(command(&scene, &[]));
    assert_eq!(refused.wait_exit(PATIENCE).await.code(), Some(2));
    let said = refused.stderr().last().cloned().unwrap();
    assert!(said.contains("no right to insert on realtime_stock"), "{said}");
    scene.send_ticks(1, 10).await;
    running.wait_stderr("SQLSTATE 42", PATIENCE).await;
    wait_ready(&address, 503).await;
    scene.execute(give_back).await;
    scene.wait_all_in().await;
    scene.assert_each_once().await;
    assert!(running.exit_status().is_none());
}

#[tokio::test]
async fn a_right_or_a_table_that_is_taken_away_while_it_runs_is_named_and_waited_for() {
    let cases = [
        (
            "revoke insert on minute_bars from speed_writer",
            "grant insert on minute_bars to speed_writer",
        ),
        (
            "revoke select on kafka_offsets from speed_writer",
            "grant select on kafka_offsets to speed_writer",
        ),
        ("alter table hour_bars rename to elsewhere", "alter table elsewhere rename to hour_bars"),
    ];
    for (take_away, give_back) in cases {
        let scene = Scene::new(1).await;
        scene.database.set_up_roles().await;
        let mut speed_layer = Child::spawn(command(&scene, &[]));
        let address = http_address(&speed_layer).await;
        scene.send_ticks(1, 10).await;
        scene.wait_all_in().await;
        scene.execute(take_away).await;
        scene.send_ticks(1, 10).await;
        speed_layer.wait_stderr("SQLSTATE 42", PATIENCE).await;
        wait_ready(&address, 503).await;
        scene.execute(give_back).await;
        scene.wait_all_in().await;
        scene.assert_each_once().await;
        assert!(speed_layer.exit_status().is_none(), "{take_away}");
    }
}
