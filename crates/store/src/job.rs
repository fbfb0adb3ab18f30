//! A use case's closure on its way to the writer and its answer on the way back.

use std::sync::Arc;

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

/// A change whose result type is hidden from the writer.
pub(crate) trait Job: Send {
    /// Runs it; whether its changes are to be kept is in the outcome.
    fn run<'w>(self: Box<Self>, writing: &'w mut Writing<'_>) -> BoxFuture<'w, Outcome>;

    /// The answer to a caller whose job cannot be run any more: the commit error.
    fn refuse(self: Box<Self>) -> Answer;
}

/// What became of a job, before the commit.
pub(crate) struct Outcome {
    /// Whether its changes stay.
    pub(crate) verdict: Verdict,
    /// Tells the caller, once it is known whether the group was committed.
    pub(crate) answer: Answer,
}

/// Whether a job's changes stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    RollBack,
}

/// Tells the caller of a job how the commit went.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Arc<sqlx::Error>>) + Send>;

/// A closure and where its result goes.
pub(crate) struct Change<F, T, E> {
    pub(crate) work: F,
    pub(crate) reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Change<F, T, E>
where
    F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn run<'w>(self: Box<Self>, writing: &'w mut Writing<'_>) -> BoxFuture<'w, Outcome> {
        let Self { work, reply } = *self;
        let working = work(writing);
        Box::pin(async move {
            let result = working.await;
            let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::RollBack };
            let answer: Answer = Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(error) => result.and_then(|_undone| Err(E::from(StoreError::Commit(error)))),
                };
                // A caller that went away needs no answer.
                drop(reply.send(result));
            });
            Outcome { verdict, answer }
        })
    }

    fn refuse(self: Box<Self>) -> Answer {
        Box::new(move |committed| {
            if let Err(error) = committed {
                // A caller that went away needs no answer.
                drop(self.reply.send(Err(E::from(StoreError::Commit(error)))));
            }
        })
    }
}
