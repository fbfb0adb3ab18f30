//! Enrol: an enrolment key and a signing request become a device with an identity.

use std::net::IpAddr;

use countersign_ca::{CsrError, VerifiedCsr};
use countersign_ca::{KeyAlgorithm, KeyError, PublicKey, SigningKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, Lifetime};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::identity::Identity;
use countersign_core::ids::{DeviceId, DeviceName, SecretHash, SerialNumber, SiteId, TenantId};
use countersign_core::settings::Permission;
use countersign_core::time::Timestamp;
use countersign_store::CertificateRow;
use countersign_store::StoreError;
use countersign_store::TenantRow;
use countersign_store::{Approval, EnrollmentKeyRow};
use countersign_store::{DeviceRow, Inserted};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::agent::TOKEN_PREFIX;
use crate::authority::{Authority, IssuerMode};
use crate::issue::{DeviceSubject, Unrecorded, record, summary_of};
use crate::limits::{Limited, Network, TooMany};
use crate::names::{FreshSecret, fresh_agent_id, fresh_suffix, matches_pattern};

/// What a device says when it enrols; texts are at most 255 characters.
#[derive(Clone)]
pub struct Enrolment {
    /// The enrolment key.
    pub key: Zeroizing<String>,
    /// What the machine calls itself.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    pub os_type: String,
    /// The operating system's version.
    pub os_version: String,
    /// The processor's architecture.
    pub architecture: String,
    /// The agent's version.
    pub agent_version: String,
    /// A PKCS #10 signing request, PEM.
    pub csr: Option<String>,
    /// The name it asks for.
    pub name: Option<DeviceName>,
    /// The hardware's serial number.
    pub hardware_serial: Option<String>,
    /// Where it comes from.
    pub address: IpAddr,
}

/// A device that has enrolled.
pub struct Enrolled {
    /// Its row.
    pub device: DeviceRow,
    /// Its bearer token, shown this once.
    pub token: Zeroizing<String>,
    /// The tenant.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// Its certificate, or why it has none.
    pub mtls: Result<IssuedMtls, NoCertificate>,
}

/// A certificate as its device gets it.
pub struct IssuedMtls {
    /// The leaf, PEM.
    pub certificate_pem: String,
    /// The CAs above it, PEM.
    pub chain_pem: String,
    /// Its serial number.
    pub serial: SerialNumber,
    /// From when until when.
    pub lifetime: Lifetime,
    /// The private key, PKCS #8 PEM, when the server made it.
    pub private_key_pem: Option<Zeroizing<String>>,
}

/// Why a device enrolled without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCertificate {
    /// Nobody signs here.
    IssuerOff,
    /// The issuer failed; the key is kept and the agent asks again.
    IssuerUnavailable,
    /// No signing request was sent.
    CsrRequired,
    /// An admin has to approve first.
    AwaitingApproval,
}

impl NoCertificate {
    /// The wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssuerOff => "issuer_off",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::CsrRequired => "csr_required",
            Self::AwaitingApproval => "awaiting_approval",
        }
    }
}

/// Why an enrolment key does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// There is no such key.
    NotFound,
    /// Its time is over.
    Expired,
    /// It was used as often as it may be.
    Exhausted,
    /// It was revoked.
    Revoked,
}

impl KeyRefusal {
    /// The wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "enrollment_key_not_found",
            Self::Expired => "enrollment_key_expired",
            Self::Exhausted => "enrollment_key_exhausted",
            Self::Revoked => "enrollment_key_revoked",
        }
    }
}

