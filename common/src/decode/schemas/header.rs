//! The bytes before a value that names its schema.

/// The bytes before a value: the byte that says how it is written, and its schema's number.
pub(super) const HEADER: usize = 5;
const MAGIC: u8 = 0;
/// Registries count schemas by a signed number.
pub(super) const MAX_ID: u32 = i32::MAX.unsigned_abs();

/// The number of the schema that `value` names; `None` where it is not in this format.
#[must_use]
#[inline]
pub fn schema_id(value: &[u8]) -> Option<u32> {
    match value.first_chunk::<HEADER>() {
        Some([MAGIC, id @ ..]) => Some(u32::from_be_bytes(*id)),
        _ => None,
    }
}
