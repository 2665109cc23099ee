//! PostgreSQL's errors: in words, and whether trying again can help.

use super::statement::NoAnswer;
use sqlx::postgres::PgDatabaseError;

/// PostgreSQL's own message, once: sqlx's text repeats it, with a line of the server's source code.
#[must_use]
pub fn describe(error: &sqlx::Error) -> String {
    if let Some(no_answer) = NoAnswer::caused(error) {
        return no_answer.to_string();
    }
    let sqlx::Error::Database(database) = error else {
        let text = error.to_string();
        // The library's words for it end with the address of its manual.
        let is_cut_off = text.contains("close_notify");
        return if is_cut_off { "the server has ended the connection".to_owned() } else { text };
    };
    let postgres = database.try_downcast_ref::<PgDatabaseError>();
    let more = postgres.map(|error| {
        let place = error.r#where().and_then(whose);
        [error.detail(), error.hint(), place, advice(error.code())]
    });
    let more = more.unwrap_or_default();
    let more = more.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let more = if more.is_empty() { more } else { format!(" ({more})") };
    format!("{}{more} [SQLSTATE {}]", database.message(), database.code().unwrap_or_default())
}

/// What is to be done about it, where PostgreSQL does not say it.
fn advice(code: &str) -> Option<&'static str> {
    let advice = "this server takes no writes: it is a standby, or default_transaction_read_only \
                  is on. Name the primary, or all servers with target_session_attrs=read-write";
    (code == "25006").then_some(advice)
}

/// The line of an error's context that names somebody's function, or the table of a locked row.
fn whose(context: &str) -> Option<&str> {
    context.lines().find(|line| line.contains(" function ") || line.contains(" in relation "))
}

/// Whether trying again cannot help until a person changes something.
pub(super) fn is_configuration(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Configuration(_) => true,
        // 28: wrong user or password; 3D: no such database; 42: no such table, or no right to it.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| ["28", "3D", "42"].iter().any(|class| code.starts_with(class))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::in_time;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_connection_that_the_server_cuts_off_is_said_without_a_library_s_manual() {
        let words =
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        let kind = std::io::ErrorKind::UnexpectedEof;
        let error = sqlx::Error::Io(std::io::Error::new(kind, words));
        assert_eq!(describe(&error), "the server has ended the connection");
    }

    #[tokio::test]
    async fn a_time_limit_is_no_fault_of_the_connection() {
        for (millis, words) in [(20, "no answer within 0.02 s"), (1000, "no answer within 1 s")] {
            let limit = Duration::from_millis(millis);
            let done = in_time(limit, std::future::pending::<sqlx::Result<()>>()).await;
            assert_eq!(describe(&done.unwrap_err()), words);
        }
    }

    #[test]
    fn who_may_not_write_is_told_where_writes_are_taken() {
        assert!(advice("25006").is_some_and(|advice| advice.contains("target_session_attrs")));
        assert_eq!(advice("42501"), None);
    }
}
