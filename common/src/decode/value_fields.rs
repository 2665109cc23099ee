//! [`ValueFields`]: the fields of a value, out of an envelope or without one.

use super::fields::Fields;
use super::record::Provenance;
use super::rules::Rules;
use super::values;
use crate::reject::{Reason, Reject};
use serde_json::value::RawValue;

/// The fields of a value, and where it came from.
pub(super) struct ValueFields<'a> {
    /// The JSON object that they are members of.
    pub(super) object: &'a str,
    pub(super) fields: Fields<'a>,
    pub(super) partition: Option<&'a RawValue>,
    pub(super) offset: Option<&'a RawValue>,
    pub(super) record_time: Option<&'a RawValue>,
}

impl<'a> ValueFields<'a> {
    /// Reads the fields of an envelope's payload, or of `text` itself. A message whose payload is
    /// no object is no envelope: its producer has members of these names, too.
    pub(super) fn of(text: &'a str, rules: &Rules) -> Result<Self, Reject> {
        let outer = Fields::parse(text, rules)?;
        let Some(payload) = outer.payload.filter(|payload| outer.has_schema && is_object(payload))
        else {
            return Ok(Self::new(text, outer));
        };
        let mut found = Self::new(payload.get(), Fields::parse(payload.get(), rules)?);
        if provenance(outer.partition, outer.offset).is_some() {
            (found.partition, found.offset) = (outer.partition, outer.offset);
        }
        found.record_time = outer.record_time.or(found.record_time);
        Ok(found)
    }

    fn new(object: &'a str, fields: Fields<'a>) -> Self {
        let Fields { partition, offset, record_time, .. } = fields;
        Self { object, fields, partition, offset, record_time }
    }

    pub(super) fn provenance(&self) -> Option<Provenance> {
        provenance(self.partition, self.offset)
    }

    /// Rejects a value without any field of a tick that would be an envelope if its payload were an
    /// object, for that reason.
    pub(super) fn check_payload(&self) -> Result<(), Reject> {
        match self.fields.payload.filter(|_| self.fields.has_schema) {
            Some(payload) if self.fields.are_none() && !is_object(payload) => Err(Reject::new(
                Reason::NotObject,
                "the payload next to schema is no object (of an array of ticks: --each payload)",
            )),
            _ => Ok(()),
        }
    }
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

fn provenance(partition: Option<&RawValue>, offset: Option<&RawValue>) -> Option<Provenance> {
    let partition = i32::try_from(values::integer(partition?)?).ok()?;
    let offset = values::integer(offset?)?;
    Some(Provenance { partition, offset })
}
