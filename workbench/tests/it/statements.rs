//! The SQL in the files of this crate, against the tables that the migrations make.

use service::pg::MIGRATOR;
use std::path::Path;
use testing::TestDatabase;
use testing::statements::refused;

/// Temporary tables that other statements read.
const STAGED: [&str; 2] =
    [include_str!("../../sql/prove/staged.sql"), include_str!("../../sql/bench/peer_table.sql")];

#[tokio::test]
async fn every_statement_of_sql_fits_the_schema() {
    let database = TestDatabase::create().await;
    MIGRATOR.run(database.pool()).await.unwrap();
    let mut connection = database.connection().await;
    for tables in STAGED {
        sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let refusals = refused(&mut connection, &folder).await;
    assert!(refusals.is_empty(), "PostgreSQL refuses:\n{}", refusals.join("\n"));
}
