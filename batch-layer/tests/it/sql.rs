//! The statements of `hourly` and `reconciliation`, in files and in the code, fit the migrations.

use std::path::Path;
use testing::{TestDatabase, statements};

#[tokio::test]
async fn every_statement_of_sql_fits_the_schema() {
    let database = TestDatabase::create().await;
    service::pg::MIGRATOR.run(database.pool()).await.unwrap();
    for library in ["hourly", "reconciliation"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(library).join("sql");
        let refused = statements::refused(&mut database.connection().await, &folder).await;
        assert_eq!(refused, Vec::<String>::new());
    }
}

#[tokio::test]
async fn every_statement_in_the_code_fits_the_schema() {
    let database = TestDatabase::create().await;
    service::pg::MIGRATOR.run(database.pool()).await.unwrap();
    for library in ["hourly", "reconciliation"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(library).join("src");
        let refused = statements::refused_in_code(&mut database.connection().await, &folder).await;
        assert_eq!(refused, Vec::<String>::new());
    }
}
