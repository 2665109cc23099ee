//! Floating-point numbers as their bits: a text format may lose the last one, and a restored state
//! would differ.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes the bits.
///
/// # Errors
/// If the serializer fails.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(value.to_bits())
}

/// Reads the bits.
///
/// # Errors
/// If the deserializer fails, or the value is of another type.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    u64::deserialize(deserializer).map(f64::from_bits)
}

/// The same serialization for collections.
pub mod many {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the bits.
    ///
    /// # Errors
    /// If the serializer fails.
    pub fn serialize<S, C>(values: &C, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        for<'a> &'a C: IntoIterator<Item = &'a f64>,
    {
        serializer.collect_seq(values.into_iter().map(|value| value.to_bits()))
    }

    /// Reads the bits.
    ///
    /// # Errors
    /// If the deserializer fails, or a value is of another type.
    pub fn deserialize<'de, D: Deserializer<'de>, C: FromIterator<f64>>(
        deserializer: D,
    ) -> Result<C, D::Error> {
        Ok(Vec::<u64>::deserialize(deserializer)?.into_iter().map(f64::from_bits).collect())
    }
}
