//! Enrol and renew: an edge gets a certificate for its own key, and one for its doors.

use std::net::IpAddr;
use std::time::Duration;

use countersign_ca::{CsrError, IssuedCertificate, Profile, PublicKey, ServerPurposes, VerifiedCsr};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::edge::EdgeIdentity;
use countersign_core::ids::SecretHash;
use countersign_core::time::Timestamp;
use countersign_store::{EdgeRow, ServiceCertificateRow, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::issue::IssuanceError;
use crate::issuers::{Ca, NoIssuer};
use crate::present::key_is_denied;
use crate::service_certificates::made_row;

/// The life of an edge's certificates: it renews them itself.
const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// What the certificates of edges and of their doors are called on record.
const LABEL: &str = "edge";
const DOOR_LABEL: &str = "edge-door";

/// What an edge asks for.
#[derive(Clone, Debug)]
pub struct EdgeRequest {
    /// A signing request for its own key, PEM.
    pub csr: String,
    /// One for the key of its doors; `None`: they show a certificate of the operator's.
    pub door_csr: Option<String>,
}

/// A certificate with the CAs above it.
#[derive(Clone, Debug)]
pub struct EdgeCertificate {
    /// The certificate, PEM.
    pub pem: String,
    /// The CAs above it, PEM, the root last.
    pub chain: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What an edge is given.
#[derive(Clone, Debug)]
pub struct EquippedEdge {
    /// Its record.
    pub row: EdgeRow,
    /// Its own certificate.
    pub certificate: EdgeCertificate,
    /// That of its doors, if it asked for one.
    pub door: Option<EdgeCertificate>,
    /// The root above the authority's doors, PEM.
    pub root: String,
    /// The key that signs what it is told, SubjectPublicKeyInfo in DER.
    pub snapshot_key: Vec<u8>,
}

/// An edge was not given what it asked for.
#[derive(Debug, Error)]
pub enum EquipEdgeError {
    /// The token is none, was used, or works no more; or the edge is revoked.
    #[error("no edge waits for this token")]
    Token,
    /// A signing request cannot be used.
    #[error("cannot use the signing request")]
    Csr(#[from] CsrError),
    /// A key is denied, or that of a revoked certificate.
    #[error("the key is denied")]
    KeyDenied,
    /// Its doors were given no names.
    #[error("the edge was added without public names")]
    NoNames,
    /// Nobody is there to sign, or the profile or a lint refused it.
    #[error("cannot issue the certificate")]
    Issue(#[from] IssuanceError),
    /// The store failed.
    #[error("cannot record the edge")]
    Store(#[from] StoreError),
}

/// Why a certificate is issued, which says what is recorded with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    Enrolment,
    Renewal,
    Door,
}

impl Authority {
    /// Enrols an edge with its token, which is used up by that.
    ///
    /// # Errors
    /// See [`EquipEdgeError`]; then nothing was handed out, and the token works as before.
    pub async fn enrol_edge(
        &self,
        token: &str,
        request: &EdgeRequest,
    ) -> Result<EquippedEdge, EquipEdgeError> {
        let hash = SecretHash::of(token);
        let known = self.store.read(move |r| Box::pin(async move { r.edge_by_token(hash).await })).await?;
        let row = known.filter(|row| row.token.is_some_and(|own| own.matches(&hash)));
        let row = row.filter(|row| self.now() < row.token_expires_at).ok_or(EquipEdgeError::Token)?;
        self.equip(row, request, Occasion::Enrolment).await
    }

    /// Gives an edge new certificates, for other keys or the same.
    ///
    /// # Errors
    /// See [`EquipEdgeError`]; then nothing was handed out.
    pub async fn renew_edge(
        &self,
        edge: &EdgeRow,
        request: &EdgeRequest,
    ) -> Result<EquippedEdge, EquipEdgeError> {
        self.equip(edge.clone(), request, Occasion::Renewal).await
    }

    async fn equip(
        &self,
        row: EdgeRow,
        request: &EdgeRequest,
        occasion: Occasion,
    ) -> Result<EquippedEdge, EquipEdgeError> {
        let key = self.key_of(&request.csr).await?;
        let door_key = match &request.door_csr {
            Some(_) if row.public_names.is_empty() => return Err(EquipEdgeError::NoNames),
            Some(csr) => Some(self.key_of(csr).await?),
            None => None,
        };
        let issuers = self.issuers();
        let ca = issuers.active_service().map_err(IssuanceError::from)?;
        let identity = EdgeIdentity::new(self.trust_domain().clone(), row.name.clone());
        let certificate = self.give(ca, (&row, occasion), Profile::Edge { identity }, &key).await?;
        let door = match door_key {
            None => None,
            Some(key) => {
                let names = names_of(&row.public_names).into();
                let profile = Profile::ServiceServer { names, purposes: ServerPurposes::Server };
                Some(self.give(ca, (&row, Occasion::Door), profile, &key).await?)
            }
        };
        let with_chain = |issued: &IssuedCertificate| EdgeCertificate {
            pem: countersign_ca::certificate_pem(issued.der()),
            chain: issuers.chain_pem(ca.key_id()),
            issued_at: issued.lifetime().issued_at,
            expires_at: issued.lifetime().expires_at,
        };
        Ok(EquippedEdge {
            certificate: with_chain(&certificate),
            door: door.as_ref().map(with_chain),
            root: self.root_pem(),
            snapshot_key: self.signer.public_key().to_vec(),
            row,
        })
    }

    async fn key_of(&self, csr_pem: &str) -> Result<PublicKey, EquipEdgeError> {
        let key = VerifiedCsr::from_pem(csr_pem)?.public_key().clone();
        let spki = key.sha256();
        let denied = self.store.read(move |r| Box::pin(async move { key_is_denied(r, spki).await })).await?;
        if denied { Err(EquipEdgeError::KeyDenied) } else { Ok(key) }
    }

    /// Issues and records a certificate of an edge; with the one that it enrols for, its token is used up.
    async fn give(
        &self,
        ca: &Ca,
        (edge, occasion): (&EdgeRow, Occasion),
        profile: Profile,
        key: &PublicKey,
    ) -> Result<IssuedCertificate, EquipEdgeError> {
        let issued = self.issue_for_service(ca, profile.clone(), key, LIFE).await?;
        let (event, label) = match occasion {
            Occasion::Enrolment => (AuditEvent::EdgeEnrolled, LABEL),
            Occasion::Renewal => (AuditEvent::EdgeRenewed, LABEL),
            Occasion::Door => (AuditEvent::DoorCertificateIssued, DOOR_LABEL),
        };
        let certificate = made_row(&profile, label.parse().ok(), &issued);
        let entry = AuditEntry::new(None, self.now(), event, Actor::System)
            .certificate(certificate.id)
            .detail("edge", &edge.name)
            .detail("serial", &certificate.reference.serial)
            .detail("issuer", certificate.reference.issuer)
            .detail("names", &certificate.names)
            .detail("expiresAt", certificate.lifetime.expires_at)
            .detail("spkiSha256", certificate.spki);
        let recorded = self.record_given(edge, occasion, certificate, entry).await;
        if recorded.is_err() {
            self.abandon(issued.reference()).await?;
        }
        recorded.map(|()| issued)
    }

    async fn record_given(
        &self,
        edge: &EdgeRow,
        occasion: Occasion,
        certificate: ServiceCertificateRow,
        entry: AuditEntry,
    ) -> Result<(), EquipEdgeError> {
        let (id, now) = (edge.id, self.now());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    // Looked at again: of two that come with one token, and of revoking and renewing at
                    // once, one wins.
                    let is_open = match occasion {
                        Occasion::Enrolment => w.enrol_edge(id, now).await?,
                        Occasion::Renewal | Occasion::Door => {
                            w.edge(id).await?.is_some_and(|edge| edge.revoked_at.is_none())
                        }
                    };
                    if !is_open {
                        return Err(EquipEdgeError::Token);
                    }
                    if !w.finish_intent(&certificate.reference).await? {
                        let serial = &certificate.reference.serial;
                        return Err(StoreError::raced("issuance intent", serial).into());
                    }
                    w.insert_service_certificate(&certificate).await?;
                    w.insert_edge_certificate(id, &certificate.reference).await?;
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await
    }
}

impl From<NoIssuer> for EquipEdgeError {
    fn from(missing: NoIssuer) -> Self {
        Self::Issue(missing.into())
    }
}

/// Names as a certificate has them: what is no address is a host name, which the lints look at.
fn names_of(public: &[String]) -> AlternativeNames {
    let mut names = AlternativeNames::default();
    for name in public {
        match name.parse::<IpAddr>() {
            Ok(address) => names.ips.push(address),
            Err(_no_address) => names.dns.push(name.clone()),
        }
    }
    names
}
