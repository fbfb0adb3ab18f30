//! From a decision to a signed certificate: intent → prepare → lint → sign → verify. Recording it
//! is the caller's transaction, which also closes the intent.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::upstream::{Misissued, UpstreamError};
use countersign_ca::{CertificateRequest, IssuedCertificate, Issuer, PrepareError, SignError};
use countersign_ca::{KeyError, PublicKey, SigningKey, VerifiedCsr, random_serial};
use countersign_ca::{Profile, Publication};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::crl_scope::CrlScope;
use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateId, CertificateRef, DeviceId, IssuerKeyId, SerialNumber, Tenant};
use countersign_core::snapshot::UnprovedPeriod;
use countersign_core::time::Timestamp;
use countersign_store::{
    CertificateRow, CertificateSummary, CrlName, IntentRow, IssuerRole, RevocationRow, Store, StoreError,
    Writing,
};
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::authority::{Authority, IssuerMode};
use crate::crl::crl_url_at;
use crate::issuers::{Ca, NoIssuer};
use crate::keys::signing;
use crate::together::Answers;

/// A certificate could not be made. Nothing was handed out.
#[derive(Debug, Error)]
pub enum IssuanceError {
    /// The profile or a lint refused it.
    #[error("cannot prepare the certificate")]
    Prepare(#[from] PrepareError),
    /// The CA's key did not sign it, or signed something else.
    #[error("cannot sign the certificate")]
    Sign(#[from] SignError),
    /// No serial number could be made.
    #[error("cannot reserve a serial number")]
    Serial(#[from] KeyError),
    /// Nobody is there to sign.
    #[error("cannot sign the certificate")]
    NoIssuer(#[from] NoIssuer),
    /// The CA elsewhere did not sign it.
    #[error("cannot have the certificate signed elsewhere")]
    Upstream(#[from] UpstreamError),
    /// The CA elsewhere signed something else.
    #[error("cannot use what was signed elsewhere")]
    Misissued(#[from] Misissued),
    /// The intent could not be recorded.
    #[error("cannot record the intent")]
    Store(#[from] StoreError),
}

/// For whom a certificate is.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSubject {
    pub(crate) identity: Identity,
    /// Known once the device exists.
    pub(crate) device: DeviceId,
    pub(crate) lifetime: Duration,
}

/// What is to be certified.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requested<'a> {
    /// The key of a signing request.
    Csr(&'a VerifiedCsr),
    /// A key that the server made.
    OwnKey(&'a SigningKey),
}

impl<'a> Requested<'a> {
    pub(crate) const fn key(self) -> &'a PublicKey {
        match self {
            Self::Csr(csr) => csr.public_key(),
            Self::OwnKey(key) => key.public_key(),
        }
    }

    /// The same with its private half, when the server made it.
    pub(crate) const fn own_key(self) -> Option<&'a SigningKey> {
        match self {
            Self::Csr(_) => None,
            Self::OwnKey(key) => Some(key),
        }
    }
}

/// Who signs certificates of devices: the embedded CA, or one elsewhere.
pub(crate) trait DeviceIssuer: Send + Sync {
    /// Signs one, with its intent on record before and open after.
    fn issue<'a>(
        &'a self,
        authority: &'a Authority,
        subject: DeviceSubject,
        key: Requested<'a>,
    ) -> BoxFuture<'a, Result<Unrecorded, IssuanceError>>;
}

/// The active device CA of the registry.
struct Embedded;

impl DeviceIssuer for Embedded {
    fn issue<'a>(
        &'a self,
        authority: &'a Authority,
        subject: DeviceSubject,
        key: Requested<'a>,
    ) -> BoxFuture<'a, Result<Unrecorded, IssuanceError>> {
        Box::pin(authority.issue_embedded(subject, key.key()))
    }
}

/// A signed certificate whose intent is still open: to be recorded, or abandoned.
#[derive(Debug)]
pub(crate) struct Unrecorded {
    pub(crate) certificate: IssuedCertificate,
    pub(crate) subject: DeviceSubject,
    pub(crate) signed: Signed,
}

/// Where a certificate was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// By a CA of ours, whose every leaf doors know.
    Here,
    /// By a CA of ours, soon after a backup was restored: doors must be told that it is on record.
    HereUntold,
    /// By another's: doors must be told of this one.
    Elsewhere,
}

impl Signed {
    /// Whether doors must be told of it before they admit it.
    pub(crate) const fn must_be_told(self) -> bool {
        match self {
            Self::Here => false,
            Self::HereUntold | Self::Elsewhere => true,
        }
    }
}

/// An intent with its audit entry.
pub(crate) struct Intended {
    intent: IntentRow,
    entry: AuditEntry,
}

/// Records intents, each with its entry.
pub(crate) fn record_intents(store: Store, intended: Vec<Arc<Intended>>) -> Answers<()> {
    Box::pin(async move {
        store
            .write(move |w| {
                Box::pin(async move {
                    let intents: Vec<_> = intended.iter().map(|one| one.intent.clone()).collect();
                    // Fails closed: whoever has not heard of it yet signs nothing with a retired CA.
                    if let Some(retired) =
                        w.retired_among(intents.iter().map(|one| one.reference.issuer)).await?
                    {
                        return Err(StoreError::raced("ca that is not retired", retired));
                    }
                    w.insert_intents(&intents).await?;
                    for one in &intended {
                        w.append_audit(&one.entry).await?;
                    }
                    Ok(vec![(); intended.len()])
                })
            })
            .await
    })
}

impl Authority {
    /// Has whoever signs here sign a device certificate.
    pub(crate) async fn issue_for_device(
        &self,
        subject: DeviceSubject,
        key: Requested<'_>,
    ) -> Result<Unrecorded, IssuanceError> {
        let issuer: &dyn DeviceIssuer = match self.config.issuer {
            IssuerMode::Cloudflare => {
                self.upstream.as_ref().ok_or(NoIssuer::NoneActive(IssuerRole::Device))?
            }
            IssuerMode::Embedded | IssuerMode::None => &Embedded,
        };
        issuer.issue(self, subject, key).await
    }

