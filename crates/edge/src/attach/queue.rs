//! What happened at the doors and waits for the authority to hear of it.

use std::collections::VecDeque;
use std::sync::Arc;

use countersign_api::edge::frame::{REPORTS_AT_ONCE, Report};
use countersign_core::ids::CertificateRef;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many refusals wait at most; the oldest are counted alone then.
const REFUSALS: usize = 4096;

/// How many first uses wait at most. One that finds no room is reported by the next connection.
const FIRST_USES: usize = 100_000;

/// What waits. No door ever waits for it.
#[derive(Clone, Debug, Default)]
pub struct ReportQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    first_uses: VecDeque<CertificateRef>,
    refusals: VecDeque<Report>,
    unseen: u64,
    /// What was sent and is not known to have arrived.
    sent: Option<(u64, Vec<Report>)>,
    number: u64,
}

impl ReportQueue {
    /// Adds a report.
    pub fn add(&self, report: Report) {
        let mut waiting = self.0.waiting.lock();
        match report {
            Report::FirstUse { certificate } => {
                if waiting.first_uses.len() < FIRST_USES && !waiting.first_uses.contains(&certificate) {
                    waiting.first_uses.push_back(certificate);
                }
            }
            Report::Unseen { count } => waiting.unseen += count,
            refusal @ Report::Refusal { .. } => {
                if waiting.refusals.len() >= REFUSALS {
                    waiting.refusals.pop_front();
                    waiting.unseen += 1;
                }
                waiting.refusals.push_back(refusal);
            }
        }
        drop(waiting);
        self.0.bell.notify_one();
    }

    /// The next reports to send, under their number, once there are any; none while the last ones are on
    /// their way.
    pub(crate) async fn next(&self) -> (u64, Vec<Report>) {
        loop {
            if let Some(batch) = self.take() {
                return batch;
            }
            self.0.bell.notified().await;
        }
    }

    /// The next reports to send, if there are any and none is on its way.
    pub(crate) fn take(&self) -> Option<(u64, Vec<Report>)> {
        let mut waiting = self.0.waiting.lock();
        if waiting.sent.is_some() {
            return None;
        }
        let uses = waiting.first_uses.len().min(REPORTS_AT_ONCE - 1);
        let mut batch: Vec<Report> =
            waiting.first_uses.drain(..uses).map(|certificate| Report::FirstUse { certificate }).collect();
        let refusals = waiting.refusals.len().min(REPORTS_AT_ONCE - 1 - batch.len());
        batch.extend(waiting.refusals.drain(..refusals));
        match std::mem::take(&mut waiting.unseen) {
            0 => {}
            count => batch.push(Report::Unseen { count }),
        }
        if batch.is_empty() {
            return None;
        }
        waiting.number += 1;
        waiting.sent = Some((waiting.number, batch.clone()));
        waiting.sent.clone()
    }

    /// What was sent and is not known to have arrived: to be sent again over a new connection.
    pub(crate) fn unanswered(&self) -> Option<(u64, Vec<Report>)> {
        self.0.waiting.lock().sent.clone()
    }

    /// The authority has the reports of this number.
    pub(crate) fn taken(&self, number: u64) {
        self.0.waiting.lock().sent.take_if(|(sent, _reports)| *sent == number);
        self.0.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_use(number: u8) -> Report {
        let serial = format!("{number:02x}").parse().unwrap();
        Report::FirstUse { certificate: CertificateRef { issuer: [1; 32].into(), serial } }
    }

    #[tokio::test]
    async fn reports_are_sent_again_until_they_are_taken() {
        let queue = ReportQueue::default();
        queue.add(first_use(1));
        queue.add(first_use(1));
        queue.add(Report::Unseen { count: 2 });
        let (number, batch) = queue.next().await;
        assert_eq!(batch, [first_use(1), Report::Unseen { count: 2 }]);
        queue.add(first_use(2));
        assert!(queue.take().is_none(), "one batch at a time");
        assert_eq!(queue.unanswered(), Some((number, batch)));
        queue.taken(number + 1);
        assert!(queue.unanswered().is_some());
        queue.taken(number);
        assert_eq!(queue.next().await.1, [first_use(2)]);
    }
}
