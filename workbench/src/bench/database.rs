//! Databases that are measured, and the layers that write into them.

use sqlx::PgConnection;
use std::process::Command;
use testing::{TestDatabase, TestTopic};

/// Where the database is, with a connection that is not encrypted: over loopback that is what a
/// desk would choose, and AES would be a part of both sides of every ratio.
pub fn without_tls(database: &TestDatabase) -> String {
    format!("{}?sslmode=disable", database.url())
}

/// One with the tables: an installation makes them once, not once an hour.
///
/// # Errors
/// A server that is not there.
pub async fn migrated() -> anyhow::Result<TestDatabase> {
    let database = TestDatabase::create().await;
    service::pg::Database::parse(database.url(), "bench")?.migrate_only().await?;
    Ok(database)
}

/// One with the tables, and a connection to it.
///
/// # Errors
/// A server that is not there.
pub async fn connected() -> anyhow::Result<(TestDatabase, PgConnection)> {
    let database = TestDatabase::create().await;
    let target = service::pg::Database::parse(&without_tls(&database), "bench")?;
    let connection = target.connect_ready().await?;
    Ok((database, connection))
}

/// A layer on a database, which says only what is wrong.
///
/// # Errors
/// A binary that is not built.
pub fn layer(name: &str, database: &TestDatabase) -> anyhow::Result<Command> {
    let mut command = crate::process::command(name)?;
    command.env("DATABASE_URL", without_tls(database)).env("RUST_LOG", "warn");
    Ok(command)
}

/// The speed layer between a topic and a database.
///
/// # Errors
/// A binary that is not built.
pub fn speed_layer(topic: &TestTopic, database: &TestDatabase) -> anyhow::Result<Command> {
    let mut command = layer("speed-layer", database)?;
    command.env("KAFKA_BROKERS", topic.brokers()).env("KAFKA_TOPIC", topic.name());
    command.env("HTTP_ADDR", "127.0.0.1:0");
    Ok(command)
}
