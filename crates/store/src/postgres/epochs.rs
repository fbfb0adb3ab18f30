//! How a process tells the others on the database that it raised the epoch, or that devices enrolled.

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgListener};

use super::settings;

/// Where it is said that the epoch was raised.
pub(crate) const EPOCHS: &str = "countersign_epoch";

/// Where it is said which devices enrolled.
pub(crate) const ENROLMENTS: &str = "countersign_enrolments";

/// Raises the epoch; word of it goes out with the commit, and not without.
pub(crate) const RAISE: &str = "UPDATE installation SET epoch = epoch + 1 WHERE id = 1
    RETURNING generation, epoch, pg_notify('countersign_epoch', '')";

/// Says which devices enrolled; it goes out with the commit, and not without.
pub(crate) const ENROLLED: &str = "SELECT pg_notify('countersign_enrolments', $1)";

/// How many ids are said at once: PostgreSQL passes 8000 bytes on.
pub(crate) const AT_ONCE: usize = 200;

/// A connection of its own that hears of it.
pub(crate) async fn listen(options: &PgConnectOptions, channel: &str) -> Result<PgListener, sqlx::Error> {
    let pool = PoolOptions::new().max_connections(1).connect_lazy_with(settings::reading(options));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}
