//! Word of new epochs, from whichever process raised them.

use std::fmt;

use sqlx::postgres::PgListener;

use crate::error::StoreError;
use crate::postgres;
use crate::url::{Place, StoreUrl};

/// Hears of every epoch that is raised, in this process or in another one.
pub struct Epochs {
    listener: Option<PgListener>,
}

impl Epochs {
    pub(crate) async fn listen(url: &StoreUrl) -> Result<Self, StoreError> {
        let listener = match url.place() {
            // Nobody else writes it.
            Place::Sqlite(_) => None,
            Place::Postgres(options) => {
                let listening = postgres::epochs::listen(options).await;
                Some(listening.map_err(|source| StoreError::open(url, source))?)
            }
        };
        Ok(Self { listener })
    }

    /// Waits until an epoch was raised, or may have been while the connection was lost. On SQLite, which
    /// has one process that writes, for ever.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached; to be listened to anew.
    pub async fn raised(&mut self) -> Result<(), StoreError> {
        let Some(listener) = &mut self.listener else { return std::future::pending().await };
        let heard = listener.try_recv().await;
        heard.map_err(|source| StoreError::of_statement("installation", source))?;
        // Whoever asks what changed learns of all that were raised by then.
        while listener.next_buffered().is_some() {}
        Ok(())
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epochs").finish_non_exhaustive()
    }
}
