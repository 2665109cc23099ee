//! The SQL in the files of this crate and of `service`, against the tables that the migrations
//! make.

use std::path::Path;

use service::pg::MIGRATOR;
use testing::TestDatabase;
use testing::statements::refused;

#[tokio::test]
async fn every_statement_of_sql_fits_the_schema() {
    let database = TestDatabase::create().await;
    MIGRATOR.run(database.pool()).await.unwrap();
    let mut connection = database.connection().await;
    for folder in ["sql", "../service/sql"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let refusals = refused(&mut connection, &folder).await;
        assert!(refusals.is_empty(), "PostgreSQL refuses:\n{}", refusals.join("\n"));
    }
}
