//! What a certificate says, for people: what it is, whom it names, and what is wrong with it.
//!
//! It proves nothing: nobody but the issuer named in a file is asked whether it signed it.

use const_oid::db::rfc5280::{ID_AD_CA_ISSUERS, ID_AD_OCSP};
use const_oid::{AssociatedOid, ObjectIdentifier};
use countersign_core::Identity;
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::edge::EdgeIdentity;
use countersign_core::ids::{IssuerKeyId, SpkiSha256};
use countersign_core::time::Timestamp;
use der::{Decode, Encode as _};
use x509_cert::Certificate;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;

use crate::distinguished_name::{DistinguishedName, NameAttribute};
use crate::issuer::{IssuerFacts, IssuerKind};
use crate::lint::{self, IssuerKnown};
use crate::name::attributes_of;
use crate::profile::{Profile, Purpose, ServerPurposes, ServiceNames};
use crate::public_key::PublicKey;
use crate::signed::{SignatureAlgorithm, Signed};
use crate::tbs::{Tbs, timestamp};

/// What a certificate is, by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRole {
    /// A CA that signed itself.
    Root,
    /// Any other CA.
    Ca,
    /// A device.
    Device,
    /// A server.
    Server,
    /// A server that is a client, too.
    ServerAndClient,
    /// A client that is no device.
    Client,
    /// An OCSP responder.
    Responder,
    /// Something else.
    Other,
}

impl CertificateRole {
    /// The role in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root CA",
            Self::Ca => "CA",
            Self::Device => "device",
            Self::Server => "server",
            Self::ServerAndClient => "server and client",
            Self::Client => "client",
            Self::Responder => "OCSP responder",
            Self::Other => "leaf of another kind",
        }
    }
}

/// Something that is wrong with a certificate, or at least odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The name of the lint that found it, or of the check.
    pub name: String,
    /// What it found.
    pub detail: String,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateDescription {
    /// What it is.
    pub role: CertificateRole,
    /// Its subject as RFC 4514 writes it.
    pub subject: String,
    /// Its issuer as RFC 4514 writes it.
    pub issuer: String,
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// The device that it names.
    pub identity: Option<Identity>,
    /// All its alternative names, each with its kind: `DNS:gateway.example.com`.
    pub names: Vec<String>,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
    /// Type and size of its key.
    pub key: String,
    /// Its key, hashed: what is pinned.
    pub spki: SpkiSha256,
    /// The algorithm that it is signed with.
    pub signature: String,
    /// What its key may do.
    pub key_usage: Vec<&'static str>,
    /// What it is for.
    pub purposes: Vec<String>,
    /// How many CAs may follow below it, if it says so.
    pub path_length: Option<u8>,
    /// Where its issuer's revocation list is.
    pub crl_urls: Vec<String>,
    /// Who answers about it.
    pub ocsp_urls: Vec<String>,
    /// Where its issuer's certificate is.
    pub issuer_urls: Vec<String>,
    /// The SHA-256 of the certificate, lower-case hex.
    pub sha256: String,
    /// What is wrong with it, whoever made it.
    pub faults: Vec<CertificateFault>,
    /// The lints that it would fail here; a certificate of somebody else may, and be right.
    pub lints: Vec<CertificateFault>,
}

