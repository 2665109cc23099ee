//! [`Verdict`]: what an error of PostgreSQL's means for what was tried.

use service::pg::describe;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Some of the data is not taken, in these words: trying the same again gives the same.
    Refused(String),
    /// Too much at once.
    TooMuch,
    /// Everything else: it is waited for, or a person must change something (`Failure`).
    Other,
}

/// Whether somebody's lock was not given up in time.
pub fn is_of_a_lock(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03")
}

impl Verdict {
    pub fn of(error: &sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        match code.as_ref() {
            // A statement or transaction took too long; no memory, or no room for another lock.
            "57014" | "25P04" | "53200" => Self::TooMuch,
            // 22: not a value of the type; 23: against a constraint; 44: against a view's check;
            // 54: beyond a limit; P0001: raised by a trigger.
            "P0001" => Self::Refused(describe(error)),
            // A check of a table that has no name is a partition's bounds: that no partition takes a
            // tick is no fault of it. A trigger's words are of no table.
            "23514"
                if error.as_database_error().is_some_and(|error| {
                    error.constraint().is_none() && error.table().is_some()
                }) =>
            {
                Self::Other
            }
            code if ["22", "23", "44", "54"].iter().any(|class| code.starts_with(class)) => {
                Self::Refused(describe(error))
            }
            _ => Self::Other,
        }
    }
}
