//! One pass over a JSON object that notes where the fields of a tick stand, without judging their values.

use super::ProvenanceNames;
use crate::reject::{Reason, Reject};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The raw JSON of each known field; of duplicate names the last.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub symbol: Option<&'a RawValue>,
    pub timestamp: Option<&'a RawValue>,
    pub open: Option<&'a RawValue>,
    pub high: Option<&'a RawValue>,
    pub low: Option<&'a RawValue>,
    pub close: Option<&'a RawValue>,
    pub volume: Option<&'a RawValue>,
    pub partition: Option<&'a RawValue>,
    pub offset: Option<&'a RawValue>,
    pub payload: Option<&'a RawValue>,
    pub has_schema: bool,
}

impl<'a> Fields<'a> {
    pub fn parse(text: &'a str, names: &ProvenanceNames) -> Result<Self, Reject> {
        if !text.trim_ascii_start().starts_with('{') {
            return Err(no_object(text));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(FieldsVisitor { names }).map_err(not_json)?;
        json.end().map_err(not_json)?;
        Ok(fields)
    }

    fn set(&mut self, field: Field, raw: &'a RawValue) {
        match field {
            Field::Symbol => self.symbol = Some(raw),
            Field::Timestamp => self.timestamp = Some(raw),
            Field::Open => self.open = Some(raw),
            Field::High => self.high = Some(raw),
            Field::Low => self.low = Some(raw),
            Field::Close => self.close = Some(raw),
            Field::Volume => self.volume = Some(raw),
            Field::Partition => self.partition = Some(raw),
            Field::Offset => self.offset = Some(raw),
            Field::Payload => self.payload = Some(raw),
            Field::Schema => self.has_schema = true,
        }
    }
}

fn not_json(error: serde_json::Error) -> Reject {
    Reject::new(Reason::NotJson, error.to_string())
}

fn no_object(text: &str) -> Reject {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Reject::new(Reason::NotObject, "the JSON value is not an object"),
        Err(error) => not_json(error),
    }
}

#[derive(Clone, Copy)]
enum Field {
    Symbol,
    Timestamp,
    Open,
    High,
    Low,
    Close,
    Volume,
    Partition,
    Offset,
    Schema,
    Payload,
}

struct FieldsVisitor<'n> {
    names: &'n ProvenanceNames,
}

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key_seed(FieldName { names: self.names })? {
            match name {
                Some(field) => fields.set(field, map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// Reads a member's name; `None` for a name that is not ours.
#[derive(Clone, Copy)]
struct FieldName<'n> {
    names: &'n ProvenanceNames,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(match name {
            "symbol" => Some(Field::Symbol),
            "timestamp" => Some(Field::Timestamp),
            "open" => Some(Field::Open),
            "high" => Some(Field::High),
            "low" => Some(Field::Low),
            "close" => Some(Field::Close),
            "volume" => Some(Field::Volume),
            "schema" => Some(Field::Schema),
            "payload" => Some(Field::Payload),
            name if name == self.names.partition => Some(Field::Partition),
            name if name == self.names.offset => Some(Field::Offset),
            _ => None,
        })
    }
}
