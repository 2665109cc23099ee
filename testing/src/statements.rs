//! Whether PostgreSQL takes the statements that stand in the files of a folder.

use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};
use std::fs;
use std::path::{Path, PathBuf};

/// Prepares each statement of each `.sql` file of `folder` and of the folders in it, without
/// running any. Gives a line for each that PostgreSQL refuses, with the file and the reason.
pub async fn refused(connection: &mut PgConnection, folder: &Path) -> Vec<String> {
    refused_in(connection, folder, "sql", statements).await
}

/// Like [`refused`], for the statements that are texts in the Rust files of `folder`, unless values
/// are filled into them.
pub async fn refused_in_code(connection: &mut PgConnection, folder: &Path) -> Vec<String> {
    refused_in(connection, folder, "rs", statements_in_code).await
}

async fn refused_in(
    connection: &mut PgConnection,
    folder: &Path,
    ending: &str,
    statements_of: impl Fn(&str) -> Vec<String>,
) -> Vec<String> {
    let mut files = Vec::new();
    collect(folder, ending, &mut files);
    assert!(!files.is_empty(), "no .{ending} file is in {}", folder.display());
    files.sort();
    let mut refused = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        for statement in statements_of(&text) {
            let statement = AssertSqlSafe(statement).into_sql_str();
            if let Err(error) = connection.prepare(statement).await {
                refused.push(format!("{}: {error}", file.display()));
            }
        }
    }
    refused
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of the folder can be read").path();
        if path.is_dir() {
            collect(&path, ending, files);
        } else if path.extension().is_some_and(|of| of == ending) {
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

/// The beginnings of a statement that can be prepared.
const BEGINNINGS: [&str; 5] = ["select ", "insert into ", "update ", "delete from ", "with "];

/// The texts of a Rust file that are statements. A text that is filled in has braces, other than
/// those of an empty array.
fn statements_in_code(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let begins = |text: &&str| BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
    let texts = code.match_indices('"').map(|(at, _)| &code[at + 1..]).filter(begins);
    let statements = texts.map(|text| {
        let end = text.match_indices('"').find(|(at, _)| !text[..*at].ends_with('\\'));
        let text = end.map_or(text, |(at, _)| &text[..at]);
        text.replace("\\\n", "").replace("\\\"", "\"")
    });
    statements.filter(|text| !text.replace("'{}'", "").contains('{')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_in_code_is_a_text_that_begins_as_one_and_is_whole() {
        let code = r#"
            // "select a_comment"
            query("select a from b where c = '{}'");
            query("update a \
                   set b = \"c\"");
            format!("select a from {table}"); error("cannot select a");
        "#;
        let update = format!("update a {}set b = \"c\"", " ".repeat(19));
        assert_eq!(statements_in_code(code), ["select a from b where c = '{}'".into(), update]);
    }

    #[test]
    fn a_statement_ends_with_a_line_and_a_body_is_kept_whole() {
        let text = "-- Two.\nselect 1;\ndo $$\nbegin\n    perform 1;\nend\n$$;\n";
        let expected = ["-- Two.\nselect 1;\n", "do $$\nbegin\n    perform 1;\nend\n$$;\n"];
        assert_eq!(statements(text), expected);
        assert_eq!(statements("select 1\n"), ["select 1\n"]);
    }
}