    /// Signs a device certificate with the embedded CA.
    async fn issue_embedded(
        &self,
        subject: DeviceSubject,
        key: &PublicKey,
    ) -> Result<Unrecorded, IssuanceError> {
        let issuers = self.issuers();
        let ca = issuers.device_ca_for(subject.identity.tenant(), subject.device)?;
        let issuer = ca.issuer()?;
        let profile = Profile::Device { identity: subject.identity.clone() };
        let certificate = self.issue(issuer, profile, key, subject.lifetime, Some(&subject)).await?;
        let issued_at = certificate.lifetime().issued_at;
        let backdating = UnprovedPeriod::DEVICE_BACKDATING;
        let denied = self.snapshot().denies_unless_told(&issuer.key_id(), issued_at, backdating);
        let signed = if denied { Signed::HereUntold } else { Signed::Here };
        Ok(Unrecorded { certificate, subject, signed })
    }

    /// Signs a certificate of what is no device. Recording it follows.
    pub(crate) async fn issue_for_service(
        &self,
        ca: &Ca,
        profile: Profile,
        key: &PublicKey,
        lifetime: Duration,
    ) -> Result<IssuedCertificate, IssuanceError> {
        self.issue(ca.issuer()?, profile, key, lifetime, None).await
    }

    async fn issue(
        &self,
        issuer: &Issuer,
        profile: Profile,
        key: &PublicKey,
        lifetime: Duration,
        subject: Option<&DeviceSubject>,
    ) -> Result<IssuedCertificate, IssuanceError> {
        let now = self.now();
        let profile_name = profile.as_str().to_owned();
        let serial = random_serial(self.node)?;
        let publication = self.publication_of(issuer.key_id(), &serial);
        let prepared = issuer.prepare(CertificateRequest {
            profile,
            public_key: key,
            serial,
            issued_at: now,
            lifetime,
            publication,
        })?;
        let intent = IntentRow {
            reference: prepared.reference(),
            device: subject.map(|subject| subject.device),
            profile: profile_name,
            at: now,
            expires_at: prepared.lifetime().expires_at,
        };
        let entry = self.intent_entry(&intent, subject, now);
        self.together.intents.ask(Intended { intent, entry }).await?;
        crate::repair::crash_point("intent");
        let reference = prepared.reference();
        match signing(issuer, move |issuer| issuer.sign(prepared)).await {
            Ok(certificate) => {
                crate::repair::crash_point("sign");
                Ok(certificate)
            }
            Err(error) => {
                self.abandon(&reference).await?;
                Err(error.into())
            }
        }
    }

    fn intent_entry(
        &self,
        intent: &IntentRow,
        subject: Option<&DeviceSubject>,
        now: Timestamp,
    ) -> AuditEntry {
        let tenant = subject.map(|subject| subject.identity.tenant().clone());
        let mut entry = AuditEntry::new(tenant, now, AuditEvent::CertificateIntended, Actor::System)
            .detail("serial", &intent.reference.serial)
            .detail("issuer", intent.reference.issuer)
            .detail("profile", &intent.profile);
        entry.device = intent.device;
        entry
    }

