//! How a process tells the others on the database that it raised the epoch.

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgListener};

use super::settings;

const CHANNEL: &str = "countersign_epoch";

/// Raises the epoch; word of it goes out with the commit, and not without.
pub(crate) const RAISE: &str = "UPDATE installation SET epoch = epoch + 1 WHERE id = 1
    RETURNING generation, epoch, pg_notify('countersign_epoch', '')";

/// A connection of its own that hears of it.
pub(crate) async fn listen(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PoolOptions::new().max_connections(1).connect_lazy_with(settings::reading(options));
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
