//! [`Schemas`]: values in the wire format of Confluent's schema registry, as the JSON that their
//! schemas make of them.
//!
//! Such a value begins with a zero byte, which no JSON does, and the number of its schema. The Avro
//! or Protobuf in it is written as JSON text, and read as any other: so mappings, usual names and
//! arrays mean the same, and there is one place for each decision. Fetching schemas is no concern
//! of this module.

mod avro;
mod header;
mod json;
mod proto;
mod read;
mod registered;
mod shown;
pub(super) mod times;
mod unread;

pub use header::schema_id;
pub use registered::{Reference, SchemaKind, SchemaText};

use super::rules::Rules;
use header::MAX_ID;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A schema that values are read by.
#[derive(Debug)]
pub struct Schema(Format);

#[derive(Debug)]
enum Format {
    Avro(avro::Schema),
    Protobuf(proto::Schema),
    Json,
}

impl Schema {
    /// `rules`: those by which its values will be read; what they look for nowhere is passed over.
    /// Without them everything is read.
    ///
    /// # Errors
    /// If values cannot be read by it; with the reason.
    pub fn parse(text: &SchemaText, rules: Option<&Rules>) -> Result<Self, String> {
        let is_wanted = |name: &str| rules.is_none_or(|rules| rules.may_want(name));
        Ok(Self(match text.kind {
            SchemaKind::Avro => Format::Avro(avro::parse(text, &is_wanted)?),
            SchemaKind::Protobuf => Format::Protobuf(proto::parse(text, &is_wanted)?),
            SchemaKind::Json => Format::Json,
        }))
    }
}

/// The schemas that are known, by their numbers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<FxHashMap<u32, Arc<ParsedSchema>>>);

/// A known schema: how to read its values, or why they cannot be read.
type ParsedSchema = Result<Schema, String>;

impl Schemas {
    /// The schema of this number is known from now on.
    pub fn insert(&mut self, id: u32, known: Result<Schema, String>) {
        Arc::make_mut(&mut self.0).insert(id, Arc::new(known));
    }

    /// Forgets a schema.
    pub fn remove(&mut self, id: u32) {
        Arc::make_mut(&mut self.0).remove(&id);
    }

    /// Whether it is known what values of this schema are, be it that they cannot be read.
    #[must_use]
    pub fn knows(&self, id: u32) -> bool {
        id > MAX_ID || self.0.contains_key(&id)
    }
}

/// Memory that is used from value to value.
#[derive(Debug, Default)]
pub struct Scratch {
    text: Vec<u8>,
    /// The fields of Protobuf's messages.
    slots: Vec<proto::Slot>,
}

#[cfg(test)]
mod tests;
