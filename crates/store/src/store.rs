//! The open database.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;

use crate::epochs::{Enrolments, Epochs};
use crate::error::StoreError;
use crate::job::{Change, Haste, Message, Ticket};
use crate::meter::{StoreMeter, StoreNumbers};
use crate::notices::{NoticedGroup, Notices};
use crate::readers::{Readers, silent};
use crate::transaction::{Reading, Writing};
use crate::url::{Place, StoreUrl};
use crate::writer::Writer;
use crate::{migrations, postgres};

/// How many changes may wait for the writer before callers wait to hand theirs over.
const QUEUE: usize = 4096;

/// How long a change waits for its turn on a database that others write too, or that may have stopped
/// answering, before it is withdrawn: longer than a process that stopped in the middle of its turn keeps it.
/// What has begun is waited for.
const TURN: Duration = Duration::from_secs(20);

/// The records. Cheap to clone; all clones are the same database.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    url: StoreUrl,
    readers: Readers,
    /// How long a read may take; `None`: as long as it takes.
    patience: Option<Duration>,
    writer: Option<mpsc::Sender<Message>>,
    meter: Arc<StoreMeter>,
    notices: Notices,
}

/// Who may write a database while this process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody else: SQLite's file is locked.
    Alone,
    /// Any number of other processes: PostgreSQL.
    Others,
}

/// What [`Store::migrate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations applied just now, by name, in order.
    pub applied: Vec<&'static str>,
    /// The version of the schema from now on.
    pub version: u32,
}

