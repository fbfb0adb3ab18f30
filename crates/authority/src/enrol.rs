//! Enrol: an enrolment key and a signing request become a device with an identity.

mod admission;
pub(crate) mod facts;
pub(crate) mod newcomers;
mod record;

use std::net::IpAddr;

use countersign_ca::{CsrError, VerifiedCsr};
use countersign_ca::{KeyAlgorithm, KeyError, SigningKey};
use countersign_core::agent_settings::AgentSettings;
use countersign_core::certificate::Lifetime;
use countersign_core::identity::Identity;
use countersign_core::ids::{DeviceName, SerialNumber, SiteId, TenantId};
use countersign_core::settings::Permission;
use countersign_store::{DeviceRow, StoreError, TenantRow};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::agent::TOKEN_PREFIX;
use crate::authority::{Authority, IssuerMode};
use crate::issue::{DeviceSubject, Requested, Unrecorded};
use crate::limits::{Limited, Network, TooMany};
use crate::names::FreshSecret;

pub(crate) use admission::telling_serial;

use admission::{Admission, Seat};
use record::NotRecorded;

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
    /// How its agent is to behave.
    pub agent_settings: AgentSettings,
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

/// How often an enrolment starts again because another change came between its decision and its
/// record.
const TRIES: usize = 4;

/// A device's row with its certificate, or why it has none, before either is on record.
struct Certified {
    device: DeviceRow,
    issued: Option<Unrecorded>,
    mtls: Result<IssuedMtls, NoCertificate>,
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
        for _ in 0..TRIES {
            let admission = self.admit_enrolment(request).await.inspect_err(|error| {
                if matches!(error, EnrolError::Key(_)) {
                    self.limits.count(failures.clone(), self.now());
                }
            })?;
            match self.enrol_admitted(request, &admission).await {
                Ok(enrolled) => return Ok(enrolled),
                Err(NotRecorded::Raced) => {}
                Err(NotRecorded::Refused(error)) => return Err(error),
            }
        }
        Err(StoreError::raced("enrolment of", &request.hostname).into())
    }

    async fn enrol_admitted(
        &self,
        request: &Enrolment,
        admission: &Admission,
    ) -> Result<Enrolled, NotRecorded> {
        let token = FreshSecret::new(TOKEN_PREFIX).map_err(EnrolError::from)?;
        let device = admission.row(request, token.hash, self.now())?;
        let Certified { device, issued, mtls } = self.certify(device, admission).await?;
        let reference = issued.as_ref().map(|issued| issued.certificate.reference().clone());
        let is_told = issued.as_ref().is_some_and(|issued| issued.signed.must_be_told());
        let device = match self.record_enrolment(request, admission, device, issued).await {
            Ok(device) => device,
            Err(error) => {
                if let Some(reference) = reference {
                    self.abandon(&reference).await?;
                }
                return Err(error);
            }
        };
        if admission.changes_trust() || is_told {
            self.publish_changes().await?;
        }
        self.newcomers.ring(device.id);
        if matches!(admission.seat, Seat::Returning(_)) {
            self.crl.want_now();
        }
        Ok(Enrolled {
            tenant: device.tenant,
            site: device.site,
            device,
            token: Zeroizing::new(token.text),
            agent_settings: admission.tenant.agent_settings,
            mtls,
        })
    }

    /// Signs the device's first certificate, or says why there is none and keeps its key.
    async fn certify(&self, mut device: DeviceRow, admission: &Admission) -> Result<Certified, EnrolError> {
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
            return Ok(Certified { device, issued: None, mtls: Err(reason) });
        }
        let own_key = match csr_key {
            Some(_) => None,
            None => Some(SigningKey::generate(KeyAlgorithm::P256)?),
        };
        let from_csr = admission.csr.as_ref().map(Requested::Csr);
        let Some(requested) = from_csr.or(own_key.as_ref().map(Requested::OwnKey)) else {
            return Ok(Certified { device, issued: None, mtls: Err(NoCertificate::CsrRequired) });
        };
        match self.issue_for_device(self.subject_of(&device, &admission.tenant), requested).await {
            Ok(issued) => {
                let mtls = self.handed_out(&issued, own_key.as_ref());
                Ok(Certified { device, issued: Some(issued), mtls: Ok(mtls) })
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), device = %device.id, "issuer failed at enrolment");
                device.pending_key = csr_key.map(|key| key.spki_der().to_vec());
                Ok(Certified { device, issued: None, mtls: Err(NoCertificate::IssuerUnavailable) })
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
            chain_pem: self.issuers().chain_pem(issued.certificate.reference().issuer),
            serial: issued.certificate.reference().serial.clone(),
            lifetime: issued.certificate.lifetime(),
            private_key_pem: own_key.map(SigningKey::pkcs8_pem),
        }
    }
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
