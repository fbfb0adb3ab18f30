//! Renew: a device that proves its present key gets a new certificate, to be confirmed.

use countersign_ca::{CsrError, VerifiedCsr, certificate_pem};
use countersign_ca::{KeyAlgorithm, KeyError, PublicKey, SigningKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{CertificateId, SpkiSha256};
use countersign_core::proof::ProofSubject;
use countersign_core::renewal::{CONFIRM_WINDOW, RenewalDecision};
use countersign_core::settings::{MtlsSettings, Permission};
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_core::time::Timestamp;
use countersign_store::{CertificateRow, StoreError, Writing};
use thiserror::Error;

use crate::agent::{AgentCaller, Possession};
use crate::authority::{Authority, IssuerMode};
use crate::challenge::ProofError;
use crate::enrol::{Chain, IssuedMtls};
use crate::issue::{Requested, Unrecorded, record, summary_of};
use crate::limits::{Limited, TooMany};
use crate::present::{Present, key_is_denied};
use crate::quarantine::quarantine;
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

/// For which key, and how.
struct Wanted<'k> {
    key: Requested<'k>,
    form: Form,
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
        self.check_possession(agent, &present, &csr, possession).await?;
        self.decide_renewal(agent, &present).await?;
        let now = self.now();
        if let Some(pending) = &present.pending
            && pending.spki == csr.public_key().sha256()
            && pending.confirm_before.is_some_and(|before| now <= before)
        {
            return Ok(self.again(pending));
        }
        let key = csr.public_key().sha256();
        if self.store.read(move |r| Box::pin(async move { key_is_denied(r, key).await })).await? {
            return Err(RenewError::KeyDenied);
        }
        self.limits.take(Limited::ProvedRenewal(agent.id()), now).map_err(RenewError::TooMany)?;
        let wanted = Wanted { key: Requested::Csr(&csr), form: Form::TwoSteps };
        self.reissue(agent, &present, wanted).await
    }

    /// Renews by bearer token alone, as the seed does, if the tenant allows it: the server makes
    /// the key and the old certificate is revoked at once. Each use is audited as weak.
    ///
    /// # Errors
    /// See [`RenewError`]; [`RenewError::ProofNeeded`] when the tenant does not allow it, and for a
    /// device without a certificate to renew.
    pub async fn renew_unsafe_bearer_only(&self, agent: &AgentCaller) -> Result<Renewed, RenewError> {
        self.limits.take(Limited::UnprovedRenewal(agent.id()), self.now()).map_err(RenewError::TooMany)?;
        let present = self.present(agent).await?;
        if agent.settings().allow_bearer_only_renewal == Permission::Refused || present.current.is_none() {
            return Err(RenewError::ProofNeeded);
        }
        self.decide_renewal(agent, &present).await?;
        let key = SigningKey::generate(KeyAlgorithm::P256)?;
        let wanted = Wanted { key: Requested::OwnKey(&key), form: Form::OneStep };
        self.reissue(agent, &present, wanted).await
    }

    async fn present(&self, agent: &AgentCaller) -> Result<Present, RenewError> {
        let id = agent.id();
        let present = self.store.read(move |r| Box::pin(async move { Present::read(r, id).await })).await?;
        match present {
            Some(present) if present.device.status == DeviceStatus::Quarantined => {
                Err(RenewError::Quarantined)
            }
            Some(present) if present.device.status != DeviceStatus::Decommissioned => Ok(present),
            Some(_) | None => Err(RenewError::Decommissioned),
        }
    }

    /// Possession of the key that counts; what is not proved is limited.
    async fn check_possession(
        &self,
        agent: &AgentCaller,
        present: &Present,
        csr: &VerifiedCsr,
        possession: &Possession,
    ) -> Result<(), RenewError> {
        let subject = ProofSubject::Renew { csr_sha256: csr.der_sha256() };
        let proved = match possession {
            Possession::Handshake(claim) if self.is_unproved(agent, claim) => Ok(()),
            Possession::Signature { challenge, signature, beside: Some(shown) }
                if self.is_unproved(agent, &shown.claim) =>
            {
                let key = PublicKey::from_certificate_der(&shown.der)?;
                self.check_proof(agent.id(), subject, *challenge, signature, &key).await
            }
            Possession::Handshake(_)
            | Possession::Signature { .. }
            | Possession::Told(_)
            | Possession::None => self.check_key(agent, present, subject, possession).await,
        };
        match proved {
            Ok(()) => Ok(()),
            Err(ProofError::Key(error)) => Err(error.into()),
            Err(ProofError::Store(error)) => Err(error.into()),
            Err(ProofError::Refused) => {
                self.limits
                    .take(Limited::UnprovedRenewal(agent.id()), self.now())
                    .map_err(RenewError::TooMany)?;
                Err(RenewError::ProofNeeded)
            }
        }
    }

    /// Whether this is a certificate that the device got after the backup that was restored: signed by a CA of
    /// ours for it, denied by nobody, and not on record. Its key counts for a new one.
    fn is_unproved(&self, agent: &AgentCaller, claim: &CertificateClaim) -> bool {
        claim.identity == *agent.identity()
            && self.snapshot().standing(claim, self.now()) == Standing::Unproved
            && !claim.is_expired(self.now())
    }

    async fn decide_renewal(&self, agent: &AgentCaller, present: &Present) -> Result<(), RenewError> {
        match present.decide(agent.settings(), self.now()) {
            RenewalDecision::Issue | RenewalDecision::IssueUnderGrant => Ok(()),
            RenewalDecision::Quarantined => Err(RenewError::Quarantined),
            RenewalDecision::Decommissioned => Err(RenewError::Decommissioned),
            RenewalDecision::Quarantine => {
                self.quarantine_expired(agent).await?;
                Err(RenewError::Quarantined)
            }
        }
    }

    /// Quarantines a device whose certificate has expired, if it still has not got another or a
    /// grant, and tells the doors.
    async fn quarantine_expired(&self, agent: &AgentCaller) -> Result<(), StoreError> {
        let (id, now, settings) = (agent.id(), self.now(), *agent.settings());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let Some(present) = Present::read(w, id).await? else { return Ok(()) };
                    if present.decide(&settings, now) != RenewalDecision::Quarantine {
                        return Ok(());
                    }
                    let reason = QuarantineReason::known(QuarantineReason::EXPIRED);
                    quarantine(w, present.device, reason, now, Actor::Device(id)).await.map(drop)
                })
            })
            .await?;
        self.publish_changes().await.map(drop)
    }

    async fn reissue(
        &self,
        agent: &AgentCaller,
        present: &Present,
        wanted: Wanted<'_>,
    ) -> Result<Renewed, RenewError> {
        if self.config.issuer == IssuerMode::None {
            return Err(RenewError::IssuerUnavailable);
        }
        let subject = self.subject_of(&present.device, agent.tenant());
        let issued = self.issue_for_device(subject, wanted.key).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), device = %agent.id(), "issuer failed at renewal");
            RenewError::IssuerUnavailable
        })?;
        let mtls = self.handed_out(&issued, wanted.key.own_key());
        let reference = issued.certificate.reference().clone();
        match self.record_renewal(agent, present.key_sha256(), &issued, wanted.form).await {
            Ok(row) => {
                self.publish_changes().await?;
                Ok(Renewed { mtls, id: row.id, confirm_before: row.confirm_before })
            }
            Err(error) => {
                self.abandon(&reference).await?;
                Err(error)
            }
        }
    }

    /// Records a signed certificate, if what was decided before it was signed still holds.
    async fn record_renewal(
        &self,
        agent: &AgentCaller,
        proved: Option<SpkiSha256>,
        issued: &Unrecorded,
        form: Form,
    ) -> Result<CertificateRow, RenewError> {
        let now = self.now();
        let row = match form {
            Form::TwoSteps => {
                let expires_at = issued.certificate.lifetime().expires_at;
                let before = (now + CONFIRM_WINDOW).min(expires_at).floor_to_second();
                issued.row(CertificateState::PendingActivation, Some(before))
            }
            Form::OneStep => issued.row(CertificateState::Active, None),
        };
        let (id, settings) = (agent.id(), *agent.settings());
        let row = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let present = Present::read(w, id).await?.ok_or(RenewError::Decommissioned)?;
                    still_due(w, &present, proved, row.spki, &settings, now).await?;
                    replace_older(w, &present, &row, form, now).await?;
                    w.device_trust_changed(id).await?;
                    crate::repair::crash_point("record");
                    Ok::<_, RenewError>(row)
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
                chain_pem: self.issuers().chain_pem(pending.reference.issuer),
                serial: pending.reference.serial.clone(),
                lifetime: pending.lifetime,
                private_key_pem: None,
            },
            id: pending.id,
            confirm_before: pending.confirm_before,
        }
    }
}

