//! What holds of the sources.

use crate::{CRATES, read, rust_files, workspace};
use std::path::PathBuf;

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

/// The arguments of each call of a macro of `tracing`'s.
fn calls<'t>(text: &'t str, macro_name: &'t str) -> impl Iterator<Item = Vec<&'t str>> {
    text.split(macro_name).skip(1).filter_map(|rest| rest.strip_prefix('(')).map(arguments)
}

/// What stands between the commas up to the closing bracket, but for those in texts and brackets.
fn arguments(rest: &str) -> Vec<&str> {
    let (mut found, mut begin, mut depth, mut is_in_text) = (Vec::new(), 0, 0, false);
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if is_in_text => drop(letters.next()),
            '"' => is_in_text = !is_in_text,
            _ if is_in_text => {}
            '(' | '[' | '{' => depth += 1,
            ',' | ')' if depth == 0 => {
                found.push(rest[begin..at].trim());
                begin = at + 1;
                if letter == ')' {
                    break;
                }
            }
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

/// What a call logs.
struct Line<'t> {
    /// The names of what stands before the sentence, and of their values where these have one.
    members: Vec<&'t str>,
    /// What is filled into the sentence.
    filled_in: Vec<String>,
}

impl<'t> Line<'t> {
    fn of(call: &[&'t str]) -> Option<Self> {
        let at = call.iter().position(|argument| argument.starts_with('"'))?;
        let parts = call[..at].iter().flat_map(|member| member.split('='));
        let members = parts.map(|part| part.trim().trim_start_matches(['%', '?', '&'])).collect();
        let fills = call[at].replace("{{", "").replace("}}", "");
        let fills = fills.split('{').skip(1).filter_map(|rest| rest.split(['}', ':']).next());
        let mut behind = call[at + 1..].iter();
        // What has no name stands behind the sentence.
        let name = |fill: &str| match fill {
            "" => behind.next().map_or("{}", |value| value.trim_start_matches('&')).to_owned(),
            name => name.to_owned(),
        };
        let filled_in = fills.map(name).collect();
        Some(Self { members, filled_in })
    }
}

/// What may be filled in and is no member: a sentence that was put together from the members
/// before, and words without a value.
const NO_MEMBERS: [&str; 2] = ["text", "condition"];

/// What a sentence names that a collector could only find by reading it: what is filled in and is
/// no member, nor a constant of the program's.
fn hidden(call: &[&str]) -> Vec<String> {
    let Some(Line { members, filled_in, .. }) = Line::of(call) else { return Vec::new() };
    let is_constant =
        |name: &str| name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    let is_hidden = |name: &String| {
        let may_be = !members.is_empty() && NO_MEMBERS.contains(&name.as_str());
        !members.contains(&name.as_str()) && !is_constant(name) && !may_be
    };
    filled_in.into_iter().filter(is_hidden).collect()
}

#[test]
fn what_a_logged_sentence_names_is_a_member_of_its_line_as_well() {
    let mut found = Vec::new();
    for (path, text) in of_crates(&DEPLOYED, "src") {
        for name in ["tracing::error!", "tracing::warn!", "tracing::info!"] {
            for call in calls(&text, name) {
                let hidden = hidden(&call).join(", ");
                if !hidden.is_empty() {
                    found.push(format!("{}: {hidden}: {}", path.display(), call.join(", ")));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// A source is the database's number of a topic, which no collector can join with anything else.
#[test]
fn a_line_with_a_source_or_a_partition_has_the_topic_too() {
    let mut found = Vec::new();
    for (path, text) in of_crates(&["service", "speed-layer"], "src") {
        for name in ["error!", "warn!", "info!", "debug!"] {
            for call in calls(&text, &format!("tracing::{name}")) {
                let Some(Line { members, .. }) = Line::of(&call) else { continue };
                let has = |member: &str| members.contains(&member);
                if (has("source") || has("partition")) && !has("topic") || has("message_at") {
                    found.push(format!("{}: {}", path.display(), call.join(", ")));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_sentence_hides_what_is_no_member() {
    let text = r#"tracing::warn!("{at}: away"); tracing::warn!(at, "{at}: away"); tracing::warn!("away");
        tracing::warn!("of \"{group}\": {why}"); tracing::warn!(group, error = %why, "of \"{group}\": {why}");
        tracing::warn!(f(1, ")"), at = self.at, "{at} and {} {}: {{}} {SOME:.1} {text}", self.at, other),"#;
    let calls: Vec<Vec<&str>> = calls(text, "tracing::warn!").collect();
    let found: Vec<String> = calls.iter().map(|call| hidden(call).join(" ")).collect();
    assert_eq!(found, ["at", "", "", "group why", "", "other"]);
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

/// What waits for a broker or the database.
const BLOCKING: [&str; 5] =
    ["fetch_metadata", "fetch_watermarks", "offsets_for_times", "block_on", "sqlx"];

/// Which parts of the sources name none of which words, as ARCHITECTURE.md says under "What always
/// holds" and the files themselves in their first lines. Tests beside the code may name them.
const NEVER: [(&[&str], &[&str]); 12] = [
    // The decoder and all models, and what is a function of ticks alone.
    (
        &["common/src", "common/Cargo.toml"],
        &["sqlx", "postgres", "rdkafka", "tokio", "aws", "clap", "service"],
    ),
    (&["anomalies/src"], &["sqlx", "rdkafka", "tokio", "aws_"]),
    // A batch has COPY's format and no connection; one partition's state machine has neither side.
    (&["speed-layer/src/batch.rs", "speed-layer/src/batch"], &["sqlx", "rdkafka", "tokio"]),
    (
        &[
            "speed-layer/src/partition.rs",
            "speed-layer/src/partition",
            "speed-layer/src/detection.rs",
        ],
        &["sqlx", "rdkafka"],
    ),
    // Whoever polls waits for no broker, and nobody reads Kafka's own offsets.
    (&["speed-layer/src/intake.rs", "speed-layer/src/intake"], &BLOCKING),
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
    // Archives hold JSON: whoever reads them compiles no client of a schema registry.
    (
        &["hourly/Cargo.toml", "reconciliation/Cargo.toml", "batch-layer/Cargo.toml"],
        &["\"registry\""],
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
            let comment = if path.extension().is_some_and(|of| of == "toml") { "#" } else { "//" };
            let lines = code.lines().filter(|line| !line.trim_start().starts_with(comment));
            let code = lines.collect::<Vec<_>>().join("\n");
            (path, code)
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
