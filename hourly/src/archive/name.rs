//! What the name of an object says about its content.

use common::Place;
use regex_lite::Regex;

/// The kind of a file in the archive, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// Records of one partition of the topic.
    Records(Origin),
    /// A companion that the sink writes next to the records (keys or headers), or a folder's own
    /// marker.
    Companion,
    /// Nothing that the sink writes.
    Unknown,
}

/// Where an object's first line stood in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub partition: i32,
    pub start_offset: i64,
}

impl Origin {
    /// The place of the tick `index` of a message, for the order; `before`: how many messages lie
    /// before that at least. Its true offset is at least this, as records may be missing in
    /// between.
    #[must_use]
    pub fn place(&self, (before, index): (u64, u16)) -> Place {
        let offset = self.start_offset.saturating_add_unsigned(before);
        Place { partition: self.partition, offset, index }
    }
}

/// How the sink names its objects, in the language of Aiven's `file.name.template`; Confluent's
/// names can be said in it.
#[derive(Debug, Clone)]
pub struct FileNameTemplate {
    text: String,
    regex: Regex,
}

/// Names as Confluent's sink gives them.
pub const CONFLUENT: &str = "{{topic}}+{{partition}}+{{start_offset}}.json";

const TOPIC: &str = "[^/]+";

/// The parts of a name that a sink writes next to the records.
const COMPANIONS: [&str; 2] = [".keys.", ".headers."];

impl FileNameTemplate {
    /// Takes a template such as `{{topic}}-{{partition}}-{{start_offset:padding=true}}`. Names may
    /// have `.gz` or `.zst` after it.
    ///
    /// # Errors
    /// A sentence for clap to show.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pattern = "^(?:.*/)?".to_owned();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (variable, after) = after.split_once("}}").ok_or("has `{{` without `}}`")?;
            pattern.push_str(&regex_lite::escape(literal));
            let is_topic = variable_pattern(variable)? == TOPIC;
            let is_first = !pattern.contains("(?<topic>");
            pattern.push_str(if is_topic && is_first {
                "(?<topic>[^/]+)"
            } else {
                variable_pattern(variable)?
            });
            rest = after;
        }
        pattern.push_str(&regex_lite::escape(rest));
        pattern.push_str(r"(?:\.gz|\.zst)?$");
        for needed in ["partition", "start_offset"] {
            if !pattern.contains(&format!("(?<{needed}>")) {
                return Err(format!(
                    "needs {{{{{needed}}}}}: without it a line's place in the topic is unknown"
                ));
            }
        }
        let regex = Regex::new(&pattern).map_err(|error| format!("cannot be matched: {error}"))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// The template itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads the key of an object, such as `raw/t/2025-06-02-13/t+0+0000000017.json.gz`.
    #[must_use]
    pub fn read(&self, key: &str) -> FileName {
        if key.ends_with('/') {
            return FileName::Companion;
        }
        if let Some(origin) = self.origin(key) {
            return FileName::Records(origin);
        }
        let mut companions = COMPANIONS.iter().filter(|part| key.contains(**part));
        if companions.any(|part| self.origin(&key.replace(part, ".")).is_some()) {
            return FileName::Companion;
        }
        FileName::Unknown
    }

    /// The topic that the key of an object names; empty where the template has none.
    #[must_use]
    pub fn topic<'k>(&self, key: &'k str) -> &'k str {
        if let Some((topic, ..)) = self.of_confluent(key) {
            return topic;
        }
        let topic = self.regex.captures(key).and_then(|found| found.name("topic"));
        topic.map_or("", |topic| topic.as_str())
    }

    fn origin(&self, key: &str) -> Option<Origin> {
        let of = |partition: &str, start_offset: &str| {
            Some(Origin {
                partition: partition.parse().ok()?,
                start_offset: start_offset.parse().ok()?,
            })
        };
        if let Some((_, partition, start_offset)) = self.of_confluent(key) {
            return of(partition, start_offset);
        }
        let found = self.regex.captures(key)?;
        of(found.name("partition")?.as_str(), found.name("start_offset")?.as_str())
    }

    /// Topic, partition and offset by the usual template: of a small object, the expression took a
    /// sixth of the time.
    fn of_confluent<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str, &'k str)> {
        if self.text != CONFLUENT {
            return None;
        }
        let name = key.rsplit('/').next()?;
        let name = uncompressed(name);
        let (rest, start_offset) = name.strip_suffix(".json")?.rsplit_once('+')?;
        let (topic, partition) = rest.rsplit_once('+')?;
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_one = !topic.is_empty() && is_number(partition) && is_number(start_offset);
        is_one.then_some((topic, partition, start_offset))
    }
}

/// A name without what says that its content is compressed.
#[must_use]
pub fn uncompressed(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name)
}

