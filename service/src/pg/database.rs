//! [`Database`]: where PostgreSQL is, how to get in, and what was learned of that.

use super::errors::{describe, is_configuration};
use super::target::Target;
use crate::failure::Failure;
use crate::files::SecretFile;
use anyhow::anyhow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a login that is refused is tried again, where it comes from a file: longer than
/// Kubernetes takes to bring a changed secret.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);

/// The changes to the tables at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Migrations {
    /// Bring them up to date, as their owner. Instances that start together wait for one another.
    Run,
    /// Change nothing, and work only once they are up to date: for a user with the least rights.
    Check,
    /// Bring them up to date and end.
    Only,
}

/// Where the database is, and how to get in. Errors never show the password. Clones share what they
/// learn.
#[derive(Clone)]
pub struct Database {
    state: Arc<Mutex<State>>,
    file: Option<SecretFile>,
    application: String,
    pub(super) migrations: Migrations,
    pub(super) login_patience: Duration,
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
    /// If the URL is none; the message does not repeat it, since it holds a password.
    pub fn parse(url: &str, application: &str) -> Result<Self, Failure> {
        Self::of(url, None, application)
    }

    fn of(url: &str, file: Option<SecretFile>, application: &str) -> Result<Self, Failure> {
        let flag = find_flag(file.as_ref());
        let target = Target::parse(url, application).map_err(|error| {
            Failure::Configuration(anyhow!("{flag} is not a PostgreSQL URL: {error}"))
        })?;
        Ok(Self {
            state: Arc::new(Mutex::new(State { target, refused_since: None })),
            file,
            application: application.to_owned(),
            migrations: Migrations::Run,
            login_patience: LOGIN_TIMEOUT,
        })
    }

    /// A database whose URL is in a file, which is read again before each connection: a password
    /// that was changed, or a token that lives for minutes, is taken up without a restart.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn of_file(file: SecretFile, application: &str) -> Result<Self, Failure> {
        Self::of(file.clone().expose(), Some(file), application)
    }

    /// The database, with another way to make sure of its tables.
    #[must_use]
    pub fn with_migrations(self, migrations: Migrations) -> Self {
        Self { migrations, ..self }
    }

    /// The database, under another name in `pg_stat_activity`.
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
        find_flag(self.file())
    }

    /// The current target of connections.
    pub(super) fn target(&self) -> Target {
        // A file that is away or half-written at this moment leaves the former URL.
        let read = self.file.as_ref().and_then(SecretFile::read_again);
        let fresh = read.and_then(|url| Target::parse(&url, &self.application).ok());
        let mut state = self.lock();
        if let Some(target) = fresh {
            state.target = target;
        }
        state.target.clone()
    }

    pub(super) fn file(&self) -> Option<&SecretFile> {
        self.file.as_ref()
    }

    pub(super) fn login_patience(&self) -> Duration {
        self.login_patience
    }

    /// Notes that the login was refused, or, with `None`, that it was not; gives since when it is.
    pub(super) fn note_login(&self, refused: Option<Instant>) -> Option<Instant> {
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

fn find_flag(file: Option<&SecretFile>) -> &'static str {
    if file.is_some() { "--database-url-file" } else { "--database-url" }
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
