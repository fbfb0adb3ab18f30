//! How columns of PostgreSQL are read, by the type they have. The error is what to say of the value
//! that does not fit.

use sqlx::postgres::{PgRow, PgTypeKind, PgValueFormat, PgValueRef};
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};
use uuid::Uuid;

use super::time;

pub(crate) fn integer(row: &PgRow, column: &str) -> Result<Option<i64>, String> {
    let Some(value) = present(row, column)? else { return Ok(None) };
    let number = match (name(&value).as_str(), value.as_bytes()) {
        ("INT8", Ok(bytes)) => bytes.try_into().ok().map(i64::from_be_bytes),
        ("INT4", Ok(bytes)) => bytes.try_into().ok().map(i32::from_be_bytes).map(i64::from),
        ("INT2", Ok(bytes)) => bytes.try_into().ok().map(i16::from_be_bytes).map(i64::from),
        _ => None,
    };
    number.map(Some).ok_or_else(|| unfit(&value))
}

/// A text, the name of an enum's value, or a UUID in its usual spelling.
pub(crate) fn text(row: &PgRow, column: &str) -> Result<Option<String>, String> {
    let Some(value) = present(row, column)? else { return Ok(None) };
    let info = value.type_info().into_owned();
    let text = match info.name() {
        "UUID" => value
            .as_bytes()
            .ok()
            .and_then(|bytes| Uuid::from_slice(bytes).ok())
            .map(|uuid| uuid.hyphenated().to_string()),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => value.as_str().ok().map(str::to_owned),
        _ if matches!(info.kind(), PgTypeKind::Enum(_)) => value.as_str().ok().map(str::to_owned),
        _ => None,
    };
    text.map(Some).ok_or_else(|| unfit(&value))
}

pub(crate) fn bytes(row: &PgRow, column: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(value) = present(row, column)? else { return Ok(None) };
    match (name(&value).as_str(), value.as_bytes()) {
        ("BYTEA", Ok(bytes)) => Ok(Some(bytes.to_vec())),
        _ => Err(unfit(&value)),
    }
}

/// A time in microseconds since 1970.
pub(crate) fn micros(row: &PgRow, column: &str) -> Result<Option<i64>, String> {
    let Some(value) = present(row, column)? else { return Ok(None) };
    let stored = value.as_bytes().ok().and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    stored
        .filter(|_stored| time::is_time(value.type_info().oid()))
        .and_then(time::micros_since_1970)
        .map(Some)
        .ok_or_else(|| unfit(&value))
}

fn present<'r>(row: &'r PgRow, column: &str) -> Result<Option<PgValueRef<'r>>, String> {
    let value = row.try_get_raw(column).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(None);
    }
    match value.format() {
        PgValueFormat::Binary => Ok(Some(value)),
        PgValueFormat::Text => Err("a value in text format".to_owned()),
    }
}

fn name(value: &PgValueRef<'_>) -> String {
    value.type_info().name().to_owned()
}

fn unfit(value: &PgValueRef<'_>) -> String {
    format!("a value of type {}", value.type_info().name())
}
