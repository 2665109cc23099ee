//! Whether PostgreSQL takes the statements that stand in the files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};

/// Prepares each statement of each `.sql` file of `folder` and of the folders in it, without
/// running any. Gives a line for each that PostgreSQL refuses, with the file and the reason.
pub async fn refused(connection: &mut PgConnection, folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    assert!(!files.is_empty(), "no .sql file is in {}", folder.display());
    files.sort();
    let mut refused = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        for statement in statements(&text) {
            let statement = AssertSqlSafe(statement).into_sql_str();
            if let Err(error) = connection.prepare(statement).await {
                refused.push(format!("{}: {error}", file.display()));
            }
        }
    }
    refused
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of the folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "sql") {
            files.push(path);
        }
    }
}

/// One by one, since only one at a time can be prepared. A statement ends with a semicolon at the
/// end of a line, but for one within a body that stands between `$$`.
fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for line in text.lines() {
        let Some(statement) = statements.last_mut() else { continue };
        statement.push_str(line);
        statement.push('\n');
        let is_in_a_body = statement.matches("$$").count() % 2 == 1;
        if line.ends_with(';') && !is_in_a_body {
            statements.push(String::new());
        }
    }
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_a_line_and_a_body_is_kept_whole() {
        let text = "-- Two.\nselect 1;\ndo $$\nbegin\n    perform 1;\nend\n$$;\n";
        let expected = ["-- Two.\nselect 1;\n", "do $$\nbegin\n    perform 1;\nend\n$$;\n"];
        assert_eq!(statements(text), expected);
        assert_eq!(statements("select 1\n"), ["select 1\n"]);
    }
}
