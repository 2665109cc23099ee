//! [`PgBouncer`]: a pooler before PostgreSQL.

use crate::folder::{folder, write};
use crate::stack::stack;
use crate::{Child, free_port, unprivileged};
use std::process::Command;
use tempfile::TempDir;
use url::Url;

/// When a connection to the server is given to another client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    Session,
    Transaction,
}

/// A real PgBouncer before the stack's PostgreSQL, as its package sets it up. It ends with the
/// value.
pub struct PgBouncer {
    // They are dropped in this order: the folder is the process's.
    _process: Child,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// `connections`: how many to the server each database gets.
    pub async fn start(pooling: Pooling, connections: u32) -> Self {
        let (folder, port) = (folder(), free_port());
        let settings = write(&folder, "pgbouncer.ini", &settings(pooling, connections, port));
        let mut command = Command::new("pgbouncer");
        // Debian installs it where only root's PATH leads.
        command
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .arg(settings);
        unprivileged::run_in(&folder, &mut command);
        let process = Child::spawn(command);
        process.wait_listening(port).await;
        Self { _process: process, port, _folder: folder }
    }

    /// The URL of a database of the stack's, by way of the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://anybody@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

fn settings(pooling: Pooling, connections: u32, port: u16) -> String {
    let server = Url::parse(&stack("STACK_DATABASE_URL")).expect("STACK_DATABASE_URL is a URL");
    let place = format!(
        "host={} port={} user={} password={}",
        server.host_str().unwrap_or("127.0.0.1"),
        server.port().unwrap_or(5432),
        server.username(),
        server.password().unwrap_or_default()
    );
    let mode = match pooling {
        Pooling::Session => "session",
        Pooling::Transaction => "transaction",
    };
    format!(
        "[databases]
* = {place}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {connections}
"
    )
}
