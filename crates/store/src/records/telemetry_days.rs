//! Telemetry by day, on PostgreSQL: each day is a table of its own, made ahead, and goes as a whole when it is
//! no longer kept. On SQLite there is one table, and rows go one by one.

use std::borrow::Cow;
use std::time::Duration;

use countersign_core::time::Timestamp;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::row::{Item, Number};
use crate::statement::{sql, sql_of};
use crate::transaction::Writing;

const TABLE: &str = "telemetry";

/// What the tables of days are called, before the day: `telemetry_on_20270115`.
const PREFIX: &str = "telemetry_on_";

const DAY: Duration = Duration::from_secs(86_400);

/// How many days are there ahead.
const AHEAD: u32 = 3;

/// A day, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Day {
    /// As PostgreSQL writes dates: `2027-01-15`. Digits and dashes, and nothing else.
    from: String,
    /// The day after.
    to: String,
}

impl Day {
    fn of(moment: Timestamp) -> Self {
        let date = |moment: Timestamp| moment.to_string().chars().take(10).collect();
        Self { from: date(moment), to: date(moment + DAY) }
    }

    fn table(&self) -> String {
        format!("{PREFIX}{}", self.from.replace('-', ""))
    }

    /// What makes a table for it: what came for it meanwhile is moved there, then it takes its place.
    fn statements(&self) -> [String; 3] {
        let (table, from, to) = (self.table(), &self.from, &self.to);
        let within = format!("received_at >= '{from} 00:00:00+00' AND received_at < '{to} 00:00:00+00'");
        [
            format!("CREATE TABLE {table} (LIKE telemetry INCLUDING ALL)"),
            format!(
                "WITH moved AS (DELETE FROM telemetry_of_no_day WHERE {within} RETURNING *)
                 INSERT INTO {table} SELECT * FROM moved"
            ),
            format!(
                "ALTER TABLE telemetry ATTACH PARTITION {table}
                 FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')"
            ),
        ]
    }
}

/// Whether the table of a day, by its name, has nothing from `before` on.
fn is_over(table: &str, before: Timestamp) -> bool {
    let digits = table.strip_prefix(PREFIX).filter(|digits| digits.len() == 8);
    let first_kept = Day::of(before).from.replace('-', "");
    digits.is_some_and(|digits| digits < first_kept.as_str())
}

impl Writing<'_> {
    /// Whether tables of days can be made: by the owner alone. What comes to anybody else's server goes to the
    /// table of no day, and goes row by row.
    async fn owns_telemetry(&mut self) -> Result<bool, StoreError> {
        let question = "SELECT count(*) AS number FROM pg_class
            WHERE oid = 'telemetry'::regclass AND pg_has_role(relowner, 'USAGE')";
        Ok(sql(TABLE, question).one::<Number>(&mut self.connection).await?.0 > 0)
    }

    /// Makes the days ahead, and drops those that end before `before`, on PostgreSQL. Whether anything was
    /// made or dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn turn_telemetry_days(
        &mut self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        if matches!(self.connection, Connection::Sqlite(_)) || !self.owns_telemetry().await? {
            return Ok(false);
        }
        let there: Vec<Item<String>> = sql(
            TABLE,
            "SELECT c.relname::text AS item FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'telemetry'::regclass",
        )
        .all(&mut self.connection)
        .await?;
        let there: Vec<String> = there.into_iter().map(|Item(name)| name).collect();
        let mut turned = false;
        for day in (0..=AHEAD).map(|ahead| Day::of(now + DAY * ahead)) {
            if there.contains(&day.table()) {
                continue;
            }
            for statement in day.statements() {
                sql_of(TABLE, Cow::Owned(statement), Vec::new()).run(&mut self.connection).await?;
            }
            turned = true;
        }
        for table in there.iter().filter(|table| is_over(table, before)) {
            let statement = Cow::Owned(format!("DROP TABLE {table}"));
            sql_of(TABLE, statement, Vec::new()).run(&mut self.connection).await?;
            turned = true;
        }
        Ok(turned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_goes_when_all_of_it_is_older_than_what_is_kept() {
        let moment = Timestamp::parse("2027-01-15T23:59:59Z").unwrap();
        assert_eq!(Day::of(moment).table(), "telemetry_on_20270115");
        assert_eq!(Day::of(moment).to, "2027-01-16");
        assert!(is_over("telemetry_on_20270114", moment));
        assert!(!is_over("telemetry_on_20270115", moment), "its last second is kept");
        assert!(!is_over("telemetry_of_no_day", moment));
        assert!(!is_over("telemetry_on_x", moment));
    }
}
