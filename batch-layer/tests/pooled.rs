//! Statements of a process that is behind a pooler: a process knows that once for all of its
//! connections, so it is one of its own.
#![allow(clippy::unwrap_used, reason = "a helper that cannot go on has found the failure")]

use futures::{StreamExt, TryStreamExt};
use service::pg::{self, Database};
use sqlx::postgres::{PgConnection, PgRow};
use std::time::Duration;
use testing::{PgBouncer, Pooling, TestDatabase};

/// Two connections that share one session of the server, transaction by transaction.
async fn two_of_one_session(database: &TestDatabase) -> (PgBouncer, PgConnection, PgConnection) {
    let pooler = PgBouncer::start(Pooling::Transaction, 1).await;
    let pooled = Database::parse(&pooler.url(database.name()), "test").unwrap();
    let (one, other) = (pooled.connect().await.unwrap(), pooled.connect().await.unwrap());
    assert!(!pg::has_a_session());
    (pooler, one, other)
}

const DIVIDE: &str = "select 1 / divisor from unnest($1::integer[]) as divisor";

#[tokio::test]
async fn a_statement_that_has_failed_leaves_the_session_to_others_at_once() {
    let database = TestDatabase::create().await;
    let (_pooler, mut one, mut other) = two_of_one_session(&database).await;
    for kind in ["execute", "all", "optional", "one", "stream", "stream of a few"] {
        let by_zero = pg::query(DIVIDE).bind(vec![0_i32]);
        let failed: sqlx::Result<()> = match kind {
            "execute" => by_zero.execute(&mut one).await.map(drop),
            "all" => by_zero.fetch_all(&mut one).await.map(drop),
            "optional" => by_zero.fetch_optional(&mut one).await.map(drop),
            "one" => by_zero.fetch_one(&mut one).await.map(drop),
            "stream" => by_zero.fetch(&mut one).try_collect::<Vec<PgRow>>().await.map(drop),
            _ => {
                let mut rows = pg::query(DIVIDE).bind(vec![1_i32, 1, 0]).fetch(&mut one);
                let (first, second) = (rows.next().await, rows.next().await);
                assert!(matches!((first, second), (Some(Ok(_)), Some(Ok(_)))));
                rows.try_next().await.map(drop)
            }
        };
        assert!(matches!(failed, Err(sqlx::Error::Database(_))), "{kind}: {failed:?}");
        let next = pg::query_scalar::<i32>(DIVIDE).bind(vec![1_i32]).fetch_one(&mut other);
        let next = tokio::time::timeout(Duration::from_secs(20), next).await;
        assert!(matches!(next, Ok(Ok(1))), "{kind}: {next:?}");
    }
}

#[tokio::test]
async fn what_a_stream_writes_counts_once_its_last_row_was_taken() {
    let database = TestDatabase::create().await;
    let (_pooler, mut one, _) = two_of_one_session(&database).await;
    pg::query("create table seen (number integer)").execute(&mut one).await.unwrap();
    for (taken, expected) in [(1, 0), (4, 3)] {
        let insert = "insert into seen select * from generate_series(1, 3) returning number";
        let rows = pg::query_scalar::<i32>(insert).fetch(&mut one).take(taken);
        rows.try_collect::<Vec<_>>().await.unwrap();
        let count = pg::query_scalar::<i64>("select count(*) from seen").fetch_one(&mut one).await;
        assert_eq!(count.unwrap(), expected, "{taken} rows were taken");
    }
}
