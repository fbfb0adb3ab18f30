//! What changed from one snapshot to the next, for edges elsewhere: they are told the difference.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use countersign_core::ids::{CertificateRef, Tenant};
use countersign_core::snapshot::changes::{Touched, TrustChanges};
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use parking_lot::Mutex;
use tokio::sync::watch;

/// How many steps are kept for those who fall behind.
const STEPS: usize = 4096;

/// How many certificates they may be about in all.
const WEIGHT: usize = 500_000;

/// How one snapshot came from another.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Anything may be different.
    Anew,
    /// Only this may be, besides what there is few of.
    Touched(Touched),
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct LoggedStep {
    /// Its place.
    pub(crate) position: u64,
    /// What it led to.
    pub(crate) version: SnapshotVersion,
    /// What changed.
    pub(crate) changes: TrustChanges,
    /// Whose the certificates are.
    pub(crate) owners: BTreeMap<CertificateRef, Option<Tenant>>,
}

/// The steps, as long as somebody follows them.
#[derive(Debug)]
pub(crate) struct TrustLog {
    steps: Mutex<Steps>,
    positions: watch::Sender<u64>,
}

#[derive(Debug)]
struct Steps {
    position: u64,
    snapshot: Arc<TrustSnapshot>,
    kept: VecDeque<Arc<LoggedStep>>,
    weight: usize,
    is_followed: bool,
}

impl TrustLog {
    pub(crate) fn new(first: Arc<TrustSnapshot>) -> Self {
        let steps =
            Steps { position: 1, snapshot: first, kept: VecDeque::new(), weight: 0, is_followed: false };
        Self { steps: Mutex::new(steps), positions: watch::Sender::new(1) }
    }

    /// Whether anybody ever followed: an installation without edges elsewhere pays for none of this.
    pub(crate) fn is_followed(&self) -> bool {
        self.steps.lock().is_followed
    }

    /// Follows from now on: hears of every position.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.steps.lock().is_followed = true;
        self.positions.subscribe()
    }

    /// The newest position, and the snapshot there.
    pub(crate) fn newest(&self) -> (u64, Arc<TrustSnapshot>) {
        let steps = self.steps.lock();
        (steps.position, Arc::clone(&steps.snapshot))
    }

    /// Every step after a position; `None` when not all of them are kept.
    pub(crate) fn after(&self, position: u64) -> Option<Vec<Arc<LoggedStep>>> {
        let steps = self.steps.lock();
        let wanted = steps.position.checked_sub(position)?;
        let wanted = usize::try_from(wanted).ok().filter(|wanted| *wanted <= steps.kept.len())?;
        Some(steps.kept.iter().skip(steps.kept.len() - wanted).cloned().collect())
    }

    /// Adds a step.
    pub(crate) fn step(&self, snapshot: &Arc<TrustSnapshot>, step: Step) {
        let mut steps = self.steps.lock();
        steps.position += 1;
        match step {
            Step::Touched(touched) if steps.is_followed => {
                let changes = TrustChanges::between(&steps.snapshot, snapshot, &touched);
                steps.weight += touched.certificates.len();
                let (position, version) = (steps.position, snapshot.version);
                let owners = touched.certificates;
                steps.kept.push_back(Arc::new(LoggedStep { position, version, changes, owners }));
            }
            Step::Touched(_) | Step::Anew => {
                steps.kept.clear();
                steps.weight = 0;
            }
        }
        while steps.kept.len() > STEPS || steps.weight > WEIGHT {
            let Some(oldest) = steps.kept.pop_front() else { break };
            steps.weight -= oldest.owners.len();
        }
        steps.snapshot = Arc::clone(snapshot);
        self.positions.send_replace(steps.position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::identity::TrustDomain;
    use countersign_core::time::Timestamp;

    fn snapshot(denied: &[u8]) -> Arc<TrustSnapshot> {
        let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        snapshot.denied = denied.iter().map(|number| reference(*number)).collect();
        Arc::new(snapshot)
    }

    fn reference(number: u8) -> CertificateRef {
        CertificateRef { issuer: [1; 32].into(), serial: format!("{number:02x}").parse().unwrap() }
    }

    fn about(numbers: &[u8]) -> Step {
        let certificates = numbers.iter().map(|number| (reference(*number), None)).collect();
        Step::Touched(Touched { certificates, ..Touched::default() })
    }

    #[test]
    fn who_follows_gets_every_step_and_who_is_too_far_behind_none() {
        let log = TrustLog::new(snapshot(&[]));
        log.step(&snapshot(&[1]), about(&[1]));
        assert!(log.after(1).is_none(), "nobody followed");
        let positions = log.follow();
        let (from, _) = log.newest();
        log.step(&snapshot(&[1, 2]), about(&[2]));
        log.step(&snapshot(&[2]), about(&[1]));
        assert_eq!(*positions.borrow(), from + 2);
        let steps = log.after(from).unwrap();
        assert_eq!(steps.iter().map(|step| step.changes.denied.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(log.after(from + 2).unwrap().is_empty());
        assert!(log.after(from - 1).is_none() && log.after(from + 3).is_none());
        log.step(&snapshot(&[]), Step::Anew);
        assert!(log.after(from + 2).is_none());
    }
}
