//! What holds of the documentation.

use crate::{read, workspace};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Folders beside the root that have pages for people.
const FOLDERS: [&str; 3] = ["", "docs", "connect"];

/// Pages by their path from the root.
fn pages() -> BTreeMap<PathBuf, String> {
    let of = |folder: &str| {
        let entries = fs::read_dir(workspace().join(folder)).unwrap();
        let names: Vec<PathBuf> =
            entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())).collect();
        names.into_iter().filter(|name| name.extension().is_some_and(|end| end == "md"))
    };
    FOLDERS.into_iter().flat_map(of).map(|page| (page.clone(), read(page))).collect()
}

/// The lines that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links and pictures of a page lead, but for other sites.
fn links(page: &str) -> Vec<String> {
    let targets = prose(page)
        .flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// What can stand behind `#`, as the repository's host and mdBook both make it.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// The path from the root; `None` where it leaves the repository.
fn resolved(page: &Path, target: &str) -> Option<PathBuf> {
    let mut path = page.parent()?.to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir if !path.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

#[test]
fn no_link_leads_nowhere() {
    let pages = pages();
    let mut dead = Vec::new();
    for (page, text) in &pages {
        for link in links(text) {
            let (target, section) = link.split_once('#').unwrap_or((&link, ""));
            let path = if target.is_empty() { Some(page.clone()) } else { resolved(page, target) };
            // Of a badge the host makes the picture; what it is of lies here.
            let workflow = target
                .split_once("actions/workflows/")
                .map(|(_, name)| name.trim_end_matches("/badge.svg"));
            let path = workflow.map(|name| Path::new(".github/workflows").join(name)).or(path);
            let is_there = path.as_ref().is_some_and(|path| workspace().join(path).exists());
            let known = path.and_then(|path| pages.get(&path)).map(|text| anchors(text));
            if !is_there
                || (!section.is_empty() && known.is_some_and(|known| !known.contains(section)))
            {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

/// What stands between backquotes and begins with a folder of the root.
fn named_files(page: &str) -> Vec<&str> {
    let spans = prose(page).flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |span: &&str| {
        let plain =
            span.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
        let folder = span.split_once('/').map(|(folder, _)| workspace().join(folder));
        plain && folder.is_some_and(|folder| !span.starts_with(['.', '/']) && folder.is_dir())
    };
    spans.filter(is_path).collect()
}

#[test]
fn files_that_pages_name_are_there() {
    for (page, text) in pages() {
        for file in named_files(&text) {
            // What is made here, and no part of the repository.
            let is_made = file.starts_with("target/");
            assert!(is_made || workspace().join(file).exists(), "{}: {file}", page.display());
        }
    }
}

/// What a page says of the sources as "`NAME` in `FILE`", with the last part of the name.
fn named_parts(page: &str) -> Vec<(&str, &str)> {
    let pieces: Vec<&str> = page.split('`').collect();
    let is_in = |window: &&[&str]| window[1] == " in " && window[2].ends_with(".rs");
    let triples = pieces.windows(3).filter(is_in);
    triples.map(|window| (window[0].rsplit("::").next().unwrap_or_default(), window[2])).collect()
}

#[test]
fn what_a_page_says_to_be_in_a_file_is_there() {
    let mut looked_for = 0;
    for (page, text) in pages() {
        for (name, file) in named_parts(&text) {
            looked_for += 1;
            let source = read(file);
            let mut words = source.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            assert!(words.any(|word| word == name), "{}: no {name} in {file}", page.display());
        }
    }
    assert!(looked_for > 2, "ARCHITECTURE.md's table of questions is written otherwise");
}

#[test]
fn prose_has_100_columns_at_most() {
    let mut long = Vec::new();
    for (page, text) in pages().iter().filter(|(page, _)| *page != Path::new("CHANGELOG.md")) {
        let is_free = |line: &&str| line.starts_with(['|', ' ']) || line.contains("](http");
        let too_long = prose(text).filter(|line| !is_free(line) && line.chars().count() > 100);
        long.extend(too_long.map(|line| format!("{}: {line}", page.display())));
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn each_page_of_docs_stands_once_in_the_books_summary() {
    let pages = pages();
    let mut of_docs: Vec<_> =
        pages.keys().filter_map(|page| page.strip_prefix("docs").ok()).collect();
    of_docs.retain(|page| *page != "SUMMARY.md");
    let summary = links(&pages[Path::new("docs/SUMMARY.md")]);
    let mut of_book: Vec<_> = summary.iter().map(Path::new).collect();
    of_book.sort();
    assert_eq!(of_book, of_docs);
}

#[test]
fn a_page_of_docs_leads_to_files_of_docs_alone_as_the_book_has_no_others() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs")) {
        for link in links(text) {
            assert!(!link.starts_with("../"), "{}: {link}", page.display());
        }
    }
}

#[test]
fn each_page_of_docs_opens_with_whom_it_is_for() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs")) {
        let first = text.lines().skip(1).find(|line| !line.trim().is_empty()).unwrap_or_default();
        assert!(
            page.ends_with("SUMMARY.md") || first.starts_with("For "),
            "{}: {first}",
            page.display()
        );
    }
}

#[test]
fn the_pages_beside_docs_open_with_whom_they_are_for_too() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "connect/README.md"] {
        let text = read(page);
        let first = text.lines().skip(1).find(|line| !line.trim().is_empty()).unwrap_or_default();
        assert!(first.starts_with("For "), "{page}: {first}");
    }
}

#[test]
fn the_list_of_pages_has_each_page_of_docs() {
    let pages = pages();
    let listed = links(&pages[Path::new("docs/README.md")]);
    for page in pages.keys().filter_map(|page| page.strip_prefix("docs").ok()) {
        let is_list = page == Path::new("README.md") || page == Path::new("SUMMARY.md");
        let is_listed = listed.iter().any(|link| Path::new(link) == page);
        assert!(is_list || is_listed, "docs/README.md does not name {}", page.display());
    }
}

/// A list that an empty line cuts in two is shown with gaps in one of the parts.
#[test]
fn no_empty_line_cuts_the_list_of_settings() {
    let page = read("docs/deployment.md");
    let (_, settings) = page.split_once("\n## Settings\n").unwrap();
    let (settings, _) = settings.split_once("\n## ").unwrap();
    let blocks = settings.split("\n\n").filter(|block| block.trim_start().starts_with("- "));
    assert_eq!(blocks.count(), 1);
}

/// The newest lines with which benches and chaos ended, as they are kept.
fn newest_lines() -> Vec<Value> {
    let entries = fs::read_dir(workspace().join("docs/runs")).unwrap();
    let newest = entries.map(|entry| entry.unwrap().path()).max().unwrap();
    read(newest).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The cells of the row of docs/benchmarks.md that begins with this figure.
fn figure(name: &str) -> Vec<String> {
    let page = read("docs/benchmarks.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| {name} |")));
    let row = row.unwrap_or_else(|| panic!("docs/benchmarks.md has no row of {name}"));
    row.split('|').map(|cell| cell.trim().to_owned()).skip(1).collect()
}

/// What the README counts of one run is what the page of results and the kept line have of it, and
/// the command beside it is the run's.
#[test]
fn the_readmes_faults_are_those_of_the_run_that_it_names() {
    let (readme, results) = (read("README.md"), read("docs/reliability.md"));
    let (_, said) = readme.split_once("\n## Correctness, by fault\n").unwrap();
    let (said, _) = said.split_once("\n## ").unwrap();
    let row = results
        .lines()
        .find_map(|line| line.strip_prefix("| 2026-11-30, "))
        .expect("the run that the README names");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let kinds = cells[0].split(", ").find_map(|part| part.strip_suffix(" kinds")).unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    let said = words.join(" ");
    let wanted = format!(
        "On 2026-11-30, in 30 minutes, {} faults of {kinds} kinds to {} messages",
        cells[1], cells[3]
    );
    assert!(said.contains(&wanted), "{wanted}: {said}");

    let lines = newest_lines();
    let line = lines.iter().find(|line| line["chaos"] == "ok").expect("the line of chaos");
    let number = |cell: &str| cell.replace(',', "").parse::<u64>().unwrap();
    assert_eq!(line["faults"], number(cells[1]));
    assert_eq!(line["messages"], number(cells[3]));
    assert!(cells[0].contains(&format!("seed {}", line["seed"])), "{row}");
    let command = said.split('`').nth(1).unwrap();
    assert!(command.contains(&format!("--seed {} --minutes 30 ", line["seed"])), "{command}");
    let runs = read("docs/fault-runs.md");
    assert!(runs.lines().any(|line| line.trim() == command), "no run was made by {command}");
}

/// The latency that the README and the table of figures name has its run in the list of runs.
#[test]
fn the_latency_that_is_named_has_a_run() {
    let (readme, runs) = (read("README.md"), read("docs/runs.md"));
    let value = |name: &str| figure(name)[2].trim_end_matches(" ms").to_owned();
    let (p50, p99) = (value("from sending to seeing, p50"), value("from sending to seeing, p99"));
    assert!(runs.contains(&format!("| {p50} and {p99} (worst")), "no run has {p50} and {p99}");
    let whole = |figure: &str| figure.parse::<f64>().unwrap().round();
    let said = format!("{} ms (p50), {} ms (p99)", whole(&p50), whole(&p99));
    assert!(readme.contains(&said), "README.md does not say {said}");
}

/// Each ratio of the README's table of speed is that of the page of figures, and so is how many of
/// their goals were missed.
#[test]
fn the_readmes_speed_is_that_of_the_figures() {
    let readme = read("README.md");
    let (_, said) = readme.split_once("\n## Speed\n").unwrap();
    let (said, _) = said.split_once("\n## ").unwrap();
    let rows: Vec<Vec<&str>> = said
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.split('|').skip(1).map(str::trim).collect())
        .collect();
    let figures = [
        "bare ticks, as a multiple of a bare COPY",
        "an hour, plain, of the better peer",
        "gzip -6",
        "zstd -3",
    ];
    assert_eq!(rows.len(), figures.len(), "{rows:?}");
    for (row, name) in rows.iter().zip(figures) {
        let value = &figure(name)[2];
        let wanted = [row[1].to_owned(), of_peer(row[2], "DuckDB"), of_peer(row[3], "ClickHouse")];
        let wanted: Vec<String> = wanted.into_iter().filter(|cell| !cell.is_empty()).collect();
        assert_eq!(wanted.join(", "), *value, "{name}");
    }
    let missed = figures.iter().filter(|name| figure(name)[1].contains("missed")).count();
    let wanted = format!("goals ({missed} of these {} are missed)", figures.len());
    assert!(said.contains(&wanted), "README.md does not say: {wanted}");
}

