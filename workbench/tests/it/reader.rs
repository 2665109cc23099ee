//! `grafana_reader`, as `deploy/postgres/roles.sql` makes it.

use sqlx::{Connection, PgConnection};
use testing::TestDatabase;

/// A connection as `grafana_reader`, which may read what there is by now.
pub async fn connect(database: &TestDatabase) -> PgConnection {
    database.add_roles().await;
    connect_as_it_is(database).await
}

pub async fn connect_as_it_is(database: &TestDatabase) -> PgConnection {
    PgConnection::connect(&database.url_of("grafana_reader")).await.unwrap()
}