impl CertificateDescription {
    /// Reads a certificate, and judges it at `at`; with its issuer's certificate, if that is at hand,
    /// also what only shows beside it.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn of(certificate_der: &[u8], issuer_der: Option<&[u8]>, at: Timestamp) -> der::Result<Self> {
        let certificate = Certificate::from_der(certificate_der)?;
        let read = Read { certificate: &certificate, der: certificate_der };
        let mut faults: Vec<_> = read.date_faults(at).into_iter().collect();
        faults.extend(read.key_faults());
        faults.extend(read.extension_faults());
        faults.extend(read.signature_fault(issuer_der));
        let tbs = certificate.tbs_certificate();
        let usage = read.extension::<KeyUsage>();
        Ok(Self {
            role: read.role(),
            subject: tbs.subject().to_string(),
            issuer: tbs.issuer().to_string(),
            serial: hex::encode(tbs.serial_number().as_bytes()),
            identity: read.identity(),
            names: read.names().iter().map(name_text).collect(),
            not_before: timestamp(&tbs.validity().not_before),
            not_after: timestamp(&tbs.validity().not_after),
            key: read.key(),
            spki: SpkiSha256::of(&tbs.subject_public_key_info().to_der()?),
            signature: algorithm_name(&certificate.signature_algorithm().oid),
            key_usage: usage.map(|usage| usage_names(&usage)).unwrap_or_default(),
            purposes: read.purposes().iter().map(algorithm_name).collect(),
            path_length: read.extension::<BasicConstraints>().and_then(|basic| basic.path_len_constraint),
            crl_urls: read.crl_urls(),
            ocsp_urls: read.access_urls(ID_AD_OCSP),
            issuer_urls: read.access_urls(ID_AD_CA_ISSUERS),
            sha256: hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate_der)),
            faults,
            lints: read.failed_lints(issuer_der),
        })
    }
}

/// A certificate with its encoding.
#[derive(Clone, Copy)]
struct Read<'a> {
    certificate: &'a Certificate,
    der: &'a [u8],
}