fn of_peer(ratio: &str, peer: &str) -> String {
    if ratio.is_empty() { String::new() } else { format!("{ratio} of {peer}") }
}

/// The table of figures has what the newest runs printed, where their lines are kept.
#[test]
fn figures_are_those_of_the_kept_lines() {
    let lines = newest_lines();
    let line = |bench: &str, linger: Option<&str>| {
        let is_it = |line: &&Value| line["bench"] == bench && line["linger"].as_str() == linger;
        lines.iter().find(is_it).unwrap_or_else(|| panic!("no line of {bench}"))
    };
    let (speed, batch) = (line("speed", None), line("batch", None));
    let (latency, short) = (line("latency", None), line("latency", Some("5ms")));
    let figures = [
        ("bare ticks, as a multiple of a bare COPY", &speed["ratio_bare"]),
        ("enveloped ticks, of the same", &speed["ratio_envelope"]),
        ("Avro by a registry, of bare ticks", &speed["ratio_avro_to_bare"]),
        ("trades of Binance, of bare ticks", &speed["ratio_mapped_to_bare"]),
        ("two instances, of one", &speed["ratio_two_workers"]),
        ("`--writers 2`, of one writer", &speed["ratio_two_writers"]),
        ("CPU, of consuming alone", &speed["cpu_to_consuming"]),
        ("CPU without detectors, of the same", &speed["cpu_to_consuming_without_anomalies"]),
        ("peak memory while draining", &speed["rss_mb"]),
        ("from sending to seeing, p50", &latency["p50_ms"]),
        ("from sending to seeing, p99", &latency["p99_ms"]),
        ("p50 at `--linger 5ms`", &short["p50_ms"]),
        ("p99 at `--linger 5ms`", &short["p99_ms"]),
        ("an hour, plain, of the better peer", &batch["plain"]),
        ("gzip -6", &batch["gzip"]),
        ("zstd -3", &batch["zstd"]),
        ("enveloped", &batch["envelope"]),
        ("S3, plain", &batch["s3_plain"]),
        ("S3, gzip", &batch["s3_gzip"]),
        ("S3, 20,000 small objects, of one by one", &batch["small_objects"]),
        ("our CPU for a small object", &batch["small_objects_cpu_ms"]),
        ("a late object into an hour of 20 million", &batch["late_s"]),
        ("a run over 720 hours without news", &batch["idle_720_s"]),
        ("memory of batch-layer in all of these", &batch["rss_mb"]),
        ("the slowest panel of the dashboards, p95", &line("dashboards", None)["p95_ms"]),
    ];
    for (name, printed) in figures {
        let cells = figure(name);
        let said = cells[2].split(' ').next().unwrap();
        let decimals = said.split_once('.').map_or(0, |(_, digits)| digits.len());
        let printed = printed.as_f64().unwrap_or_else(|| panic!("no figure of {name}"));
        // Half a digit, and what the line itself has lost by rounding to thousandths.
        let tolerance = 0.5 / 10_f64.powi(i32::try_from(decimals).unwrap()) + 0.0006;
        let difference = (said.parse::<f64>().unwrap() - printed).abs();
        assert!(difference <= tolerance, "{name}: {said}, and {printed} was printed");
    }
}

