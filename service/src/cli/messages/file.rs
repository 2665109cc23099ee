//! Flags in one file, in place of those of a command line: so that three commands can be given the
//! same.

use clap::{ArgMatches, Command};
use std::collections::HashSet;

/// Reads lines that are the flags without their dashes, as `timestamp-zone=UTC`; a switch may say
/// `true` or `false`. A line that begins with dashes is one of a shell: so the line that
/// `speed-layer doctor` proposes is taken as it is. Empty ones and those that begin with `#` are
/// passed over; those of `map`, and those of `where`, are put together.
///
/// # Errors
/// If a line is wrong; with a sentence for clap to show and the line's number.
pub(super) fn read(path: &str, command: Command) -> Result<ArgMatches, String> {
    let text = crate::files::read(path)?;
    // The environment is read in addition to the file.
    let command = command.mut_args(|arg| arg.env(None::<&str>));
    let (mut maps, mut kinds, mut flags, mut names) =
        (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
    let lines = (1..).zip(text.lines().map(str::trim));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let of_line = |error: String| format!("line {number}: {error}");
        for (name, value) in entries(&command, line).map_err(of_line)? {
            let flag = find_flag(&command, &name, value.as_deref());
            let flag = flag.and_then(|flag| matches(&command, &flag).map(|_| flag));
            let flag = flag.map_err(of_line)?;
            match (&*name, value) {
                ("map", Some(map)) => maps.push(map),
                ("where", Some(kind)) => kinds.push(kind),
                _ if names.insert(name.clone()) => flags.extend(flag),
                _ => return Err(of_line(format!("{name} is there twice"))),
            }
        }
    }
    for (name, values) in [("map", maps), ("where", kinds)] {
        if !values.is_empty() {
            flags.push(format!("--{name}={}", values.join(",")));
        }
    }
    matches(&command, &flags)
}

/// A flag without its dashes, and its value.
type Entry = (String, Option<String>);

/// The flags of a line: one, or several with their dashes.
fn entries(command: &Command, line: &str) -> Result<Vec<Entry>, String> {
    if !line.starts_with("--") {
        return Ok(vec![match line.split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
            None => (line.to_owned(), None),
        }]);
    }
    let mut words = split_words(line)?.into_iter().peekable();
    let mut entries = Vec::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            return Err(format!("{word:?} belongs to no flag: a value with blanks needs quotes"));
        };
        entries.push(match flag.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None if takes_no_value(command, flag) => (flag.to_owned(), None),
            None => (flag.to_owned(), words.next_if(|next| !next.starts_with("--"))),
        });
    }
    Ok(entries)
}

/// The words of a line, as a shell parts them: by blanks, unless these are quoted or follow a
/// backslash. `#` at the beginning of a word begins a comment.
fn split_words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match (quote, next) {
            (Some(open), _) if next == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, _) if next.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => {
                let escaped = rest.next();
                let stays = quote.is_some() && !matches!(escaped, Some('"' | '\\' | '$' | '`'));
                let both = stays.then_some('\\').into_iter().chain(escaped);
                both.for_each(|character| word.get_or_insert_default().push(character));
            }
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("a quote is not closed".to_owned()) } else { Ok(words) }
}

/// Whether it is one of the flags, and has no value.
fn takes_no_value(command: &Command, name: &str) -> bool {
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    argument.is_some_and(|argument| !argument.get_action().takes_values())
}

/// A line as a flag; none for a switch that is off.
fn find_flag(command: &Command, name: &str, value: Option<&str>) -> Result<Option<String>, String> {
    let is_switch = takes_no_value(command, name);
    match (name, value) {
        // It might name itself.
        ("message-file", _) => Err("it names another file".to_owned()),
        (_, Some("true")) if is_switch => Ok(Some(format!("--{name}"))),
        (_, Some("false")) if is_switch => Ok(None),
        (_, Some(_)) if is_switch => Err(format!("{name} is true or false")),
        (name, Some(value)) => Ok(Some(format!("--{name}={value}"))),
        (name, None) if name.contains(char::is_whitespace) => {
            Err(format!("{name:?} is no flag: they are written preset=binance or --preset binance"))
        }
        (name, None) => Ok(Some(format!("--{name}"))),
    }
}

fn matches<'f>(
    command: &Command,
    flags: impl IntoIterator<Item = &'f String>,
) -> Result<ArgMatches, String> {
    let words = std::iter::once("file").chain(flags.into_iter().map(String::as_str));
    command.clone().try_get_matches_from(words).map_err(|error| first_line(&error))
}

/// clap's error for a flag, without the rest of its words.
pub(super) fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").replace("--", "")
}

#[cfg(test)]
mod tests {
    use super::super::{MessageArgs, message_file};
    use common::decode::{Field, ProvenanceNames, SymbolFrom};

    fn written(text: &str) -> Result<MessageArgs, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        message_file(file.path().to_str().unwrap()).map(|args| *args)
    }

    #[test]
    fn a_file_holds_the_flags_a_line_each_and_the_map_in_as_many_lines_as_one_likes() {
        let text = "# ours\nmap=timestamp=at\n\nmap = price=q.last, \
            volume=\"a.b\"\ntimestamp-zone=Asia/Tokyo\n\
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

    /// The form that `speed-layer doctor` writes, and that people put into a file.
    #[test]
    fn a_line_of_flags_with_their_dashes_is_taken_as_a_shell_takes_it() {
        let rules = |text: &str| written(text).unwrap().rules(ProvenanceNames::default());
        let expected = rules(
            "preset=binance\nmap=volume=\"Volume BTC\",price=it's\neach=data\ntimestamp-zone=UTC\n\
             uppercase-symbols\nwhere=e=a|b",
        );
        for text in [
            r#"--preset binance --map 'volume="Volume BTC",price=it'\''s' --each data --timestamp-zone UTC --uppercase-symbols --where 'e=a|b'"#,
            r#"--preset=binance  --each=data --map "volume=\"Volume BTC\"" --where='e=a|b' # ours
               # and these
               --map=price=it\'s \
               --timestamp-zone UTC --uppercase-symbols"#,
            "--preset binance --where e=a\\|b --uppercase-symbols\nmap=volume=\"Volume \
             BTC\"\neach=data\n\
             --map \"price=it's\"\ntimestamp-zone=UTC",
        ] {
            assert_eq!(rules(text), expected, "{text}");
        }
        let where_it_is_blank = rules("--where 'type=a b' --map price=x#y");
        assert_eq!(where_it_is_blank, rules("where=type=a b\nmap=price=x#y"));
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
            ("timestamp-from=record\nmap=timestamp=T", "no effect with --timestamp-from record"),
            ("oldest=1980-01-01\noldest=1985-01-01", "line 2: oldest is there twice"),
            ("uppercase-symbols=perhaps", "line 1: uppercase-symbols is true or false"),
            ("message-file = /dev/null", "line 1: it names another file"),
            ("--message-file /dev/null", "line 1: it names another file"),
            ("preset binance", "preset=binance or --preset binance"),
            ("#\n--preset binance kraken", "line 2: \"kraken\" belongs to no flag"),
            ("--map 'price=p", "line 1: a quote is not closed"),
            ("--preset --each data", "line 1: a value is required for 'preset"),
            ("--preset binance\n--preset kraken", "line 2: preset is there twice"),
            ("--zone UTC", "line 1: unexpected argument 'zone'"),
        ] {
            let error = written(text).unwrap_err();
            assert!(error.contains(said) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
