//! A CA that signs: prepare → lint → sign → check.

use std::sync::Arc;
use std::time::Duration;

use const_oid::db::rfc5280::{ID_AD_CA_ISSUERS, ID_AD_OCSP, ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use const_oid::{AssociatedOid as _, ObjectIdentifier};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::{CertificateRef, IssuerKeyId, SerialNumber};
use countersign_core::time::Timestamp;
use der::asn1::{Any, Int, Null, OctetString, Uint};
use der::{Decode as _, Encode as _};
use spki::SubjectPublicKeyInfoOwned;
use thiserror::Error;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage,
    KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

use crate::certificate::{IssuedCertificate, PreparedCertificate, pem};
use crate::custody::{Pace, Signer};
use crate::distinguished_name::{DistinguishedName, NameError};
use crate::key::KeyError;
use crate::lint;
use crate::name;
use crate::profile::{Profile, Publication};
use crate::public_key::{PublicKey, SignatureError};
use crate::signed::{self, SignatureAlgorithm, Signed};
use crate::tbs::{Tbs, Validity, extension, time, timestamp};

/// The mark of a responder that is itself not to be asked about (RFC 6960 section 4.2.2.2.1).
pub(crate) const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");

/// What is to be certified.
#[derive(Clone, Debug)]
pub struct CertificateRequest<'a> {
    /// What kind of certificate, and whom it names.
    pub profile: Profile,
    /// The subject's key.
    pub public_key: &'a PublicKey,
    /// The reserved serial number.
    pub serial: SerialNumber,
    /// The moment of issuance.
    pub issued_at: Timestamp,
    /// How long it is to live; cut at the issuer's own end.
    pub lifetime: Duration,
    /// Where its issuer publishes.
    pub publication: Publication,
}

/// What a CA is for; its own certificate must allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssuerKind {
    /// A root: signs CAs.
    Root,
    /// A device issuing CA: the only kind that makes devices.
    Device,
    /// A service issuing CA.
    Service,
    /// Any other CA below a root: signs services, and CAs as far as its certificate allows.
    Intermediate,
}

/// Why a certificate was not prepared.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// Something in the request has no place in a certificate.
    #[error("cannot encode the certificate")]
    Encode(#[source] der::Error),
    /// A lint refused it.
    #[error("the certificate fails the lint {name}: {detail}")]
    Lint {
        /// The lint's name.
        name: &'static str,
        /// What it found.
        detail: String,
    },
}

