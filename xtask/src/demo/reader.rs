//! The database role of the dashboards, `grafana_reader`.

use crate::stack::{Stack, postgres};
use crate::{files, process};
use anyhow::Result;
use std::process::Command;

const NAME: &str = "grafana_reader";
/// The demo's database is on loopback and ends with it.
const PASSWORD: &str = "grafana";

/// Makes the role as production does, before the tables: their migrations give it its rights.
pub fn create(stack: &Stack) -> Result<()> {
    let script = files::workspace().join("deploy/postgres/roles.sql");
    let mut psql = Command::new(postgres::bin_dir()?.join("psql"));
    psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file"]).arg(&script);
    psql.args(["--command", &format!("alter role {NAME} password '{PASSWORD}'")])
        .arg(stack.database_url());
    process::output(&mut psql).map(drop)
}

/// The database as the role sees it.
pub fn url(stack: &Stack) -> String {
    format!(
        "postgres://{NAME}:{PASSWORD}@127.0.0.1:{}/{}",
        stack.postgres_port(),
        postgres::DATABASE
    )
}

/// For the data source of `grafana/provisioning/`.
pub fn environment(stack: &Stack) -> [(&'static str, String); 5] {
    [
        ("GRAFANA_DB_HOST", format!("127.0.0.1:{}", stack.postgres_port())),
        ("GRAFANA_DB_NAME", postgres::DATABASE.to_owned()),
        ("GRAFANA_DB_USER", NAME.to_owned()),
        ("GRAFANA_DB_PASSWORD", PASSWORD.to_owned()),
        ("GRAFANA_DB_SSLMODE", "disable".to_owned()),
    ]
}
