//! Whether the docs' pages name what a program has.

use std::fs;
use std::path::Path;

/// The flags of a program and its subcommands that no page of docs names.
#[must_use]
pub fn flags_without_a_page(command: &clap::Command) -> Vec<String> {
    let pages = pages();
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let shown = commands.flat_map(clap::Command::get_arguments).filter(|arg| !arg.is_hide_set());
    let flags = shown.filter_map(|arg| arg.get_long()).map(|name| format!("--{name}"));
    let mut unnamed: Vec<String> = flags.filter(|flag| !is_named(flag, &pages)).collect();
    unnamed.sort();
    unnamed.dedup();
    unnamed
}

fn pages() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let entries = fs::read_dir(folder).expect("the folder docs can be listed");
    let paths = entries.map(|entry| entry.expect("an entry of docs").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.map(|page| fs::read_to_string(page).expect("a page of docs can be read")).collect()
}

/// Whether it stands there as a whole, and not as the beginning of a longer one.
fn is_named(flag: &str, pages: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    pages.match_indices(flag).any(|(at, _)| !goes_on(&pages[at + flag.len()..]))
}

#[test]
fn a_longer_flag_is_another_one() {
    assert!(is_named("--from", "`--from 2025-06-02`"));
    assert!(!is_named("--from", "`--from-lake`"));
}

#[test]
fn a_flag_of_a_subcommand_that_no_page_has_is_found() {
    let flag = |name: &'static str| clap::Arg::new(name).long(name);
    let inner = clap::Command::new("inner").arg(flag("no-page-has-this"));
    let command = clap::Command::new("outer").arg(flag("kafka-brokers")).subcommand(inner);
    assert_eq!(flags_without_a_page(&command), ["--no-page-has-this"]);
}
