//! How values become parameters of SQLite: times are milliseconds, ids are texts.

use sqlx::Sqlite;

use crate::statement::{Bind, Query};
use crate::value::Value;

impl Bind for Sqlite {
    fn bind(query: Query<'_, Self>, value: Value) -> Query<'_, Self> {
        match value {
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Time(at) => query.bind(at.map(|at| at.millis())),
            Value::Uuid(uuid) => query.bind(uuid.map(|uuid| uuid.hyphenated().to_string())),
        }
    }
}
