//! What an edge's doors do, on its way to the database: whoever tells the edge of trust does not wait for that.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::edges::add::EdgeRow;
use countersign_core::door_work::DoorWork;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Records what one edge says, while it is connected.
#[derive(Debug)]
pub(super) struct WorkNotes {
    waiting: Arc<Waiting>,
    _task: JoinSet<()>,
}

/// What is not recorded yet.
#[derive(Debug, Default)]
struct Waiting {
    work: Mutex<Option<DoorWork>>,
    has_come: Notify,
}

impl WorkNotes {
    pub(super) fn of(authority: Arc<Authority>, edge: EdgeRow) -> Self {
        let waiting = Arc::<Waiting>::default();
        let mut task = JoinSet::new();
        task.spawn(record(Arc::clone(&waiting), authority, edge));
        Self { waiting, _task: task }
    }

    /// Takes what it said.
    pub(super) fn take(&self, work: DoorWork) {
        self.waiting.add(work);
        self.waiting.has_come.notify_one();
    }
}

impl Waiting {
    fn add(&self, later: DoorWork) {
        let mut work = self.work.lock();
        *work = Some(together(work.take(), later));
    }

    fn put_back(&self, earlier: DoorWork) {
        let mut work = self.work.lock();
        *work = Some(match work.take() {
            Some(later) => together(Some(earlier), later),
            None => earlier,
        });
    }
}

/// What was said later counts.
fn together(earlier: Option<DoorWork>, later: DoorWork) -> DoorWork {
    let mut handshakes = earlier.map(|earlier| earlier.handshakes).unwrap_or_default();
    handshakes.extend(later.handshakes);
    DoorWork { handshakes, ..later }
}

async fn record(waiting: Arc<Waiting>, authority: Arc<Authority>, edge: EdgeRow) {
    loop {
        waiting.has_come.notified().await;
        let Some(work) = waiting.work.lock().take() else { continue };
        if let Err(error) = authority.note_edge_work(&edge, work.clone()).await {
            tracing::warn!(%error, edge = %edge.name, "what its doors do is not recorded");
            // Tried again with what it says next.
            waiting.put_back(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use countersign_core::door_work::{DoorLoad, Slot};
    use countersign_core::ids::ProcessId;

    use super::*;

    #[test]
    fn nothing_that_could_not_be_recorded_is_lost() {
        let source = ProcessId::random();
        let work = |connections, handshakes: &[(i64, u64)]| DoorWork {
            source,
            load: DoorLoad { connections, ..DoorLoad::default() },
            handshakes: handshakes.iter().map(|(slot, count)| (Slot::new(*slot), *count)).collect(),
        };
        let waiting = Waiting::default();
        waiting.add(work(1, &[(1, 5), (2, 1)]));
        let failed = waiting.work.lock().take().unwrap();
        waiting.add(work(2, &[(2, 4)]));
        waiting.put_back(failed);
        let left = waiting.work.lock().take().unwrap();
        assert_eq!(left.load.connections, 2);
        assert_eq!(left.handshakes, BTreeMap::from([(Slot::new(1), 5), (Slot::new(2), 4)]));
    }
}
