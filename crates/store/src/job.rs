//! A use case's closure on its way to the writer and its answer on the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::transaction::Writing;

/// What the writer is asked for.
pub(crate) enum Message {
    /// Run this in the next group.
    Change(Box<dyn Job>),
    /// Commit what is queued, close the database and say so.
    Close(oneshot::Sender<()>),
}

/// How long a job may take on a database that may have stopped answering.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// As long as the writer's patience.
    Usual,
    /// As long as it takes: a migration.
    None,
}

/// A change's ticket in the writer's queue: the writer takes it and begins, or whoever waits takes it back.
#[derive(Clone, Default)]
pub(crate) struct Ticket(Arc<AtomicBool>);

impl Ticket {
    /// Takes it, for either; whether nobody had before.
    pub(crate) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// A change whose result type is hidden from the writer.
pub(crate) trait Job: Send {
    /// Begins it, unless it was withdrawn; whether it is to be run.
    fn begin(&self) -> bool;

    /// How long it may take.
    fn haste(&self) -> Haste;

    /// Runs it and says whether its changes are to be kept.
    fn run<'w>(&'w mut self, writing: &'w mut Writing<'_>) -> BoxFuture<'w, Verdict>;

    /// Takes note that its changes were undone after all.
    fn undone(&mut self, error: Arc<sqlx::Error>);

    /// Tells the caller what became of it, once it is known whether the group was committed. A job
    /// without a result panicked, or was not run to its end.
    fn answer(self: Box<Self>, committed: Result<(), Arc<sqlx::Error>>);
}

/// Whether a job's changes stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    RollBack,
}

/// A closure, then its result, and where that goes.
pub(crate) struct Change<F, T, E> {
    haste: Haste,
    ticket: Ticket,
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Change<F, T, E> {
    pub(crate) const fn new(
        work: F,
        haste: Haste,
        ticket: Ticket,
        reply: oneshot::Sender<Result<T, E>>,
    ) -> Self {
        Self { haste, ticket, work: Some(work), result: None, reply }
    }
}

impl<F, T, E> Job for Change<F, T, E>
where
    F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn begin(&self) -> bool {
        self.ticket.take()
    }

    fn haste(&self) -> Haste {
        self.haste
    }

    fn run<'w>(&'w mut self, writing: &'w mut Writing<'_>) -> BoxFuture<'w, Verdict> {
        let Some(work) = self.work.take() else { return async { Verdict::RollBack }.boxed() };
        let working = work(writing);
        Box::pin(async move {
            let result = working.await;
            let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::RollBack };
            self.result = Some(result);
            verdict
        })
    }

    fn undone(&mut self, error: Arc<sqlx::Error>) {
        self.result = Some(Err(E::from(StoreError::Commit(error))));
    }

    fn answer(self: Box<Self>, committed: Result<(), Arc<sqlx::Error>>) {
        let result = match (self.result, committed) {
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(E::from(StoreError::Panicked)),
            (Some(Err(own)), Err(_)) => Err(own),
            (Some(Ok(_)) | None, Err(error)) => Err(E::from(StoreError::Commit(error))),
        };
        // A caller that went away needs no answer.
        drop(self.reply.send(result));
    }
}
