//! What many callers want at the same moment, done for all of them at once.
//!
//! A statement, a round trip and a commit cost nearly the same for one as for a hundred. So callers that
//! want the same kind of thing put their questions together: while one batch is under way the next one
//! gathers by itself, and nobody waits for company. Nothing is remembered between batches: every answer is
//! what the database says at that moment.

use std::sync::Arc;

use countersign_store::{Store, StoreError};
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many questions are answered at once at most.
const MOST: usize = 256;

/// The answers to a batch of questions, in their order.
pub(crate) type Answers<A> = BoxFuture<'static, Result<Vec<A>, StoreError>>;

/// Answers questions in one transaction.
pub(crate) type Work<Q, A> = fn(Store, Vec<Arc<Q>>) -> Answers<A>;

/// Where questions of one kind come together.
pub(crate) struct Together<Q, A> {
    inner: Arc<Inner<Q, A>>,
}

struct Inner<Q, A> {
    store: Store,
    work: Work<Q, A>,
    gathering: Mutex<Gathering<Q, A>>,
}

struct Gathering<Q, A> {
    asked: Vec<Asked<Q, A>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    AtWork,
}

struct Asked<Q, A> {
    question: Arc<Q>,
    reply: oneshot::Sender<Result<A, StoreError>>,
}

impl<Q, A> Together<Q, A>
where
    Q: Send + Sync + 'static,
    A: Send + 'static,
{
    pub(crate) fn new(store: Store, work: Work<Q, A>) -> Self {
        let gathering = Mutex::new(Gathering { asked: Vec::new(), state: State::Idle });
        Self { inner: Arc::new(Inner { store, work, gathering }) }
    }

    /// The answer to one question. What is asked is done even if this future is dropped.
    ///
    /// # Errors
    /// [`StoreError`]: one's own. A batch that fails because of one question is asked again one by one,
    /// unless its transaction failed at the commit, which is then everybody's error.
    pub(crate) async fn ask(&self, question: Q) -> Result<A, StoreError> {
        let (reply, answer) = oneshot::channel();
        let before = {
            let mut gathering = self.inner.gathering.lock();
            gathering.asked.push(Asked { question: Arc::new(question), reply });
            std::mem::replace(&mut gathering.state, State::AtWork)
        };
        if before == State::Idle {
            tokio::spawn(Arc::clone(&self.inner).answer_all());
        }
        answer.await.map_err(|_dropped| StoreError::Panicked)?
    }
}

impl<Q, A> Inner<Q, A>
where
    Q: Send + Sync + 'static,
    A: Send + 'static,
{
    /// Answers batch after batch until nothing is asked any more.
    async fn answer_all(self: Arc<Self>) {
        let ending = Ending(&self);
        // Whoever is about to ask gets the chance to.
        tokio::task::yield_now().await;
        while let Some(batch) = self.next() {
            self.answer(batch).await;
        }
        std::mem::forget(ending);
    }

    /// What is asked by now; `None`, and idle from then on, when that is nothing.
    fn next(&self) -> Option<Vec<Asked<Q, A>>> {
        let mut gathering = self.gathering.lock();
        let count = gathering.asked.len().min(MOST);
        if count == 0 {
            gathering.state = State::Idle;
            return None;
        }
        Some(gathering.asked.drain(..count).collect())
    }

    async fn answer(&self, mut batch: Vec<Asked<Q, A>>) {
        if batch.len() == 1 {
            if let Some(asked) = batch.pop() {
                self.answer_alone(asked).await;
            }
            return;
        }
        let questions = batch.iter().map(|asked| Arc::clone(&asked.question)).collect();
        match (self.work)(self.store.clone(), questions).await {
            Ok(answers) => {
                for (asked, answer) in batch.into_iter().zip(answers) {
                    asked.reply(Ok(answer));
                }
            }
            Err(StoreError::Commit(error)) => {
                for asked in batch {
                    asked.reply(Err(StoreError::Commit(Arc::clone(&error))));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "questions are asked again one by one");
                join_all(batch.into_iter().map(|asked| self.answer_alone(asked))).await;
            }
        }
    }

    async fn answer_alone(&self, asked: Asked<Q, A>) {
        let answers = (self.work)(self.store.clone(), vec![Arc::clone(&asked.question)]).await;
        asked.reply(answers.and_then(|mut answers| answers.pop().ok_or(StoreError::Panicked)));
    }
}

impl<Q, A> Asked<Q, A> {
    fn reply(self, answer: Result<A, StoreError>) {
        // A caller that went away needs no answer.
        drop(self.reply.send(answer));
    }
}

/// Fails closed: when the work panics, everything that waits for it hears of it.
struct Ending<'a, Q, A>(&'a Inner<Q, A>);

impl<Q, A> Drop for Ending<'_, Q, A> {
    fn drop(&mut self) {
        let mut gathering = self.0.gathering.lock();
        gathering.state = State::Idle;
        gathering.asked.clear();
    }
}

impl<Q, A> std::fmt::Debug for Together<Q, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use countersign_store::StoreUrl;
    use futures_util::FutureExt as _;

    use super::*;

    /// Twice the number; 13 spoils its batch, 0 panics.
    fn double(_store: Store, numbers: Vec<Arc<u32>>) -> Answers<(u32, usize)> {
        Box::pin(async move {
            assert!(!numbers.iter().any(|number| **number == 0), "a bug");
            if numbers.iter().any(|number| **number == 13) {
                return Err(StoreError::raced("number", 13));
            }
            Ok(numbers.iter().map(|number| (**number * 2, numbers.len())).collect())
        })
    }

    async fn doubling() -> (tempfile::TempDir, Together<u32, (u32, usize)>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreUrl::sqlite(directory.path().join("c.db"))).await.unwrap();
        (directory, Together::new(store, double))
    }

    #[tokio::test]
    async fn what_is_asked_at_once_is_answered_together_each_with_its_own_answer() {
        let (_directory, together) = doubling().await;
        let count = u32::try_from(MOST).unwrap() + 40;
        let answers = join_all((1..=count).filter(|number| *number != 13).map(|number| together.ask(number)));
        let (doubled, sizes): (Vec<u32>, Vec<usize>) =
            answers.await.into_iter().map(|answer| answer.unwrap()).unzip();
        assert_eq!(
            doubled,
            (1..=count).filter(|number| *number != 13).map(|one| one * 2).collect::<Vec<_>>()
        );
        assert_eq!(sizes.into_iter().max(), Some(MOST));
    }

    #[tokio::test]
    async fn a_question_that_fails_takes_no_other_with_it() {
        let (_directory, together) = doubling().await;
        let answers = join_all((10..20).map(|number| together.ask(number))).await;
        for (number, answer) in (10..20).zip(answers) {
            assert_eq!(answer.ok(), (number != 13).then_some((number * 2, 1)), "{number}");
        }
    }

    #[tokio::test]
    async fn a_panic_reaches_whoever_waits_and_the_next_question_is_answered() {
        let (_directory, together) = doubling().await;
        for answer in join_all([together.ask(0), together.ask(1)]).await {
            assert!(matches!(answer, Err(StoreError::Panicked)), "{answer:?}");
        }
        assert_eq!(together.ask(4).await.unwrap(), (8, 1));
    }

    #[tokio::test]
    async fn a_question_whose_caller_went_away_keeps_nobody_waiting() {
        let (_directory, together) = doubling().await;
        assert!(together.ask(3).now_or_never().is_none());
        assert_eq!(together.ask(4).await.unwrap().0, 8);
    }
}
