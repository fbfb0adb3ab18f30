//! What a process enforces: what the last of its doors does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countersign_core::snapshot::SnapshotVersion;
use tokio::sync::watch;

/// The adoptions of the doors of one process, of which some may come later and some may go.
#[derive(Clone, Debug, Default)]
pub(super) struct Adoption(watch::Sender<Vec<Followed>>);

/// What one door enforces.
#[derive(Clone, Debug)]
struct Followed {
    at: watch::Receiver<SnapshotVersion>,
    leave: Leave,
}

/// Says that a door is about to close for good, while others go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Leave(Arc<AtomicBool>);

impl Leave {
    /// The door counts until it is closed, and its end is no failure.
    pub(super) fn announce(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_announced(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Adoption {
    /// Where one more door says which snapshot it enforces.
    pub(super) fn one_more(&self) -> watch::Sender<SnapshotVersion> {
        let (sender, at) = watch::channel(SnapshotVersion::default());
        self.0.send_modify(|doors| doors.push(Followed { at, leave: Leave::default() }));
        sender
    }

    /// Takes back the last one: that door did not open.
    pub(super) fn one_less(&self) {
        self.0.send_modify(|doors| drop(doors.pop()));
    }

    /// How the last one leaves.
    pub(super) fn leave(&self) -> Leave {
        self.0.borrow().last().map(|door| door.leave.clone()).unwrap_or_default()
    }

    /// What all of them enforce; `None` where there is no door. It ends with the first door that ends without
    /// having said that it leaves, and with the last.
    pub(super) fn of_all(&self) -> Option<watch::Receiver<SnapshotVersion>> {
        let doors = self.0.subscribe();
        let lowest = lowest(&doors.borrow())?;
        let (sender, receiver) = watch::channel(lowest);
        tokio::spawn(follow(doors, sender));
        Some(receiver)
    }
}

fn lowest(doors: &[Followed]) -> Option<SnapshotVersion> {
    doors.iter().map(|door| *door.at.borrow()).min()
}

async fn follow(mut doors: watch::Receiver<Vec<Followed>>, all: watch::Sender<SnapshotVersion>) {
    let mut gone: Vec<Leave> = Vec::new();
    loop {
        let mut now = doors.borrow_and_update().clone();
        now.retain(|door| !gone.iter().any(|leave| Arc::ptr_eq(&leave.0, &door.leave.0)));
        // Only the door that is behind can raise the lowest.
        let Some(behind) = now.iter_mut().min_by_key(|door| *door.at.borrow()) else { return };
        let next = *behind.at.borrow();
        // A door that has just opened knew from its beginning what the others were told before.
        all.send_if_modified(|known| next > *known && std::mem::replace(known, next) != next);
        tokio::select! {
            raised = behind.at.wait_for(|version| *version > next) => match raised {
                Ok(_raised) => {}
                Err(_ended) if behind.leave.is_announced() => gone.push(behind.leave.clone()),
                Err(_ended) => return,
            },
            Ok(()) = doors.changed() => {}
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
        let adoption = Adoption::default();
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
    async fn doors_come_and_one_that_said_so_leaves() {
        let adoption = Adoption::default();
        let first = adoption.one_more();
        let mut all = adoption.of_all().unwrap();
        first.send_replace(at(3));
        assert_eq!(*all.wait_for(|version| *version >= at(3)).await.unwrap(), at(3));
        let second = adoption.one_more();
        let leave = adoption.leave();
        first.send_replace(at(4));
        second.send_replace(at(3));
        assert_eq!(*all.borrow(), at(3), "the new door is behind");
        second.send_replace(at(4));
        all.wait_for(|version| *version == at(4)).await.unwrap();
        first.send_replace(at(5));
        leave.announce();
        drop(second);
        assert_eq!(*all.wait_for(|version| *version > at(4)).await.unwrap(), at(5));
        drop(first);
        assert!(all.wait_for(|version| *version > at(5)).await.is_err());
    }

    #[tokio::test]
    async fn without_a_door_nothing_is_enforced() {
        let adoption = Adoption::default();
        drop(adoption.one_more());
        adoption.one_less();
        assert!(adoption.of_all().is_none());
    }
}
