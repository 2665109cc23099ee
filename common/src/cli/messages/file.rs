//! All that is to be said of messages, in one file: so that three commands can be given the same.

use super::MessageArgs;
use clap::{CommandFactory, FromArgMatches, Parser};

#[derive(Parser)]
struct File {
    #[command(flatten)]
    messages: MessageArgs,
}

/// Reads lines that are the flags without their dashes, as `timestamp-zone=UTC`. Empty ones and those that begin with `#`
/// are passed over; those of `map` are put together.
///
/// # Errors
/// A sentence for clap to show.
pub fn message_file(path: &str) -> Result<Box<MessageArgs>, String> {
    let text = crate::cli::files::read(path)?;
    let (mut maps, mut flags) = (Vec::new(), vec!["file".to_owned()]);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("map", map)) => maps.push(map),
            // It might name itself.
            Some(("message-file", _)) => return Err("it names another file".to_owned()),
            Some((name, value)) => flags.push(format!("--{name}={value}")),
            None => flags.push(format!("--{line}")),
        }
    }
    if !maps.is_empty() {
        flags.push(format!("--map={}", maps.join(",")));
    }
    // What the environment says is said beside the file.
    let command = File::command().mut_args(|arg| arg.env(None::<&str>));
    let read = command.try_get_matches_from(flags).and_then(|matches| File::from_arg_matches(&matches));
    read.map(|file| Box::new(file.messages)).map_err(|error| first_line(&error))
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").replace("--", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Field, ProvenanceNames, SymbolFrom};

    fn read(text: &str) -> Result<MessageArgs, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        message_file(file.path().to_str().unwrap()).map(|args| *args)
    }

    #[test]
    fn a_file_holds_the_flags_a_line_each_and_the_map_in_as_many_lines_as_one_likes() {
        let text = "# ours\nmap=symbol=ticker\n\nmap = price=q.last, volume=\"a.b\"\ntimestamp-zone=Asia/Tokyo\n\
                    symbol-from=key\nallow-nonpositive-prices\n";
        let rules = read(text).unwrap().rules(ProvenanceNames::default());
        assert_eq!(rules.mapping.paths(Field::Price)[0].to_string(), "q.last");
        assert_eq!(rules.times.zone.as_ref().map(|zone| zone.name()), Some("Asia/Tokyo"));
        assert_eq!((rules.symbol_from, rules.allow_nonpositive_prices), (SymbolFrom::Key, true));
    }

    #[test]
    fn what_cannot_be_meant_is_said_without_the_rest_of_clap_s_words() {
        for (text, said) in [
            ("timestamp-zone=Mars/Base", "timestamp-zone"),
            ("zone=UTC", "unexpected argument 'zone'"),
            ("map=symbol=a\nmap=symbol=b", "symbol is there twice"),
            ("message-file = /dev/null", "it names another file"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