/// The figures of the speed layer are those of the newest row of its runs.
#[test]
fn the_newest_run_is_the_one_of_the_figures() {
    let page = read("docs/runs.md");
    let is_run = |line: &&str| {
        let number = line.strip_prefix("| ").and_then(|rest| rest.split_once(", 2026-"));
        number.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    let row = page.lines().rfind(is_run).unwrap().replace("**", "");
    let cells: Vec<&str> = row.split('|').skip(1).map(str::trim).collect();
    let figures = [
        "bare ticks, as a multiple of a bare COPY",
        "enveloped ticks, of the same",
        "two instances, of one",
        "`--writers 2`, of one writer",
    ];
    for (cell, name) in cells[3..].iter().zip(figures) {
        let figure = figure(name);
        assert_eq!(*cell, figure[2], "{name}");
        assert_eq!((cells[1], cells[0].ends_with(&figure[5])), (&*figure[4], true), "{name}");
    }
}

/// Where a goal is a number alone and so is the value, the word behind the goal is right.
#[test]
fn goals_are_called_met_or_missed_as_they_were() {
    let page = read("docs/benchmarks.md");
    let mut looked_at = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains(" 2026-")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).skip(1).collect();
        let number = |cell: &str| {
            let word = cell.split([' ', ',']).next().unwrap_or_default();
            word.parse::<f64>().ok()
        };
        let (Some(goal), Some(value)) = (number(cells[1]), number(cells[2])) else { continue };
        let less_is_better = cells[1].contains(" ms,")
            || cells[1].contains(" s,")
            || cells[1].contains(" MB,")
            || ["CPU", "memory", "values", "Spark", "the lake,"]
                .iter()
                .any(|start| cells[0].starts_with(start));
        let is_met = if less_is_better { value <= goal } else { value >= goal };
        assert_eq!(!cells[1].contains("missed"), is_met, "{row}");
        looked_at += 1;
    }
    assert!(looked_at > 25, "only {looked_at} goals were found");
}

