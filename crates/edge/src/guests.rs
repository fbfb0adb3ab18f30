//! The live connections over which guests were admitted, and which of them end when a guest falls.

use std::collections::HashMap;
use std::sync::Arc;

use countersign_core::guest::GuestClaim;
use countersign_core::snapshot::TrustSnapshot;
use countersign_core::time::Timestamp;
use parking_lot::Mutex;

use crate::registry::Live;

#[derive(Debug)]
struct GuestSession {
    live: Arc<Live>,
    claims: Vec<Arc<GuestClaim>>,
}

/// Connections by their id. A connection is here once a guest was admitted over it: until then it is
/// nobody's, whatever it showed.
#[derive(Debug, Default)]
pub(crate) struct GuestSessions(Mutex<HashMap<u64, GuestSession>>);

impl GuestSessions {
    /// Notes a guest, if it may go on. That is asked while no walk can run, so that a change of snapshot is
    /// seen either here or by the walk.
    pub(crate) fn note(
        &self,
        live: &Arc<Live>,
        claim: &Arc<GuestClaim>,
        may_go_on: impl FnOnce() -> bool,
    ) -> bool {
        let mut sessions = self.0.lock();
        if !may_go_on() {
            return false;
        }
        let session = sessions
            .entry(live.id())
            .or_insert_with(|| GuestSession { live: Arc::clone(live), claims: Vec::new() });
        session.claims.push(Arc::clone(claim));
        true
    }

    /// Takes off the list the connections of those that may not go on.
    pub(crate) fn take_fallen(&self, snapshot: &TrustSnapshot, now: Timestamp) -> Vec<Arc<Live>> {
        let mut fallen = Vec::new();
        self.0.lock().retain(|_id, session| {
            let goes_on = session.claims.iter().all(|claim| snapshot.guest_may_go_on(claim, now));
            if !goes_on {
                fallen.push(Arc::clone(&session.live));
            }
            goes_on
        });
        fallen
    }

    /// Forgets a connection that is closed.
    pub(crate) fn forget(&self, id: u64) {
        self.0.lock().remove(&id);
    }
}
