//! How values become parameters of PostgreSQL.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};

use super::time::Time;
use crate::statement::{Bind, Query};
use crate::value::Value;

/// The type `unknown`: the server finds out from the statement which one is meant. So the same text is
/// a text, or a value of an enum such as `device_status`.
const UNKNOWN: Oid = Oid(705);

/// A text of whichever type its place in the statement has.
struct AnyText(String);

impl Type<Postgres> for AnyText {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UNKNOWN)
    }
}

impl Encode<'_, Postgres> for AnyText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl Bind for Postgres {
    fn bind(query: Query<'_, Self>, value: Value) -> Query<'_, Self> {
        match value {
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(text.map(storable).map(AnyText)),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Time(at) => query.bind(at.map(Time)),
            Value::Uuid(uuid) => query.bind(uuid),
        }
    }
}

/// PostgreSQL has no U+0000 in texts; it is stored as the character that stands for what cannot be
/// shown, and therefore equals nothing that was stored.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}
