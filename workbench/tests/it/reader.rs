//! `grafana_reader`, made by the script that people use.

use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use url::Url;
use workbench::testing::{TestDatabase, eventually};

const PASSWORD: &str = "read'me";

/// A connection as `grafana_reader`, which may read what there is by now.
pub async fn connect(database: &TestDatabase) -> PgConnection {
    create(database).await;
    connect_as_it_is(database).await
}

/// Runs the script. Roles belong to the whole server, so tests beside this one may change the same row of PostgreSQL's at
/// the same moment, which it refuses.
pub async fn create(database: &TestDatabase) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/reader.sql");
    eventually("grafana/reader.sql to succeed", Duration::from_secs(60), || async {
        let mut psql = Command::new("psql");
        psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&script).arg(database.url());
        let output = psql.env("GRAFANA_DB_PASSWORD", PASSWORD).output().await.expect("psql starts");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    })
    .await;
}

pub async fn connect_as_it_is(database: &TestDatabase) -> PgConnection {
    let mut url = Url::parse(database.url()).unwrap();
    url.set_username("grafana_reader").unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    PgConnection::connect(url.as_str()).await.unwrap()
}
