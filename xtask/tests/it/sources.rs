//! What holds of the sources.

use std::path::PathBuf;

use crate::{CRATES, read, rust_files, workspace};

/// What logs for collectors; the equipment's lines are for whoever has started it.
const DEPLOYED: [&str; 5] = ["service", "speed-layer", "hourly", "reconciliation", "batch-layer"];

fn of_crates<'n>(
    names: &'n [&str],
    folder: &'n str,
) -> impl Iterator<Item = (PathBuf, String)> + 'n {
    names.iter().flat_map(move |name| rust_files(&workspace().join(name).join(folder)))
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

/// Whether a sentence has something in it that a collector could only find by reading it.
fn hides(call: &str) -> bool {
    let sentence = call.strip_prefix('"').and_then(|rest| rest.split('"').next());
    sentence.is_some_and(|sentence| sentence.contains('{'))
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

/// Of the crates that `hourly` is made of `service` alone can have librdkafka, by a feature.
#[test]
fn computing_hours_needs_no_librdkafka() {
    let lines = |name: &str| {
        let manifest = read(format!("{name}/Cargo.toml"));
        let for_tests = manifest.find("[dev-dependencies]").unwrap_or(manifest.len());
        let lines = manifest[..for_tests].lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for name in ["hourly", "anomalies", "common"] {
        let lines = lines(name);
        assert!(lines.contains(&"[dependencies]".to_owned()), "{name}");
        let kafka: Vec<_> = lines.into_iter().filter(|line| line.contains("kafka")).collect();
        assert_eq!(kafka, Vec::<String>::new(), "{name}");
    }
    let service = lines("service");
    let line = |start: &str| service.iter().find(|line| line.starts_with(start)).cloned();
    assert_eq!(line("kafka = ").unwrap(), "kafka = [\"dep:rdkafka\"]");
    assert!(line("rdkafka").unwrap().contains("optional = true"));
    assert_eq!(line("default"), None);
}

/// Which parts of the sources name none of which words, as ARCHITECTURE.md says under "What always
/// holds" and the files themselves in their first lines. Tests beside the code may name them.
const NEVER: [(&[&str], &[&str]); 12] = [
    // The decoder and the models. Timestamps are PostgreSQL's in a file of their own.
    (&["common/src"], &["rdkafka", "tokio", "aws_", "clap", "service::"]),
    (&["common/src/decode", "common/src/tick.rs", "common/src/price.rs"], &["sqlx", "postgres"]),
    (&["common/src/bar.rs", "anomalies/src"], &["sqlx", "rdkafka", "tokio", "aws_"]),
    // A batch has COPY's format and no connection; one partition's state machine has neither side.
    (&["speed-layer/src/batch.rs", "speed-layer/src/batch"], &["sqlx", "rdkafka", "tokio"]),
    (&["speed-layer/src/partition.rs", "speed-layer/src/detection.rs"], &["sqlx", "rdkafka"]),
    // Whoever polls waits for no broker, and nobody reads Kafka's own offsets.
    (&["speed-layer/src/intake.rs", "speed-layer/src/intake"], &["fetch_metadata", "sqlx"]),
    (
        &["speed-layer/src", "hourly/src", "reconciliation/src", "batch-layer/src", "service/src"],
        &["committed_offsets", "committed("],
    ),
    // The two programs share a database and nothing else.
    (
        &["speed-layer/src", "speed-layer/Cargo.toml"],
        &["hourly::", "hourly.", "reconciliation::", "reconciliation.", "aws_"],
    ),
    (
        &["hourly/src", "hourly/Cargo.toml", "reconciliation/src", "reconciliation/Cargo.toml"],
        &["speed_layer", "speed-layer."],
    ),
    (&["batch-layer/src", "batch-layer/Cargo.toml"], &["speed_layer", "speed-layer.", "rdkafka"]),
    // Hours are computed without Kafka, and without what compares them.
    (
        &["hourly/src", "hourly/Cargo.toml"],
        &["rdkafka", "reconciliation::", "reconciliation.workspace"],
    ),
    // An object becomes sums, and hours are computed, without a database.
    (&["hourly/src/scan.rs", "hourly/src/scan", "hourly/src/engine.rs"], &["sqlx", "aws_"]),
];

/// What stands in a file or in all Rust files of a folder, without comments and tests.
fn code(place: &str) -> Vec<(PathBuf, String)> {
    let path = workspace().join(place);
    let files = if path.is_dir() { rust_files(&path) } else { vec![(path.clone(), read(place))] };
    let is_test = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tests");
    files
        .into_iter()
        .filter(|(path, _)| !is_test(path) && !path.ends_with("tests.rs"))
        .map(|(path, text)| {
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            (path, lines.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

#[test]
fn what_is_said_to_know_nothing_of_another_names_it_nowhere() {
    let mut named = Vec::new();
    for (places, words) in NEVER {
        for place in places {
            let files = code(place);
            assert!(!files.is_empty(), "{place} is not there");
            for (path, text) in files {
                let found = words.iter().filter(|word| text.contains(**word));
                named.extend(found.map(|word| format!("{}: {word}", path.display())));
            }
        }
    }
    assert_eq!(named, Vec::<String>::new());
}

/// Kafka's client is in one file of the batch layer.
#[test]
fn of_the_batch_layer_verify_alone_asks_kafka() {
    let files = ["hourly/src", "reconciliation/src", "batch-layer/src"].into_iter().flat_map(code);
    let asking: Vec<PathBuf> =
        files.filter(|(_, text)| text.contains("rdkafka")).map(|(path, _)| path).collect();
    assert_eq!(asking, [workspace().join("reconciliation/src/log/client.rs")]);
}
