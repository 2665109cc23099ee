//! PostgreSQL: connecting, the migrations, and exact numbers on the wire.

mod migrations;
mod nodelay;
pub mod numeric;
pub mod timestamp;

pub use migrations::{MIGRATOR, Migrations};

use crate::failure::Failure;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

/// How long connecting may take before it counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the database is, and how to get in. `Debug` and errors never show the password.
#[derive(Clone)]
pub struct Database {
    options: PgConnectOptions,
    migrations: Migrations,
}

impl Database {
    /// Takes a URL such as `postgres://user:password@host:5432/stocks?sslmode=verify-full&sslrootcert=/ca.pem`.
    /// `application` is what `pg_stat_activity` shows.
    ///
    /// # Errors
    /// Where the URL is none; the message does not repeat it, since it holds a password.
    pub fn parse(url: &str, application: &str) -> Result<Self, Failure> {
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            let error = anyhow::anyhow!(
                "--database-url is not a PostgreSQL URL ({error}); expected postgres://user:password@host:5432/database"
            );
            Failure::Configuration(error)
        })?;
        // sqlx would log every slow COPY as a warning; commit times are a metric here.
        let options = options.application_name(application).disable_statement_logging();
        // Compiling a statement takes longer here than any statement does: half of the time of an hour's run
        // (docs/benchmarks.md).
        let options = options.options([("jit", "off")]);
        Ok(Self { options, migrations: Migrations::Run })
    }

    /// The same database, with another way to make sure of its tables.
    #[must_use]
    pub fn with_migrations(self, migrations: Migrations) -> Self {
        Self { migrations, ..self }
    }

    /// `host:port/database`, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        let host = match self.options.get_socket() {
            Some(path) => path.display().to_string(),
            None => format!("{}:{}", self.options.get_host(), self.options.get_port()),
        };
        format!("{host}/{}", self.options.get_database().unwrap_or_default())
    }

    /// Opens one connection.
    ///
    /// # Errors
    /// [`Failure::Configuration`] where trying again cannot help (wrong password, no such database), otherwise
    /// [`Failure::Infrastructure`].
    pub async fn connect(&self) -> Result<PgConnection, Failure> {
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await;
        let connection = match attempt {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if self.is_refused_by_us(&error) => {
                let error = anyhow::Error::new(error).context(self.what("connecting to"));
                return Err(Failure::Configuration(error));
            }
            Ok(Err(error)) => return Err(self.failure("connecting to", error)),
            Err(_) => {
                let error = anyhow::anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(Failure::Infrastructure(error.context(self.what("connecting to"))));
            }
        };
        if self.options.get_socket().is_none() {
            nodelay::set_for_peer_port(self.options.get_port());
        }
        Ok(connection)
    }

    /// Whether this side gave up: it does not trust the server's certificate, or cannot read `sslrootcert`.
    fn is_refused_by_us(&self, error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Tls(_) => true,
            // What rustls says comes as invalid data. A missing socket is a server that has not started yet.
            sqlx::Error::Io(error) => match error.kind() {
                ErrorKind::InvalidData => true,
                ErrorKind::NotFound => self.options.get_socket().is_none(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Sorts an error of the database's into the kinds of failure. `doing` says what was tried, as in "writing to".
    #[must_use]
    pub fn failure(&self, doing: &str, error: sqlx::Error) -> Failure {
        let configuration = is_configuration(&error);
        let error = anyhow::Error::new(error).context(self.what(doing));
        if configuration { Failure::Configuration(error) } else { Failure::Infrastructure(error) }
    }

    fn what(&self, doing: &str) -> String {
        format!("{doing} PostgreSQL at {} (--database-url)", self.address())
    }
}

/// Whether trying again cannot help until a person changes something.
fn is_configuration(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) => true,
        // 28: wrong user or password; 3D: no such database; 42: no such table, or no right to it.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["28", "3D", "42"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// Gives up a statement that gets no answer: a server, or the way to it, may be gone without a word. The connection is
/// of no use afterwards.
///
/// # Errors
/// The statement's own, or that it took longer than `patience`.
pub async fn in_time<T>(
    patience: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Ok(done) = tokio::time::timeout(patience, statement).await else {
        let what = format!("no answer within {patience:?}");
        return Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)));
    };
    done
}

#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_is_a_configuration_error_that_keeps_the_password() {
        let error = Database::parse("postgres://me:s3cret@host:notaport/db", "test").err().unwrap();
        assert!(matches!(error, Failure::Configuration(_)));
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn the_address_names_host_port_and_database_only() {
        let database = Database::parse("postgres://me:s3cret@db.example:6543/stocks", "test").unwrap();
        assert_eq!(database.address(), "db.example:6543/stocks");
    }
}
