//! Who is let in: a device by its certificate, a service by its certificate and a grant, or, at a listener for
//! tokens, a device by its token.

use std::sync::Arc;

use countersign_core::access::Refusal;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{CertificateClaim, Standing, TrustSnapshot};
use countersign_core::time::Timestamp;
use countersign_tls::Peer;
use tokio::time::timeout;
use tracing::warn;

use super::grant::Grant;
use super::party::{Credential, Party};
use super::serve::{Arrival, MqttInside, ROUTE, Welcomed};
use super::tokens::{Login, TokenRefusal, Tokens};
use super::wire::{Connect, Reason};
use crate::admit::{Admitted, Refused, Requirement, admit, admit_token};
use crate::registry::Registration;
use crate::report::EdgeReport;

/// What is to be shown at the door.
#[derive(Debug)]
pub(super) enum Entry {
    /// A certificate.
    Certificates {
        /// What is asked of a device's.
        requirement: Requirement,
        /// What services may.
        grants: Vec<Grant>,
    },
    /// A provisioning token; certificates are not asked for.
    Tokens(Arc<dyn Tokens>),
}

impl MqttInside {
    /// The one decision; what is said to whoever is not let in.
    pub(super) async fn hear(
        &self,
        connect: &Connect<'_>,
        arrival: &Arrival,
        live: &Registration,
    ) -> Result<Welcomed, Reason> {
        match &self.entry {
            Entry::Certificates { requirement, grants } => {
                self.hear_certificate((requirement, grants), arrival, live).await
            }
            Entry::Tokens(tokens) => self.hear_token(&**tokens, connect, arrival, live).await,
        }
    }

    /// The handshake may have been a resumed one: what it shows is judged as anew.
    async fn hear_certificate(
        &self,
        (requirement, grants): (&Requirement, &[Grant]),
        arrival: &Arrival,
        live: &Registration,
    ) -> Result<Welcomed, Reason> {
        let trust = self.current.load_full();
        let (peer, now) = (&arrival.peer, self.clock.now());
        let decided = admit(peer, &trust.snapshot, requirement, now)
            .map(|admitted| (admitted, None))
            .or_else(|refused| granted(grants, peer, (&trust.snapshot, now), refused));
        let (admitted, grant) = decided.map_err(|refused| self.turn_away(arrival, refused))?;
        if admitted.standing() == Some(Standing::Pending)
            && live.claim_first_use()
            && let Some(claim) = admitted.peer().claim()
        {
            self.reports.tell_first_use(claim.reference.clone()).await;
        }
        if let Some(guest) = admitted.guest() {
            live.receive(guest, || self.current.load().snapshot.guest_may_go_on(guest, self.clock.now()));
        }
        // Nobody who could have rights here is not let in either.
        self.welcome(admitted, grant).ok_or(Reason::NotAuthorized)
    }

    /// Fails closed: a token that nobody can look for is a wrong one.
    async fn hear_token(
        &self,
        tokens: &dyn Tokens,
        connect: &Connect<'_>,
        arrival: &Arrival,
        live: &Registration,
    ) -> Result<Welcomed, Reason> {
        let claim = self.recognise(tokens, connect, arrival).await.map_err(|refusal| {
            let code = refusal.code();
            warn!(route = ROUTE, request = %arrival.id, peer = %arrival.address, code, "session refused");
            self.tell(EdgeReport::Refused, arrival, code, None);
            Reason::NotAuthorized
        })?;
        // On the list first: a change of the snapshot is seen either below or by the walk over the list.
        live.identify(&claim, || self.standing(&claim));
        let claim = arrival.token.get_or_init(|| claim);
        let trust = self.current.load_full();
        let admitted = admit_token(&arrival.peer, claim, &trust.snapshot, self.clock.now());
        let admitted = admitted.map_err(|refused| self.turn_away(arrival, refused))?;
        let tenant = claim.identity.tenant();
        if trust.snapshot.tenants.get(tenant).is_some_and(|one| one.enforcement == Enforcement::Observe) {
            let code = TokenRefusal::CertificateRequired.code();
            self.tell(EdgeReport::WouldRefuse, arrival, code, None);
        }
        self.welcome(admitted, None).ok_or(Reason::NotAuthorized)
    }

    async fn recognise(
        &self,
        tokens: &dyn Tokens,
        connect: &Connect<'_>,
        arrival: &Arrival,
    ) -> Result<CertificateClaim, TokenRefusal> {
        let login = Login::of(connect, arrival.address.ip())?;
        let snapshot = &self.current.load_full().snapshot;
        let tenant = &login.device.0;
        if snapshot.tenants.contains_key(tenant) && snapshot.asks_for_certificates(tenant) {
            return Err(TokenRefusal::CertificateRequired);
        }
        let recognised = timeout(self.context.terms.upstream_timeout, tokens.recognise(login)).await;
        recognised.map_err(|_elapsed| TokenRefusal::Failed)?
    }

    fn turn_away(&self, arrival: &Arrival, refused: Refused) -> Reason {
        let (code, reason) = (refused.refusal.code(), refused.refusal);
        warn!(route = ROUTE, request = %arrival.id, peer = %arrival.address, code, %reason, "session refused");
        self.tell(EdgeReport::Refused, arrival, code, None);
        reason_of(&refused)
    }

    fn welcome(&self, admitted: Admitted, grant: Option<&Grant>) -> Option<Welcomed> {
        let (party, credential, rights) = match (admitted.device(), admitted.guest(), grant) {
            (Some(claim), _, _) => {
                let key = (claim.identity.tenant().clone(), claim.identity.device().clone());
                let rights = self.layout.rights_of(&claim.identity);
                (Party::Device(key), Credential::Device(claim.clone()), rights)
            }
            (None, Some(guest), Some(grant)) => {
                let party = Party::Service(Arc::clone(&grant.name));
                (party, Credential::Service(Arc::clone(guest)), grant.rights.clone())
            }
            (None, ..) => return None,
        };
        Some(Welcomed { admitted, party, credential, rights, seat: None })
    }
}

/// The first grant that fits whoever is no device. Where none does, one that knows the certificate says why.
fn granted<'g>(
    grants: &'g [Grant],
    peer: &Peer,
    (snapshot, now): (&TrustSnapshot, Timestamp),
    refused: Refused,
) -> Result<(Admitted, Option<&'g Grant>), Refused> {
    // A device of ours has its own rights, or none.
    if peer.claim().is_some() {
        return Err(refused);
    }
    let mut last = refused;
    for grant in grants {
        match admit(peer, snapshot, &grant.requirement, now) {
            Ok(admitted) => return Ok((admitted, Some(grant))),
            Err(refused) if refused.refusal != Refusal::Untrusted => last = refused,
            Err(_unknown) => {}
        }
    }
    Err(last)
}

/// How MQTT says why a device is not let in: good clients stop at these codes.
const fn reason_of(refused: &Refused) -> Reason {
    match refused.refusal {
        Refusal::Revoked | Refusal::Quarantined | Refusal::Decommissioned | Refusal::TenantSuspended => {
            Reason::Banned
        }
        Refusal::MtlsRequired
        | Refusal::Untrusted
        | Refusal::Expired
        | Refusal::NotYetValid
        | Refusal::Superseded
        | Refusal::Unproved
        | Refusal::WrongDevice
        | Refusal::NotAdmittedHere => Reason::NotAuthorized,
    }
}