/// An enrolment was refused. The enrolment key is not used up by it.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The enrolment key does not work.
    #[error("the enrolment key does not work: {}", .0.as_str())]
    Key(KeyRefusal),
    /// Too many enrolments failed from that network.
    #[error("too many failed enrolments")]
    TooMany(TooMany),
    /// The signing request is wrong.
    #[error("the signing request is wrong")]
    Csr(#[from] CsrError),
    /// The public key was denied, or belonged to a revoked certificate.
    #[error("the public key is denied")]
    KeyDenied,
    /// The name may not be used.
    #[error("{0}")]
    Name(&'static str),
    /// The name is taken.
    #[error("the device name is taken")]
    NameTaken,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The platform failed.
    #[error("cannot enrol the device")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for EnrolError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<KeyError> for EnrolError {
    fn from(error: KeyError) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// How often a name made up from the host name is tried with another suffix.
const NAME_TRIES: usize = 4;

/// Hardware serials that vendors leave unset say nothing about the device.
const PLACEHOLDER_SERIALS: [&str; 8] = [
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "none",
    "not specified",
    "not applicable",
    "0",
    "unknown",
];

/// What an enrolment has come to before anything is signed.
struct Admission {
    key: EnrollmentKeyRow,
    tenant: TenantRow,
    returning: Option<DeviceRow>,
    csr: Option<VerifiedCsr>,
    bar: Option<QuarantineReason>,
}

impl Authority {
    /// Enrols a device.
    ///
    /// # Errors
    /// See [`EnrolError`]. A CA outage is no error: the device enrols without a certificate and
    /// its key is kept.
    pub async fn enrol(&self, request: &Enrolment) -> Result<Enrolled, EnrolError> {
        let failures = Limited::FailedEnrolment(Network::from(request.address));
        self.limits.check(&failures, self.now()).map_err(EnrolError::TooMany)?;
        let admission = self.admit_enrolment(request).await.inspect_err(|error| {
            if matches!(error, EnrolError::Key(_)) {
                self.limits.count(failures.clone(), self.now());
            }
        })?;
        if admission.returning.is_some() {
            return self.enrol_as(request, &admission, None).await;
        }
        if let Some(name) = &request.name {
            return self.enrol_as(request, &admission, Some(name.clone())).await;
        }
        let mut name = DeviceName::sanitised(&request.hostname);
        for _ in 0..NAME_TRIES {
            match self.enrol_as(request, &admission, Some(name.clone())).await {
                Err(EnrolError::NameTaken) => {
                    name = DeviceName::sanitised(&request.hostname).with_suffix(&fresh_suffix()?);
                }
                outcome => return outcome,
            }
        }
        Err(EnrolError::NameTaken)
    }

    async fn admit_enrolment(&self, request: &Enrolment) -> Result<Admission, EnrolError> {
        let now = self.now();
        let hash = SecretHash::of(&request.key);
        let (key, tenant) = self.find_key(hash).await?;
        if let Some(refusal) = key_refusal(&key, now) {
            return Err(EnrolError::Key(refusal));
        }
        if !network_allows(&key, request.address) {
            return Err(EnrolError::Key(KeyRefusal::NotFound));
        }
        if tenant.suspended_at.is_some() {
            return Err(EnrolError::TenantSuspended);
        }
        let csr = request.csr.as_deref().map(VerifiedCsr::from_pem).transpose()?;
        let (denied, resembles, returning) =
            self.enrolment_facts(request, &key, &tenant, csr.as_ref()).await?;
        if denied || wrong_bound_key(&key, csr.as_ref()) {
            return Err(EnrolError::KeyDenied);
        }
        if let Some(device) = &returning
            && device.status == DeviceStatus::Decommissioned
        {
            return Err(EnrolError::Key(KeyRefusal::Revoked));
        }
        if returning.is_none() {
            check_name(request, &key)?;
        }
        let bar = match &returning {
            // A key made after the quarantine is an admin's approval of it.
            Some(device) if device.quarantined_at.is_some_and(|at| key.created_at <= at) => {
                device.quarantined_reason.clone()
            }
            Some(_) => None,
            None if key.approval == Approval::Required => {
                Some(QuarantineReason::known(QuarantineReason::AWAITING_APPROVAL))
            }
            None if resembles => Some(QuarantineReason::known(QuarantineReason::RESEMBLES_DENIED)),
            None => None,
        };
        Ok(Admission { key, tenant, returning, csr, bar })
    }

    async fn find_key(&self, hash: SecretHash) -> Result<(EnrollmentKeyRow, TenantRow), EnrolError> {
        let found = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let Some(key) = r.enrollment_key_by_hash(&hash).await? else { return Ok(None) };
                    let tenant = r.tenant_by_id(key.tenant).await?;
                    Ok::<_, StoreError>(tenant.map(|tenant| (key, tenant)))
                })
            })
            .await?;
        match found {
            Some(found) if found.0.key.matches(&hash) => Ok(found),
            Some(_) | None => Err(EnrolError::Key(KeyRefusal::NotFound)),
        }
    }

    /// Whether the public key is denied, whether the device resembles a denied one, and the device
    /// that returns, if the enrolment key was made for one.
    async fn enrolment_facts(
        &self,
        request: &Enrolment,
        key: &EnrollmentKeyRow,
        tenant: &TenantRow,
        csr: Option<&VerifiedCsr>,
    ) -> Result<(bool, bool, Option<DeviceRow>), StoreError> {
        let spki = csr.map(|csr| csr.public_key().sha256());
        let (tenant, device, hostname) = (tenant.id, key.device, request.hostname.clone());
        let serial = telling_serial(request.hardware_serial.as_deref());
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let denied = match spki {
                        Some(spki) => r.is_key_denied(spki).await? || r.spki_was_revoked(spki).await?,
                        None => false,
                    };
                    let resembles = r.resembles_denied(tenant, &hostname, serial.as_deref()).await?;
                    let returning = match device {
                        Some(device) => r.device(device).await?,
                        None => None,
                    };
                    Ok::<_, StoreError>((denied, resembles, returning))
                })
            })
            .await
    }

    async fn enrol_as(
        &self,
        request: &Enrolment,
        admission: &Admission,
        name: Option<DeviceName>,
    ) -> Result<Enrolled, EnrolError> {
        let token = FreshSecret::new(TOKEN_PREFIX)?;
        let device = match (&admission.returning, name) {
            (Some(known), _) => returning_row(known, request, admission, token.hash),
            (None, Some(name)) => {
                self.refuse_taken_name(admission.tenant.id, &name).await?;
                self.new_row(request, admission, name, token.hash)?
            }
            (None, None) => return Err(EnrolError::Name("no device name")),
        };
        let (device, issued, mtls) = self.certify(device, admission).await?;
        let reference = issued.as_ref().map(|issued| issued.certificate.reference().clone());
        let recorded = self.record_enrolment(request, admission, device, issued).await;
        let device = match recorded {
            Ok(device) => device,
            Err(error) => {
                if let Some(reference) = reference {
                    self.abandon(&reference).await?;
                }
                return Err(error);
            }
        };
        if admission.returning.is_some() || admission.bar.is_some() {
            self.publish_devices(&[device.id]).await?;
            self.crl_wanted.notify_one();
        }
        Ok(Enrolled {
            tenant: device.tenant,
            site: device.site,
            device,
            token: Zeroizing::new(token.text),
            mtls,
        })
    }

    /// Before anything is signed; of two that pass at once, the record decides.
    async fn refuse_taken_name(&self, tenant: TenantId, name: &DeviceName) -> Result<(), EnrolError> {
        let name = name.clone();
        let taken =
            self.store.read(move |r| Box::pin(async move { r.device_by_name(tenant, &name).await })).await?;
        if taken.is_some() { Err(EnrolError::NameTaken) } else { Ok(()) }
    }

    fn new_row(
        &self,
        request: &Enrolment,
        admission: &Admission,
        name: DeviceName,
        token: SecretHash,
    ) -> Result<DeviceRow, EnrolError> {
        let now = self.now();
        Ok(DeviceRow {
            id: DeviceId::random(),
            tenant: admission.tenant.id,
            tenant_slug: admission.tenant.slug.clone(),
            site: admission.key.site,
            // Read with the row, not written.
            site_slug: String::new(),
            agent: fresh_agent_id()?,
            name,
            hostname: request.hostname.clone(),
            os_type: request.os_type.clone(),
            os_version: request.os_version.clone(),
            architecture: request.architecture.clone(),
            agent_version: request.agent_version.clone(),
            hardware_serial: request.hardware_serial.clone(),
            status: if admission.bar.is_some() { DeviceStatus::Quarantined } else { DeviceStatus::Pending },
            token: Some(token),
            last_seen_at: None,
            last_ip: Some(request.address.to_string()),
            quarantined_at: admission.bar.is_some().then_some(now),
            quarantined_reason: admission.bar.clone(),
            pending_key: None,
            grant_until: None,
            certificate: None,
            enrolled_at: now,
            decommissioned_at: None,
            revision: 0,
        })
    }

    /// Signs the device's first certificate, or says why there is none and keeps its key.
    async fn certify(
        &self,
        mut device: DeviceRow,
        admission: &Admission,
    ) -> Result<(DeviceRow, Option<Unrecorded>, Result<IssuedMtls, NoCertificate>), EnrolError> {
        let csr_key = admission.csr.as_ref().map(VerifiedCsr::public_key);
        let why_not = if admission.bar.is_some() {
            Some(NoCertificate::AwaitingApproval)
        } else if self.config.issuer == IssuerMode::None {
            Some(NoCertificate::IssuerOff)
        } else if csr_key.is_none()
            && admission.tenant.settings.allow_server_generated_keys == Permission::Refused
        {
            Some(NoCertificate::CsrRequired)
        } else {
            None
        };
        if let Some(reason) = why_not {
            device.pending_key = csr_key.map(|key| key.spki_der().to_vec());
            return Ok((device, None, Err(reason)));
        }
        let own_key = match csr_key {
            Some(_) => None,
            None => Some(SigningKey::generate(KeyAlgorithm::P256)?),
        };
        let Some(public) = csr_key.or(own_key.as_ref().map(SigningKey::public_key)) else {
            return Ok((device, None, Err(NoCertificate::CsrRequired)));
        };
        match self.issue_for_device(self.subject_of(&device, &admission.tenant), public).await {
            Ok(issued) => {
                let mtls = self.handed_out(&issued, own_key.as_ref());
                device.pending_key = None;
                Ok((device, Some(issued), Ok(mtls)))
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), device = %device.id, "issuer failed at enrolment");
                device.pending_key = csr_key.map(|key| key.spki_der().to_vec());
                Ok((device, None, Err(NoCertificate::IssuerUnavailable)))
            }
        }
    }

    pub(crate) fn subject_of(&self, device: &DeviceRow, tenant: &TenantRow) -> DeviceSubject {
        DeviceSubject {
            identity: Identity::new(
                self.config.trust_domain.clone(),
                tenant.slug.clone(),
                device.name.clone(),
            ),
            device: device.id,
            lifetime: tenant.settings.cert_lifetime_days.duration(),
        }
    }

    pub(crate) fn handed_out(&self, issued: &Unrecorded, own_key: Option<&SigningKey>) -> IssuedMtls {
        IssuedMtls {
            certificate_pem: issued.certificate.pem(),
            chain_pem: self.hierarchy.device_chain_pem(),
            serial: issued.certificate.reference().serial.clone(),
            lifetime: issued.certificate.lifetime(),
            private_key_pem: own_key.map(SigningKey::pkcs8_pem),
        }
    }

    async fn record_enrolment(
        &self,
        request: &Enrolment,
        admission: &Admission,
        device: DeviceRow,
        issued: Option<Unrecorded>,
    ) -> Result<DeviceRow, EnrolError> {
        let now = self.now();
        let certificate = issued.map(|issued| issued.row(CertificateState::Active, None));
        let entries = enrolment_entries(request, admission, &device, certificate.as_ref(), now);
        let tenant = admission.tenant.slug.clone();
        let (key, is_returning) = (admission.key.id, admission.returning.is_some());
        let device = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    if !w.consume_enrollment_key(key, now).await? {
                        return Err(EnrolError::Key(KeyRefusal::Exhausted));
                    }
                    if is_returning {
                        crate::revoke::revoke_all(w, &device, now, Actor::Device(device.id)).await?;
                        if !w.update_device(&device).await? {
                            return Err(EnrolError::NameTaken);
                        }
                        w.raise_epoch().await?;
                    } else {
                        match w.insert_device(&device).await? {
                            Inserted::Done => {}
                            Inserted::NameTaken => return Err(EnrolError::NameTaken),
                        }
                        if device.status == DeviceStatus::Quarantined {
                            w.raise_epoch().await?;
                        }
                    }
                    for entry in &entries {
                        w.append_audit(entry).await?;
                    }
                    if let Some(row) = &certificate {
                        record(w, row, Actor::Device(device.id), &tenant).await?;
                        w.set_certificate_summary(device.id, &summary_of(row)).await?;
                    }
                    crate::repair::crash_point("record");
                    Ok(device)
                })
            })
            .await?;
        crate::repair::crash_point("recorded");
        Ok(device)
    }
}