    fn publication_of(&self, issuer: IssuerKeyId, serial: &SerialNumber) -> Publication {
        publication_at(self.config.public_base_url.as_deref(), issuer, serial)
    }

    /// Revokes what may have been signed under an open intent and closes it.
    pub(crate) async fn abandon(&self, reference: &CertificateRef) -> Result<(), StoreError> {
        let now = self.now();
        let wanted = reference.clone();
        let is_open = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let Some(intent) = w.intent(&wanted).await? else { return Ok(false) };
                    abandon_intent(w, &intent, now).await?;
                    Ok::<_, StoreError>(true)
                })
            })
            .await?;
        if is_open {
            self.publish_abandoned(reference.clone()).await;
        }
        Ok(())
    }
}

/// What a certificate says of where its issuer publishes, in an installation with this public address.
#[must_use]
pub fn publication_at(base: Option<&str>, issuer: IssuerKeyId, serial: &SerialNumber) -> Publication {
    let Some(base) = base else { return Publication::default() };
    let base = base.trim_end_matches('/');
    Publication {
        crl_url: Some(crl_url_at(base, CrlName { issuer, scope: CrlScope::of(serial) })),
        ca_issuers_url: Some(format!("{base}/pki/ca/{issuer}.cer")),
        ocsp_url: Some(format!("{base}/pki/ocsp")),
    }
}

/// Revokes what may have been signed under `intent` and closes it, within a transaction. Nobody has
/// it, so no epoch is raised for it.
pub(crate) async fn abandon_intent(
    w: &mut Writing<'_>,
    intent: &IntentRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    w.insert_revocation(&RevocationRow {
        reference: intent.reference.clone(),
        spki: None,
        revoked_at: now,
        reason: RevocationReason::CessationOfOperation,
        expires_at: intent.expires_at,
    })
    .await?;
    w.finish_intent(&intent.reference).await?;
    let tenant = match intent.device {
        Some(device) => w.device(device).await?.map(|device| device.tenant_slug),
        None => None,
    };
    let mut entry = AuditEntry::new(tenant, now, AuditEvent::CertificateAbandoned, Actor::System)
        .detail("serial", &intent.reference.serial)
        .detail("issuer", intent.reference.issuer)
        .detail("profile", &intent.profile);
    entry.device = intent.device;
    w.append_audit(&entry).await
}

impl Unrecorded {
    /// The row to record.
    pub(crate) fn row(&self, state: CertificateState, confirm_before: Option<Timestamp>) -> CertificateRow {
        CertificateRow {
            id: CertificateId::random(),
            device: self.subject.device,
            tenant: self.subject.identity.tenant().clone(),
            device_name: self.subject.identity.device().clone(),
            reference: self.certificate.reference().clone(),
            spki: self.certificate.spki(),
            der: self.certificate.der().to_vec(),
            state,
            lifetime: self.certificate.lifetime(),
            confirm_before,
            superseded_until: None,
            revoked_at: None,
            reason: None,
        }
    }
}

/// Records a certificate, closes its intent and writes it down, within a transaction.
///
/// # Errors
/// [`StoreError`] also when the intent is no longer open: then it was abandoned meanwhile.
pub(crate) async fn record(
    w: &mut Writing<'_>,
    row: &CertificateRow,
    actor: Actor,
    tenant: &Tenant,
) -> Result<(), StoreError> {
    if !w.finish_intent(&row.reference).await? {
        return Err(StoreError::raced("issuance intent", &row.reference.serial));
    }
    w.insert_certificate(row).await?;
    w.append_audit(&issued_entry(row, actor, tenant)).await
}

/// The entry about a certificate that is recorded.
pub(crate) fn issued_entry(row: &CertificateRow, actor: Actor, tenant: &Tenant) -> AuditEntry {
    AuditEntry::new(Some(tenant.clone()), row.lifetime.issued_at, AuditEvent::CertificateIssued, actor)
        .device(row.device)
        .certificate(row.id)
        .detail("serial", &row.reference.serial)
        .detail("issuer", row.reference.issuer)
        .detail("state", row.state)
        .detail("expiresAt", row.lifetime.expires_at)
        .detail("spkiSha256", row.spki)
}

/// What a device's row says about a certificate.
pub(crate) fn summary_of(row: &CertificateRow) -> CertificateSummary {
    CertificateSummary {
        serial: row.reference.serial.clone(),
        issuer: Some(row.reference.issuer),
        issued_at: row.lifetime.issued_at,
        expires_at: row.lifetime.expires_at,
    }
}
