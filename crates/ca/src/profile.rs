//! What each kind of certificate says: the built-in profiles.

use std::net::IpAddr;
use std::time::Duration;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME};
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use countersign_core::Identity;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};

use crate::name;
use crate::public_key::Kind;

/// The longest common name (RFC 5280 appendix A, ub-common-name).
const COMMON_NAME_LIMIT: usize = 64;
const DAY: u64 = 24 * 3600;

/// A kind of certificate, and whom it names. A signing request has no say in any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The self-signed root: made by [`crate::Issuer::create_root`] and in no other way.
    Root {
        /// Its common name.
        name: String,
    },
    /// The CA that makes devices: clientAuth only, no CA below it. Signed by the root.
    IssuingDevice {
        /// Its common name.
        name: String,
    },
    /// The CA that makes services and doors: serverAuth and clientAuth, no CA below it. Signed by
    /// the root.
    IssuingService {
        /// Its common name.
        name: String,
    },
    /// A device: clientAuth, and its identity as the only alternative name. Signed by the device
    /// issuing CA.
    Device {
        /// Whom it names.
        identity: Identity,
    },
    /// A server: serverAuth; at least one name. Signed by the service issuing CA.
    ServiceServer {
        /// Host names; the leftmost label may be `*`.
        dns: Vec<String>,
        /// Addresses.
        ips: Vec<IpAddr>,
    },
    /// A service that calls others: clientAuth; at least one name. Signed by the service issuing
    /// CA. Never a device: a device identity is refused as its URI.
    ServiceClient {
        /// Its URI, if it has one.
        uri: Option<String>,
        /// Host names.
        dns: Vec<String>,
        /// Addresses.
        ips: Vec<IpAddr>,
    },
}

/// Where what belongs to a certificate is published; written into it when given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The issuer's revocation list (CRL distribution point), http or https.
    pub crl_url: Option<String>,
    /// The issuer's certificate (authority information access, caIssuers), http or https.
    pub ca_issuers_url: Option<String>,
}

impl Profile {
    /// The profile's name in configuration, logs and audit.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Root { .. } => "root",
            Self::IssuingDevice { .. } => "issuing-device",
            Self::IssuingService { .. } => "issuing-service",
            Self::Device { .. } => "device",
            Self::ServiceServer { .. } => "service-server",
            Self::ServiceClient { .. } => "service-client",
        }
    }

    /// How long such a certificate lives unless a tenant or the configuration says otherwise.
    #[must_use]
    pub const fn default_lifetime(&self) -> Duration {
        let days = match self {
            Self::Root { .. } => 3650,
            Self::IssuingDevice { .. } | Self::IssuingService { .. } => 1825,
            Self::Device { .. } => 90,
            Self::ServiceServer { .. } | Self::ServiceClient { .. } => 365,
        };
        Duration::from_secs(days * DAY)
    }

    /// How far notBefore lies before issuance, for clocks that are behind. A device's certificate is
    /// judged by our clock; the others by those of devices, which may be set only once they are online.
    pub(crate) const fn backdating(&self) -> Duration {
        let seconds = match self {
            Self::Device { .. } => 300,
            Self::Root { .. }
            | Self::IssuingDevice { .. }
            | Self::IssuingService { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. } => DAY,
        };
        Duration::from_secs(seconds)
    }

    pub(crate) const fn is_ca(&self) -> bool {
        match self {
            Self::Root { .. } | Self::IssuingDevice { .. } | Self::IssuingService { .. } => true,
            Self::Device { .. } | Self::ServiceServer { .. } | Self::ServiceClient { .. } => false,
        }
    }

    /// The subject's attributes. A service's common name repeats its first name that fits; without
    /// one the subject is empty and the alternative names are critical (RFC 5280 section 4.1.2.6).
    pub(crate) fn subject(&self) -> Vec<(ObjectIdentifier, String)> {
        let common_name = |name: String| vec![(COMMON_NAME, name)];
        match self {
            Self::Root { name } | Self::IssuingDevice { name } | Self::IssuingService { name } => {
                common_name(name.clone())
            }
            Self::Device { identity } => vec![
                (ORGANIZATION_NAME, identity.tenant().as_str().to_owned()),
                (COMMON_NAME, identity.common_name()),
            ],
            Self::ServiceServer { dns, ips } | Self::ServiceClient { dns, ips, .. } => dns
                .iter()
                .find(|name| name.len() <= COMMON_NAME_LIMIT)
                .cloned()
                .or_else(|| ips.first().map(ToString::to_string))
                .map_or_else(Vec::new, common_name),
        }
    }

    /// The alternative names.
    pub(crate) fn alternative_names(&self) -> der::Result<Vec<GeneralName>> {
        let (uri, dns, ips) = match self {
            Self::Root { .. } | Self::IssuingDevice { .. } | Self::IssuingService { .. } => {
                return Ok(vec![]);
            }
            Self::Device { identity } => return Ok(vec![name::uri(&identity.uri())?]),
            Self::ServiceServer { dns, ips } => (None, dns, ips),
            Self::ServiceClient { uri, dns, ips } => (uri.as_deref(), dns, ips),
        };
        let uris = uri.into_iter().map(name::uri);
        uris.chain(dns.iter().map(|text| name::dns(text))).chain(ips.iter().map(name::ip)).collect()
    }

    /// Whether it is a CA, and how many CAs may follow below it.
    pub(crate) const fn basic_constraints(&self) -> BasicConstraints {
        let path_len_constraint = match self {
            Self::IssuingDevice { .. } | Self::IssuingService { .. } => Some(0),
            Self::Root { .. }
            | Self::Device { .. }
            | Self::ServiceServer { .. }
            | Self::ServiceClient { .. } => None,
        };
        BasicConstraints { ca: self.is_ca(), path_len_constraint }
    }

    /// What the key may do. RSA keys of services also decrypt, for TLS 1.2 without forward secrecy.
    pub(crate) fn key_usage(&self, key: Kind) -> KeyUsage {
        match self {
            Self::Root { .. } | Self::IssuingDevice { .. } | Self::IssuingService { .. } => {
                KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)
            }
            Self::ServiceServer { .. } | Self::ServiceClient { .. } if key == Kind::Rsa => {
                KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment)
            }
            Self::Device { .. } | Self::ServiceServer { .. } | Self::ServiceClient { .. } => {
                KeyUsage(KeyUsages::DigitalSignature.into())
            }
        }
    }

    /// What the certificate is for; empty: not written.
    pub(crate) const fn extended_key_usage(&self) -> &'static [ObjectIdentifier] {
        match self {
            Self::Root { .. } => &[],
            Self::IssuingDevice { .. } | Self::Device { .. } | Self::ServiceClient { .. } => {
                &[ID_KP_CLIENT_AUTH]
            }
            Self::IssuingService { .. } => &[ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH],
            Self::ServiceServer { .. } => &[ID_KP_SERVER_AUTH],
        }
    }
}
