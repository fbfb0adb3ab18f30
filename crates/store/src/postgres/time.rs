//! Times as PostgreSQL stores them: microseconds since 2000-01-01T00:00:00Z.

use countersign_core::time::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};

/// Milliseconds from 1970 to 2000.
const EPOCH: i64 = 946_684_800_000;

/// The types `timestamp with time zone`, its array, and `timestamp` (which on our connections is UTC).
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
const TIMESTAMP: Oid = Oid(1114);

/// A point in time as a parameter.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Time {
    /// As it is stored.
    pub(super) const fn stored(self) -> i64 {
        // The years 0 to 9999 are far from the ends of the range.
        (self.0.millis() - EPOCH) * 1000
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.stored().to_be_bytes());
        Ok(IsNull::No)
    }
}

/// Whether a column of this type holds times.
pub(super) fn is_time(oid: Option<Oid>) -> bool {
    matches!(oid, Some(TIMESTAMP | TIMESTAMPTZ))
}

/// Microseconds since 1970 of a stored time; `None` for the infinities.
pub(super) fn micros_since_1970(stored: i64) -> Option<i64> {
    if stored == i64::MIN || stored == i64::MAX { None } else { stored.checked_add(EPOCH * 1000) }
}