fn returning_row(
    known: &DeviceRow,
    request: &Enrolment,
    admission: &Admission,
    token: SecretHash,
) -> DeviceRow {
    let mut device = known.clone();
    device.hostname.clone_from(&request.hostname);
    device.os_type.clone_from(&request.os_type);
    device.os_version.clone_from(&request.os_version);
    device.architecture.clone_from(&request.architecture);
    device.agent_version.clone_from(&request.agent_version);
    device.hardware_serial.clone_from(&request.hardware_serial);
    device.token = Some(token);
    device.last_ip = Some(request.address.to_string());
    device.pending_key = None;
    device.grant_until = None;
    if admission.bar.is_none() && device.status == DeviceStatus::Quarantined {
        device.status = DeviceStatus::Offline;
        device.quarantined_at = None;
        device.quarantined_reason = None;
    }
    device
}

fn enrolment_entries(
    request: &Enrolment,
    admission: &Admission,
    device: &DeviceRow,
    certificate: Option<&CertificateRow>,
    now: Timestamp,
) -> Vec<AuditEntry> {
    let event = match admission.returning {
        Some(_) => AuditEvent::DeviceReenrolled,
        None => AuditEvent::DeviceEnrolled,
    };
    let entry = |event| {
        AuditEntry::new(Some(device.tenant_slug.clone()), now, event, Actor::Peer(request.address))
            .device(device.id)
    };
    let mut entries = vec![
        entry(event)
            .detail("name", &device.name)
            .detail("hostname", &device.hostname)
            .detail("enrollmentKey", admission.key.id)
            .detail("status", device.status),
    ];
    if let Some(reason) = &admission.bar {
        entries.push(entry(AuditEvent::DeviceQuarantined).detail("reason", reason));
    }
    if certificate.is_some() && admission.csr.is_none() {
        entries.push(entry(AuditEvent::ServerGeneratedKey));
    }
    entries
}