/// A command that names tests names some that there are: a filter is a module of the crate's tests.
#[test]
fn the_readmes_commands_name_tests_that_there_are() {
    let readme = read("README.md");
    let commands: Vec<&str> =
        readme.split('`').filter_map(|span| span.strip_prefix("cargo xtask test -- -p ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let (package, filter) = command.split_once(" --test it ").unwrap();
        let modules = read(format!("{package}/tests/it/main.rs"));
        assert!(modules.lines().any(|line| line == format!("mod {filter};")), "{command}");
    }
}

/// The book, where there is a program that makes it; elsewhere the tests of links have to do.
#[test]
fn the_book_builds_where_there_is_an_mdbook() {
    let folder = std::env::temp_dir().join(format!("book-{}", std::process::id()));
    let built =
        Command::new("mdbook").arg("build").arg("-d").arg(&folder).arg(workspace()).output();
    let Ok(output) = built else {
        println!("no mdbook: the book was not built");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.join("runs.html").exists(), "the book has no page of runs");
    fs::remove_dir_all(folder).unwrap();
}

/// The short answer: those who read no further know what the page says.
#[test]
fn each_page_of_docs_answers_in_five_lines_before_it_explains() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs")) {
        // The two lists of pages.
        if page.ends_with("SUMMARY.md") || page.ends_with("README.md") {
            continue;
        }
        let answer = text.split("\n\n").nth(2).unwrap_or_default();
        let lines = answer.lines().filter(|line| line.starts_with("- ")).count();
        assert!(answer.starts_with("- ") && lines == 5, "{}: {lines} lines", page.display());
    }
}

