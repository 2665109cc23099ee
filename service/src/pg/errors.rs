//! PostgreSQL's errors: in words, and whether trying again can help.

use sqlx::postgres::PgDatabaseError;

/// PostgreSQL's own message, once: sqlx's text repeats it, with a line of the server's source code.
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
    use super::*;

    #[test]
    fn a_connection_that_the_server_cuts_off_is_said_without_a_library_s_manual() {
        let words =
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        let kind = std::io::ErrorKind::UnexpectedEof;
        let error = sqlx::Error::Io(std::io::Error::new(kind, words));
        assert_eq!(describe(&error), "the server has ended the connection");
    }
}
