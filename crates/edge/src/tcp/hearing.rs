//! Whether a connection is let in, and what is written down when it is not.

use std::sync::Arc;

use countersign_core::ids::RequestId;
use countersign_core::snapshot::Standing;
use countersign_core::time::Clock;
use tracing::warn;

use crate::accept::Entered;
use crate::admit::{Admitted, Refused, Requirement, admit};
use crate::registry::Registration;
use crate::report::{EdgeReport, RefusedRequest, Reports};
use crate::trust::Current;

/// What every connection of a TCP door is judged by.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(crate) door: String,
    pub(crate) requirement: Requirement,
    pub(crate) current: Arc<Current>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reports: Reports,
}

impl Hearing {
    /// Lets a connection in or writes down why not. The handshake may have been a resumed one: what it
    /// shows is judged as anew.
    pub(crate) async fn hear(
        &self,
        entered: &Entered,
        live: &Registration,
        id: RequestId,
    ) -> Option<Admitted> {
        let trust = self.current.load_full();
        let now = self.clock.now();
        let admitted = match admit(&entered.peer, &trust.snapshot, &self.requirement, now) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.refuse(entered, id, &refused);
                return None;
            }
        };
        if let Some(guest) = admitted.guest() {
            live.receive(guest, || self.current.load().snapshot.guest_may_go_on(guest, self.clock.now()));
        }
        if let Some(refusal) = admitted.observed() {
            let facts = self.facts(entered, id, refusal.code(), admitted.standing());
            self.reports.tell(EdgeReport::WouldRefuse(facts));
        }
        if admitted.standing() == Some(Standing::Pending)
            && live.claim_first_use()
            && let Some(claim) = admitted.peer().claim()
        {
            self.reports.tell_first_use(claim.reference.clone()).await;
        }
        Some(admitted)
    }

    fn refuse(&self, entered: &Entered, id: RequestId, refused: &Refused) {
        let (code, reason) = (refused.refusal.code(), refused.refusal);
        warn!(door = self.door, request = %id, peer = %entered.address, code, %reason, "session refused");
        let mut facts = self.facts(entered, id, code, refused.standing);
        facts.untrusted = refused.untrusted.map(|reason| reason.code());
        self.reports.tell(EdgeReport::Refused(facts));
    }

    /// Writes down that somebody was let in and found nobody behind the door.
    pub(crate) fn tell_of_failure(&self, entered: &Entered, id: RequestId, code: &str) {
        let claim = entered.peer.claim();
        let standing = claim.map(|claim| self.current.load().snapshot.standing(claim, self.clock.now()));
        self.reports.tell(EdgeReport::Failed(self.facts(entered, id, code, standing)));
    }

    /// What this door is in the place of a route.
    pub(crate) fn route(&self) -> String {
        format!("tcp_door {}", self.door)
    }

    fn facts(
        &self,
        entered: &Entered,
        id: RequestId,
        code: &str,
        standing: Option<Standing>,
    ) -> Box<RefusedRequest> {
        let Entered { peer, address, .. } = entered;
        let host = peer.server_name().unwrap_or_default();
        Box::new(RefusedRequest {
            request_id: id,
            certificate: peer.claim().map(Into::into),
            untrusted: peer.untrusted().map(|reason| reason.code()),
            standing,
            route: Some(self.route()),
            host: host.chars().take(RefusedRequest::TEXT_LIMIT).collect(),
            ..RefusedRequest::bare(self.clock.now(), *address, code)
        })
    }
}
