//! One SQL text with its values, run on any connection.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Database};

use crate::connection::{Connection, RawRow, on_connection};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::value::Value;

/// A statement: its text (`$N` parameters), its values in order, and the table it is about, which
/// errors name.
pub(crate) struct Statement {
    table: &'static str,
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// The longest list that is made longer: databases take some ten thousand values in one statement.
const WIDEST: usize = 8192;

/// A statement with a constant text.
pub(crate) const fn sql(table: &'static str, text: &'static str) -> Statement {
    Statement { table, text: Cow::Borrowed(text), values: Vec::new() }
}

/// A statement with a text that was put together from constants.
pub(crate) const fn sql_of(table: &'static str, text: Cow<'static, str>, values: Vec<Value>) -> Statement {
    Statement { table, text, values }
}

/// What a list may be narrowed by: constant conditions, each with one value.
pub(crate) struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// None: everything matches.
    pub(crate) const fn none() -> Self {
        Self { text: String::new(), values: Vec::new() }
    }

    /// `condition`, in which `?` stands for the value, if there is a value. The text is a constant, so
    /// nothing from outside ever becomes SQL.
    pub(crate) fn and<V: Into<Value>>(mut self, condition: &'static str, value: Option<V>) -> Self {
        if let Some(value) = value {
            self.values.push(value.into());
            let parameter = format!("${}", self.values.len());
            self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
            self.text.push_str(&condition.replace('?', &parameter));
        }
        self
    }

    /// The same with two values, for the first and the second `?`.
    pub(crate) fn and_pair<V: Into<Value>, W: Into<Value>>(
        mut self,
        condition: &'static str,
        values: Option<(V, W)>,
    ) -> Self {
        if let Some((first, second)) = values {
            self.values.push(first.into());
            self.values.push(second.into());
            let number = self.values.len();
            self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
            let text = condition.replacen('?', &format!("${}", number - 1), 1);
            self.text.push_str(&text.replacen('?', &format!("${number}"), 1));
        }
        self
    }

    /// The statement `head` + these conditions + `order` + a bound on the number of rows.
    pub(crate) fn select(
        mut self,
        table: &'static str,
        head: &'static str,
        order: &'static str,
        limit: u32,
    ) -> Statement {
        self.values.push(Value::from(limit));
        let text = format!("{head}{} {order} LIMIT ${}", self.text, self.values.len());
        Statement { table, text: Cow::Owned(text), values: self.values }
    }
}

impl Statement {
    /// A statement on a list of values: `text` has `{}` where `$1, $2, …` go, or `{rows}` where
    /// `($1), ($2), …` do. The last value is repeated until there are a power of two, so that few different
    /// statements have to be prepared and planned.
    pub(crate) fn over_list<V: Into<Value>>(
        table: &'static str,
        text: &'static str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::with_list(table, text, Vec::new(), values.into_iter().map(Into::into))
    }

    /// The same on a list behind a first value, which is `$1`.
    pub(crate) fn over_list_after<V: Into<Value>>(
        table: &'static str,
        text: &'static str,
        first: impl Into<Value>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::with_list(table, text, vec![first.into()], values.into_iter().map(Into::into))
    }

    fn with_list(
        table: &'static str,
        text: &'static str,
        mut values: Vec<Value>,
        list: impl Iterator<Item = Value>,
    ) -> Self {
        let before = values.len();
        values.extend(list);
        let listed = values.len() - before;
        if let (1..=WIDEST, Some(last)) = (listed, values.last().cloned()) {
            values.resize(before + listed.next_power_of_two(), last);
        }
        let (mark, open, close) = if text.contains("{rows}") { ("{rows}", "(", ")") } else { ("{}", "", "") };
        let parameters: Vec<String> =
            (before + 1..=values.len()).map(|number| format!("{open}${number}{close}")).collect();
        let text = text.replace(mark, &parameters.join(", "));
        Self { table, text: Cow::Owned(text), values }
    }

    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Every row.
    pub(crate) async fn all<T: FromRow>(self, connection: &mut Connection<'_>) -> Result<Vec<T>, StoreError> {
        let table = self.table;
        let rows = on_connection!(connection, |inner, row| {
            let fetched = bound(self.text, self.values).fetch_all(&mut **inner).await;
            fetched.map(|rows| rows.into_iter().map(row).collect::<Vec<RawRow>>())
        })
        .map_err(|source| StoreError::of_statement(table, source))?;
        rows.into_iter().map(|raw| T::from_row(&Row::new(table, raw))).collect()
    }

    /// The first row, if there is one.
    pub(crate) async fn optional<T: FromRow>(
        self,
        connection: &mut Connection<'_>,
    ) -> Result<Option<T>, StoreError> {
        let table = self.table;
        let row = on_connection!(connection, |inner, row| {
            bound(self.text, self.values).fetch_optional(&mut **inner).await.map(|found| found.map(row))
        })
        .map_err(|source| StoreError::of_statement(table, source))?;
        row.map(|raw| T::from_row(&Row::new(table, raw))).transpose()
    }

    /// The row that must be there. Fails closed: a missing one is corruption.
    pub(crate) async fn one<T: FromRow>(self, connection: &mut Connection<'_>) -> Result<T, StoreError> {
        let table = self.table;
        self.optional(connection).await?.ok_or_else(|| StoreError::corrupt(table, "*", "no row"))
    }

    /// Runs it and says how many rows it changed.
    pub(crate) async fn run(self, connection: &mut Connection<'_>) -> Result<u64, StoreError> {
        let table = self.table;
        on_connection!(connection, |inner, _row| {
            bound(self.text, self.values).execute(&mut **inner).await.map(|done| done.rows_affected())
        })
        .map_err(|source| StoreError::of_statement(table, source))
    }

    /// Runs it and says whether it changed anything.
    pub(crate) async fn changed(self, connection: &mut Connection<'_>) -> Result<bool, StoreError> {
        Ok(self.run(connection).await? > 0)
    }
}

/// Runs a text of several statements without values: migrations.
pub(crate) async fn run_script(
    connection: &mut Connection<'_>,
    script: &'static str,
) -> Result<(), sqlx::Error> {
    on_connection!(connection, |inner, _row| {
        sqlx::raw_sql(script).execute(&mut **inner).await.map(|_done| ())
    })
}

/// A statement on its way to a database.
pub(crate) type Query<'q, DB> = sqlx::query::Query<'q, DB, <DB as Database>::Arguments>;

/// A database that takes our values as parameters, in its dialect.
pub(crate) trait Bind: Database {
    /// The query with one more parameter.
    fn bind(query: Query<'_, Self>, value: Value) -> Query<'_, Self>;
}

fn bound<'q, DB: Bind>(text: Cow<'static, str>, values: Vec<Value>) -> Query<'q, DB> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text)), DB::bind)
}
