//! The doors' own certificate: issued at start, renewed at two thirds of its life, its key never on
//! disk.

use std::net::IpAddr;
use std::time::Duration;

use countersign_ca::{KeyAlgorithm, KeyError, SigningKey};
use countersign_ca::{Profile, ServerPurposes};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::IssuerKeyId;
use countersign_store::StoreError;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::issue::IssuanceError;
use crate::service_certificates::made_row;

/// The life of a door's certificate: a year.
const LIFE: Duration = Duration::from_secs(365 * 86_400);

/// What the doors' certificates are called on record.
const LABEL: &str = "door";

/// What a door answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorNames {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

/// A certificate for the doors, with its key.
pub struct DoorCertificate {
    /// Leaf, service CA and root, DER: the root too, so that a client that knows only its
    /// fingerprint can find it.
    pub chain: Vec<Vec<u8>>,
    /// The key, PKCS #8 DER.
    pub key: Zeroizing<Vec<u8>>,
    /// From when until when.
    pub lifetime: Lifetime,
    /// Who signed it.
    pub issuer: IssuerKeyId,
}

/// The doors got no certificate.
#[derive(Debug, Error)]
pub enum DoorCertificateError {
    /// No key could be made.
    #[error("cannot make the doors' key")]
    Key(#[from] KeyError),
    /// It was not issued.
    #[error("cannot issue the doors' certificate")]
    Issue(#[from] IssuanceError),
    /// It could not be recorded.
    #[error("cannot record the doors' certificate")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Issues a certificate for the doors.
    ///
    /// # Errors
    /// See [`DoorCertificateError`].
    pub async fn issue_door_certificate(
        &self,
        names: &DoorNames,
    ) -> Result<DoorCertificate, DoorCertificateError> {
        let key = SigningKey::generate(KeyAlgorithm::P256)?;
        let alternatives =
            AlternativeNames { uris: Vec::new(), dns: names.dns.clone(), ips: names.ips.clone() };
        let profile =
            Profile::ServiceServer { names: alternatives.into(), purposes: ServerPurposes::ServerAndClient };
        let issuers = self.issuers();
        let ca = issuers.active_service().map_err(IssuanceError::from)?;
        let issued = self.issue_for_service(ca, profile.clone(), key.public_key(), LIFE).await?;
        let reference = issued.reference().clone();
        let addresses = names.ips.iter().map(ToString::to_string);
        let entry = AuditEntry::new(None, self.now(), AuditEvent::DoorCertificateIssued, Actor::System)
            .detail("serial", &reference.serial)
            .detail("issuer", reference.issuer)
            .detail("expiresAt", issued.lifetime().expires_at)
            .detail("spkiSha256", issued.spki())
            .detail("names", names.dns.iter().cloned().chain(addresses).collect::<Vec<_>>().join(" "));
        let row = made_row(&profile, LABEL.parse().ok(), &issued);
        self.record_own_certificate(row, entry).await?;
        Ok(DoorCertificate {
            chain: std::iter::once(issued.der().to_vec())
                .chain(issuers.chain(ca.key_id()).iter().map(|above| above.certificate_der().to_vec()))
                .collect(),
            key: Zeroizing::new(key.pkcs8_der().to_vec()),
            lifetime: issued.lifetime(),
            issuer: ca.key_id(),
        })
    }
}
