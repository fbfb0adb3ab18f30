//! What must be there before the migrations run in their transaction: our schema, and every value of the
//! seed's enum, also in a database where that exists already.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, raw_sql};

use super::settings;
use crate::error::StoreError;
use crate::url::{Place, StoreUrl};

/// The statuses of a device: seed 000's five in its order, then ours for a device that is enrolled and
/// was not heard of since.
const STATUSES: [&str; 6] = ["online", "offline", "maintenance", "decommissioned", "quarantined", "pending"];

/// Makes what is missing; without effect on a database that has it all, and on SQLite.
pub(crate) async fn prepare(url: &StoreUrl) -> Result<(), StoreError> {
    let Place::Postgres(options) = url.place() else { return Ok(()) };
    let mut connection = settings::writing(options).await.map_err(|source| StoreError::open(url, source))?;
    let declared = declare(&mut connection).await;
    // The turn to write ends with the connection, whatever became of the statements.
    let closed = connection.close().await;
    declared.and(closed).map_err(|error| StoreError::Migration(error.to_string()))
}

async fn declare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    settings::take_turn(connection).await?;
    if !exists(connection, "SELECT to_regnamespace('countersign') IS NOT NULL").await? {
        settings::control(connection, "CREATE SCHEMA countersign").await?;
    }
    if !exists(connection, "SELECT to_regtype('public.device_status') IS NOT NULL").await? {
        let values = STATUSES.map(|status| format!("'{status}'")).join(", ");
        let create = format!("CREATE TYPE public.device_status AS ENUM ({values})");
        connection.execute(raw_sql(AssertSqlSafe(create))).await?;
    }
    for status in STATUSES {
        let there = "SELECT EXISTS (SELECT 1 FROM pg_enum
                     WHERE enumtypid = 'public.device_status'::regtype AND enumlabel = $1)";
        let there: bool = sqlx::query_scalar(there).bind(status).fetch_one(&mut *connection).await?;
        if !there {
            // On its own: PostgreSQL uses no new value in the transaction that adds it.
            let add = format!("ALTER TYPE public.device_status ADD VALUE IF NOT EXISTS '{status}'");
            connection.execute(raw_sql(AssertSqlSafe(add))).await?;
        }
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection, question: &'static str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(question).fetch_one(connection).await
}
