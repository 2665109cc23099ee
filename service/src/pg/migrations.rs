//! The tables: who brings them up to date, and when.

use super::database::{Database, Migrations};
use super::limits::Limits;
use super::pooling::has_a_session;
use super::query::{query_as, query_scalar};
use super::statement::in_time;
use crate::failure::Failure;
use anyhow::anyhow;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, Postgres, SqlSafeStr, Transaction};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

/// The name of a file of `migrations/`, and its contents.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../migrations/", $name)))
    };
}

/// In the order in which they run. Not by sqlx's macro, which would have all of sqlx compiled
/// twice: once for the compiler.
const FILES: [(&str, &str); 7] = [
    file!("0001_speed.sql"),
    file!("0002_batch.sql"),
    file!("0003_serving.sql"),
    file!("0004_reconciliation.sql"),
    file!("0005_indicators.sql"),
    file!("0006_monitoring.sql"),
    file!("0007_realtime_days.sql"),
];

/// The tables, embedded in each binary.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let migrations = FILES.into_iter().filter_map(|(name, sql)| migration(name, sql));
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // In a rolling upgrade an old instance may start after a new one has migrated: migrations only
    // ever add.
    migrator.set_ignore_missing(true);
    // sqlx would take an advisory lock, which any role of the database can hold.
    migrator.set_locking(false);
    migrator
});

/// The migration in a file with a name such as `0001_speed.sql`; `None` for any other name, which a
/// test would find.
fn migration(name: &str, sql: &'static str) -> Option<Migration> {
    let (version, description) = name.strip_suffix(".sql")?.split_once('_')?;
    let description = description.replace('_', " ").into();
    let (kind, sql) = (MigrationType::Simple, sql.into_sql_str());
    Some(Migration::new(version.parse().ok()?, description, kind, sql, false))
}

/// Rights on these tables, for the roles of `deploy/postgres/roles.sql` as far as they exist.
const GRANTS: &str = include_str!("../../../migrations/grants.sql");

/// No step of a start waits for a lock for ever: an abandoned attempt would go on waiting. A name
/// of its own, because a writer may end another's session that takes long.
const LIMITS: Limits = Limits {
    lock: Some(Duration::from_secs(30)),
    statement: None,
    idle: Some(Duration::from_secs(60)),
};
const SETTINGS: [(&str, &str); 2] =
    [("application_name", "'migrations'"), ("standard_conforming_strings", "on")];
/// Longer than a look takes that still goes on.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Programs that start together wait for one another. Before the first migration there is no table
/// to lock: then anything will do.
const ONE_AT_A_TIME: &str = include_str!("../../sql/migrations/one_at_a_time.sql");

const OWNER_IN_THE_WAY: &str = include_str!("../../sql/migrations/owner_in_the_way.sql");

impl Database {
    /// Connects, and makes sure that the tables are up to date.
    ///
    /// # Errors
    /// See [`Database::connect`]. A migration that fails is a configuration error; one that
    /// somebody else has yet to run is not, because it may come.
    pub async fn connect_ready(&self) -> Result<PgConnection, Failure> {
        let mut connection = self.connect().await?;
        self.ask_for_owner(&mut connection).await?;
        match self.migrations {
            Migrations::Run | Migrations::Only => self.migrate(&mut connection).await?,
            Migrations::Check => self.check(&mut connection).await?,
        }
        Ok(connection)
    }

    /// Brings the tables up to date, says so, and does nothing more.
    ///
    /// # Errors
    /// See [`Database::connect_ready`].
    pub async fn migrate_only(&self) -> Result<(), Failure> {
        self.connect_ready().await?;
        let database = self.address();
        tracing::info!(%database, "the tables in {database} are up to date");
        Ok(())
    }

    /// Runs a migration in one transaction, so that it is all or nothing, also through a pooler.
    async fn migrate(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| self.failure("migrating the tables in", error);
        let begun = in_time(LOOK_TIMEOUT, begin_alone(connection)).await;
        let (mut transaction, applied) = begun.map_err(failed)?;
        let is_in = |migration: &Migration| {
            applied.get(&migration.version).is_some_and(|sum| **sum == *migration.checksum)
        };
        if !MIGRATOR.iter().all(is_in) {
            self.run_migrations(&mut transaction).await?;
        }
        let granted = in_time(LOOK_TIMEOUT, sqlx::raw_sql(GRANTS).execute(&mut *transaction)).await;
        granted.map_err(|error| self.failure("granting rights on the tables in", error))?;
        in_time(LOOK_TIMEOUT, transaction.commit()).await.map_err(failed)
    }

