//! Whether this user may do what a run does.

use super::statements::MISSING_RIGHTS;
use service::pg;
use sqlx::{Connection, PgConnection};

/// The rights that are missing, as one text; `None` where all are there.
///
/// # Errors
/// If PostgreSQL refuses the statement, as for a table that is missing, or the connection breaks.
pub async fn missing(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let mut transaction = connection.begin().await?;
    let missing: String =
        pg::within::query_scalar(MISSING_RIGHTS).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(missing).filter(|missing| !missing.is_empty()))
}
