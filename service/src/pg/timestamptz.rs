//! [`Timestamptz`]: an instant on PostgreSQL's wire, in microseconds from the year 2000.

use common::Timestamp;
use sqlx::decode::Decode;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};

/// The numbers of the types: by its name, sqlx would look a type up with a statement that outlives
/// its transaction.
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// 2000-01-01T00:00:00Z in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A [`Timestamp`] as a statement takes it and a row has it. Models know no database, so it is put
/// on where a value is bound, and taken off where a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamptz(pub Timestamp);

impl Timestamptz {
    /// Several, for an array.
    #[must_use]
    pub fn all(timestamps: impl IntoIterator<Item = Timestamp>) -> Vec<Self> {
        timestamps.into_iter().map(Self).collect()
    }

    /// The value that means it in PostgreSQL's binary formats.
    #[must_use]
    #[inline]
    pub fn to_binary(self) -> [u8; size_of::<i64>()] {
        (self.0.micros() - POSTGRES_EPOCH).to_be_bytes()
    }

    /// The other way.
    #[must_use]
    pub fn from_binary(bytes: [u8; size_of::<i64>()]) -> Self {
        Self(Timestamp::from_micros(i64::from_be_bytes(bytes)).plus_micros(POSTGRES_EPOCH))
    }
}

impl From<Timestamp> for Timestamptz {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp)
    }
}

impl From<Timestamptz> for Timestamp {
    fn from(stored: Timestamptz) -> Self {
        stored.0
    }
}

impl sqlx::Type<Postgres> for Timestamptz {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Timestamptz {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Timestamptz {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        out.extend_from_slice(&self.to_binary());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Timestamptz {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("timestamps are read in the binary format only".into());
        }
        Ok(Self::from_binary(value.as_bytes()?.try_into()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_counted_from_the_year_2000() {
        for (text, number) in [
            ("2000-01-01T00:00:00Z", 0),
            ("2000-01-01T00:00:00.000001Z", 1),
            ("1999-12-31T23:59:59Z", -1_000_000),
            ("2025-06-02T09:00:00Z", 802_170_000_000_000),
        ] {
            let stored = Timestamptz(common::timestamp::parse_rfc3339(text).unwrap());
            assert_eq!(stored.to_binary(), i64::to_be_bytes(number), "{text}");
            assert_eq!(Timestamptz::from_binary(stored.to_binary()), stored, "{text}");
        }
    }
}
