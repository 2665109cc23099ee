//! [`TestDatabase`]: a database of a test's own.

use crate::stack::{clean_up, stack, unique_name};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::time::Duration;
use url::Url;

/// An empty PostgreSQL database of its own, without migrations. It is dropped with the value, also
/// when a test panics.
pub struct TestDatabase {
    name: String,
    url: String,
    pool: PgPool,
}

impl TestDatabase {
    pub async fn create() -> Self {
        Self::create_like("template1").await
    }

    /// Another database with the same tables and rows. Whoever is connected to this one is
    /// disconnected.
    pub async fn copy(&self) -> Self {
        let server = stack("STACK_DATABASE_URL");
        let mut connection =
            PgConnection::connect(&server).await.expect("connect to STACK_DATABASE_URL");
        sqlx::query(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1",
        )
        .bind(&self.name)
        .execute(&mut connection)
        .await
        .expect("disconnect others from the database to be copied");
        Self::create_like(&self.name).await
    }

    async fn create_like(template: &str) -> Self {
        let name = unique_name("db").replace('-', "_");
        let server = stack("STACK_DATABASE_URL");
        let mut connection =
            PgConnection::connect(&server).await.expect("connect to STACK_DATABASE_URL");
        sqlx::query(AssertSqlSafe(format!("create database {name} template {template}")))
            .execute(&mut connection)
            .await
            .expect("create the test's database");
        connection.close().await.expect("close the connection to STACK_DATABASE_URL");
        let mut url = Url::parse(&server).expect("STACK_DATABASE_URL is a URL");
        url.set_path(&name);
        let url = url.to_string();
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(15))
            .connect_lazy(&url)
            .expect("make a pool for the test's database");
        Self { name, url, pool }
    }

    /// With user and password, as a binary under test takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connect to the test's database")
    }

    /// Drops the database now, with whatever is connected to it.
    pub async fn drop(self) {
        self.pool.close().await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop_database =
            AssertSqlSafe(format!("drop database if exists {} with (force)", self.name));
        clean_up(|| async {
            let server = stack("STACK_DATABASE_URL");
            if let Ok(mut connection) = PgConnection::connect(&server).await {
                let _ = sqlx::query(drop_database).execute(&mut connection).await;
            }
        });
    }
}
