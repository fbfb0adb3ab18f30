//! Messages on their way to a sink, or from an edge to its authority: as many at once as wait, again until they
//! are there. Whoever hands one over waits until then, and so in the end its device does.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::record::Record;

/// How long after a failure it is tried again, at first and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(10);

/// What a delivery promises.
pub(crate) type Delivering<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// A way to a sink.
pub(crate) trait Deliver<R>: Send + 'static {
    /// Delivers all of them; once the promise is kept the sink has them.
    fn deliver<'a>(&'a mut self, batch: &'a [R]) -> Delivering<'a>;
}

#[derive(Debug)]
struct Waiting<R> {
    record: R,
    taken: oneshot::Sender<()>,
}

/// The process ends, and with it the way to the sink.
#[derive(Debug, thiserror::Error)]
#[error("the sink {0} takes nothing any more")]
pub(crate) struct SinkEnded(String);

/// The way to one sink.
#[derive(Clone, Debug)]
pub(crate) struct SinkQueue<R = Record> {
    name: String,
    sender: mpsc::Sender<Waiting<R>>,
}

impl<R: Send + Sync + 'static> SinkQueue<R> {
    /// Starts the task that delivers, so many at once at most.
    pub(crate) fn start(name: &str, at_once: usize, deliver: impl Deliver<R>) -> Self {
        let (sender, waiting) = mpsc::channel(at_once);
        tokio::spawn(run(name.to_owned(), at_once, deliver, waiting));
        Self { name: name.to_owned(), sender }
    }

    /// Hands a message over; the sink has it when this returns.
    pub(crate) async fn take(&self, record: R) -> Result<(), SinkEnded> {
        let (taken, promise) = oneshot::channel();
        let ended = || SinkEnded(self.name.clone());
        self.sender.send(Waiting { record, taken }).await.map_err(|_closed| ended())?;
        promise.await.map_err(|_closed| ended())
    }

    /// Hands a message over for which nobody waits. Whether there was room for it.
    pub(crate) fn offer(&self, record: R) -> bool {
        let (taken, _nobody) = oneshot::channel();
        self.sender.try_send(Waiting { record, taken }).is_ok()
    }
}

async fn run<R>(
    name: String,
    at_once: usize,
    mut deliver: impl Deliver<R>,
    mut waiting: mpsc::Receiver<Waiting<R>>,
) {
    let mut batch = Vec::with_capacity(at_once);
    while waiting.recv_many(&mut batch, at_once).await > 0 {
        let (records, takers): (Vec<R>, Vec<_>) =
            batch.drain(..).map(|Waiting { record, taken }| (record, taken)).unzip();
        until_delivered(&name, &mut deliver, &records).await;
        for taker in takers {
            if taker.send(()).is_err() {
                tracing::debug!(sink = name, "nobody waited for a message that was delivered");
            }
        }
    }
}

async fn until_delivered<R>(name: &str, deliver: &mut impl Deliver<R>, records: &[R]) {
    let mut wait = AGAIN;
    let mut tries = 1_u32;
    while let Err(error) = deliver.deliver(records).await {
        if tries == 1 {
            let error = format!("{error:#}");
            tracing::error!(
                sink = name,
                messages = records.len(),
                error,
                "messages not delivered, devices wait"
            );
        } else {
            tracing::debug!(sink = name, tries, error = format!("{error:#}"), "messages not delivered again");
        }
        tries = tries.saturating_add(1);
        sleep_until(Instant::now() + wait).await;
        wait = (wait * 2).min(AGAIN_AT_MOST);
    }
    if tries > 1 {
        tracing::info!(sink = name, tries, "messages delivered after all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    struct Slow {
        gate: Arc<Semaphore>,
        failures: u32,
        sizes: mpsc::UnboundedSender<usize>,
    }

    impl Deliver<Record> for Slow {
        fn deliver<'a>(&'a mut self, batch: &'a [Record]) -> Delivering<'a> {
            Box::pin(async move {
                self.gate.acquire().await?.forget();
                if self.failures > 0 {
                    self.failures -= 1;
                    anyhow::bail!("not now");
                }
                self.sizes.send(batch.len())?;
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn a_message_is_taken_only_once_it_is_delivered_and_those_that_waited_go_together() {
        let gate = Arc::new(Semaphore::new(0));
        let (sizes, mut delivered) = mpsc::unbounded_channel();
        let queue = SinkQueue::start("s", 8, Slow { gate: Arc::clone(&gate), failures: 2, sizes });
        let hand_over = |device: &str| {
            let (queue, record) = (queue.clone(), Record::example(device));
            tokio::spawn(async move { queue.take(record).await })
        };
        let first = hand_over("d1");
        tokio::task::yield_now().await;
        let others: Vec<_> = (2..6).map(|number| hand_over(&format!("d{number}"))).collect();
        gate.add_permits(2);
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while gate.available_permits() > 0 {
            ticks.tick().await;
        }
        assert!(!first.is_finished() && others.iter().all(|one| !one.is_finished()), "nothing is delivered");
        gate.add_permits(2);
        first.await.unwrap().unwrap();
        for one in others {
            one.await.unwrap().unwrap();
        }
        let total = delivered.recv().await.unwrap() + delivered.recv().await.unwrap();
        assert_eq!(total, 5);
    }
}