/// Why something was not signed, or the signed result not let out.
#[derive(Debug, Error)]
pub enum SignError {
    /// Prepared by another issuer.
    #[error("the certificate was prepared by another issuer")]
    OtherIssuer,
    /// The key failed.
    #[error("cannot sign")]
    Key(#[source] KeyError),
    /// The result has no DER.
    #[error("cannot encode what was signed")]
    Encode(#[source] der::Error),
    /// The signed bytes are not the checked ones.
    #[error("what was signed is not what was checked")]
    Changed,
    /// The signature does not verify.
    #[error("the fresh signature does not verify")]
    Signature(#[source] SignatureError),
}

/// Why there is no issuer.
#[derive(Debug, Error)]
pub enum IssueError {
    /// No name for a CA.
    #[error("cannot name the CA")]
    Name(#[source] NameError),
    /// The root's own certificate was refused.
    #[error("cannot prepare the root certificate")]
    Prepare(#[source] PrepareError),
    /// The root could not sign itself.
    #[error("cannot sign the root certificate")]
    Sign(#[source] SignError),
    /// No certificate, or none that this platform makes.
    #[error("malformed CA certificate")]
    Malformed(#[source] der::Error),
    /// Certificate and key are of different CAs.
    #[error("the CA certificate is not that of the key {0}")]
    KeyMismatch(IssuerKeyId),
    /// Not a CA of the kind it is to be.
    #[error("the certificate is not that of such a CA: {0}")]
    NotAnIssuer(&'static str),
}

/// What of an issuer shows in the certificates it signs.
#[derive(Clone, Debug)]
pub(crate) struct IssuerFacts {
    pub(crate) kind: IssuerKind,
    pub(crate) key_id: IssuerKeyId,
    /// Its subject, byte for byte.
    pub(crate) subject: Any,
    /// Its subject key identifier, to be copied.
    pub(crate) subject_key_id: Vec<u8>,
    /// What its certificates may be for; empty: anything.
    pub(crate) purposes: Vec<ObjectIdentifier>,
    /// How many CAs may follow below it.
    pub(crate) path_length: Option<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl IssuerFacts {
    /// Reads them from a CA's certificate. Fails closed: refuses what is no CA of this kind.
    pub(crate) fn read(tbs: &Tbs, public_key: &PublicKey, kind: IssuerKind) -> Result<Self, IssueError> {
        let ca = constraints_of(tbs)?;
        ca.allow(kind, tbs.issuer == tbs.subject)?;
        let subject_key_id = tbs
            .extension::<SubjectKeyIdentifier>()
            .map_err(IssueError::Malformed)?
            .map(|(_critical, id)| id.0.as_bytes().to_vec())
            .ok_or(IssueError::NotAnIssuer("no subject key identifier"))?;
        Ok(Self {
            kind,
            key_id: public_key.sha256().into(),
            subject: tbs.subject.clone(),
            subject_key_id,
            purposes: ca.purposes.unwrap_or_default(),
            path_length: ca.path_length,
            not_before: timestamp(&tbs.validity.not_before),
            not_after: timestamp(&tbs.validity.not_after),
        })
    }
}

/// A CA with its key, in whatever custody that is.
#[derive(Clone, Debug)]
pub struct Issuer {
    key: Arc<dyn Signer>,
    certificate: Vec<u8>,
    facts: IssuerFacts,
}

impl Issuer {
    /// Makes a root: a self-signed CA.
    ///
    /// # Errors
    /// When a lint refuses it (a life of no length, say) or it cannot be signed.
    pub fn create_root(
        subject: DistinguishedName,
        key: Arc<dyn Signer>,
        serial: SerialNumber,
        (now, lifetime): (Timestamp, Duration),
    ) -> Result<Self, IssueError> {
        let profile = Profile::Root { subject };
        let encode = |error| IssueError::Prepare(PrepareError::Encode(error));
        let issued_at = now.floor_to_second();
        let public_key = key.public_key().clone();
        let facts = IssuerFacts {
            kind: IssuerKind::Root,
            key_id: public_key.sha256().into(),
            subject: name::distinguished_name(&profile.subject()).map_err(encode)?,
            subject_key_id: public_key.subject_key_id().to_vec(),
            not_before: issued_at - profile.backdating(),
            purposes: profile.extended_key_usage(),
            path_length: profile.basic_constraints().path_len_constraint,
            not_after: (issued_at + lifetime).floor_to_second(),
        };
        let request = CertificateRequest {
            lifetime,
            profile,
            public_key: &public_key,
            serial,
            issued_at: now,
            publication: Publication::default(),
        };
        let mut issuer = Self { key, certificate: Vec::new(), facts };
        let prepared = issuer.prepare_any(&request).map_err(IssueError::Prepare)?;
        issuer.certificate = issuer.sign(prepared).map_err(IssueError::Sign)?.der().to_vec();
        Ok(issuer)
    }

    /// Puts a CA's certificate and key together.
    ///
    /// # Errors
    /// Fails closed: refuses a certificate that is not that of the key, or does not make it a CA of
    /// this kind.
    pub fn open(certificate_der: &[u8], key: Arc<dyn Signer>, kind: IssuerKind) -> Result<Self, IssueError> {
        let signed = Signed::from_der(certificate_der).map_err(IssueError::Malformed)?;
        let tbs = Tbs::from_der(signed.body).map_err(IssueError::Malformed)?;
        let key_id = IssuerKeyId::from(key.public_key().sha256());
        let certified = tbs.public_key.to_der().map_err(IssueError::Malformed)?;
        if certified != key.public_key().spki_der() {
            return Err(IssueError::KeyMismatch(key_id));
        }
        let facts = IssuerFacts::read(&tbs, key.public_key(), kind)?;
        Ok(Self { key, certificate: certificate_der.to_vec(), facts })
    }

    /// The key that signs, by name.
    #[must_use]
    pub const fn key_id(&self) -> IssuerKeyId {
        self.facts.key_id
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> IssuerKind {
        self.facts.kind
    }

    /// How long its key takes to sign.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.key.pace()
    }

    /// Its certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem(&self.certificate)
    }

    /// The last moment at which its certificate, and so anything it signs, is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.facts.not_after
    }

    /// Builds the to-be-signed certificate and lints it. notBefore lies five minutes before
    /// issuance but never before the issuer's, notAfter never after the issuer's.
    ///
    /// # Errors
    /// Refuses what fails a lint, naming it: a reserved device name, a profile that this issuer may
    /// not sign, a life that is over before it begins.
    #[expect(clippy::needless_pass_by_value, reason = "a request, its serial above all, is used once")]
    pub fn prepare(&self, request: CertificateRequest<'_>) -> Result<PreparedCertificate, PrepareError> {
        if matches!(request.profile, Profile::Root { .. }) {
            return Err(PrepareError::Lint {
                name: lint::ISSUER_MAY_SIGN_PROFILE,
                detail: "a root signs itself".to_owned(),
            });
        }
        self.prepare_any(&request)
    }

    fn prepare_any(&self, request: &CertificateRequest<'_>) -> Result<PreparedCertificate, PrepareError> {
        let issued_at = request.issued_at.floor_to_second();
        let expires_at = (issued_at + request.lifetime).floor_to_second().min(self.facts.not_after);
        let not_before = (issued_at - request.profile.backdating()).max(self.facts.not_before);
        let validity = (not_before, expires_at);
        let tbs = self.build(request, validity).and_then(|tbs| tbs.to_der()).map_err(PrepareError::Encode)?;
        // Linted is what was read back, not what was meant.
        let read = Tbs::from_der(&tbs).map_err(PrepareError::Encode)?;
        lint::check(&lint::Subject {
            tbs: &read,
            profile: &request.profile,
            issuer: &self.facts,
            public_key: request.public_key,
            issued_at,
        })?;
        Ok(PreparedCertificate {
            tbs,
            reference: CertificateRef { issuer: self.facts.key_id, serial: request.serial.clone() },
            lifetime: Lifetime { issued_at, expires_at },
            spki: request.public_key.sha256(),
        })
    }

    fn build(
        &self,
        request: &CertificateRequest<'_>,
        (not_before, not_after): (Timestamp, Timestamp),
    ) -> der::Result<Tbs> {
        Ok(Tbs {
            version: Version::V3,
            serial: Int::from(Uint::new(request.serial.as_bytes())?),
            signature: self.signature_algorithm().identifier(),
            issuer: self.facts.subject.clone(),
            validity: Validity { not_before: time(not_before)?, not_after: time(not_after)? },
            subject: name::distinguished_name(&request.profile.subject())?,
            public_key: SubjectPublicKeyInfoOwned::from_der(request.public_key.spki_der())?,
            extensions: self.extensions(request)?,
        })
    }

    fn extensions(&self, request: &CertificateRequest<'_>) -> der::Result<Vec<Extension>> {
        let profile = &request.profile;
        let mut extensions = vec![
            extension(BasicConstraints::OID, true, &profile.basic_constraints())?,
            extension(KeyUsage::OID, true, &profile.key_usage(request.public_key.kind()))?,
        ];
        let purposes = profile.extended_key_usage();
        if !purposes.is_empty() {
            extensions.push(extension(ExtendedKeyUsage::OID, false, &ExtendedKeyUsage(purposes))?);
        }
        let names = profile.alternative_names()?;
        if !names.is_empty() {
            let critical = profile.subject().is_empty();
            extensions.push(extension(SubjectAltName::OID, critical, &SubjectAltName(names))?);
        }
        let subject_key_id = SubjectKeyIdentifier(OctetString::new(request.public_key.subject_key_id())?);
        extensions.push(extension(SubjectKeyIdentifier::OID, false, &subject_key_id)?);
        extensions.push(extension(AuthorityKeyIdentifier::OID, false, &self.authority_key_id()?)?);
        let mut publication = request.publication.clone();
        if matches!(profile, Profile::Ocsp { .. }) {
            extensions.push(extension(OCSP_NO_CHECK, false, &Null)?);
            (publication.crl_url, publication.ocsp_url) = (None, None);
        }
        extensions.extend(publication_extensions(&publication)?);
        Ok(extensions)
    }

    /// The issuer's subject key identifier, copied.
    pub(crate) fn authority_key_id(&self) -> der::Result<AuthorityKeyIdentifier> {
        let key_identifier = Some(OctetString::new(self.facts.subject_key_id.as_slice())?);
        Ok(AuthorityKeyIdentifier { key_identifier, ..AuthorityKeyIdentifier::default() })
    }

    /// Signs a prepared certificate and checks the result: the bytes that were signed are the
    /// linted ones, and the signature verifies.
    ///
    /// # Errors
    /// Refuses a certificate that another issuer prepared; lets nothing out that failed its check.
    pub fn sign(&self, prepared: PreparedCertificate) -> Result<IssuedCertificate, SignError> {
        if prepared.reference.issuer != self.facts.key_id {
            return Err(SignError::OtherIssuer);
        }
        let der = self.sign_body(&prepared.tbs)?;
        Ok(IssuedCertificate::new(der, prepared))
    }

    /// Signs a TBSCertificate or TBSCertList and checks the result.
    pub(crate) fn sign_body(&self, body: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.key.sign(body).map_err(SignError::Key)?;
        let algorithm = self.signature_algorithm();
        let der = signed::to_der(body, algorithm, &signature).map_err(SignError::Encode)?;
        let again = Signed::from_der(&der).map_err(SignError::Encode)?;
        if again.body != body || SignatureAlgorithm::of(&again.algorithm) != Some(algorithm) {
            return Err(SignError::Changed);
        }
        self.key
            .public_key()
            .verify_with(algorithm, again.body, again.signature)
            .map_err(SignError::Signature)?;
        Ok(der)
    }

    pub(crate) fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.key.public_key().signature_algorithm()
    }

    pub(crate) const fn facts(&self) -> &IssuerFacts {
        &self.facts
    }
}

fn publication_extensions(publication: &Publication) -> der::Result<Vec<Extension>> {
    let mut extensions = Vec::new();
    if let Some(url) = &publication.crl_url {
        let point = DistributionPoint {
            distribution_point: Some(name::distribution_point(url)?),
            reasons: None,
            crl_issuer: None,
        };
        extensions.push(extension(CrlDistributionPoints::OID, false, &CrlDistributionPoints(vec![point]))?);
    }
    let places = [(ID_AD_OCSP, &publication.ocsp_url), (ID_AD_CA_ISSUERS, &publication.ca_issuers_url)];
    let access = places
        .into_iter()
        .filter_map(|(method, url)| Some((method, url.as_deref()?)))
        .map(|(access_method, url)| Ok(AccessDescription { access_method, access_location: name::uri(url)? }))
        .collect::<der::Result<Vec<_>>>()?;
    if !access.is_empty() {
        let access = AuthorityInfoAccessSyntax(access);
        extensions.push(extension(AuthorityInfoAccessSyntax::OID, false, &access)?);
    }
    Ok(extensions)
}

/// What a CA's certificate lets it do.
struct CaConstraints {
    purposes: Option<Vec<ObjectIdentifier>>,
    path_length: Option<u8>,
}

fn constraints_of(tbs: &Tbs) -> Result<CaConstraints, IssueError> {
    let refuse = IssueError::NotAnIssuer;
    let constraints = tbs.extension::<BasicConstraints>().map_err(IssueError::Malformed)?;
    let Some((_critical, BasicConstraints { ca: true, path_len_constraint })) = constraints else {
        return Err(refuse("not a CA"));
    };
    let usage = tbs.extension::<KeyUsage>().map_err(IssueError::Malformed)?;
    if !usage.is_some_and(|(_critical, usage)| usage.key_cert_sign() && usage.crl_sign()) {
        return Err(refuse("its key may not sign certificates and revocation lists"));
    }
    let purposes = tbs.extension::<ExtendedKeyUsage>().map_err(IssueError::Malformed)?;
    let purposes = purposes.map(|(_critical, ExtendedKeyUsage(purposes))| purposes);
    Ok(CaConstraints { purposes, path_length: path_len_constraint })
}

impl CaConstraints {
    /// Whether this may be a CA of `kind`.
    fn allow(&self, kind: IssuerKind, is_self_issued: bool) -> Result<(), IssueError> {
        let refuse = |why| Err(IssueError::NotAnIssuer(why));
        let purposes = self.purposes.as_deref();
        match kind {
            IssuerKind::Root if purposes.is_some() || !is_self_issued => refuse("not a root"),
            IssuerKind::Device | IssuerKind::Service if self.path_length != Some(0) => {
                refuse("not an issuing CA with path length 0")
            }
            // One that was brought along may say nothing of purposes; ours always do, by their lints.
            IssuerKind::Device if purposes.is_some() && purposes != Some(&[ID_KP_CLIENT_AUTH]) => {
                refuse("its purpose is not clientAuth alone")
            }
            IssuerKind::Service
                if !matches!(
                    purposes,
                    None | Some(
                        [ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH] | [ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH]
                    )
                ) =>
            {
                refuse("its purposes are not serverAuth and clientAuth")
            }
            IssuerKind::Root | IssuerKind::Device | IssuerKind::Service | IssuerKind::Intermediate => Ok(()),
        }
    }
}
