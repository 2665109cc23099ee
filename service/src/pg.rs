//! PostgreSQL: connecting, the migrations, and exact numbers on the wire.

pub mod bars;
mod connecting;
mod migrations;
mod nodelay;
pub mod numeric;
mod statement;
mod target;

pub use connecting::has_a_session;
pub use migrations::{MIGRATOR, Migrations};
pub use statement::{Statement, begin_snapshot, end_snapshot};

use crate::failure::Failure;
use crate::files::SecretFile;
use anyhow::anyhow;
use sqlx::SqlSafeStr;
use sqlx::postgres::{PgArguments, PgDatabaseError, PgRow, Postgres};
use sqlx::query::{Query, QueryAs, QueryScalar};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use target::Target;

/// Makes a struct of named columns a row. Not by sqlx's derive, which would have all of sqlx
/// compiled twice: once for the compiler.
#[macro_export]
macro_rules! row {
    ($row:ident { $($column:ident),+ $(,)? }) => {
        impl<'r> ::sqlx::FromRow<'r, ::sqlx::postgres::PgRow> for $row {
            fn from_row(row: &'r ::sqlx::postgres::PgRow) -> ::sqlx::Result<Self> {
                Ok(Self { $($column: ::sqlx::Row::try_get(row, stringify!($column))?),+ })
            }
        }
    };
}

/// Where the database is, and how to get in. Errors never show the password. Clones share what they
/// learn.
#[derive(Clone)]
pub struct Database {
    state: Arc<Mutex<State>>,
    file: Option<SecretFile>,
    application: String,
    migrations: Migrations,
    login_patience: Duration,
}

struct State {
    target: Target,
    /// Since when the server has refused the login without a break.
    refused_since: Option<Instant>,
}

impl Database {
    /// Takes a URL such as
    /// `postgres://user:password@host:5432/stocks?sslmode=verify-full&sslrootcert=/ca.pem`, with
    /// several hosts where one of them takes writes. `application` is what `pg_stat_activity`
    /// shows.
    ///
    /// # Errors
    /// Where the URL is none; the message does not repeat it, since it holds a password.
    pub fn parse(url: &str, application: &str) -> Result<Self, Failure> {
        Self::of(url, None, application)
    }

    fn of(url: &str, file: Option<SecretFile>, application: &str) -> Result<Self, Failure> {
        let flag = flag(file.as_ref());
        let target = Target::parse(url, application).map_err(|error| {
            Failure::Configuration(anyhow!("{flag} is not a PostgreSQL URL: {error}"))
        })?;
        Ok(Self {
            state: Arc::new(Mutex::new(State { target, refused_since: None })),
            file,
            application: application.to_owned(),
            migrations: Migrations::Run,
            login_patience: connecting::LOGIN_PATIENCE,
        })
    }

    /// The same, for a URL that stands in a file, which is read again before each connection: a
    /// password that was changed, or a token that lives for minutes, is taken up without a restart.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn of_file(file: SecretFile, application: &str) -> Result<Self, Failure> {
        Self::of(file.clone().expose(), Some(file), application)
    }

    /// The same database, with another way to make sure of its tables.
    #[must_use]
    pub fn with_migrations(self, migrations: Migrations) -> Self {
        Self { migrations, ..self }
    }

    /// The same database, under another name in `pg_stat_activity`.
    #[must_use]
    pub fn with_application(&self, application: &str) -> Self {
        let mut target = self.lock().target.clone();
        for server in &mut target.servers {
            *server = server.clone().application_name(application);
        }
        let state = Arc::new(Mutex::new(State { target, refused_since: None }));
        Self { state, application: application.to_owned(), ..self.clone() }
    }

    /// `host:port/database`, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.lock().target.address()
    }

    /// The flag that says where it is.
    #[must_use]
    pub fn flag(&self) -> &'static str {
        flag(self.file())
    }

    /// What is to be connected to now.
    fn target(&self) -> Target {
        // A file that is away or half-written at this moment leaves the former URL.
        let read = self.file.as_ref().and_then(SecretFile::read_again);
        let fresh = read.and_then(|url| Target::parse(&url, &self.application).ok());
        let mut state = self.lock();
        if let Some(target) = fresh {
            state.target = target;
        }
        state.target.clone()
    }

    fn file(&self) -> Option<&SecretFile> {
        self.file.as_ref()
    }

    fn login_patience(&self) -> Duration {
        self.login_patience
    }

    /// Notes that the login was refused, or, with `None`, that it was not; gives since when it is.
    fn note_login(&self, refused: Option<Instant>) -> Option<Instant> {
        let mut state = self.lock();
        state.refused_since = refused.map(|now| state.refused_since.unwrap_or(now));
        state.refused_since
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sorts an error of the database's into the kinds of failure. `doing` says what was tried, as
    /// in "writing to".
    #[must_use]
    pub fn failure(&self, doing: &str, error: impl std::borrow::Borrow<sqlx::Error>) -> Failure {
        let error = error.borrow();
        let text = anyhow!(describe(error)).context(self.what(doing));
        if is_configuration(error) {
            Failure::Configuration(text)
        } else {
            Failure::Infrastructure(text)
        }
    }

    /// As in "writing to PostgreSQL at host:5432/stocks (--database-url)".
    #[must_use]
    pub fn what(&self, doing: &str) -> String {
        format!("{doing} PostgreSQL at {} ({})", self.address(), self.flag())
    }
}