impl Store {
    /// Opens the database for reading and writing; an SQLite file is made (mode 0600) if there is none.
    /// Must be called on a tokio runtime that outlives the store: the writer is a task of it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has the SQLite file open for writing: several
    /// processes at once is what PostgreSQL is for. [`StoreError::Open`].
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Self::open_with(url, url.place().patience()).await
    }

    /// The same with a database that may be silent for so long.
    pub(crate) async fn open_with(url: &StoreUrl, patience: Option<Duration>) -> Result<Self, StoreError> {
        let notices = Notices::default();
        let writer = Writer::open(url, patience, notices.clone()).await?;
        let readers = Readers::open(url).await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let meter = writer.meter();
        tokio::spawn(writer.run(receiver));
        let (writer, url) = (Some(sender), url.clone());
        Ok(Self { inner: Arc::new(Inner { url, readers, patience, writer, meter, notices }) })
    }

    /// Opens an existing database for reading, beside a process that writes it: for commands such as
    /// `audit verify` and `explain`. Every write fails with [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Open`], also when there is no database.
    pub async fn open_for_reading(url: &StoreUrl) -> Result<Self, StoreError> {
        let readers = Readers::open(url).await?;
        // A whole log may be read, and somebody waits for that who can give up.
        let (patience, writer, meter, notices) = (None, None, Arc::default(), Notices::default());
        let url = url.clone();
        Ok(Self { inner: Arc::new(Inner { url, readers, patience, writer, meter, notices }) })
    }

    /// Brings the schema up to date; without effect when it is.
    ///
    /// # Errors
    /// [`StoreError::Migration`], also when the database was made by a newer version.
    pub async fn migrate(&self) -> Result<Migrated, StoreError> {
        if self.inner.writer.is_some() {
            postgres::adoption::prepare(&self.inner.url).await?;
        }
        self.change(|writing| Box::pin(migrations::apply(writing)), Haste::None).await
    }

    /// Who may write this database too.
    #[must_use]
    pub fn company(&self) -> Company {
        match self.inner.url.place() {
            Place::Sqlite(_) => Company::Alone,
            Place::Postgres(_) => Company::Others,
        }
    }

    /// Runs `work` in a read transaction: one consistent view.
    ///
    /// # Errors
    /// Those of `work`, and [`StoreError`] when no transaction could be had, or a server was silent for
    /// a minute.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'r> FnOnce(&'r mut Reading<'_>) -> BoxFuture<'r, Result<T, E>>,
        E: From<StoreError>,
    {
        // In a place of its own: whoever reads now and then does not carry it along.
        let reading = Box::pin(async {
            let mut transaction = self.inner.readers.begin().await?;
            let result = work(&mut Reading::new(transaction.connection()?)).await;
            transaction.end().await?;
            result
        });
        match self.inner.patience {
            Some(patience) => timeout(patience, reading).await.unwrap_or_else(|_late| Err(silent().into())),
            None => reading.await,
        }
    }

    /// Runs `work` in a write transaction and returns once it is committed and durable. When `work`
    /// errs or panics, nothing of it remains; other callers' changes in the same group are not
    /// affected. `work` runs on the writer: it must not wait for anything but its own statements,
    /// and above all not for another [`Store::write`]. Once handed over it runs to its end, even if
    /// this future is dropped.
    ///
    /// # Errors
    /// Those of `work`; [`StoreError::Commit`] when the group could not be committed, or `work` has not begun
    /// within twenty seconds and never will;
    /// [`StoreError::Panicked`]; [`StoreError::Closed`].
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.change(work, Haste::Usual).await
    }

    async fn change<T, E, F>(&self, work: F, haste: Haste) -> Result<T, E>
    where
        F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let writer = self.inner.writer.as_ref().ok_or(StoreError::Closed)?;
        let (reply, mut answer) = oneshot::channel();
        let ticket = Ticket::default();
        let change = Message::Change(Box::new(Change::new(work, haste, ticket.clone(), reply)));
        let patience = self.inner.patience.filter(|_| haste == Haste::Usual).map(|most| most.min(TURN));
        // The writer answers every job, unless its runtime has ended.
        let answered = Box::pin(async {
            writer.send(change).await.map_err(|_closed| StoreError::Closed)?;
            (&mut answer).await.map_err(|_dropped| StoreError::Closed)
        });
        let Some(patience) = patience else { return answered.await? };
        match timeout(patience, answered).await {
            Ok(answered) => answered?,
            Err(_late) if ticket.take() => Err(StoreError::late().into()),
            Err(_late) => answer.await.map_err(|_dropped| StoreError::Closed)?,
        }
    }

    /// Hears of what this process writes into the audit, group by group, after each commit. Who listens too
    /// slowly misses some, and is told so.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<NoticedGroup> {
        self.inner.notices.listen()
    }

    /// Notes that devices came online or fell silent, which is in no audit, and tells whoever listens.
    pub fn note_presence(&self) {
        self.inner.notices.note_presence();
    }

    /// How often that was noted.
    #[must_use]
    pub fn presence(&self) -> u64 {
        self.inner.notices.presence()
    }

    /// Says that devices, or what was counted of them, are to be looked at again.
    pub fn tell_of_presence(&self) {
        self.inner.notices.tell_of_presence();
    }

    /// Listens for new epochs of every process on this database.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub async fn epochs(&self) -> Result<Epochs, StoreError> {
        Epochs::listen(&self.inner.url).await
    }

    /// Listens for devices that enrol through any process on this database.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub async fn enrolments(&self) -> Result<Enrolments, StoreError> {
        Enrolments::listen(&self.inner.url).await
    }

    /// The same database for reading, over connections of its own, for what takes its time.
    ///
    /// # Errors
    /// As [`Self::open_for_reading`].
    pub async fn reader(&self) -> Result<Self, StoreError> {
        Self::open_for_reading(&self.inner.url).await
    }

    /// What it counted since it was opened.
    #[must_use]
    pub fn numbers(&self) -> StoreNumbers {
        let waiting = self.inner.writer.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity());
        StoreNumbers {
            readers: self.inner.readers.numbers(),
            waiting: u64::try_from(waiting).unwrap_or(u64::MAX),
            ..self.inner.meter.numbers()
        }
    }

    /// Commits what is queued and closes the database; later writes fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.inner.readers.close().await;
        if let Some(writer) = &self.inner.writer {
            let (done, closed) = oneshot::channel();
            if writer.send(Message::Close(done)).await.is_ok() {
                // An error means that the writer had ended already.
                drop(closed.await);
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("url", &self.inner.url).finish_non_exhaustive()
    }
}
