//! Values from files, so that neither the command line nor the environment shows them.
//!
//! They are read while the command line is: a file that cannot be read is a wrong flag, with its
//! message and exit code.

use crate::settings::key_value;
use std::sync::Arc;

/// The text of a secret file. It has no `Debug`, so that no log can show it.
#[derive(Clone)]
pub struct SecretFile {
    path: Arc<str>,
    text: Arc<str>,
}

impl SecretFile {
    /// # Errors
    /// If the file cannot be read, or is empty; with a sentence for clap to show.
    pub fn read(path: &str) -> Result<Self, String> {
        secret(path)
    }

    /// As it was read at the start.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// As it is now; `None` where it cannot be read, or is empty.
    #[must_use]
    pub fn read_again(&self) -> Option<String> {
        secret(&self.path).ok().map(|file| file.text.as_ref().to_owned())
    }
}

/// The properties of a file, in its order. It has no `Debug`: one of them may be a password.
#[derive(Clone)]
pub struct PropertiesFile(Arc<[(String, String)]>);

impl PropertiesFile {
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Editors and `echo` end a file with a line break, which is no part of the secret.
pub(crate) fn secret(path: &str) -> Result<SecretFile, String> {
    let text = read(path)?;
    let secret = text.trim();
    match secret.is_empty() {
        true => Err("the file is empty".to_owned()),
        false => Ok(SecretFile { path: path.into(), text: secret.into() }),
    }
}

/// Lines `key=value`; empty lines and those that begin with `#` are passed over.
///
/// # Errors
/// If a line is wrong; with a sentence for clap to show, which names the line by its number alone.
pub fn properties(path: &str) -> Result<PropertiesFile, String> {
    let text = read(path)?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let settings = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let pairs = settings.map(|(number, line)| match key_value(line) {
        Ok((key, value)) => Ok((key, value.trim_start().to_owned())),
        Err(error) => Err(format!("line {number}: {error}")),
    });
    Ok(PropertiesFile(pairs.collect::<Result<_, _>>()?))
}

pub(crate) fn read(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
    // Some editors begin a file with this mark, which says no more than that it is UTF-8.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path().to_str().unwrap())
    }

    #[test]
    fn a_secret_is_the_file_without_the_line_break_at_its_end() {
        assert_eq!(with_file("postgres://h/d\n", secret).ok().unwrap().expose(), "postgres://h/d");
        assert_eq!(
            with_file("\u{feff}postgres://h/d\n", secret).ok().unwrap().expose(),
            "postgres://h/d"
        );
        assert_eq!(with_file("\n", secret).err().unwrap(), "the file is empty");
        assert!(secret("/no/such/file").err().unwrap().contains("cannot read it: No such file"));
    }

    #[test]
    fn a_secret_that_has_changed_is_read_again_and_one_that_is_away_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one").unwrap();
        let secret = secret(file.path().to_str().unwrap()).ok().unwrap();
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(secret.read_again().as_deref(), Some("two"));
        drop(file);
        assert_eq!(secret.read_again(), None);
        assert_eq!(secret.expose(), "one");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_property() {
        let file = with_file("\u{feff}a=b\n", properties).ok().unwrap();
        assert_eq!(file.pairs(), [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn properties_are_lines_and_a_bad_one_is_named_by_its_number_alone() {
        let file = with_file("# login\nsasl.username = reader\n\nsasl.password=a=#b\n", properties)
            .ok()
            .unwrap();
        let expected = [("sasl.username", "reader"), ("sasl.password", "a=#b")];
        assert_eq!(file.pairs(), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let error = with_file("a=b\ns3cret\n", properties).err().unwrap();
        assert_eq!(error, "line 2: expected KEY=VALUE");
    }
}