/// Fails closed: whatever was decided about the device or the keys since the proof wins. A heartbeat
/// in between changes nothing that counts.
async fn still_due(
    w: &mut Writing<'_>,
    present: &Present,
    proved: Option<SpkiSha256>,
    new_key: SpkiSha256,
    settings: &MtlsSettings,
    now: Timestamp,
) -> Result<(), RenewError> {
    match present.decide(settings, now) {
        RenewalDecision::Issue | RenewalDecision::IssueUnderGrant => {}
        RenewalDecision::Quarantined | RenewalDecision::Quarantine => return Err(RenewError::Quarantined),
        RenewalDecision::Decommissioned => return Err(RenewError::Decommissioned),
    }
    if !present.still_counts(proved) {
        return Err(RenewError::ProofNeeded);
    }
    if key_is_denied(w, new_key).await? {
        return Err(RenewError::KeyDenied);
    }
    Ok(())
}

/// Puts a new certificate in the place of the pending one, and in the one-step form in that of the
/// active one too.
async fn replace_older(
    w: &mut Writing<'_>,
    present: &Present,
    row: &CertificateRow,
    form: Form,
    now: Timestamp,
) -> Result<(), StoreError> {
    let device = &present.device;
    let actor = Actor::Device(device.id);
    let active = match form {
        Form::TwoSteps => None,
        Form::OneStep => present.active(),
    };
    for old in present.pending.iter().chain(active) {
        revoke_row(w, device, old, RevocationReason::Superseded, now, actor.clone()).await?;
    }
    record(w, row, actor.clone(), &device.tenant_slug).await?;
    if form == Form::OneStep {
        let mut device = device.clone();
        device.grant_until = None;
        device.pending_key = None;
        if !w.update_device(&device).await? {
            return Err(StoreError::raced("device at revision", device.revision));
        }
        w.set_certificate_summary(device.id, &summary_of(row)).await?;
        let weak = AuditEntry::new(Some(device.tenant_slug.clone()), now, AuditEvent::WeakRenewal, actor)
            .device(device.id)
            .certificate(row.id);
        w.append_audit(&weak).await?;
    }
    Ok(())
}
