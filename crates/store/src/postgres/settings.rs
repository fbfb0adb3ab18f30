//! How PostgreSQL is opened, and how writers of several processes take turns.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _, raw_sql};

/// Names looked up without a schema: our own tables first, then those that the seeds name.
const SEARCH_PATH: &str = "countersign,public";

/// Takes the turn to write, for one transaction. The number is arbitrary; it only has to be the same
/// in every process and every version.
const BEGIN: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(7163002041987)";

/// The same turn, for statements that PostgreSQL wants outside a transaction.
const TAKE_TURN: &str = "SELECT pg_advisory_lock(7163002041987)";

/// How long a server may be silent about a change, or a step of a transaction, before its connection is
/// taken for lost. Longer than a process that stopped in the middle of its turn keeps it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What we have given up, the server gives up too, before us: the turn to write is not held by it.
const LIMIT: &str = "SET statement_timeout = '50s'";

/// A read transaction: one consistent view, which cannot write whatever it is told.
pub(crate) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// For the connection that writes. What is acknowledged is on disk, even where the server's default is
/// to be quicker than that; and a process that stops in the middle of its turn loses it.
pub(crate) async fn writing(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = common(options).connect().await?;
    let durable = "SELECT set_config('synchronous_commit', 'on', false)
                   WHERE current_setting('synchronous_commit') = 'off'";
    connection.execute(raw_sql(durable)).await?;
    connection.execute(raw_sql("SET idle_in_transaction_session_timeout = '15s'")).await?;
    Ok(connection)
}

/// For the writer: what takes longer than its patience is broken off.
pub(crate) async fn writing_in_haste(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = writing(options).await?;
    control(&mut connection, LIMIT).await?;
    Ok(connection)
}

/// For the connections that read.
pub(crate) fn reading(options: &PgConnectOptions) -> PgConnectOptions {
    common(options)
}

/// Begins a transaction in which this is the only writer: every statement sees what all others
/// committed before, and nobody changes it meanwhile. So what a use case reads and then decides upon
/// stays true until its commit, as on SQLite, and no two processes can deadlock.
pub(crate) async fn begin(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    control(connection, BEGIN).await
}

/// Lifts the limit of [`writing_in_haste`] until the transaction ends.
pub(crate) async fn take_time(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    control(connection, "SET LOCAL statement_timeout = 0").await
}

/// Waits no longer than this for each table that others hold, until the transaction ends: whoever comes after
/// us would wait behind us.
pub(crate) async fn take_little_time_for_locks(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    control(connection, "SET LOCAL lock_timeout = '5s'").await
}

/// Lets statements of this transaction sort and join a whole fleet without temporary files.
pub(crate) async fn take_room(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    control(connection, "SET LOCAL work_mem = '64MB'").await
}

/// Waits for the turn to write, outside a transaction. It is given back when the connection closes.
pub(crate) async fn take_turn(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    control(connection, TAKE_TURN).await
}

/// Runs statements that steer transactions, in one round trip.
pub(crate) async fn control(connection: &mut PgConnection, text: &'static str) -> Result<(), sqlx::Error> {
    connection.execute(raw_sql(text)).await.map(|_done| ())
}

fn common(options: &PgConnectOptions) -> PgConnectOptions {
    options
        .clone()
        .application_name("countersign")
        .statement_cache_capacity(256)
        // Compiling a statement takes longer than any of ours runs.
        .options([("search_path", SEARCH_PATH), ("jit", "off")])
        .disable_statement_logging()
}
