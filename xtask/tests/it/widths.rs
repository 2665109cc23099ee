//! Comments have 100 columns at most, as the pages have.

use crate::workspace;
use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS: usize = 100;

/// What is fetched or built, and what is not ours.
const LEFT_OUT: [&str; 3] = ["target", "node_modules", "vendor"];

/// The files below a folder, those in hidden folders aside.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let is_ours = |path: &PathBuf| !name(path).starts_with('.') || name(path) == ".cargo";
    paths
        .filter(|path| is_ours(path) && !path.is_symlink())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// How a line of comment begins in files of this name.
fn comment(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "rs" => Some("//"),
        "sql" => Some("--"),
        "in" if name.ends_with(".sql.in") => Some("--"),
        "toml" => Some("#"),
        _ => None,
    }
}

#[test]
fn no_line_of_comment_has_more_than_100_columns() {
    let root = workspace();
    let is_left_out = |path: &PathBuf| {
        let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
        LEFT_OUT.iter().any(|folder| first.as_os_str() == *folder)
    };
    let mut found = Vec::new();
    let mut looked_at = 0;
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let is_hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
        if is_left_out(&path) || is_hidden && !path.ends_with(".cargo") {
            continue;
        }
        for path in if path.is_dir() { files(&path) } else { vec![path] } {
            let Some(begin) = comment(&path.file_name().unwrap().to_string_lossy()) else {
                continue;
            };
            looked_at += 1;
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().enumerate();
            let long = lines.filter(|(_, line)| {
                let is_comment = line.trim_start().starts_with(begin) && !has_long_address(line);
                is_comment && line.chars().count() > COLUMNS
            });
            found.extend(long.map(|(number, _)| format!("{}:{}", path.display(), number + 1)));
        }
    }
    assert!(looked_at > 300, "{looked_at} files");
    assert_eq!(found, Vec::<String>::new());
}

/// An address cannot be broken.
fn has_long_address(line: &str) -> bool {
    line.split_whitespace().any(|word| word.contains("://") && word.len() > COLUMNS / 3)
}

/// Without a blank line between them, rustfmt keeps imports in one order.
#[test]
fn the_imports_of_a_file_are_one_block() {
    let mut cut = Vec::new();
    for path in files(&workspace()).into_iter().filter(|path| {
        let is_left_out = |part: &std::ffi::OsStr| LEFT_OUT.iter().any(|folder| part == *folder);
        path.extension().is_some_and(|end| end == "rs") && !path.iter().any(is_left_out)
    }) {
        let text = fs::read_to_string(&path).unwrap();
        let is_cut = text.match_indices(";\n\nuse ").any(|(end, _)| {
            // What stands before the blank line: an import that is not public, or something else.
            let begin = text[..end].rfind("\nuse ").map_or(0, |at| at + 1);
            text[begin..].starts_with("use ") && !text[begin..end].contains(';')
        });
        cut.extend(is_cut.then_some(path));
    }
    assert_eq!(cut, Vec::<PathBuf>::new());
}
