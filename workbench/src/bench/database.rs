//! Databases that are measured.

use testing::TestDatabase;

/// Where the database is, with a connection that is not encrypted: over loopback that is what a
/// desk would choose, and AES would be a part of both sides of every ratio.
pub fn without_tls(database: &TestDatabase) -> String {
    format!("{}?sslmode=disable", database.url())
}

/// One with the tables: an installation makes them once, not once an hour.
///
/// Errors: a server that is not there.
pub async fn migrated() -> anyhow::Result<TestDatabase> {
    let database = TestDatabase::create().await;
    service::pg::Database::parse(database.url(), "bench")?.migrate_only().await?;
    Ok(database)
}
