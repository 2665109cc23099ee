//! All that is to be said of messages, in one file: so that three commands can be given the same.

use super::MessageArgs;
use clap::{Command, CommandFactory, FromArgMatches, Parser};
use std::collections::HashSet;

#[derive(Parser)]
struct File {
    #[command(flatten)]
    messages: MessageArgs,
}

/// Reads lines that are the flags without their dashes, as `timestamp-zone=UTC`; a switch may say
/// `true` or `false`. Empty ones and those that begin with `#` are passed over; those of `map`, and
/// those of `where`, are put together.
///
/// # Errors
/// A sentence for clap to show, with the number of the line.
pub fn message_file(path: &str) -> Result<Box<MessageArgs>, String> {
    let text = crate::files::read(path)?;
    // What the environment says is said beside the file.
    let command = File::command().mut_args(|arg| arg.env(None::<&str>));
    let (mut maps, mut kinds, mut flags, mut names) =
        (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
    let lines = (1..).zip(text.lines().map(str::trim));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (line, None),
        };
        let flag = flag(&command, name, value).and_then(|flag| read(&command, &flag).map(|_| flag));
        let flag = flag.map_err(|error| format!("line {number}: {error}"))?;
        match (name, value) {
            ("map", Some(map)) => maps.push(map),
            ("where", Some(kind)) => kinds.push(kind),
            _ if names.insert(name) => flags.extend(flag),
            _ => return Err(format!("line {number}: {name} is there twice")),
        }
    }
    for (name, values) in [("map", maps), ("where", kinds)] {
        if !values.is_empty() {
            flags.push(format!("--{name}={}", values.join(",")));
        }
    }
    let args = read(&command, &flags)?;
    match args.contradiction() {
        Some(what) => Err(what),
        None => Ok(Box::new(args)),
    }
}

/// A line as a flag; none for a switch that is off.
fn flag(command: &Command, name: &str, value: Option<&str>) -> Result<Option<String>, String> {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    let is_switch = argument.is_some_and(|argument| !argument.get_action().takes_values());
    match (name, value) {
        // It might name itself.
        ("message-file", _) => Err("it names another file".to_owned()),
        (_, Some("true")) if is_switch => Ok(Some(format!("--{name}"))),
        (_, Some("false")) if is_switch => Ok(None),
        (_, Some(_)) if is_switch => Err(format!("{name} is true or false")),
        (name, Some(value)) => Ok(Some(format!("--{name}={value}"))),
        (name, None) => Ok(Some(format!("--{name}"))),
    }
}

fn read<'f>(
    command: &Command,
    flags: impl IntoIterator<Item = &'f String>,
) -> Result<MessageArgs, String> {
    let words = std::iter::once("file").chain(flags.into_iter().map(String::as_str));
    let read = command
        .clone()
        .try_get_matches_from(words)
        .and_then(|matches| File::from_arg_matches(&matches));
    read.map(|file| file.messages).map_err(|error| first_line(&error))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").replace("--", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::decode::{Field, ProvenanceNames, SymbolFrom};

    fn written(text: &str) -> Result<MessageArgs, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        message_file(file.path().to_str().unwrap()).map(|args| *args)
    }

    #[test]
    fn a_file_holds_the_flags_a_line_each_and_the_map_in_as_many_lines_as_one_likes() {
        let text = "# ours\nmap=timestamp=at\n\nmap = price=q.last, volume=\"a.b\"\ntimestamp-zone=Asia/Tokyo\n\
                    symbol-from=key\nallow-nonpositive-prices\n";
        let rules = written(text).unwrap().rules(ProvenanceNames::default());
        assert_eq!(rules.mapping.paths(Field::Price)[0].to_string(), "q.last");
        assert_eq!(rules.times.zone.as_ref().map(|zone| zone.name()), Some("Asia/Tokyo"));
        assert_eq!((rules.symbol_from, rules.allow_nonpositive_prices), (SymbolFrom::Key, true));
    }

    #[test]
    fn a_switch_may_be_said_to_be_on_or_off() {
        let rules = written("allow-nonpositive-prices = true\nuppercase-symbols=false\n").unwrap();
        assert!(rules.allow_nonpositive_prices && !rules.uppercase_symbols);
    }

    #[test]
    fn what_cannot_be_meant_is_said_without_the_rest_of_clap_s_words() {
        for (text, said) in [
            (
                "# ours\ntimestamp-zone=Mars/Base",
                "line 2: invalid value 'Mars/Base' for 'timestamp-zone",
            ),
            ("zone=UTC", "line 1: unexpected argument 'zone'"),
            ("\n\nmap=symbol=a,b", "line 3: "),
            ("map=symbol=a\nmap=symbol=b", "symbol is there twice"),
            ("where=e=trade\nwhere=e=x", "e is there twice"),
            ("timestamp-from=record\nmap=timestamp=T", "no effect beside --timestamp-from record"),
            ("oldest=1980-01-01\noldest=1985-01-01", "line 2: oldest is there twice"),
            ("uppercase-symbols=perhaps", "line 1: uppercase-symbols is true or false"),
            ("message-file = /dev/null", "line 1: it names another file"),
        ] {
            let error = written(text).unwrap_err();
            assert!(error.contains(said) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
