//! Flags as a person copies them.

use service::cli::MessageArgs;

/// The flags in one line, to be copied.
pub fn command_line(args: &MessageArgs) -> String {
    let word = |(name, value): (&str, Option<String>)| match value {
        Some(value) => format!("--{name} {}", quoted(&value)),
        None => format!("--{name}"),
    };
    args.flags().into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// As a shell takes it for one word.
pub fn quoted(value: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_-./:=,+@%".contains(character);
    match value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_each_value_for_one_word() {
        assert_eq!(quoted("America/New_York"), "America/New_York");
        assert_eq!(quoted("price=last|mid"), "'price=last|mid'");
        assert_eq!(quoted("volume=it's"), r"'volume=it'\''s'");
    }
}
