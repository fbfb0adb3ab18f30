//! Renew: a device that proves its present key gets a new certificate, to be confirmed.

use countersign_ca::{CsrError, VerifiedCsr, certificate_pem};
use countersign_ca::{KeyAlgorithm, KeyError, PublicKey, SigningKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceEvent, QuarantineReason};
use countersign_core::ids::CertificateId;
use countersign_core::proof::ProofSubject;
use countersign_core::renewal::{CONFIRM_WINDOW, RenewalDecision, RenewalFacts, decide};
use countersign_core::settings::Permission;
use countersign_core::time::Timestamp;
use countersign_store::CertificateRow;
use countersign_store::DeviceRow;
use countersign_store::StoreError;
use thiserror::Error;

use crate::agent::{AgentCaller, Possession};
use crate::authority::{Authority, IssuerMode};
use crate::challenge::ProofError;
use crate::enrol::{Chain, IssuedMtls, pending_public_key};
use crate::issue::{Unrecorded, record, summary_of};
use crate::limits::{Limited, TooMany};
use crate::quarantine::change_status;
use crate::revoke::revoke_row;

/// A new certificate.
pub struct Renewed {
    /// As the device gets it.
    pub mtls: IssuedMtls,
    /// What to confirm.
    pub id: CertificateId,
    /// By when; `None` in the one-step form.
    pub confirm_before: Option<Timestamp>,
}

/// There is no new certificate.
#[derive(Debug, Error)]
pub enum RenewError {
    /// Possession of the present key was not shown, or the device has no key that counts.
    #[error("possession of the device's key was not proved")]
    ProofNeeded,
    /// The device is quarantined, now or since before.
    #[error("the device is quarantined")]
    Quarantined,
    /// The device is decommissioned.
    #[error("the device is decommissioned")]
    Decommissioned,
    /// The signing request is wrong.
    #[error("the signing request is wrong")]
    Csr(#[from] CsrError),
    /// The request's key is denied, or belonged to a revoked certificate.
    #[error("the public key is denied")]
    KeyDenied,
    /// Too soon after the last.
    #[error("too many renewals")]
    TooMany(TooMany),
    /// Nobody signs here, or the issuer failed; the agent asks again.
    #[error("the issuer is not available")]
    IssuerUnavailable,
    /// The platform failed.
    #[error("cannot renew the certificate")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for RenewError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<KeyError> for RenewError {
    fn from(error: KeyError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<ProofError> for RenewError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Refused => Self::ProofNeeded,
            ProofError::Store(error) => error.into(),
        }
    }
}

/// What the store says about a device that wants to renew.
struct Present {
    device: DeviceRow,
    /// The certificate whose key counts: the active one, or the last one that expired.
    current: Option<CertificateRow>,
    pending: Option<CertificateRow>,
}

/// In which form the renewal comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Issue, then confirm.
    TwoSteps,
    /// The seed's: by bearer token alone, the old certificate revoked at once.
    OneStep,
}

impl Authority {
    /// Renews against proof of possession.
    ///
    /// # Errors
    /// See [`RenewError`]. Fails closed: without a proof that holds nothing is issued, and an
    /// expired certificate under the policy `quarantine` quarantines its device.
    pub async fn renew(
        &self,
        agent: &AgentCaller,
        csr_pem: &str,
        possession: &Possession,
    ) -> Result<Renewed, RenewError> {
        let csr = VerifiedCsr::from_pem(csr_pem)?;
        let present = self.present(agent).await?;
        if agent.is_quarantined() {
            return Err(RenewError::Quarantined);
        }
        self.check_possession(agent, &present, &csr, possession).await?;
        if let Some(pending) = &present.pending
            && pending.spki == csr.public_key().sha256()
            && pending.confirm_before.is_some_and(|before| self.now() <= before)
        {
            return Ok(self.again(pending));
        }
        self.refuse_denied_key(csr.public_key()).await?;
        self.decide_renewal(agent, &present).await?;
        self.limits.take(Limited::ProvedRenewal(agent.id()), self.now()).map_err(RenewError::TooMany)?;
        self.reissue(agent, present, csr.public_key(), None, Form::TwoSteps).await
    }