#[test]
fn the_readme_is_short_and_has_the_commands_to_begin_with() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 120, "{} lines", readme.lines().count());
    for line in readme.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    for command in ["docker compose up --build", "cargo xtask demo", "cargo xtask test"] {
        assert!(
            readme.lines().any(|line| line.starts_with(&format!("    {command} "))),
            "{command}"
        );
    }
}

#[test]
fn the_readme_counts_the_kinds_of_faults_that_there_are() {
    let source = read("workbench/src/chaos/fault.rs");
    let (_, kinds) = source.split_once("pub enum Fault {").unwrap();
    let (kinds, _) = kinds.split_once('}').unwrap();
    let kinds = kinds
        .lines()
        .filter(|line| !line.trim_start().starts_with("//") && line.ends_with(','))
        .count();
    assert!(read("README.md").contains(&format!("[All {kinds} kinds, ")), "{kinds} kinds");
}

#[test]
fn badges_say_what_the_manifest_says() {
    let manifest = read("Cargo.toml");
    for (badge, key) in [("rust", "rust-version"), ("licence", "license")] {
        let line =
            manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
        let value = line.trim_end_matches('"');
        assert!(
            read(format!("docs/pictures/{badge}.svg")).contains(value),
            "{badge} is not {value}"
        );
    }
}

/// What a newcomer installs is what the manifest asks for.
#[test]
fn pages_name_the_rust_that_the_manifest_asks_for() {
    let manifest = read("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \""))
        .unwrap()
        .trim_end_matches('"');
    for (page, text) in pages() {
        for rest in text.split("Rust 1.").skip(1) {
            let named: String =
                rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let named = format!("1.{}", named.trim_end_matches('.'));
            assert_eq!(named, wanted, "{}", page.display());
        }
    }
}

/// Of each picture a page says by which command, or how and when, it was made.
#[test]
fn each_picture_stands_in_the_list_of_where_it_comes_from() {
    let (list, docs) = (read("docs/README.md"), workspace().join("docs"));
    let mut pictures = 0;
    for folder in ["", "pictures/"] {
        for entry in fs::read_dir(docs.join(folder)).unwrap() {
            let name = format!("{folder}{}", entry.unwrap().file_name().display());
            if name.ends_with(".svg") || name.ends_with(".png") {
                pictures += 1;
                let row = list
                    .lines()
                    .find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
                let row = row
                    .unwrap_or_else(|| panic!("docs/README.md does not say how {name} was made"));
                assert!(row.contains("`cargo xtask ") || row.contains("by hand"), "{row}");
            }
        }
    }
    assert!(pictures >= 6, "only {pictures} were found");
}

/// A date or a command beside what was measured.
#[test]
fn what_was_measured_says_by_what_or_when() {
    for (page, text) in pages() {
        for paragraph in text.split("\n\n").filter(|paragraph| paragraph.contains("easured")) {
            let has_figure = ["ms", "MB", "bytes", "seconds", "minutes"].iter().any(|unit| {
                paragraph
                    .rsplit(unit)
                    .skip(1)
                    .any(|before| before.trim_end().ends_with(|c: char| c.is_ascii_digit()))
            });
            let says = paragraph.contains("2026-")
                || paragraph.contains("xtask")
                || paragraph.contains("bench");
            assert!(
                !has_figure || says || page.ends_with("tried.md"),
                "{}: {paragraph}",
                page.display()
            );
        }
    }
}

#[test]
fn a_heading_becomes_the_anchor_that_links_name() {
    assert_eq!(anchor("Do all agree? `batch-layer verify`"), "do-all-agree-batch-layer-verify");
    assert_eq!(anchor("Bad prints (`bad_print` 3)"), "bad-prints-bad_print-3");
}

#[test]
fn a_name_in_a_file_is_found_with_its_last_part() {
    let page = "| `Summary::write` in `hourly/src/summary.rs` | `a` in `b.md` |";
    assert_eq!(named_parts(page), [("write", "hourly/src/summary.rs")]);
}

#[test]
fn a_link_is_found_outside_of_code_alone() {
    let page = "a [b](c.md#d) ![e](f.svg)\n```\n[g](h.md)\n```\n[i](https://j)\n";
    assert_eq!(links(page), ["c.md#d", "f.svg"]);
    assert_eq!(resolved(Path::new("docs/a.md"), "../b.md"), Some("b.md".into()));
    assert_eq!(resolved(Path::new("a.md"), "../../b.md"), None);
}
