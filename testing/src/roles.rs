//! The roles of `deploy/postgres/roles.sql` in a test's database.

use crate::{TestDatabase, eventually};
use service::pg::{Database, Migrations};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use url::Url;

const ROLES: &str = include_str!("../../deploy/postgres/roles.sql");

const HAND_OVER: &str = include_str!("../../deploy/postgres/hand-over.sql");

/// Of every role, because roles belong to the whole server, and so to all tests.
pub const ROLE_PASSWORD: &str = "r0le-secret";

impl TestDatabase {
    /// Makes the roles, and the tables as their owner, as docs/operations.md says.
    pub async fn set_up_roles(&self) {
        self.make_roles_alone().await;
        self.migrate_as_owner().await;
    }

    async fn migrate_as_owner(&self) {
        let owner =
            Database::parse(&self.url_of("stocks_owner"), "test").expect("the test's URL is one");
        let migrated = owner.with_migrations(Migrations::Only).migrate_only().await;
        migrated.expect("migrate as the tables' owner");
    }

    /// Makes the roles beside tables that are there already, and gives them their rights.
    pub async fn add_roles(&self) {
        self.make_roles_alone().await;
        let owner = Database::parse(self.url(), "test").expect("the test's URL is one");
        owner.migrate_only().await.expect("grant the rights as the tables' owner");
    }

    /// Makes the roles, and gives them no tables.
    pub async fn make_roles_alone(&self) {
        // Roles are the server's: another test may be altering them at the same moment.
        eventually("the roles to be made", Duration::from_secs(60), || self.make_roles()).await;
    }

    /// Hands tables that another user has made over to the roles' owner, as docs/operations.md
    /// says.
    pub async fn hand_over(&self) {
        let mut connection =
            PgConnection::connect(self.url()).await.expect("connect as the first owner");
        sqlx::raw_sql(HAND_OVER).execute(&mut connection).await.expect("hand the tables over");
        self.migrate_as_owner().await;
    }

    async fn make_roles(&self) -> sqlx::Result<()> {
        let mut connection = PgConnection::connect(self.url()).await?;
        sqlx::raw_sql(ROLES).execute(&mut connection).await?;
        for role in ["stocks_owner", "speed_writer", "batch_writer", "grafana_reader"] {
            let set = format!("alter role {role} password '{ROLE_PASSWORD}'");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut connection).await?;
        }
        connection.close().await
    }

    /// This database's URL for one of the roles.
    pub fn url_of(&self, role: &str) -> String {
        let mut url = Url::parse(self.url()).expect("the test's URL is one");
        url.set_username(role).expect("a PostgreSQL URL takes a user");
        url.set_password(Some(ROLE_PASSWORD)).expect("a PostgreSQL URL takes a password");
        url.to_string()
    }
}

/// Runs each statement as `role` and fails unless PostgreSQL refuses it for lack of a right.
pub async fn assert_refused(database: &TestDatabase, role: &str, statements: &[&str]) {
    for statement in statements {
        let mut connection =
            PgConnection::connect(&database.url_of(role)).await.expect("log in as the role");
        let result =
            sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut connection).await;
        let code = match &result {
            Err(sqlx::Error::Database(error)) => error.code().unwrap_or_default().into_owned(),
            _ => String::new(),
        };
        // 42501: insufficient privilege; 25006: the transaction is read-only.
        assert!(
            ["42501", "25006"].contains(&code.as_str()),
            "{role} may {statement:?}: {result:?}"
        );
    }
}
