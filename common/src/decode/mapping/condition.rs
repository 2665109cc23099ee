//! [`Conditions`]: which messages are meant, by what a member of theirs says.

use super::path::{Path, Reader, quoted};
use std::fmt;
use std::str::FromStr;

/// A member that says of which kind a message is, and the kinds that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The member that is asked.
    pub path: Path,
    /// Texts, or numbers as they are written.
    pub values: Vec<String>,
    /// Whether a message without the member is meant as well, as for a preset: feeds are forwarded
    /// in many ways.
    pub is_optional: bool,
}

/// `type=match|ticker,channel=trade`: all of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(pub Vec<Condition>);

/// As flags write it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| quoted(value)).collect();
        write!(f, "{}={}", self.path, values.join("|"))
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(","))
    }
}

impl FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let mut all: Vec<Condition> = Vec::new();
        loop {
            let path = reader.path("the member")?;
            if !reader.skip('=') {
                return Err(format!("expected = after {path}, as type=trade|ticker"));
            }
            let mut values = vec![reader.value(&path)?];
            while reader.skip('|') {
                values.push(reader.value(&path)?);
            }
            if all.iter().any(|known| known.path == path) {
                return Err(format!("{path} is there twice; alternatives are written {path}=a|b"));
            }
            all.push(Condition { path, values, is_optional: false });
            if !reader.skip(',') {
                break;
            }
        }
        reader.end("a comma, | or the end")?;
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_come_back_from_their_text() {
        for text in ["type=match|ticker", r#"data.e=trade,"a.b"="x|y"|"",n=1"#] {
            let conditions: Conditions = text.parse().unwrap();
            assert_eq!(conditions.to_string(), text);
        }
        let conditions: Conditions = " type = match | last match , v=1.5".parse().unwrap();
        assert_eq!(conditions.to_string(), r#"type=match|last match,v="1.5""#);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_was_expected() {
        for (text, said) in [
            ("", "empty name"),
            ("type", "expected = after type"),
            ("type=", "empty value"),
            ("type=a|", "empty value"),
            ("type=a,type=b", "twice"),
            ("type=\"a\"b", "'b' after a name"),
        ] {
            let error = text.parse::<Conditions>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
