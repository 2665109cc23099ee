//! [`Verdict`]: what an error of PostgreSQL's means for what was tried.

use service::pg::describe;
use sqlx::postgres::PgDatabaseError;
use std::time::Duration;

/// A statement that ends earlier was not ended for its limit, which is not as short.
const NO_LIMIT: Duration = Duration::from_secs(1);

/// Why what takes too long is not taken.
const TOO_LONG: &str = "it takes too long";

/// Errors that a trigger's function may cause, and damage.
const BROKEN: &[&str] = &["0A", "21", "2F", "38", "39", "40", "42", "HV", "P0", "XX"];

/// The consequence of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// PostgreSQL refuses some of the data, in these words: trying the same again gives the same.
    Refused(String),
    /// Something broke at what was tried, which may be one message or everything.
    Broken,
    /// Too much at once, for this reason.
    TooMuch(String),
    /// Somebody's lock was not given up in time.
    Locked,
    /// The connection ended.
    Cut,
    /// Everything else: it is waited for, or a person must change something (`Failure`).
    Other,
}

impl Verdict {
    /// `took`: how long the whole of what was tried took.
    pub fn of(error: &sqlx::Error, took: Duration) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        if matches!(error, sqlx::Error::Io(_)) {
            return Self::Cut;
        }
        match code.as_ref() {
            "55P03" => Self::Locked,
            // Somebody ended the session, or its process broke down.
            "57P01" | "57P02" => Self::Cut,
            code if has_class(code, &["08"]) => Self::Cut,
            // Somebody cancelled it, or a trigger says so.
            "57014" if took < NO_LIMIT => Self::Broken,
            // A statement or transaction took too long.
            "57014" | "25P04" => Self::TooMuch(TOO_LONG.to_owned()),
            // No memory, or no room for another lock.
            "53200" => Self::TooMuch(describe(error)),
            // 22: not a value of the type; 23: against a constraint; 44: against a view's check;
            // 54: beyond a limit; P0001: raised by a trigger.
            "P0001" => Self::Refused(describe(error)),
            // A check of a table that has no name is a partition's bounds: that no partition takes
            // a tick is no fault of it. A trigger's words are of no table.
            "23514"
                if error.as_database_error().is_some_and(|error| {
                    error.constraint().is_none() && error.table().is_some()
                }) =>
            {
                Self::Broken
            }
            code if has_class(code, &["22", "23", "44", "54"]) => Self::Refused(describe(error)),
            // A statement of ours failed: a table or a right is gone.
            code if has_class(code, &["42"]) && !is_within(error, code) => Self::Other,
            // 40 may come from others' transactions, once or twice.
            code if has_class(code, BROKEN) => Self::Broken,
            _ => Self::Other,
        }
    }
}

/// Whether it is of a row, or within somebody's function; of the one that makes days it is where
/// another table has a day's name or bounds.
fn is_within(error: &sqlx::Error, code: &str) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    match error.and_then(PgDatabaseError::r#where) {
        Some(context) if context.contains("make_realtime_days") => {
            ["42P07", "42P17"].contains(&code)
        }
        context => context.is_some(),
    }
}

fn has_class(code: &str, classes: &[&str]) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}
