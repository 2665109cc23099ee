//! What holds of the sources: tests alone, which read them as they lie in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files;

const CRATES: [&str; 8] = [
    "anomalies",
    "common",
    "service",
    "testing",
    "speed-layer",
    "batch-layer",
    "workbench",
    "xtask",
];
/// What logs for collectors; the equipment's lines are for whoever has started it.
const DEPLOYED: [&str; 3] = ["service", "speed-layer", "batch-layer"];

/// The Rust files below a folder, with what stands in them.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(end) if end == "rs" => vec![(path.clone(), fs::read_to_string(&path).unwrap())],
        _ => Vec::new(),
    };
    paths.flat_map(read).collect()
}

fn of_crates<'n>(
    names: &'n [&str],
    folder: &'n str,
) -> impl Iterator<Item = (PathBuf, String)> + 'n {
    names.iter().flat_map(move |name| sources(&files::workspace().join(name).join(folder)))
}

#[test]
fn each_file_says_in_its_first_line_what_it_is() {
    let all =
        ["src", "tests", "examples"].into_iter().flat_map(|folder| of_crates(&CRATES, folder));
    let silent: Vec<PathBuf> =
        all.filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

/// The calls of a macro of `tracing`'s: what stands between its brackets.
fn calls<'t>(text: &'t str, macro_name: &'t str) -> impl Iterator<Item = &'t str> {
    let behind = text.split(macro_name).skip(1);
    behind.filter_map(|rest| rest.strip_prefix('(')?.split_once(");").map(|(call, _)| call.trim()))
}

/// Whether a sentence has something in it that a collector could only find by reading it. What is
/// done with an hour (`line`) has a span that tells the hour.
fn hides(call: &str) -> bool {
    let sentence = call.strip_prefix('"').and_then(|rest| rest.split('"').next());
    sentence.is_some_and(|sentence| sentence.contains('{') && sentence != "{line}")
}

#[test]
fn what_a_logged_sentence_names_is_a_member_of_its_line_as_well() {
    let mut hidden = Vec::new();
    for (path, text) in of_crates(&DEPLOYED, "src") {
        for name in ["tracing::error!", "tracing::warn!", "tracing::info!"] {
            hidden.extend(
                calls(&text, name)
                    .filter(|call| hides(call))
                    .map(|call| format!("{}: {call}", path.display())),
            );
        }
    }
    assert_eq!(hidden, Vec::<String>::new());
}

#[test]
fn a_sentence_alone_hides_what_it_names() {
    let text = "tracing::warn!(\"{at}: away\");\n tracing::warn!(at, \"{at}: away\");\n tracing::warn!(\"away\");";
    assert_eq!(calls(text, "tracing::warn!").map(hides).collect::<Vec<_>>(), [true, false, false]);
}

/// `cargo check -p batch-layer --no-default-features` is the proof; what it needs stands here.
#[test]
fn computing_hours_needs_no_librdkafka() {
    let line = |name: &str, start: &str| {
        let manifest = files::workspace().join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        manifest.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    for name in ["service", "batch-layer"] {
        let kafka = line(name, "rdkafka");
        assert!(kafka.contains("optional = true"), "{name}: {kafka}");
        assert!(line(name, "kafka = ").contains("\"dep:rdkafka\""), "{name}");
    }
    let service = line("batch-layer", "service");
    assert!(!service.is_empty() && !service.contains("kafka"), "{service}");
    assert_eq!(line("service", "default"), "");
}
