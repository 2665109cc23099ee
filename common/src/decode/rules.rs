//! [`Rules`]: how messages are read, the same in both layers.

use super::mapping::{Condition, Field, Mapping, Path, default_field};
use super::sources::{SymbolFrom, TimestampFrom};
use crate::Named;
use crate::timestamp::TimeRules;

/// The names under which the archive's connector inserts a record's Kafka fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenanceNames {
    /// The member that has the partition.
    pub partition: String,
    /// The member that has the offset.
    pub offset: String,
    /// The record's time, in epoch milliseconds; looked at for [`TimestampFrom::Record`] alone.
    pub record_time: String,
}

impl Default for ProvenanceNames {
    fn default() -> Self {
        Self {
            partition: "kafka_partition".into(),
            offset: "kafka_offset".into(),
            record_time: "kafka_timestamp".into(),
        }
    }
}

/// The member of Connect's envelope that holds the message.
pub(super) const PAYLOAD: &str = "payload";

/// The meaning of a member whose name is no field's: part of a message's position, or of an
/// envelope.
#[derive(Clone, Copy)]
pub(super) enum Special {
    Partition,
    Offset,
    RecordTime,
    Schema,
    Payload,
}

/// The rules for reading messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// The archive's names for a line's provenance.
    pub names: ProvenanceNames,
    /// Which members the fields are.
    pub mapping: Mapping,
    /// The path to the array of ticks in a message. An array at its top is found without being
    /// told.
    pub each: Option<Path>,
    /// Which messages are meant; all where there is none.
    pub conditions: Vec<Condition>,
    /// How times are read.
    pub times: TimeRules,
    /// Where a tick's symbol comes from.
    pub symbol_from: SymbolFrom,
    /// Where its time comes from.
    pub timestamp_from: TimestampFrom,
    /// Whether a price may be zero or below, as that of WTI futures was on 2020-04-20.
    pub allow_nonpositive_prices: bool,
    /// Whether `aapl` is the symbol `AAPL`.
    pub uppercase_symbols: bool,
}

impl Rules {
    /// All rules in a line, by their flags: hours that were computed by others are to be computed
    /// again.
    #[must_use]
    pub fn describe(&self) -> String {
        let fields = Field::ALL.into_iter().filter(|field| !self.mapping.paths(*field).is_empty());
        let paths = |field| {
            self.mapping.paths(field).iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
        };
        let map: Vec<String> = fields.map(|field| format!("{field}={}", paths(field))).collect();
        let ProvenanceNames { partition, offset, record_time } = &self.names;
        let [partition, offset, record_time] =
            [partition, offset, record_time].map(|name| word(name));
        let TimeRules { unit, zone, oldest } = &self.times;
        let unit = unit.name();
        let zone = zone.as_ref().map_or("none", |zone| zone.name());
        let each =
            self.each.as_ref().map_or_else(|| "none".to_owned(), |each| word(&each.to_string()));
        let (symbol, timestamp) = (self.symbol_from.name(), self.timestamp_from.name());
        let (nonpositive, upper) = (self.allow_nonpositive_prices, self.uppercase_symbols);
        // A preset's conditions pass messages that do not say what they are. No value begins with
        // `=` but in quotes.
        let or_none = |condition: &Condition| if condition.is_optional { "|=none" } else { "" };
        let kinds = |condition: &Condition| {
            format!(" --where {}", word(&format!("{condition}{}", or_none(condition))))
        };
        let kinds: String = self.conditions.iter().map(kinds).collect();
        format!(
            "--partition-field {partition} --offset-field {offset} --record-time-field \
             {record_time} --map {} --each {each} --timestamp-unit {unit} --timestamp-zone {zone} \
             --oldest {oldest} --symbol-from {symbol} --timestamp-from {timestamp} \
             --allow-nonpositive-prices {nonpositive} --uppercase-symbols {upper}{kinds}",
            word(&map.join(","))
        )
    }

    /// Whether a member of this name may be used, wherever it is. `false`: surely not.
    pub(super) fn may_want(&self, name: &str) -> bool {
        let conditions = self.conditions.iter().map(|condition| &condition.path);
        let is_on_a_way =
            self.each.iter().chain(conditions).flat_map(Path::names).any(|step| **step == *name);
        is_on_a_way
            || default_field(name).is_some()
            || self.special(name).is_some()
            || self.mapping.has_name(name)
    }

    /// The meaning of a member of this name for its message's position, or for its being an
    /// envelope.
    pub(super) fn special(&self, name: &str) -> Option<Special> {
        match name {
            "schema" => Some(Special::Schema),
            PAYLOAD => Some(Special::Payload),
            name if name == self.names.partition => Some(Special::Partition),
            name if name == self.names.offset => Some(Special::Offset),
            name if name == self.names.record_time => Some(Special::RecordTime),
            _ => None,
        }
    }

    /// The lowest price that is one, in units of 10^-9.
    pub(super) fn lowest_price(&self) -> i64 {
        if self.allow_nonpositive_prices { i64::MIN } else { 1 }
    }

    /// Whether the value alone makes a tick.
    pub(super) fn value_is_all(&self) -> bool {
        self.symbol_from == SymbolFrom::Value && self.timestamp_from == TimestampFrom::Value
    }
}

/// A flag's value as one word: text after a blank in it is no other flag.
fn word(value: &str) -> String {
    match value.contains(|letter: char| letter.is_whitespace() || letter == '"') {
        true => format!("{value:?}"),
        false => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::MapEntries;

    fn named(partition: &str, offset: &str) -> Rules {
        let (partition, offset) = (partition.to_owned(), offset.to_owned());
        Rules {
            names: ProvenanceNames { partition, offset, ..ProvenanceNames::default() },
            ..Rules::default()
        }
    }

    fn mapped(map: &str, each: Option<&str>) -> Rules {
        let MapEntries { paths, .. } = map.parse().unwrap();
        let each = each.map(|name| Path::new(&[name]).unwrap());
        Rules { mapping: Mapping::new(&paths), each, ..Rules::default() }
    }

    /// Else the hours that were computed by the one would pass for the other's.
    #[test]
    fn no_name_makes_other_rules_look_the_same() {
        for (one, other) in [
            (named("p --offset-field x", "y"), named("p", "x --offset-field y")),
            (mapped("volume=a --each x", None), mapped("volume=a", Some("x --each none"))),
        ] {
            assert_ne!(one.describe(), other.describe());
        }
    }

    #[test]
    fn names_are_described_as_they_are_given_and_those_with_blanks_in_quotes() {
        let line = named("kafka.partition", "the offset").describe();
        let expected = r#"--partition-field kafka.partition --offset-field "the offset" --record"#;
        assert!(line.starts_with(expected), "{line}");
    }
}
