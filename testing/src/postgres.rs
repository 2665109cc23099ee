//! [`TestPostgres`]: a PostgreSQL of a test's own, with other settings than the stack's.

use crate::folder::folder;
use crate::stack::stack;
use crate::{Child, eventually, free_port, unprivileged};
use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A PostgreSQL of a test's own, whose settings may be changed without harm to others. It ends with
/// the value.
pub struct TestPostgres {
    // They are dropped in this order: the folder is the process's.
    _process: Child,
    port: u16,
    _folder: TempDir,
}

impl TestPostgres {
    pub async fn start() -> Self {
        let (folder, port) = (folder(), free_port());
        let mut making = program("initdb");
        making.args(["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust"]);
        making.args(["--no-sync", "-D", "data"]);
        unprivileged::run_in(&folder, &mut making);
        let mut making = Child::spawn(making);
        let status = making.wait_exit(PATIENCE).await;
        assert!(status.success(), "initdb: {:?}", making.stderr());

        Self::serve(folder, port).await
    }

    /// A copy of the whole server as it is now, as a backup makes it; it runs beside this one.
    pub async fn copy(&self) -> Self {
        let (folder, port) = (folder(), free_port());
        let mut copying = program("pg_basebackup");
        copying.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-w"]);
        copying.args(["--checkpoint=fast", "--no-sync", "-D", "data"]);
        unprivileged::run_in(&folder, &mut copying);
        let mut copying = Child::spawn(copying);
        let status = copying.wait_exit(PATIENCE).await;
        assert!(status.success(), "pg_basebackup: {:?}", copying.stderr());
        Self::serve(folder, port).await
    }

    async fn serve(folder: TempDir, port: u16) -> Self {
        let mut command = program("postgres");
        command.args(["-D", "data", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        command.args(["-c", "unix_socket_directories=", "-c", &format!("port={port}")]);
        unprivileged::run_in(&folder, &mut command);
        let postgres = Self { _process: Child::spawn(command), port, _folder: folder };
        eventually("PostgreSQL to answer", PATIENCE, || async {
            PgConnection::connect(&postgres.url()).await
        })
        .await;
        postgres
    }

    /// Of its one database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("connect to the test's PostgreSQL")
    }
}

fn program(name: &str) -> Command {
    Command::new(Path::new(&stack("STACK_POSTGRES_BIN")).join(name))
}
