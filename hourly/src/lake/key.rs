//! The keys of the lake: in Hive's style, so that every engine prunes by them.

use crate::hour::Hour;
use std::fmt::Write as _;

/// Where what readers must not see yet lies. Hive's readers pass over names that begin so.
const STAGING: &str = "_staging/";
/// Ending of the keys that readers look for.
pub const ENDING: &str = ".parquet";
/// Hive's own name for what has none.
const NO_TOPIC: &str = "__HIVE_DEFAULT_PARTITION__";

/// Begins the keys of everything that is not shown to readers.
#[must_use]
pub(crate) fn staging(prefix: &str) -> String {
    format!("{prefix}{STAGING}")
}

/// Where an object lies until it has been compared. A reader's glob of [`ENDING`] passes over it,
/// however deep it looks.
#[must_use]
pub(crate) fn staged(prefix: &str, name: &str) -> String {
    format!("{prefix}{STAGING}{name}.staged")
}

/// Where readers find it: `lake/source=stock_prices/date=2025-06-02/hour=13/<name>`.
#[must_use]
pub(crate) fn published(prefix: &str, source: &str, hour: Hour, name: &str) -> String {
    format!("{}{name}", folder(prefix, source, hour))
}

/// Begins the folders of all topics.
#[must_use]
pub(crate) fn sources(prefix: &str) -> String {
    format!("{prefix}source=")
}

/// The folder that an object lies in, with a `/` at its end.
#[must_use]
pub fn folder_of(key: &str) -> Option<&str> {
    key.rfind('/').map(|end| &key[..=end])
}

/// Prefix of the lake that a folder is in.
#[must_use]
pub fn lake_of(folder: &str) -> &str {
    folder.rfind("source=").map_or(folder, |at| &folder[..at])
}

/// The hour of a folder, where it is one of an hour.
#[must_use]
pub(crate) fn hour_of(folder: &str) -> Option<Hour> {
    let (before, hour) = folder.strip_suffix('/')?.rsplit_once("/hour=")?;
    let (_, date) = before.rsplit_once("/date=")?;
    Hour::parse(&format!("{date}T{hour}")).ok()
}

/// Where a topic's objects of an hour lie.
#[must_use]
pub(crate) fn folder(prefix: &str, source: &str, hour: Hour) -> String {
    let start = hour.start().to_string();
    let (date, hour) = (start.get(..10).unwrap_or_default(), start.get(11..13).unwrap_or_default());
    let source = if source.is_empty() { NO_TOPIC.to_owned() } else { escaped(source) };
    format!("{prefix}source={source}/date={date}/hour={hour}/")
}

/// As Hive writes values that do not fit into a path; no topic of Kafka's needs it.
fn escaped(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'.' | b'_' | b'-' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_source_date_and_hour_as_hive_does() {
        let hour = Hour::parse("2025-06-02T03").unwrap();
        assert_eq!(
            published("lake/", "stock_prices", hour, "1-0.parquet"),
            "lake/source=stock_prices/date=2025-06-02/hour=03/1-0.parquet"
        );
        assert_eq!(published("", "a=b", hour, "x"), "source=a%3Db/date=2025-06-02/hour=03/x");
        assert_eq!(
            published("l/", "", hour, "x"),
            "l/source=__HIVE_DEFAULT_PARTITION__/date=2025-06-02/hour=03/x"
        );
    }

    #[test]
    fn a_folder_tells_its_hour_where_it_is_one_of_an_hour() {
        let hour = Hour::parse("2025-06-02T03").unwrap();
        let key = published("a/lake/", "date=1/hour=7", hour, "1-0.parquet");
        assert_eq!(folder_of(&key).and_then(hour_of), Some(hour), "{key}");
        assert_eq!(folder_of(&key).map(lake_of), Some("a/lake/"));
        for other in [
            "lake/source=a/date=2025-06-02/",
            "lake/source=a/date=2025-06-02/hour=25/",
            "hour=03/",
            "lake/",
        ] {
            assert_eq!(hour_of(other), None, "{other}");
        }
    }
}
