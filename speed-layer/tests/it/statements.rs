//! The SQL in the files of this crate and of `service`, against the tables that the migrations
//! make.

use service::pg::MIGRATOR;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use std::path::Path;
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
    let merge = include_str!("../../sql/store/merge_bars.sql.in");
    for (table, start) in [("minute_bars", "minute"), ("hour_bars", "hour")] {
        let merge = merge
            .replace("{{table}}", table)
            .replace("{{start}}", start)
            .replace("{{is_earlier}}", include_str!("../../sql/store/merge_bars_is_earlier.sql.in"))
            .replace("{{is_later}}", include_str!("../../sql/store/merge_bars_is_later.sql.in"));
        let prepared = connection.prepare(AssertSqlSafe(merge).into_sql_str()).await;
        prepared.unwrap_or_else(|error| panic!("merging into {table}: {error}"));
    }
}
