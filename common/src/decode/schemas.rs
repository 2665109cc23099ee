//! [`Schemas`]: values in the wire format of Confluent's schema registry, as the JSON that their
//! schemas make of them.
//!
//! Such a value begins with a zero byte, which no JSON does, and the number of its schema. What
//! Avro or Protobuf it holds is written as JSON text, and read as any other: so mappings, usual
//! names and arrays mean the same, and there is one place for each decision. Who fetches schemas is
//! no concern of this module.

mod avro;
mod json;
mod proto;
mod shown;
pub(super) mod times;

use super::{Decoder, Rules};
use crate::reject::{Reason, Reject};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// In front of a value: the byte that says how it is written, and its schema's number.
const HEADER: usize = 5;
const MAGIC: u8 = 0;
/// Registries count schemas by a signed number.
const MAX_ID: u32 = i32::MAX.unsigned_abs();

/// The number of the schema that `value` names; `None` where it is not in this format.
#[must_use]
#[inline]
pub fn schema_id(value: &[u8]) -> Option<u32> {
    match value.first_chunk::<HEADER>() {
        Some([MAGIC, id @ ..]) => Some(u32::from_be_bytes(*id)),
        _ => None,
    }
}

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro's binary encoding.
    Avro,
    /// The text is that of a `.proto` file.
    Protobuf,
    /// Its values are JSON behind the header.
    Json,
}

/// A schema as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    /// What kind of schema it is.
    pub kind: SchemaKind,
    /// As the registry has it.
    pub text: String,
    /// The texts of the schemas that it refers to, each behind those that it needs itself.
    pub references: Vec<Reference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What the schema calls it.
    pub name: String,
    /// As the registry has it.
    pub text: String,
}

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
    /// Why values cannot be read by it.
    pub fn parse(text: &SchemaText, rules: Option<&Rules>) -> Result<Self, String> {
        let is_wanted = |name: &str| rules.is_none_or(|rules| rules.may_want(name));
        Ok(Self(match text.kind {
            SchemaKind::Avro => Format::Avro(avro::parse(text, &is_wanted)?),
            SchemaKind::Protobuf => Format::Protobuf(proto::parse(text, &is_wanted)?),
            SchemaKind::Json => Format::Json,
        }))
    }
}

/// Why a value cannot be read by its schema.
#[derive(Debug)]
pub(super) struct Unread {
    reason: Reason,
    why: String,
}

impl Unread {
    /// Its bytes do not follow the schema.
    fn broken(why: String) -> Self {
        Self { reason: Reason::NotOfSchema, why }
    }
}

/// The schemas that are known, by their numbers. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Schemas(Arc<FxHashMap<u32, Arc<Known>>>);

/// What is known of a schema: how to read its values, or why they cannot be read.
type Known = Result<Schema, String>;

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

impl Decoder {
    /// From now on values that name a schema are read by these. Without any they are rejected.
    pub fn set_schemas(&mut self, schemas: Schemas) {
        self.schemas = Some(schemas);
    }

    /// The schema that has to be known before `value` can be read.
    #[must_use]
    #[inline]
    pub fn lacks_schema(&self, value: &[u8]) -> Option<u32> {
        let id = schema_id(value)?;
        let schemas = self.schemas.as_ref()?;
        (!schemas.knows(id)).then_some(id)
    }

    /// The JSON of a value of Kafka's: the value itself, or what its schema makes of it.
    ///
    /// # Errors
    /// A schema that is not known or says nothing of such a value.
    #[inline]
    pub fn json<'v>(&self, value: &'v [u8], scratch: &'v mut Scratch) -> Result<&'v [u8], Reject> {
        match schema_id(value) {
            None => Ok(value),
            Some(id) => self.json_of(id, &value[HEADER..], scratch, false),
        }
    }

    /// `takes_all`: what no rule looks for is written as well.
    fn json_of<'v>(
        &self,
        id: u32,
        body: &'v [u8],
        scratch: &'v mut Scratch,
        takes_all: bool,
    ) -> Result<&'v [u8], Reject> {
        let schema = self.schema(id).map_err(|why| Reject::new(Reason::UnknownSchema, why))?;
        let Scratch { text, slots } = scratch;
        text.clear();
        let written = match &schema.0 {
            Format::Json => return Ok(body),
            Format::Avro(schema) => schema.write(body, text, takes_all),
            Format::Protobuf(schema) => {
                schema.write(body, text, slots, takes_all).map_err(Unread::broken)
            }
        };
        match written {
            Ok(()) => Ok(text),
            Err(Unread { reason, why }) => {
                let what = match reason {
                    Reason::NotOfSchema => "is none of its schema",
                    _ => "is no message, though one of its schema",
                };
                let detail = format!("the value {what}, {id} of the registry: {why}");
                Err(Reject::new(reason, detail))
            }
        }
    }

    fn schema(&self, id: u32) -> Result<&Schema, String> {
        let Some(schemas) = &self.schemas else {
            return Err(format!(
                "the value is in a schema registry's format, of schema {id}: say where the registry is, by \
                 --schema-registry"
            ));
        };
        match schemas.0.get(&id).map(AsRef::as_ref) {
            Some(Ok(schema)) => Ok(schema),
            Some(Err(why)) => Err(format!("schema {id} of the registry: {why}")),
            None => Err(format!("schema {id} is none that a registry may have")),
        }
    }
}

#[cfg(test)]
mod tests;
