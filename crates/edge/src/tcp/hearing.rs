//! Whether a connection is let in, and what is written down when it is not.

use std::sync::Arc;

use countersign_core::ids::RequestId;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::Standing;
use countersign_core::time::{Clock, Timestamp};
use http::HeaderMap;
use tracing::{info, warn};

use crate::accept::Entered;
use crate::admit::{Admitted, Refused, Requirement, admit};
use crate::headers::Scheme;
use crate::registry::Registration;
use crate::report::{EdgeReport, RefusedRequest, Reports};
use crate::rules::{CertificateState, Outcome, RequestFacts, TlsFacts};
use crate::trust::{Current, Trust};
use crate::url::NormalisedPath;

/// The code of what a rule blocks, as at the HTTP door.
const RULE_BLOCKED: &str = "RULE_BLOCKED";

/// What every connection of a TCP door is judged by.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub(crate) door: String,
    pub(crate) requirement: Requirement,
    /// Whether rules block, are only recorded, or are not run.
    pub(crate) rules: Enforcement,
    /// What is asked for where nothing is: no rule that looks at it is run.
    pub(crate) no_path: NormalisedPath,
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
        if let Some(rule) = self.blocking_rule(&trust, entered, &admitted, (id, now)) {
            let mut facts = self.facts(entered, id, RULE_BLOCKED, admitted.standing());
            facts.rule = Some(rule.to_owned());
            if self.rules == Enforcement::Enforce {
                warn!(door = self.door, request = %id, peer = %entered.address, code = RULE_BLOCKED, rule, "session refused");
                self.reports.tell(EdgeReport::Refused(facts));
                return None;
            }
            self.reports.tell(EdgeReport::WouldRefuse(facts));
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

    /// The rule that blocks it, of those that do not ask about a request.
    fn blocking_rule<'t>(
        &self,
        trust: &'t Trust,
        entered: &Entered,
        admitted: &Admitted,
        (id, now): (RequestId, Timestamp),
    ) -> Option<&'t str> {
        if self.rules == Enforcement::Off || trust.rules.is_empty() {
            return None;
        }
        let (peer, standing, headers) = (&entered.peer, admitted.standing(), HeaderMap::new());
        let facts = RequestFacts {
            request_id: id,
            now,
            method: "",
            version: "",
            scheme: Scheme::Https,
            host: None,
            target: &self.no_path,
            raw_target: "",
            headers: &headers,
            forwarded_for: None,
            source: entered.address.ip(),
            server_port: entered.local.port(),
            tls: Some(TlsFacts::of(peer)),
            certificate: match admitted.guest() {
                Some(_good) => CertificateState { presented: true, verified: true, revoked: false },
                None => CertificateState::judged(peer, standing, now),
            },
            presented: if peer.is_presented() { Some(peer) } else { None },
            device: admitted.device().map(|claim| &claim.identity),
            standing,
        };
        let verdict = trust.rules.evaluate_connection(&facts);
        for rule in verdict.logged {
            info!(door = self.door, rule, request = %id, "rule matched");
        }
        match verdict.outcome {
            Outcome::Allowed => None,
            Outcome::Blocked { rule, .. } => Some(rule),
        }
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
