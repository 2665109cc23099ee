//! Opening a connection: which server, as whom, and through what.

use super::database::Database;
use super::errors::describe;
use super::nodelay;
use super::pooling::{has_a_session, note_pooler};
use super::target::place;
use crate::failure::Failure;
use anyhow::anyhow;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// How long connecting to one server may take before it counts as failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A setting that nobody knows, given where only the server itself looks: a pooler refuses it or
/// leaves it out.
const DIRECT_SETTING: (&str, &str) = ("stocks.direct", "on");
/// Compiling a statement takes longer here than any statement does: half of the time of an hour's
/// run (docs/benchmarks.md).
const NO_COMPILING: (&str, &str) = ("jit", "off");
const SESSION_QUERY: &str = include_str!("../../sql/connecting/session.sql");

/// The obstacle at one server.
enum Obstacle {
    Refused(sqlx::Error),
    Other(Failure),
}

impl Database {
    /// Opens one connection, to the first server that will do.
    ///
    /// # Errors
    /// [`Failure::Configuration`] where trying again cannot help (wrong password, no such
    /// database), otherwise [`Failure::Infrastructure`].
    pub async fn connect(&self) -> Result<PgConnection, Failure> {
        let target = self.target();
        let mut obstacles = Vec::new();
        for server in &target.servers {
            match self.connect_to(server, target.must_write).await {
                Ok(connection) => {
                    self.note_login(None);
                    return Ok(connection);
                }
                Err(Obstacle::Refused(error)) => obstacles.push(self.refused(server, &error)),
                Err(Obstacle::Other(failure)) => obstacles.push(failure),
            }
        }
        Err(self.sum_up(obstacles))
    }

    async fn connect_to(
        &self,
        server: &PgConnectOptions,
        must_write: bool,
    ) -> Result<PgConnection, Obstacle> {
        let (connection, _, is_read_only) = match self.open(server).await {
            Err(Obstacle::Refused(error)) if is_parameter_of_a_pooler(&error) => {
                self.open_pooled(server).await?
            }
            Ok((connection, mark, _)) if has_a_session() && mark.is_empty() => {
                drop(connection);
                self.open_pooled(server).await?
            }
            opened => opened?,
        };
        if must_write && is_read_only {
            let error = anyhow!("{} takes no writes at this moment", place(server));
            return Err(Obstacle::Other(Failure::Infrastructure(
                error.context(self.what("connecting to")),
            )));
        }
        if server.get_socket().is_none() {
            nodelay::set_for_peer_port(server.get_port());
        }
        Ok(connection)
    }

    async fn open_pooled(
        &self,
        server: &PgConnectOptions,
    ) -> Result<(PgConnection, String, bool), Obstacle> {
        if note_pooler() {
            let at = place(server);
            tracing::info!(server = %at, "a pooler is before PostgreSQL at {at}: nothing \
                outlives a transaction");
        }
        self.open(server).await
    }

    /// A connection, the mark as the server sees it, and whether it takes no writes.
    async fn open(
        &self,
        server: &PgConnectOptions,
    ) -> Result<(PgConnection, String, bool), Obstacle> {
        let options = if has_a_session() {
            server.clone().options([DIRECT_SETTING, NO_COMPILING])
        } else {
            server.clone()
        };
        let attempt = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let row = sqlx::raw_sql(SESSION_QUERY).fetch_one(&mut connection).await?;
            let (mark, read_only): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok((connection, mark, read_only == "on"))
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            Ok(opened) => opened.map_err(Obstacle::Refused),
            Err(_) => {
                let error = anyhow!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                Err(Obstacle::Other(Failure::Infrastructure(
                    error.context(self.what("connecting to")),
                )))
            }
        }
    }

    fn refused(&self, server: &PgConnectOptions, error: &sqlx::Error) -> Failure {
        if is_login(error) && self.file().is_some() {
            let since = self.note_login(Some(Instant::now()));
            if since.is_some_and(|since| since.elapsed() < self.login_patience()) {
                let error =
                    anyhow!("{}; the file of the URL is read again at each try", describe(error));
                return Failure::Infrastructure(error.context(self.what("connecting to")));
            }
        }
        if is_refused_by_us(server, error) || is_setting(error) {
            return Failure::Configuration(
                anyhow!(describe(error)).context(self.what("connecting to")),
            );
        }
        self.failure("connecting to", error)
    }

    /// One server's failure is the whole's; of several, each in turn. As long as one of them may
    /// still come, it is waited for.
    fn sum_up(&self, mut obstacles: Vec<Failure>) -> Failure {
        if obstacles.len() == 1 {
            return obstacles.remove(0);
        }
        let is_hopeless = obstacles.iter().all(Failure::is_configuration);
        let reasons = obstacles.iter().map(Failure::reason).collect::<Vec<_>>().join("; ");
        let error = anyhow!("none of {}: {reasons}", self.address());
        if is_hopeless { Failure::Configuration(error) } else { Failure::Infrastructure(error) }
    }
}

/// Whether this side gave up: it does not trust the server's certificate, or cannot read
/// `sslrootcert`.
fn is_refused_by_us(server: &PgConnectOptions, error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // rustls reports errors as invalid data. A missing socket is a server that has not started
        // yet.
        sqlx::Error::Io(error) => match error.kind() {
            ErrorKind::InvalidData => true,
            ErrorKind::NotFound => server.get_socket().is_none(),
            _ => false,
        },
        _ => false,
    }
}

/// 28: wrong user or password.
fn is_login(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("28"))
}

/// 22023: a setting of the URL's `options` has a value that it cannot have.
fn is_setting(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "22023")
}

/// PgBouncer takes only the parameters that it knows.
fn is_parameter_of_a_pooler(error: &sqlx::Error) -> bool {
    has_a_session()
        && error
            .as_database_error()
            .is_some_and(|error| error.message().contains("startup parameter"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::SecretFile;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that refuses every login, for some reason.
    async fn refusing(code: &str, why: &str) -> u16 {
        let text = format!("SFATAL\0C{code}\0M{why}\0\0");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut startup = vec![0; client.read_u32().await.unwrap() as usize - 4];
                client.read_exact(&mut startup).await.unwrap();
                let mut answer = b"E".to_vec();
                answer.extend_from_slice(&(text.len() as u32 + 4).to_be_bytes());
                answer.extend_from_slice(text.as_bytes());
                client.write_all(&answer).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn a_setting_that_cannot_be_is_for_a_person_to_change() {
        let port = refusing("22023", "invalid value for parameter \"statement_timeout\"").await;
        let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable");
        let refused = Database::parse(&url, "test").unwrap().connect().await.err().unwrap();
        assert!(refused.is_configuration(), "{refused}");
    }

    #[tokio::test]
    async fn a_login_that_is_refused_is_tried_again_for_a_while_where_it_comes_from_a_file() {
        let port = refusing("28P01", "password authentication failed").await;
        let url = format!("postgres://u:s3cret@127.0.0.1:{port}/d?sslmode=disable");
        let given = Database::parse(&url, "test").unwrap().connect().await.err().unwrap();
        assert!(given.is_configuration() && !given.to_string().contains("s3cret"), "{given}");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &url).unwrap();
        let mut database =
            Database::of_file(SecretFile::read(file.path().to_str().unwrap()).unwrap(), "test")
                .unwrap();
        let first = database.connect().await.err().unwrap();
        assert!(
            matches!(&first, Failure::Infrastructure(_))
                && first.to_string().contains("[SQLSTATE 28P01]"),
            "{first}"
        );
        database.login_patience = Duration::ZERO;
        assert!(database.connect().await.err().unwrap().is_configuration());
    }
}