/// A variable may have parameters after a colon, which only say how it is written.
fn variable_pattern(variable: &str) -> Result<&'static str, String> {
    match variable.split(':').next().unwrap_or_default().trim() {
        // A topic's name may itself hold what parts it from the numbers: the numbers are sought
        // from the end.
        "topic" => Ok(TOPIC),
        "partition" => Ok("(?<partition>[0-9]+)"),
        "start_offset" => Ok("(?<start_offset>[0-9]+)"),
        "timestamp" => Ok("[0-9]+"),
        "key" => Ok("[^/]*"),
        other => Err(format!(
            "knows no {{{{{other}}}}}; there are topic, partition, start_offset, timestamp and key"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn confluent(key: &str) -> FileName {
        FileNameTemplate::parse(CONFLUENT).unwrap().read(key)
    }

    #[test]
    fn a_name_tells_partition_and_first_offset() {
        let records = FileName::Records(Origin { partition: 3, start_offset: 17 });
        for key in [
            "raw/stock_prices/2025-06-02-13/stock_prices+3+0000000017.json",
            "stock_prices+3+17.json.gz",
            "a/b/stock_prices+3+0000000017.json.zst",
            "odd+topic+3+0000000017.json",
        ] {
            assert_eq!(confluent(key), records, "{key}");
        }
    }

    #[test]
    fn a_name_tells_the_topic_where_the_template_has_one() {
        let topic = |template: &str, key: &str| {
            FileNameTemplate::parse(template).unwrap().topic(key).to_owned()
        };
        assert_eq!(
            topic(CONFLUENT, "raw/t/2025-06-02-13/stock_prices+3+0000000017.json.gz"),
            "stock_prices"
        );
        assert_eq!(
            topic("{{topic}}/{{topic}}-{{partition}}-{{start_offset}}", "a/b-c/b-c-0-1"),
            "b-c"
        );
        assert_eq!(topic("{{partition}}-{{start_offset}}", "a/0-1"), "");
    }

    #[test]
    fn companions_of_records_are_no_records() {
        for key in
            ["a/t+0+0000000003.keys.json", "a/t+0+0000000003.headers.json.gz", "a/2025-06-02-13/"]
        {
            assert_eq!(confluent(key), FileName::Companion, "{key}");
        }
    }

    #[test]
    fn other_files_are_unknown() {
        for key in [
            "a/_SUCCESS",
            "a/t+0+0000000003.avro",
            "a/t+0.json",
            "a/+0+1.json",
            "a/t+x+1.json",
            "a/t+0+-1.json",
            "a/t+0++1.json",
            "a/t+99999999999+1.json",
            "a/t+0+99999999999999999999.json",
            "a/notes.keys.json",
        ] {
            assert_eq!(confluent(key), FileName::Unknown, "{key}");
        }
    }

    #[test]
    fn a_template_of_aivens_connector_reads_its_names() {
        let records = FileName::Records(Origin { partition: 2, start_offset: 1 });
        for (template, key) in [
            ("{{topic}}-{{partition}}-{{start_offset}}", "p/stock-prices-2-1"),
            ("{{topic}}-{{partition}}-{{start_offset}}", "p/stock-prices-2-1.gz"),
            (
                "{{ topic }}-{{partition:padding=true}}-{{start_offset:padding=true}}.gz",
                "t-0000000002-00000000000000000001.gz",
            ),
            ("{{topic}}/{{partition}}/{{start_offset}}.jsonl", "raw/2025-06-02-13/t/2/1.jsonl.zst"),
            (
                "{{topic}}-{{partition}}-{{start_offset}}-{{timestamp:unit=yyyy}}{{timestamp:unit=MM}}",
                "t-2-1-202506",
            ),
            ("{{key}}-{{topic}}-{{partition}}-{{start_offset}}", "AAPL-t-2-1"),
        ] {
            assert_eq!(FileNameTemplate::parse(template).unwrap().read(key), records, "{template}");
        }
    }

    #[test]
    fn a_template_that_tells_no_place_is_refused() {
        for text in [
            "",
            "{{topic}}",
            "{{topic}}-{{partition}}",
            "{{topic}}+{{partition",
            "{{a}}{{partition}}{{start_offset}}",
        ] {
            assert!(FileNameTemplate::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_template_reads_names_as_its_expression_does(
            key in "([a-z+./]{0,6}/)?[a-z+0-9./]{0,6}[+]?[0-9]{0,3}[+]?[0-9]{0,20}([.]json)?([.]gz|[.]zst|[.]keys[.]json)?",
        ) {
            let usual = FileNameTemplate::parse(CONFLUENT).unwrap();
            // Another text, so that the expression is asked.
            let expression = FileNameTemplate { text: String::new(), regex: usual.regex.clone() };
            prop_assert_eq!(usual.read(&key), expression.read(&key), "{}", key);
            prop_assert_eq!(usual.topic(&key), expression.topic(&key), "{}", key);
        }
    }
}
