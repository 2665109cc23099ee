//! [`SchemaReadError`]: why a value is not read by its schema.

use crate::reject::Reason;

/// Why a value cannot be read by its schema.
#[derive(Debug)]
pub struct SchemaReadError {
    pub reason: Reason,
    pub why: String,
}

impl SchemaReadError {
    /// The bytes do not follow the schema.
    pub fn broken(why: String) -> Self {
        Self { reason: Reason::NotOfSchema, why }
    }
}
