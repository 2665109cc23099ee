//! A value in the wire format as the JSON that its schema makes of it.

use super::header::{HEADER, schema_id};
use super::unread::SchemaReadError;
use super::{Format, Schema, Schemas, Scratch};
use crate::decode::Decoder;
use crate::reject::{Reason, Reject};

impl Decoder {
    /// Sets the schemas by which values that name one are read. Without any they are rejected.
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
    /// If the schema is not known, or does not fit the value.
    #[inline]
    pub fn json<'v>(&self, value: &'v [u8], scratch: &'v mut Scratch) -> Result<&'v [u8], Reject> {
        match schema_id(value) {
            None => Ok(value),
            Some(id) => self.json_of(id, &value[HEADER..], scratch, false),
        }
    }

    /// `takes_all`: what no rule looks for is written as well.
    pub(super) fn json_of<'v>(
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
                schema.write(body, text, slots, takes_all).map_err(SchemaReadError::broken)
            }
        };
        match written {
            Ok(()) => Ok(text),
            Err(SchemaReadError { reason, why }) => {
                let what = match reason {
                    Reason::NotOfSchema => "is none of its schema",
                    _ => "is no message, though one of its schema",
                };
                let detail = format!("the value {what}, {id} of the registry: {why}");
                Err(Reject::new(reason, detail))
            }
        }
    }

    pub(super) fn schema(&self, id: u32) -> Result<&Schema, String> {
        let Some(schemas) = &self.schemas else {
            return Err(format!(
                "the value is in a schema registry's format, of schema {id}: say where the \
                 registry is, by --schema-registry"
            ));
        };
        match schemas.0.get(&id).map(AsRef::as_ref) {
            Some(Ok(schema)) => Ok(schema),
            Some(Err(why)) => Err(format!("schema {id} of the registry: {why}")),
            None => Err(format!("schema {id} is none that a registry may have")),
        }
    }
}
