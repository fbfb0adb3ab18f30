//! What each kind of certificate says: the built-in profiles.

use std::collections::BTreeSet;
use std::time::Duration;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_OCSP_SIGNING, ID_KP_SERVER_AUTH};
use countersign_core::Identity;
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::edge::EdgeIdentity;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};

use crate::distinguished_name::{DistinguishedName, NameAttribute};
use crate::name;
use crate::public_key::Kind;

const DAY: u64 = 24 * 3600;

/// What a CA below the root may certify for; also what a server may do besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// TLS servers (id-kp-serverAuth).
    ServerAuth,
    /// TLS clients (id-kp-clientAuth).
    ClientAuth,
}

impl Purpose {
    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ServerAuth => ID_KP_SERVER_AUTH,
            Self::ClientAuth => ID_KP_CLIENT_AUTH,
        }
    }
}

/// What a certificate of a server may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerPurposes {
    /// As a server.
    Server,
    /// As a server, and as a client of others.
    ServerAndClient,
}

/// A service, as its certificate names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceNames {
    /// Its subject; without one, the first name that fits is its common name.
    pub subject: Option<DistinguishedName>,
    /// Its alternative names: URIs, never the identity of a device; host names, whose leftmost label
    /// may be `*`; addresses.
    pub alternatives: AlternativeNames,
}

/// A kind of certificate, and whom it names. A signing request has no say in any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The self-signed root: made by [`crate::Issuer::create_root`] and in no other way.
    Root {
        /// Its name.
        subject: DistinguishedName,
    },
    /// The CA that makes devices: clientAuth only, no CA below it. Signed by the root or an
    /// intermediate.
    IssuingDevice {
        /// Its name.
        subject: DistinguishedName,
    },
    /// The CA that makes services and doors: serverAuth and clientAuth, no CA below it. Signed by
    /// the root or an intermediate.
    IssuingService {
        /// Its name.
        subject: DistinguishedName,
    },
    /// Any other CA below a root. It makes services, and CAs as far as its path length allows; never
    /// devices.
    Intermediate {
        /// Its name.
        subject: DistinguishedName,
        /// What its certificates may be for; empty: whatever its issuer's may.
        purposes: BTreeSet<Purpose>,
        /// How many CAs may follow below it; `None`: as many as its issuer allows.
        path_length: Option<u8>,
    },
    /// A device: clientAuth, and its identity as the only alternative name. Signed by a device
    /// issuing CA.
    Device {
        /// Whom it names.
        identity: Identity,
    },
    /// A server: serverAuth; at least one host name or address, and URIs only when it is a client
    /// too. Signed by a service issuing CA or an intermediate.
    ServiceServer {
        /// Whom it names.
        names: ServiceNames,
        /// What it may be used for.
        purposes: ServerPurposes,
    },
    /// A service that calls others: clientAuth; at least one alternative name. Signed by a service
    /// issuing CA or an intermediate.
    ServiceClient {
        /// Whom it names.
        names: ServiceNames,
    },
    /// A process that runs doors: clientAuth, and its identity as the only alternative name. Signed by a
    /// service issuing CA.
    Edge {
        /// Which one.
        identity: EdgeIdentity,
    },
    /// A responder that answers for a CA (RFC 6960 section 4.2.2.2), itself not to be asked about.
    /// Signed by the CA it answers for.
    Ocsp {
        /// Its name.
        subject: DistinguishedName,
    },
}

/// Where what belongs to a certificate is published; written into it when given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The issuer's revocation list (CRL distribution point), http or https.
    pub crl_url: Option<String>,
    /// The issuer's certificate (authority information access, caIssuers), http or https.
    pub ca_issuers_url: Option<String>,
    /// Who answers about it (authority information access, ocsp), http or https; left out of the
    /// certificates of responders themselves.
    pub ocsp_url: Option<String>,
}

