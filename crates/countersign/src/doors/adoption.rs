//! What a process enforces: what the last of its doors does.

use countersign_core::snapshot::SnapshotVersion;
use tokio::sync::watch;

/// The adoptions of the doors of one process.
#[derive(Debug, Default)]
pub(super) struct Adoption(Vec<watch::Receiver<SnapshotVersion>>);

impl Adoption {
    /// Where one more door says which snapshot it enforces.
    pub(super) fn one_more(&mut self) -> watch::Sender<SnapshotVersion> {
        let (sender, receiver) = watch::channel(SnapshotVersion::default());
        self.0.push(receiver);
        sender
    }

    /// Takes back the last one: that door did not open.
    pub(super) fn one_less(&mut self) {
        self.0.pop();
    }

    /// What all of them enforce; `None` where there is no door. It ends with the first door that does.
    pub(super) fn of_all(self) -> Option<watch::Receiver<SnapshotVersion>> {
        let (first, rest) = self.0.split_first()?;
        if rest.is_empty() {
            return Some(first.clone());
        }
        let (sender, receiver) = watch::channel(lowest(&self.0));
        tokio::spawn(follow(self.0, sender));
        Some(receiver)
    }
}

fn lowest(doors: &[watch::Receiver<SnapshotVersion>]) -> SnapshotVersion {
    doors.iter().map(|door| *door.borrow()).min().unwrap_or_default()
}

async fn follow(mut doors: Vec<watch::Receiver<SnapshotVersion>>, all: watch::Sender<SnapshotVersion>) {
    loop {
        let next = lowest(&doors);
        all.send_if_modified(|known| std::mem::replace(known, next) != next);
        // Only the door that is behind can raise the lowest.
        let Some(behind) = doors.iter_mut().min_by_key(|door| *door.borrow()) else { return };
        tokio::select! {
            raised = behind.wait_for(|version| *version > next) => if raised.is_err() { return },
            () = all.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64) -> SnapshotVersion {
        SnapshotVersion { generation: 1, epoch }
    }

    #[tokio::test]
    async fn the_last_door_counts_and_a_door_that_ended_ends_it() {
        let mut adoption = Adoption::default();
        let doors = [adoption.one_more(), adoption.one_more()];
        let mut all = adoption.of_all().unwrap();
        doors[0].send_replace(at(7));
        doors[1].send_replace(at(5));
        assert_eq!(*all.wait_for(|version| *version >= at(5)).await.unwrap(), at(5));
        doors[1].send_replace(at(8));
        assert_eq!(*all.wait_for(|version| *version > at(5)).await.unwrap(), at(7));
        drop(doors);
        assert!(all.wait_for(|version| *version > at(7)).await.is_err());
    }

    #[tokio::test]
    async fn without_a_door_nothing_is_enforced() {
        let mut adoption = Adoption::default();
        drop(adoption.one_more());
        adoption.one_less();
        assert!(adoption.of_all().is_none());
    }
}