    /// Renews by bearer token alone, as the seed does, if the tenant allows it: the server makes
    /// the key and the old certificate is revoked at once. Each use is audited as weak.
    ///
    /// # Errors
    /// See [`RenewError`]; [`RenewError::ProofNeeded`] when the tenant does not allow it.
    pub async fn renew_unsafe_bearer_only(&self, agent: &AgentCaller) -> Result<Renewed, RenewError> {
        self.limits.take(Limited::UnprovedRenewal(agent.id()), self.now()).map_err(RenewError::TooMany)?;
        if agent.is_quarantined() {
            return Err(RenewError::Quarantined);
        }
        if agent.settings().allow_bearer_only_renewal == Permission::Refused {
            return Err(RenewError::ProofNeeded);
        }
        let present = self.present(agent).await?;
        if present.current.is_none() {
            return Err(RenewError::ProofNeeded);
        }
        self.decide_renewal(agent, &present).await?;
        let key = SigningKey::generate(KeyAlgorithm::P256)?;
        self.reissue(agent, present, key.public_key(), Some(&key), Form::OneStep).await
    }

    async fn present(&self, agent: &AgentCaller) -> Result<Present, RenewError> {
        let id = agent.id();
        let (device, certificates) = self
            .store
            .read(move |r| {
                Box::pin(
                    async move { Ok::<_, StoreError>((r.device(id).await?, r.certificates_of(id).await?)) },
                )
            })
            .await?;
        let device = device.ok_or(RenewError::Decommissioned)?;
        let in_state = |state| certificates.iter().find(|row| row.state == state).cloned();
        // What was never confirmed is passed over, or an answer that got lost would lock the device
        // out; what was in use and revoked is not, or the key before it would count again.
        let last_in_use = certificates.iter().find(|row| row.confirm_before.is_none());
        let expired = last_in_use.filter(|row| row.state == CertificateState::Expired).cloned();
        Ok(Present {
            current: in_state(CertificateState::Active).or(expired),
            pending: in_state(CertificateState::PendingActivation),
            device,
        })
    }

    /// The key that counts for this device: that of its current certificate, or the one kept from
    /// an enrolment without a certificate. A revoked certificate's key never does.
    async fn check_possession(
        &self,
        agent: &AgentCaller,
        present: &Present,
        csr: &VerifiedCsr,
        possession: &Possession,
    ) -> Result<(), RenewError> {
        let key = match &present.current {
            Some(current) => PublicKey::from_certificate_der(&current.der)?,
            None => pending_public_key(&present.device).ok_or(RenewError::ProofNeeded)?,
        };
        self.refuse_denied_key(&key).await.map_err(|_denied| RenewError::ProofNeeded)?;
        match possession {
            Possession::Handshake(claim) => {
                let is_current =
                    present.current.as_ref().is_some_and(|current| current.reference == claim.reference);
                if is_current { Ok(()) } else { Err(RenewError::ProofNeeded) }
            }
            Possession::Signature { challenge, signature } => {
                let subject = ProofSubject::Renew { csr_sha256: csr.der_sha256() };
                Ok(self.check_proof(agent.id(), subject, *challenge, signature, &key).await?)
            }
            Possession::None => {
                self.limits
                    .take(Limited::UnprovedRenewal(agent.id()), self.now())
                    .map_err(RenewError::TooMany)?;
                Err(RenewError::ProofNeeded)
            }
        }
    }