impl Profile {
    /// The profile's name in configuration, logs and audit.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Root { .. } => "root",
            Self::IssuingDevice { .. } => "issuing-device",
            Self::IssuingService { .. } => "issuing-service",
            Self::Intermediate { .. } => "intermediate",
            Self::Device { .. } => "device",
            Self::ServiceServer { .. } => "service-server",
            Self::ServiceClient { .. } => "service-client",
            Self::Edge { .. } => "edge",
            Self::Ocsp { .. } => "ocsp",
        }
    }

    /// Its subject as RFC 4514 writes it; empty when it is known by its alternative names alone.
    #[must_use]
    pub fn subject_text(&self) -> String {
        DistinguishedName::new(self.subject()).map(|name| name.to_string()).unwrap_or_default()
    }

    /// The alternative names of a service, as they were given; none for what is no service.
    #[must_use]
    pub fn alternatives(&self) -> AlternativeNames {
        match self {
            Self::ServiceServer { names, .. } | Self::ServiceClient { names } => names.alternatives.clone(),
            Self::Edge { identity } => {
                AlternativeNames { uris: vec![identity.uri()], ..AlternativeNames::default() }
            }
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::Intermediate { .. }
            | Self::Device { .. }
            | Self::Ocsp { .. } => AlternativeNames::default(),
        }
    }

    /// How long such a certificate lives unless a tenant or the configuration says otherwise.
    #[must_use]
    pub const fn default_lifetime(&self) -> Duration {
        let days = match self {
            Self::Root { .. } => 3650,
            Self::IssuingDevice { .. } | Self::IssuingService { .. } | Self::Intermediate { .. } => 1825,
            Self::Device { .. } => 90,
            Self::ServiceServer { .. } | Self::ServiceClient { .. } => 365,
            Self::Edge { .. } => 30,
            Self::Ocsp { .. } => 7,
        };
        Duration::from_secs(days * DAY)
    }

    /// How far notBefore lies before issuance, for clocks that are behind. A device's certificate is
    /// judged by our clock; the others by those of devices, which may be set only once they are online.
    #[must_use]
    pub const fn backdating(&self) -> Duration {
        let seconds = match self {
            Self::Device { .. } | Self::Edge { .. } => 300,
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::Intermediate { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. }
            | Self::Ocsp { .. } => DAY,
        };
        Duration::from_secs(seconds)
    }

    pub(crate) const fn is_ca(&self) -> bool {
        match self {
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::Intermediate { .. } => true,
            Self::Device { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. }
            | Self::Edge { .. }
            | Self::Ocsp { .. } => false,
        }
    }

    /// The subject's attributes. A service without a subject of its own has its first name that fits
    /// as common name; without one the subject is empty and the alternative names are critical (RFC
    /// 5280 section 4.1.2.6).
    pub(crate) fn subject(&self) -> Vec<(NameAttribute, String)> {
        match self {
            Self::Root { subject }
            | Self::IssuingDevice { subject }
            | Self::IssuingService { subject }
            | Self::Intermediate { subject, .. }
            | Self::Ocsp { subject } => subject.attributes().to_vec(),
            Self::Device { identity } => vec![
                (NameAttribute::Organization, identity.tenant().as_str().to_owned()),
                (NameAttribute::CommonName, identity.common_name()),
            ],
            Self::Edge { identity } => {
                vec![(
                    NameAttribute::CommonName,
                    format!("edge {}", identity.name()).chars().take(64).collect(),
                )]
            }
            Self::ServiceServer { names, .. } | Self::ServiceClient { names } => names.subject(),
        }
    }

    /// The alternative names.
    pub(crate) fn alternative_names(&self) -> der::Result<Vec<GeneralName>> {
        match self {
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::Intermediate { .. }
            | Self::Ocsp { .. } => Ok(vec![]),
            Self::Device { identity } => Ok(vec![name::uri(&identity.uri())?]),
            Self::Edge { identity } => Ok(vec![name::uri(&identity.uri())?]),
            Self::ServiceServer { names, .. } | Self::ServiceClient { names } => names.alternative_names(),
        }
    }

    /// Whether it is a CA, and how many CAs may follow below it.
    pub(crate) const fn basic_constraints(&self) -> BasicConstraints {
        let path_len_constraint = match self {
            Self::IssuingDevice { .. } | Self::IssuingService { .. } => Some(0),
            Self::Intermediate { path_length, .. } => *path_length,
            Self::Root { .. }
            | Self::Device { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. }
            | Self::Edge { .. }
            | Self::Ocsp { .. } => None,
        };
        BasicConstraints { ca: self.is_ca(), path_len_constraint }
    }

    /// What the key may do. RSA keys of services also decrypt, for TLS 1.2 without forward secrecy.
    pub(crate) fn key_usage(&self, key: Kind) -> KeyUsage {
        match self {
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::Intermediate { .. } => KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign),
            Self::ServiceServer { .. } | Self::ServiceClient { .. } if key == Kind::Rsa => {
                KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment)
            }
            Self::Device { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. }
            | Self::Edge { .. }
            | Self::Ocsp { .. } => KeyUsage(KeyUsages::DigitalSignature.into()),
        }
    }

    /// What the certificate is for; empty: not written.
    pub(crate) fn extended_key_usage(&self) -> Vec<ObjectIdentifier> {
        match self {
            Self::Root { .. } => vec![],
            Self::IssuingDevice { .. }
            | Self::Device { .. }
            | Self::ServiceClient { .. }
            | Self::Edge { .. } => vec![ID_KP_CLIENT_AUTH],
            Self::IssuingService { .. }
            | Self::ServiceServer { purposes: ServerPurposes::ServerAndClient, .. } => {
                vec![ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH]
            }
            Self::ServiceServer { purposes: ServerPurposes::Server, .. } => vec![ID_KP_SERVER_AUTH],
            Self::Intermediate { purposes, .. } => purposes.iter().map(|purpose| purpose.oid()).collect(),
            Self::Ocsp { .. } => vec![ID_KP_OCSP_SIGNING],
        }
    }
}

impl From<AlternativeNames> for ServiceNames {
    fn from(alternatives: AlternativeNames) -> Self {
        Self { subject: None, alternatives }
    }
}

impl ServiceNames {
    fn subject(&self) -> Vec<(NameAttribute, String)> {
        if let Some(subject) = &self.subject {
            return subject.attributes().to_vec();
        }
        let AlternativeNames { uris: _, dns, ips } = &self.alternatives;
        dns.iter()
            .find(|name| NameAttribute::CommonName.accepts(name))
            .cloned()
            .or_else(|| ips.first().map(ToString::to_string))
            .map_or_else(Vec::new, |name| vec![(NameAttribute::CommonName, name)])
    }

    fn alternative_names(&self) -> der::Result<Vec<GeneralName>> {
        let AlternativeNames { uris, dns, ips } = &self.alternatives;
        let uris = uris.iter().map(|text| name::uri(text));
        uris.chain(dns.iter().map(|text| name::dns(text))).chain(ips.iter().map(name::ip)).collect()
    }
}