fn key_refusal(key: &EnrollmentKeyRow, now: Timestamp) -> Option<KeyRefusal> {
    if key.revoked_at.is_some() {
        Some(KeyRefusal::Revoked)
    } else if now > key.expires_at {
        Some(KeyRefusal::Expired)
    } else if key.uses >= key.max_uses {
        Some(KeyRefusal::Exhausted)
    } else {
        None
    }
}

fn network_allows(key: &EnrollmentKeyRow, address: IpAddr) -> bool {
    let address = address.to_canonical();
    key.networks.is_empty()
        || key
            .networks
            .iter()
            .any(|network| network.parse::<ipnet::IpNet>().is_ok_and(|network| network.contains(&address)))
}

fn wrong_bound_key(key: &EnrollmentKeyRow, csr: Option<&VerifiedCsr>) -> bool {
    match (key.spki, csr) {
        (Some(bound), Some(csr)) => csr.public_key().sha256() != bound,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn check_name(request: &Enrolment, key: &EnrollmentKeyRow) -> Result<(), EnrolError> {
    let name = match &request.name {
        Some(name) if name.is_reserved() => return Err(EnrolError::Name("this device name is reserved")),
        Some(name) => name.clone(),
        None => DeviceName::sanitised(&request.hostname),
    };
    match &key.name_pattern {
        Some(pattern) if !matches_pattern(pattern, name.as_str()) => {
            Err(EnrolError::Name("the enrolment key does not allow this device name"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A hardware serial that says something about the device.
pub(crate) fn telling_serial(serial: Option<&str>) -> Option<String> {
    let serial = serial?.trim();
    let is_placeholder = serial.len() < 4 || PLACEHOLDER_SERIALS.contains(&serial.to_lowercase().as_str());
    (!is_placeholder).then(|| serial.to_owned())
}

/// An error with all its sources, for one log line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

/// The key whose possession lets a device without a certificate ask for its first one.
pub(crate) fn pending_public_key(device: &DeviceRow) -> Option<PublicKey> {
    device.pending_key.as_deref().and_then(|der| PublicKey::from_spki_der(der).ok())
}
