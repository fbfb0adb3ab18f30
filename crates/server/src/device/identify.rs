//! Who is asking: the bearer token, the handshake, and what the table says about both.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use countersign_api::{Arrival, ObservedRule};
use countersign_authority::agent::{AgentCaller, Possession, ShownCertificate};
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_core::access::{Access, Holder, Place, Refusal, Shown, decide};
use countersign_core::ids::{AgentId, ChallengeId};
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_tls::Witness;
use http::request::Parts;

use crate::edges::arrive::{Through, within_scope};
use crate::failure::Failure;
use crate::request::bearer;
use crate::state::ControlPlane;

/// An agent whose token is right and whose certificate, if it showed one, does not speak against
/// it at this place. Made by [`admit`] alone.
pub(crate) struct AdmittedAgent {
    pub(crate) caller: AgentCaller,
    pub(crate) arrival: Arrival,
    /// What the handshake proved, when the table lets it count.
    handshake: Option<CertificateClaim>,
}

impl AdmittedAgent {
    /// What shows that the device has its key: a signature, if there is one, or else what the handshake proved,
    /// which is only told when an edge elsewhere saw it.
    pub(crate) fn possession(&self, proof: Option<(ChallengeId, Vec<u8>)>) -> Possession {
        let peer = &self.arrival.peer;
        match (proof, &self.handshake) {
            (Some((challenge, signature)), shown) => {
                let beside = shown.as_ref().zip(peer.chain_der().first()).map(|(claim, der)| {
                    Box::new(ShownCertificate { claim: claim.clone(), der: der.to_vec() })
                });
                Possession::Signature { challenge, signature, beside }
            }
            (None, Some(claim)) if peer.witness() == Witness::Edge => Possession::Told(claim.clone()),
            (None, Some(claim)) => Possession::Handshake(claim.clone()),
            (None, None) => Possession::None,
        }
    }
}

/// What a door says about a request; without it there is no identity and no agent route.
pub(crate) struct FromDoor(pub(crate) Arrival);

impl<S: Sync> FromRequestParts<S> for FromDoor {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Arrival>().cloned().map(Self).ok_or_else(|| Failure::not_found("route"))
    }
}

/// Admits an agent to a place.
///
/// Fails closed: without a right token 401; a quarantined device is refused whether it shows a
/// certificate or not; then the table decides, with the tenant's mode.
pub(crate) async fn admit(
    state: &ControlPlane,
    parts: &Parts,
    arrival: Arrival,
    place: Place,
    agent: Option<AgentId>,
) -> Result<AdmittedAgent, Failure> {
    let token = bearer(&parts.headers).ok_or_else(Failure::unauthorized)?;
    let caller = state.authority.authenticate_agent(token).await?;
    admit_caller(state, parts, arrival, place, (caller, agent)).await
}

/// The same for the confirmation of a new token, by that token.
pub(crate) async fn admit_new_token(
    state: &ControlPlane,
    parts: &Parts,
    arrival: Arrival,
    agent: AgentId,
) -> Result<AdmittedAgent, Failure> {
    let token = bearer(&parts.headers).ok_or_else(Failure::unauthorized)?;
    let caller = state.authority.authenticate_new_token(token).await?;
    admit_caller(state, parts, arrival, Place::Credentials, (caller, Some(agent))).await
}

async fn admit_caller(
    state: &ControlPlane,
    parts: &Parts,
    arrival: Arrival,
    place: Place,
    (caller, agent): (AgentCaller, Option<AgentId>),
) -> Result<AdmittedAgent, Failure> {
    if agent.is_some_and(|agent| agent != caller.device().agent) {
        return Err(Failure::unauthorized());
    }
    within_scope(parts.extensions.get::<Through>(), caller.identity().tenant())?;
    let refused = |refusal: Refusal| {
        let failure = Failure::from(refusal).fact("device", &caller.id());
        failure.fact("tenant", caller.identity().tenant())
    };
    if caller.is_quarantined() {
        return Err(refused(Refusal::Quarantined));
    }
    let claim = arrival.peer.claim().cloned();
    if let Some(claim) = &claim {
        note_first_use(state, claim).await?;
    }
    let snapshot = state.authority.snapshot();
    let holder = claim.as_ref().map_or(Holder::Other, |claim| caller.holder(claim));
    let shown = arrival.peer.shown(&snapshot, holder, state.authority.now());
    let access = decide(place, shown, caller.settings().enforcement);
    if let Some(ObservedRule(rule)) = parts.extensions.get() {
        state.authority.note_rule_would_block(caller.id(), rule);
    }
    match access {
        Access::Granted => {
            if let (Shown::Device(Holder::Own, Standing::Valid | Standing::Pending), Some(claim)) =
                (shown, &claim)
            {
                state.authority.note_certificate_use(caller.id(), &claim.reference);
            }
            Ok(AdmittedAgent { caller, arrival, handshake: claim })
        }
        Access::ProofNeeded => Ok(AdmittedAgent { caller, arrival, handshake: None }),
        Access::GrantedUnderObservation(refusal) => {
            state.authority.note_would_refuse(caller.id(), refusal);
            state.report(would_refuse(state, &arrival, &caller, refusal, parts));
            Ok(AdmittedAgent { caller, arrival, handshake: None })
        }
        Access::Refused(refusal) => Err(refused(refusal)),
    }
}

/// The first use of a renewed certificate at any door counts as its confirmation.
async fn note_first_use(state: &ControlPlane, claim: &CertificateClaim) -> Result<(), Failure> {
    if state.authority.snapshot().standing(claim, state.authority.now()) == Standing::Pending {
        state
            .authority
            .first_use(claim.reference.clone())
            .await
            .map_err(|error| Failure::internal(&error))?;
    }
    Ok(())
}

fn would_refuse(
    state: &ControlPlane,
    arrival: &Arrival,
    caller: &AgentCaller,
    refusal: Refusal,
    parts: &Parts,
) -> RefusalReport {
    RefusalReport {
        request: arrival.request_id,
        at: state.authority.now(),
        code: refusal.code().to_owned(),
        outcome: Outcome::WouldRefuse,
        tenant: Some(caller.identity().tenant().clone()),
        address: arrival.address.ip(),
        facts: BTreeMap::from([
            ("device".to_owned(), caller.id().to_string()),
            ("mode".to_owned(), "observe".to_owned()),
            ("path".to_owned(), parts.uri.path().chars().take(200).collect()),
        ]),
    }
}