impl Read<'_> {
    fn extension<T>(&self) -> Option<T>
    where
        T: AssociatedOid + for<'a> Decode<'a, Error = der::Error>,
    {
        let extensions = self.certificate.tbs_certificate().extensions()?;
        let found = extensions.iter().find(|extension| extension.extn_id == T::OID)?;
        T::from_der(found.extn_value.as_bytes()).ok()
    }

    fn names(&self) -> Vec<GeneralName> {
        self.extension::<SubjectAltName>().map(|names| names.0).unwrap_or_default()
    }

    fn purposes(&self) -> Vec<ObjectIdentifier> {
        self.extension::<ExtendedKeyUsage>().map(|usage| usage.0).unwrap_or_default()
    }

    fn is_ca(&self) -> bool {
        self.extension::<BasicConstraints>().is_some_and(|basic| basic.ca)
    }

    fn identity(&self) -> Option<Identity> {
        let names = self.names();
        let mut uris = names.iter().filter_map(|name| {
            if let GeneralName::UniformResourceIdentifier(uri) = name { Some(uri.as_str()) } else { None }
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Identity::from_uri(uri).ok(),
            (None | Some(_), _) => None,
        }
    }

    fn role(&self) -> CertificateRole {
        let tbs = self.certificate.tbs_certificate();
        if self.is_ca() {
            let is_root = tbs.subject() == tbs.issuer();
            return if is_root { CertificateRole::Root } else { CertificateRole::Ca };
        }
        let purposes = self.purposes();
        let is_for = |purpose: Purpose| purposes.contains(&purpose.oid());
        match (is_for(Purpose::ServerAuth), is_for(Purpose::ClientAuth)) {
            (false, true) if self.identity().is_some() => CertificateRole::Device,
            (true, true) => CertificateRole::ServerAndClient,
            (true, false) => CertificateRole::Server,
            (false, true) => CertificateRole::Client,
            (false, false) if purposes.iter().any(|purpose| purpose.to_string() == RESPONDER) => {
                CertificateRole::Responder
            }
            (false, false) => CertificateRole::Other,
        }
    }

    /// The profile of ours that the certificate would have.
    fn profile(&self) -> Profile {
        let subject = subject_of(self.certificate.tbs_certificate().subject());
        let names = ServiceNames::default();
        let purposes = self.purposes();
        let allows = |purpose: Purpose| purposes.contains(&purpose.oid());
        let path_length = self.extension::<BasicConstraints>().and_then(|basic| basic.path_len_constraint);
        match self.role() {
            CertificateRole::Root => Profile::Root { subject },
            CertificateRole::Ca => {
                match (path_length, allows(Purpose::ServerAuth), allows(Purpose::ClientAuth)) {
                    (Some(0), false, true) => Profile::IssuingDevice { subject },
                    (Some(0), true, true) => Profile::IssuingService { subject },
                    _ => {
                        let known = [Purpose::ServerAuth, Purpose::ClientAuth];
                        let purposes = known.into_iter().filter(|purpose| allows(*purpose)).collect();
                        Profile::Intermediate { subject, purposes, path_length }
                    }
                }
            }
            CertificateRole::Responder => Profile::Ocsp { subject },
            CertificateRole::Server => Profile::ServiceServer { names, purposes: ServerPurposes::Server },
            CertificateRole::ServerAndClient => {
                Profile::ServiceServer { names, purposes: ServerPurposes::ServerAndClient }
            }
            CertificateRole::Device | CertificateRole::Client | CertificateRole::Other => {
                match (self.identity(), edge_of(&names)) {
                    (Some(identity), _) => Profile::Device { identity },
                    (None, Some(identity)) => Profile::Edge { identity },
                    (None, None) => Profile::ServiceClient { names },
                }
            }
        }
    }

    fn key(&self) -> String {
        match PublicKey::from_certificate_der(self.der) {
            Ok(key) => key.name(),
            Err(_) => {
                let spki = self.certificate.tbs_certificate().subject_public_key_info();
                let bits = spki.subject_public_key.raw_bytes().len().saturating_mul(8);
                format!("{}, about {bits} bits", algorithm_name(&spki.algorithm.oid))
            }
        }
    }

    fn crl_urls(&self) -> Vec<String> {
        let points = self.extension::<CrlDistributionPoints>().map(|points| points.0).unwrap_or_default();
        let names = points.into_iter().filter_map(|point| match point.distribution_point? {
            DistributionPointName::FullName(names) => Some(names),
            DistributionPointName::NameRelativeToCRLIssuer(_) => None,
        });
        names.flatten().filter_map(url).collect()
    }

    fn access_urls(&self, method: ObjectIdentifier) -> Vec<String> {
        let access = self.extension::<AuthorityInfoAccessSyntax>().map(|syntax| syntax.0).unwrap_or_default();
        access
            .into_iter()
            .filter(|one| one.access_method == method)
            .filter_map(|one| url(one.access_location))
            .collect()
    }

    fn date_faults(&self, at: Timestamp) -> Option<CertificateFault> {
        let validity = self.certificate.tbs_certificate().validity();
        let (from, to) = (timestamp(&validity.not_before), timestamp(&validity.not_after));
        if to < from {
            Some(fault("dates", format!("it ends at {to}, before it begins at {from}")))
        } else if at < from {
            Some(fault("not_yet_valid", format!("not valid before {from}")))
        } else if to < at {
            Some(fault("expired", format!("expired at {to}")))
        } else {
            None
        }
    }

    fn key_faults(&self) -> Vec<CertificateFault> {
        const WEAK: [&str; 4] =
            ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1", "1.2.840.113549.1.1.2"];
        let mut faults = Vec::new();
        if let Err(error) = PublicKey::from_certificate_der(self.der) {
            faults.push(fault("weak_or_unsupported_key", format!("{}: {error}", self.key())));
        }
        let signature = &self.certificate.signature_algorithm().oid;
        if WEAK.contains(&signature.to_string().as_str()) {
            faults.push(fault("weak_signature", format!("signed with {}", algorithm_name(signature))));
        }
        faults
    }

    /// What doors and clients refuse, whoever made it.
    fn extension_faults(&self) -> Vec<CertificateFault> {
        let mut faults = Vec::new();
        let purposes = self.purposes();
        let usage = self.extension::<KeyUsage>();
        let signs = usage.as_ref().is_some_and(|usage| usage.key_cert_sign());
        let signs_lists = usage.as_ref().is_some_and(|usage| usage.crl_sign());
        if self.is_ca() && !signs {
            faults.push(fault("ca_may_not_sign", "a CA whose key may not sign certificates".to_owned()));
        }
        if !self.is_ca() && (signs || signs_lists) {
            faults.push(fault("leaf_may_sign", "no CA, and yet its key may sign as one".to_owned()));
        }
        if !self.is_ca() && purposes.is_empty() {
            faults.push(fault("no_purpose", "no extended key usage: doors refuse it".to_owned()));
        }
        if purposes.iter().any(|purpose| purpose.to_string() == ANY_PURPOSE) {
            faults.push(fault("any_purpose", "good for any purpose: doors refuse it".to_owned()));
        }
        let extensions = self.certificate.tbs_certificate().extensions().into_iter().flatten();
        let unknown =
            extensions.filter(|extension| extension.critical && !lint::is_known(&extension.extn_id));
        faults.extend(unknown.map(|extension| {
            let detail = format!("{} is critical, and not understood: doors refuse it", extension.extn_id);
            fault("unknown_critical_extension", detail)
        }));
        faults
    }

    /// A certificate that signed itself is its own issuer.
    fn issuer<'a>(&'a self, at_hand: Option<&'a [u8]>) -> Option<&'a [u8]> {
        let tbs = self.certificate.tbs_certificate();
        at_hand.or_else(|| (tbs.subject() == tbs.issuer()).then_some(self.der))
    }

    fn signature_fault(&self, issuer_der: Option<&[u8]>) -> Option<CertificateFault> {
        let key = PublicKey::from_certificate_der(self.issuer(issuer_der)?).ok()?;
        let signed = Signed::from_der(self.der).ok()?;
        let algorithm = SignatureAlgorithm::of(&signed.algorithm)?;
        key.verify_with(algorithm, signed.body, signed.signature)
            .err()
            .map(|_error| fault("signature", "the issuer that is at hand did not sign it".to_owned()))
    }

    /// Those about its issuer only if that is at hand. Keys that are not accepted here are not looked at.
    fn failed_lints(&self, issuer_der: Option<&[u8]>) -> Vec<CertificateFault> {
        let Some(tbs) = tbs_of(self.der) else {
            let detail = "no X.509 version 3 with extensions, or fields that are long obsolete";
            return vec![fault("version_is_3", detail.to_owned())];
        };
        let facts = self.issuer(issuer_der).and_then(facts_of);
        let known = if facts.is_some() { IssuerKnown::Yes } else { IssuerKnown::No };
        let (Ok(public_key), Some(facts)) =
            (PublicKey::from_certificate_der(self.der), facts.or_else(|| facts_of(self.der)))
        else {
            return Vec::new();
        };
        let issued_at = timestamp(&tbs.validity.not_before);
        let profile = self.profile();
        let subject = lint::Subject {
            tbs: &tbs,
            profile: &profile,
            issuer: &facts,
            public_key: &public_key,
            issued_at,
        };
        let found = lint::findings(&subject, known).into_iter();
        found.map(|(name, detail)| fault(name, detail)).collect()
    }
}

