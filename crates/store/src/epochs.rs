//! Word of new epochs and of devices that enrolled, from whichever process it comes.

use std::fmt;

use countersign_core::ids::DeviceId;
use sqlx::postgres::PgListener;

use crate::error::StoreError;
use crate::postgres;
use crate::url::{Place, StoreUrl};

/// Hears of every epoch that is raised, in this process or in another one.
pub struct Epochs(Word);

/// Hears of every device that enrols, in this process or in another one.
pub struct Enrolments(Word);

/// Which devices have enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// These.
    Devices(Vec<DeviceId>),
    /// Nobody can say: the connection was lost for a while.
    Unknown,
}

/// What is said on a channel of the database. On SQLite nobody else writes, and nothing is said.
struct Word(Option<PgListener>);

impl Word {
    async fn listen(url: &StoreUrl, channel: &str) -> Result<Self, StoreError> {
        Ok(Self(match url.place() {
            Place::Sqlite(_) => None,
            Place::Postgres(options) => {
                let listening = postgres::epochs::listen(options, channel).await;
                Some(listening.map_err(|source| StoreError::open(url, source))?)
            }
        }))
    }

    /// Everything that was said by now; `None` if something may have been missed.
    async fn heard(&mut self) -> Result<Option<Vec<String>>, StoreError> {
        let Some(listener) = &mut self.0 else { return std::future::pending().await };
        let heard = listener.try_recv().await;
        let heard = heard.map_err(|source| StoreError::of_statement("installation", source))?;
        let mut said: Vec<String> = heard.iter().map(|one| one.payload().to_owned()).collect();
        while let Some(more) = listener.next_buffered() {
            said.push(more.payload().to_owned());
        }
        Ok(heard.map(|_first| said))
    }
}

impl Epochs {
    pub(crate) async fn listen(url: &StoreUrl) -> Result<Self, StoreError> {
        Ok(Self(Word::listen(url, postgres::epochs::EPOCHS).await?))
    }

    /// Waits until an epoch was raised, or may have been while the connection was lost. On SQLite, which
    /// has one process that writes, for ever.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached; to be listened to anew.
    pub async fn raised(&mut self) -> Result<(), StoreError> {
        // Whoever asks what changed learns of all that were raised by then.
        self.0.heard().await.map(drop)
    }
}

impl Enrolments {
    pub(crate) async fn listen(url: &StoreUrl) -> Result<Self, StoreError> {
        Ok(Self(Word::listen(url, postgres::epochs::ENROLMENTS).await?))
    }

    /// Waits until devices have enrolled, or may have while the connection was lost. On SQLite for ever.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached; to be listened to anew.
    pub async fn heard(&mut self) -> Result<Enrolled, StoreError> {
        let said = self.0.heard().await?;
        let ids = said.map(|said| said.iter().flat_map(|ids| ids.split(',')).map(str::parse).collect());
        Ok(match ids {
            Some(Ok(ids)) => Enrolled::Devices(ids),
            Some(Err(_)) | None => Enrolled::Unknown,
        })
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epochs").finish_non_exhaustive()
    }
}

impl fmt::Debug for Enrolments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolments").finish_non_exhaustive()
    }
}
