//! [`Timestamp`] as PostgreSQL's `timestamptz`: microseconds from the year 2000.

use super::instant::Timestamp;
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

/// The number that stands for `timestamp` in PostgreSQL's binary formats.
#[must_use]
pub fn to_postgres(timestamp: Timestamp) -> i64 {
    timestamp.micros() - POSTGRES_EPOCH
}

/// The other way.
#[must_use]
pub fn from_postgres(number: i64) -> Timestamp {
    Timestamp::from_micros(number).plus_micros(POSTGRES_EPOCH)
}

impl sqlx::Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        out.extend_from_slice(&to_postgres(*self).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("timestamps are read in the binary format only".into());
        }
        Ok(from_postgres(i64::from_be_bytes(value.as_bytes()?.try_into()?)))
    }
}