    async fn refuse_denied_key(&self, key: &PublicKey) -> Result<(), RenewError> {
        let spki = key.sha256();
        let is_denied = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    Ok::<_, StoreError>(r.is_key_denied(spki).await? || r.spki_was_revoked(spki).await?)
                })
            })
            .await?;
        if is_denied { Err(RenewError::KeyDenied) } else { Ok(()) }
    }

    async fn decide_renewal(&self, agent: &AgentCaller, present: &Present) -> Result<(), RenewError> {
        let facts = RenewalFacts {
            status: present.device.status,
            current: present.current.as_ref().map(|row| row.lifetime),
            grant_until: present.device.grant_until,
        };
        match decide(facts, agent.settings(), self.now()) {
            RenewalDecision::Issue | RenewalDecision::IssueUnderGrant => Ok(()),
            RenewalDecision::Quarantined => Err(RenewError::Quarantined),
            RenewalDecision::Decommissioned => Err(RenewError::Decommissioned),
            RenewalDecision::Quarantine => {
                let actor = Actor::Device(agent.id());
                self.quarantine_expired(present.device.clone(), actor).await?;
                Err(RenewError::Quarantined)
            }
        }
    }

    /// Quarantines a device whose certificate expired, and tells the doors.
    pub(crate) async fn quarantine_expired(
        &self,
        mut device: DeviceRow,
        actor: Actor,
    ) -> Result<(), StoreError> {
        let (now, id) = (self.now(), device.id);
        let reason = QuarantineReason::known(QuarantineReason::EXPIRED);
        let entry =
            AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::DeviceQuarantined, actor)
                .device(id)
                .detail("from", device.status)
                .detail("reason", &reason);
        device.quarantined_at = Some(now);
        device.quarantined_reason = Some(reason);
        device.grant_until = None;
        self.store
            .write(move |w| {
                Box::pin(async move { change_status(w, device, DeviceEvent::Quarantine, entry).await })
            })
            .await?;
        self.publish_devices(&[id]).await?;
        Ok(())
    }

    async fn reissue(
        &self,
        agent: &AgentCaller,
        present: Present,
        key: &PublicKey,
        own_key: Option<&SigningKey>,
        form: Form,
    ) -> Result<Renewed, RenewError> {
        if self.config.issuer == IssuerMode::None {
            return Err(RenewError::IssuerUnavailable);
        }
        let subject = self.subject_of(&present.device, agent.tenant());
        let issued = self.issue_for_device(subject, key).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), device = %agent.id(), "issuer failed at renewal");
            RenewError::IssuerUnavailable
        })?;
        let mtls = self.handed_out(&issued, own_key);
        let reference = issued.certificate.reference().clone();
        match self.record_renewal(agent, present, &issued, form).await {
            Ok(row) => {
                self.publish_devices(&[agent.id()]).await?;
                Ok(Renewed { mtls, id: row.id, confirm_before: row.confirm_before })
            }
            Err(error) => {
                self.abandon(&reference).await?;
                Err(error)
            }
        }
    }

    async fn record_renewal(
        &self,
        agent: &AgentCaller,
        present: Present,
        issued: &Unrecorded,
        form: Form,
    ) -> Result<CertificateRow, RenewError> {
        let now = self.now();
        let expires_at = issued.certificate.lifetime().expires_at;
        let row = match form {
            Form::TwoSteps => {
                let before = (now + CONFIRM_WINDOW).min(expires_at).floor_to_second();
                issued.row(CertificateState::PendingActivation, Some(before))
            }
            Form::OneStep => issued.row(CertificateState::Active, None),
        };
        let tenant = agent.tenant().slug.clone();
        let row = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let actor = Actor::Device(present.device.id);
                    // Whatever was decided about the device meanwhile wins.
                    if !w.update_device(&present.device).await? {
                        return Err(StoreError::raced("device at revision", present.device.revision));
                    }
                    if let Some(pending) = &present.pending {
                        revoke_row(
                            w,
                            &present.device,
                            pending,
                            RevocationReason::Superseded,
                            now,
                            actor.clone(),
                        )
                        .await?;
                    }
                    if form == Form::OneStep {
                        let current = present.current.as_ref();
                        if let Some(active) = current.filter(|row| row.state == CertificateState::Active) {
                            revoke_row(
                                w,
                                &present.device,
                                active,
                                RevocationReason::Superseded,
                                now,
                                actor.clone(),
                            )
                            .await?;
                        }
                        let weak = AuditEntry::new(
                            Some(tenant.clone()),
                            now,
                            AuditEvent::WeakRenewal,
                            actor.clone(),
                        )
                        .device(present.device.id)
                        .certificate(row.id);
                        w.append_audit(&weak).await?;
                    }
                    record(w, &row, actor, &tenant).await?;
                    if form == Form::OneStep {
                        w.set_certificate_summary(present.device.id, &summary_of(&row)).await?;
                    }
                    w.raise_epoch().await?;
                    crate::repair::crash_point("record");
                    Ok(row)
                })
            })
            .await?;
        crate::repair::crash_point("recorded");
        Ok(row)
    }

    /// The certificate that an interrupted renewal has already been given.
    fn again(&self, pending: &CertificateRow) -> Renewed {
        Renewed {
            mtls: IssuedMtls {
                certificate_pem: certificate_pem(&pending.der),
                chain_pem: self.hierarchy.device_chain_pem(),
                serial: pending.reference.serial.clone(),
                lifetime: pending.lifetime,
                private_key_pem: None,
            },
            id: pending.id,
            confirm_before: pending.confirm_before,
        }
    }
}