fn tbs_of(certificate_der: &[u8]) -> Option<Tbs> {
    Tbs::from_der(Signed::from_der(certificate_der).ok()?.body).ok()
}

const RESPONDER: &str = "1.3.6.1.5.5.7.3.9";
const ANY_PURPOSE: &str = "2.5.29.37.0";

fn fault(name: &str, detail: String) -> CertificateFault {
    CertificateFault { name: name.to_owned(), detail }
}

/// The edge that a certificate with these names is, if it is one's.
fn edge_of(names: &ServiceNames) -> Option<EdgeIdentity> {
    let AlternativeNames { uris, dns, ips } = &names.alternatives;
    match (uris.as_slice(), dns.is_empty(), ips.is_empty()) {
        ([uri], true, true) => EdgeIdentity::from_uri(uri).ok(),
        _ => None,
    }
}

/// What of a CA shows in its certificates, read from its own.
fn facts_of(certificate_der: &[u8]) -> Option<IssuerFacts> {
    let tbs = tbs_of(certificate_der)?;
    let certificate = Certificate::from_der(certificate_der).ok()?;
    let read = Read { certificate: &certificate, der: certificate_der };
    let kind = match read.profile() {
        Profile::Root { .. } => IssuerKind::Root,
        Profile::IssuingDevice { .. } => IssuerKind::Device,
        Profile::IssuingService { .. } => IssuerKind::Service,
        Profile::Intermediate { .. }
        | Profile::Device { .. }
        | Profile::ServiceServer { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. }
        | Profile::Ocsp { .. } => IssuerKind::Intermediate,
    };
    let subject_key_id = read.extension::<SubjectKeyIdentifier>();
    Some(IssuerFacts {
        kind,
        key_id: IssuerKeyId::from(PublicKey::from_certificate_der(certificate_der).ok()?.sha256()),
        subject: tbs.subject.clone(),
        subject_key_id: subject_key_id.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default(),
        purposes: read.purposes(),
        path_length: read.extension::<BasicConstraints>().and_then(|basic| basic.path_len_constraint),
        not_before: timestamp(&tbs.validity.not_before),
        not_after: timestamp(&tbs.validity.not_after),
    })
}

