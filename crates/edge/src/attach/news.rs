//! Devices for which the authority has something, as it says so; and whether it is there to be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_core::snapshot::DeviceKey;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// For whom there is something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// For these.
    Of(BTreeSet<DeviceKey>),
    /// For anybody: nobody could say it for a while.
    Anybody,
}

/// What the authority says of devices for which it has something. For one listener.
#[derive(Clone, Debug, Default)]
pub struct News(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Option<Heard>>,
    bell: Notify,
    /// How often one began or ended: odd while one stands.
    connections: watch::Sender<u64>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begun,
    Over,
}

/// Whether it is news.
fn turn(count: &mut u64, turn: Turn) -> bool {
    let is_news = count.is_multiple_of(2) == (turn == Turn::Begun);
    *count += u64::from(is_news);
    is_news
}

/// The connections to the authority, as they come and go.
#[derive(Clone, Debug)]
pub struct Connections(watch::Receiver<u64>);

impl Connections {
    /// Waits until the connection that stands now, or else the next one, was lost and made anew: what was asked
    /// before that may never be answered.
    pub fn made_anew(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut counts = self.0.clone();
        let now = *counts.borrow();
        let stale = now + 2 + u64::from(now.is_multiple_of(2));
        async move {
            if counts.wait_for(|count| *count >= stale).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl News {
    /// Waits until there is something for devices.
    pub async fn heard(&self) -> Heard {
        loop {
            let heard = self.0.waiting.lock().take();
            match heard {
                Some(heard) => return heard,
                None => self.0.bell.notified().await,
            }
        }
    }

    /// The connections to the authority.
    #[must_use]
    pub fn connections(&self) -> Connections {
        Connections(self.0.connections.subscribe())
    }

    /// A connection stands, and it is told from now on.
    pub(super) fn begin(&self) {
        *self.0.waiting.lock() = Some(Heard::Anybody);
        self.0.connections.send_if_modified(|count| turn(count, Turn::Begun));
        self.0.bell.notify_one();
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.0.connections.send_if_modified(|count| turn(count, Turn::Over));
    }

    pub(super) fn tell(&self, devices: Vec<DeviceKey>) {
        let mut waiting = self.0.waiting.lock();
        match &mut *waiting {
            Some(Heard::Anybody) => {}
            Some(Heard::Of(known)) => known.extend(devices),
            None => *waiting = Some(Heard::Of(devices.into_iter().collect())),
        }
        drop(waiting);
        self.0.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn is_over(waiting: impl Future<Output = ()>) -> bool {
        timeout(Duration::ZERO, waiting).await.is_ok()
    }

    #[tokio::test]
    async fn who_was_not_told_for_a_while_asks_for_everybody() {
        let device = |name: &str| -> DeviceKey { ("acme".parse().unwrap(), name.parse().unwrap()) };
        let (news, d1, d2) = (News::default(), device("d1"), device("d2"));
        news.tell(vec![d1.clone()]);
        news.tell(vec![d2.clone(), d1.clone()]);
        assert_eq!(news.heard().await, Heard::Of(BTreeSet::from([d1.clone(), d2])));
        news.tell(vec![d1.clone()]);
        news.begin();
        news.tell(vec![d1]);
        assert_eq!(news.heard().await, Heard::Anybody);
    }

    #[tokio::test]
    async fn what_was_asked_is_given_up_when_its_connection_was_lost_and_made_anew() {
        let news = News::default();
        let connections = news.connections();
        let asked_before_the_first = connections.made_anew();
        news.begin();
        let asked = connections.made_anew();
        news.end();
        news.end();
        let asked_between = connections.made_anew();
        assert!(!is_over(asked).await, "it may be answered still");
        news.begin();
        assert!(is_over(asked_before_the_first).await);
        assert!(!is_over(asked_between).await);
        assert!(!is_over(connections.made_anew()).await);
    }
}
