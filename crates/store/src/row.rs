//! How columns are read back: strictly, naming table, column and value when they do not fit.

use std::str::FromStr;

use countersign_core::certificate::CertificateState;
use countersign_core::settings::Permission;
use countersign_core::time::Timestamp;

use crate::connection::RawRow;
use crate::error::StoreError;
use crate::{postgres, sqlite};

/// A fetched row of one table.
pub(crate) struct Row {
    table: &'static str,
    raw: RawRow,
}

/// What can be made from a row. Fails closed: a value that does not fit is an error.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, StoreError>;
}

impl Row {
    pub(crate) const fn new(table: &'static str, raw: RawRow) -> Self {
        Self { table, raw }
    }

    /// The error for a value that does not fit.
    pub(crate) fn corrupt(&self, column: &'static str, value: &str) -> StoreError {
        StoreError::corrupt(self.table, column, value)
    }

    pub(crate) fn optional_integer(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        let read = match &self.raw {
            RawRow::Sqlite(row) => sqlite::columns::integer(row, column),
            RawRow::Postgres(row) => postgres::columns::integer(row, column),
        };
        read.map_err(|found| self.corrupt(column, &found))
    }

    pub(crate) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        let read = match &self.raw {
            RawRow::Sqlite(row) => sqlite::columns::text(row, column),
            RawRow::Postgres(row) => postgres::columns::text(row, column),
        };
        read.map_err(|found| self.corrupt(column, &found))
    }

    pub(crate) fn optional_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = match &self.raw {
            RawRow::Sqlite(row) => sqlite::columns::bytes(row, column),
            RawRow::Postgres(row) => postgres::columns::bytes(row, column),
        };
        read.map_err(|found| self.corrupt(column, &found))
    }

    /// A time in microseconds since 1970, as it is stored.
    pub(crate) fn optional_micros(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        let read = match &self.raw {
            RawRow::Sqlite(row) => sqlite::columns::micros(row, column),
            RawRow::Postgres(row) => postgres::columns::micros(row, column),
        };
        read.map_err(|found| self.corrupt(column, &found))
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.present(column, self.optional_text(column)?)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        self.present(column, self.optional_bytes(column)?)
    }

    /// A number of the wanted width.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        let number = self.present(column, self.optional_integer(column)?)?;
        T::try_from(number).map_err(|_too_wide| self.corrupt(column, &number.to_string()))
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.present(column, self.optional_time(column)?)
    }

    /// A time, rounded down to the millisecond; what [`Timestamp`] would have to clamp is corrupt.
    pub(crate) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let Some(micros) = self.optional_micros(column)? else { return Ok(None) };
        let millis = micros.div_euclid(1000);
        let at = Timestamp::from_millis(millis);
        if at.millis() == millis { Ok(Some(at)) } else { Err(self.corrupt(column, &millis.to_string())) }
    }

    /// A text that parses as the wanted type.
    pub(crate) fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.present(column, self.optional_parsed(column)?)
    }

    pub(crate) fn optional_parsed<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.optional_text(column)?
            .map(|text| text.parse().map_err(|_unparsable| self.corrupt(column, &text)))
            .transpose()
    }

    pub(crate) fn permission(&self, column: &'static str) -> Result<Permission, StoreError> {
        match self.number::<i64>(column)? {
            0 => Ok(Permission::Refused),
            1 => Ok(Permission::Allowed),
            other => Err(self.corrupt(column, &other.to_string())),
        }
    }

    /// A certificate state, stored in upper case.
    pub(crate) fn certificate_state(&self, column: &'static str) -> Result<CertificateState, StoreError> {
        let text = self.text(column)?;
        certificate_state(&text).ok_or_else(|| self.corrupt(column, &text))
    }

    fn present<T>(&self, column: &'static str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| self.corrupt(column, "null"))
    }
}

/// The state that is stored so.
pub(crate) fn certificate_state(stored: &str) -> Option<CertificateState> {
    let is_it = |state: &CertificateState| {
        let is_upper = stored.bytes().all(|byte| !byte.is_ascii_lowercase());
        is_upper && state.as_str().eq_ignore_ascii_case(stored)
    };
    CertificateState::ALL.into_iter().find(is_it)
}

/// One number: the column `number`.
pub(crate) struct Number(pub(crate) u64);

impl FromRow for Number {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        row.number("number").map(Self)
    }
}

/// One text that parses as the wanted type: the column `item`.
pub(crate) struct Item<T>(pub(crate) T);

impl<T: FromStr> FromRow for Item<T> {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        row.parsed("item").map(Self)
    }
}