fn flag(file: Option<&SecretFile>) -> &'static str {
    if file.is_some() { "--database-url-file" } else { "--database-url" }
}

/// What PostgreSQL says, once: sqlx's own text repeats it, with a line of the server's source code.
#[must_use]
pub fn describe(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(database) = error else {
        let text = error.to_string();
        // The library's words for it end with the address of its manual.
        let is_cut_off = text.contains("close_notify");
        return if is_cut_off { "the server has ended the connection".to_owned() } else { text };
    };
    let postgres = database.try_downcast_ref::<PgDatabaseError>();
    let more = postgres.map(|error| {
        let place = error.r#where().and_then(whose);
        [error.detail(), error.hint(), place]
    });
    let more = more.unwrap_or_default();
    let more = more.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let more = if more.is_empty() { more } else { format!(" ({more})") };
    format!("{}{more} [SQLSTATE {}]", database.message(), database.code().unwrap_or_default())
}

/// The line of an error's context that names somebody's function, or the table of a locked row.
fn whose(context: &str) -> Option<&str> {
    context.lines().find(|line| line.contains(" function ") || line.contains(" in relation "))
}

/// A statement. Behind a pooler it is prepared for this one time.
#[must_use]
pub fn query(sql: &'static str) -> Statement<Query<'static, Postgres, PgArguments>> {
    Statement(within::query(sql))
}

/// As [`query`], for rows as a type.
#[must_use]
pub fn query_as<T>(sql: &'static str) -> Statement<QueryAs<'static, Postgres, T, PgArguments>>
where
    T: for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(within::query_as(sql))
}

/// As [`query`], for the first column.
#[must_use]
pub fn query_scalar<T>(
    sql: &'static str,
) -> Statement<QueryScalar<'static, Postgres, T, PgArguments>>
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(within::query_scalar(sql))
}

/// As [`query`], with the statement's first arguments. Here and below the text may be one that the
/// program has put together, never out of what comes from outside.
#[must_use]
pub fn query_with(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<Query<'static, Postgres, PgArguments>> {
    Statement(within::query_with(sql, arguments))
}

/// As [`query_as`], with the statement's first arguments.
#[must_use]
pub fn query_as_with<T>(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<QueryAs<'static, Postgres, T, PgArguments>>
where
    T: for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(sqlx::query_as_with(sql, arguments).persistent(connecting::has_a_session()))
}

/// As [`query_scalar`], with the statement's first arguments.
#[must_use]
pub fn query_scalar_with<T>(
    sql: impl SqlSafeStr,
    arguments: PgArguments,
) -> Statement<QueryScalar<'static, Postgres, T, PgArguments>>
where
    (T,): for<'r> sqlx::FromRow<'r, PgRow>,
{
    Statement(sqlx::query_scalar_with(sql, arguments).persistent(connecting::has_a_session()))
}

/// The same for those whose transaction is under way, whatever sqlx knows of it.
pub mod within {
    use super::*;

    /// A statement. Behind a pooler it is prepared for this one time.
    pub fn query(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql).persistent(connecting::has_a_session())
    }

    /// As [`query`], for rows as a type.
    pub fn query_as<T>(sql: &'static str) -> QueryAs<'static, Postgres, T, PgArguments>
    where
        T: for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(connecting::has_a_session())
    }

    /// As [`query`], for the first column.
    pub fn query_scalar<T>(sql: &'static str) -> QueryScalar<'static, Postgres, T, PgArguments>
    where
        (T,): for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(sql).persistent(connecting::has_a_session())
    }

    /// As [`query`], with the statement's first arguments.
    pub fn query_with(
        sql: impl SqlSafeStr,
        arguments: PgArguments,
    ) -> Query<'static, Postgres, PgArguments> {
        sqlx::query_with(sql, arguments).persistent(connecting::has_a_session())
    }
}

/// Whether trying again cannot help until a person changes something.
fn is_configuration(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) => true,
        // 28: wrong user or password; 3D: no such database; 42: no such table, or no right to it.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| ["28", "3D", "42"].iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}

/// Gives up a statement that gets no answer: a server, or the way to it, may be gone without a
/// word. The connection is of no use afterwards.
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
    fn a_connection_that_the_server_cuts_off_is_said_without_a_library_s_manual() {
        let words =
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        let kind = std::io::ErrorKind::UnexpectedEof;
        let error = sqlx::Error::Io(std::io::Error::new(kind, words));
        assert_eq!(describe(&error), "the server has ended the connection");
    }

    #[test]
    fn an_error_names_the_flag_that_was_given() {
        let of_file = |url: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), url).unwrap();
            let secret = SecretFile::read(file.path().to_str().unwrap()).ok().unwrap();
            Database::of_file(secret, "test")
        };
        let database = of_file("postgres://h/d").ok().unwrap();
        assert!(database.what("writing to").ends_with("(--database-url-file)"));
        let error = of_file("no url").err().unwrap().to_string();
        assert!(error.contains("--database-url-file is not a PostgreSQL URL"), "{error}");
        let database = Database::parse("postgres://h/d", "test").unwrap();
        assert!(database.what("writing to").ends_with("(--database-url)"));
    }

    #[test]
    fn the_address_names_host_port_and_database_only() {
        let database =
            Database::parse("postgres://me:s3cret@db.example:6543/stocks", "test").unwrap();
        assert_eq!(database.address(), "db.example:6543/stocks");
    }
}