    /// It takes as long as the rows that are there: this alone of a start has no limit.
    async fn run_migrations(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| self.failure("migrating the tables in", error);
        match MIGRATOR.run(&mut *connection).await {
            Ok(()) => {}
            // A server that goes away in the middle rolls the migration back.
            Err(MigrateError::Execute(error)) => return Err(failed(error)),
            Err(MigrateError::ExecuteMigration(error, version)) => {
                return Err(self.failure(&format!("running migration {version} in"), error));
            }
            Err(MigrateError::VersionMismatch(version)) => {
                let migration = MIGRATOR.iter().find(|migration| migration.version == version);
                let differs = migration
                    .map_or_else(|| version.to_string(), |migration| self.differs(migration));
                return Err(Failure::Configuration(anyhow!("{differs}")));
            }
            Err(error) => {
                let context = self.what("migrating the tables in");
                return Err(Failure::Configuration(anyhow::Error::new(error).context(context)));
            }
        }
        // sqlx prepares its own statements for longer than a transaction.
        if has_a_session() {
            return Ok(());
        }
        sqlx::raw_sql("deallocate all").execute(connection).await.map(drop).map_err(failed)
    }

    async fn check(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| self.failure("looking for migrations in", error);
        let look = async {
            let mut transaction = LIMITS.begin(connection, &SETTINGS).await?;
            let applied = read_applied(&mut transaction).await?;
            transaction.commit().await.map(|()| applied)
        };
        let applied = in_time(LOOK_TIMEOUT, look).await.map_err(failed)?;
        for migration in MIGRATOR.iter() {
            match applied.get(&migration.version) {
                Some(checksum) if *checksum == *migration.checksum => {}
                Some(_) => {
                    return Err(Failure::Configuration(anyhow!("{}", self.differs(migration))));
                }
                None => return Err(Failure::Infrastructure(anyhow!("{}", self.lacks(migration)))),
            }
        }
        Ok(())
    }

    /// Fails where the tables are another user's, who has given too few rights to this one.
    async fn ask_for_owner(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let changes = self.migrations != Migrations::Check;
        let ask = async {
            let mut transaction = connection.begin().await?;
            let asked = query_as::<(String, String, bool)>(OWNER_IN_THE_WAY)
                .bind(changes)
                .fetch_optional(&mut transaction)
                .await?;
            transaction.commit().await.map(|()| asked)
        };
        let asked = in_time(LOOK_TIMEOUT, ask).await;
        match asked.map_err(|error| self.failure("looking for migrations in", error))? {
            None => Ok(()),
            Some((owner, user, true)) => Err(Failure::Configuration(anyhow!(
                "{user} may not change the tables in {}, which belong to {owner}: give \
                 --migrations check, where {owner} has brought them up to date by --migrations \
                 only",
                self.address()
            ))),
            Some((owner, user, false)) => Err(Failure::Configuration(anyhow!(
                "the tables in {} belong to {owner}, and {user} may not read them: run \
                 --migrations only as {owner}, which gives the roles their rights, or hand them \
                 over to stocks_owner first (deploy/postgres/hand-over.sql)",
                self.address()
            ))),
        }
    }

    fn lacks(&self, migration: &Migration) -> String {
        format!(
            "the tables in {} are older than this program: migration {} ({}) is missing; run it \
             once with --migrations only, as the tables' owner",
            self.address(),
            migration.version,
            migration.description
        )
    }

    fn differs(&self, migration: &Migration) -> String {
        format!(
            "migration {} ({}) in {} is not the one of this program: where an older commit has \
             made the tables, make them anew from the archive (docs/operations.md, Rebuild from \
             the archive)",
            migration.version,
            migration.description,
            self.address()
        )
    }
}

/// A transaction in which nobody else migrates, and what [`read_applied`] gives.
async fn begin_alone(
    connection: &mut PgConnection,
) -> sqlx::Result<(Transaction<'_, Postgres>, HashMap<i64, Vec<u8>>)> {
    let mut transaction = LIMITS.begin(connection, &SETTINGS).await?;
    sqlx::raw_sql(ONE_AT_A_TIME).execute(&mut *transaction).await?;
    let applied = read_applied(&mut transaction).await?;
    Ok((transaction, applied))
}

/// Checksums by version of the migrations that have run; none where there is not even their table.
async fn read_applied(connection: &mut PgConnection) -> sqlx::Result<HashMap<i64, Vec<u8>>> {
    let there = query_scalar("select to_regclass('public._sqlx_migrations') is not null");
    if !there.fetch_one(&mut *connection).await? {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, Vec<u8>)> =
        query_as("select version, checksum from _sqlx_migrations where success")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::migrate::MigrationSource;
    use std::path::Path;

    #[tokio::test]
    async fn every_file_of_the_folder_is_a_migration_as_sqlx_would_read_it() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"));
        let read = folder.resolve().await.unwrap();
        let what = |migration: &Migration| {
            let Migration { version, description, migration_type, checksum, no_tx, .. } = migration;
            (*version, description.clone(), *migration_type, checksum.clone(), *no_tx)
        };
        assert_eq!(
            MIGRATOR.iter().map(what).collect::<Vec<_>>(),
            read.iter().map(what).collect::<Vec<_>>()
        );
    }
}