/// Lints read the subject from the certificate; here it only has to be one.
fn subject_of(name: &Name) -> DistinguishedName {
    let attributes = name.to_der().and_then(|der| attributes_of(&der::asn1::Any::from_der(&der)?));
    let known = attributes.unwrap_or_default().into_iter();
    let known = known.filter_map(|(oid, text)| Some((NameAttribute::of(oid)?, text))).collect();
    DistinguishedName::new(known).unwrap_or_else(|_error| DistinguishedName::without_attributes())
}

fn url(name: GeneralName) -> Option<String> {
    if let GeneralName::UniformResourceIdentifier(url) = name { Some(url.as_str().to_owned()) } else { None }
}

fn name_text(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("DNS:{}", name.as_str()),
        GeneralName::UniformResourceIdentifier(uri) => format!("URI:{}", uri.as_str()),
        GeneralName::Rfc822Name(address) => format!("email:{}", address.as_str()),
        GeneralName::IpAddress(octets) => format!("IP:{}", address_text(octets.as_bytes())),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        GeneralName::RegisteredId(oid) => format!("registered:{oid}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "EDI party".to_owned(),
    }
}

fn address_text(octets: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| std::net::Ipv4Addr::from(octets).to_string());
    let v6 = || <[u8; 16]>::try_from(octets).map(|octets| std::net::Ipv6Addr::from(octets).to_string());
    v4.or_else(|_length| v6()).unwrap_or_else(|_length| hex::encode(octets))
}

fn usage_names(usage: &KeyUsage) -> Vec<&'static str> {
    let bits = [
        (usage.digital_signature(), "sign handshakes and data"),
        (usage.non_repudiation(), "sign what cannot be denied"),
        (usage.key_encipherment(), "decrypt keys"),
        (usage.data_encipherment(), "decrypt data"),
        (usage.key_agreement(), "agree on keys"),
        (usage.key_cert_sign(), "sign certificates"),
        (usage.crl_sign(), "sign revocation lists"),
    ];
    bits.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
}

fn algorithm_name(oid: &ObjectIdentifier) -> String {
    const NAMES: [(&str, &str); 20] = [
        ("1.2.840.10045.2.1", "elliptic curve"),
        ("1.2.840.10045.4.1", "ECDSA with SHA-1"),
        ("1.2.840.10045.4.3.2", "ECDSA with SHA-256"),
        ("1.2.840.10045.4.3.3", "ECDSA with SHA-384"),
        ("1.2.840.10045.4.3.4", "ECDSA with SHA-512"),
        ("1.2.840.113549.1.1.1", "RSA"),
        ("1.2.840.113549.1.1.2", "RSA with MD2"),
        ("1.2.840.113549.1.1.4", "RSA with MD5"),
        ("1.2.840.113549.1.1.5", "RSA with SHA-1"),
        ("1.2.840.113549.1.1.10", "RSA-PSS"),
        ("1.2.840.113549.1.1.11", "RSA with SHA-256"),
        ("1.2.840.113549.1.1.12", "RSA with SHA-384"),
        ("1.2.840.113549.1.1.13", "RSA with SHA-512"),
        ("1.3.101.112", "Ed25519"),
        ("1.3.6.1.5.5.7.3.1", "serverAuth"),
        ("1.3.6.1.5.5.7.3.2", "clientAuth"),
        ("1.3.6.1.5.5.7.3.3", "codeSigning"),
        ("1.3.6.1.5.5.7.3.4", "emailProtection"),
        (RESPONDER, "OCSPSigning"),
        (ANY_PURPOSE, "anyExtendedKeyUsage"),
    ];
    let dotted = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == dotted).map(|(_, name)| (*name).to_owned());
    known.unwrap_or(dotted)
}
