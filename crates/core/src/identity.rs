//! The identity that a device certificate carries, and its spelling as a SPIFFE ID.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::ids::{DeviceName, IdError, Tenant};

/// The name under which one installation's identities live: dotted, lower case, such as
/// `countersign.internal` (SPIFFE-ID section 2.1; single labels are rejected by linters).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(std::sync::Arc<str>);

impl TrustDomain {
    /// The trust domain of an installation that chose none.
    pub const DEFAULT: &'static str = "countersign.internal";

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for TrustDomain {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let label = |label: &str| {
            matches!(label.len(), 1..=63)
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
            Ok(Self(text.into()))
        } else {
            Err(IdError::new("trust domain", "a dotted lower-case DNS name", text))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TrustDomain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TrustDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One device of one tenant: what a device certificate is about, and nothing else.
///
/// Spelled `spiffe://<trust-domain>/tenant/<tenant>/device/<device>` in the certificate's only
/// SAN URI. Reading it is strict: no percent-encoding, no empty or extra segments, no other case
/// of the scheme, so that one device has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    trust_domain: TrustDomain,
    tenant: Tenant,
    device: DeviceName,
}

/// A URI that is no device identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not `spiffe://<trust-domain>/tenant/<tenant>/device/<device>`.
    #[error("not a device identity URI: {0:?}")]
    Shape(String),
    /// One of its parts is no valid name.
    #[error("invalid part in the identity URI")]
    Part(#[from] IdError),
}

impl Identity {
    /// The identity of a device.
    #[must_use]
    pub const fn new(trust_domain: TrustDomain, tenant: Tenant, device: DeviceName) -> Self {
        Self { trust_domain, tenant, device }
    }

    /// Reads the SAN URI.
    ///
    /// # Errors
    /// Fails closed: whatever is not exactly the spelling that [`Self::uri`] gives is refused.
    pub fn from_uri(uri: &str) -> Result<Self, IdentityError> {
        let shape = || IdentityError::Shape(uri.chars().take(400).collect());
        let rest = uri.strip_prefix("spiffe://").ok_or_else(shape)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some("tenant"), Some(tenant), Some("device"), Some(device), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape());
        };
        Ok(Self::new(domain.parse()?, tenant.parse()?, device.parse()?))
    }

    /// The SAN URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("spiffe://{}/tenant/{}/device/{}", self.trust_domain, self.tenant, self.device)
    }

    /// The subject's common name, `<tenant>/<device>`, for people and for brokers that read common
    /// names. At most 64 characters (RFC 5280 appendix A, ub-common-name): a longer one is cut and
    /// ends in `~` and 12 hex digits of the SHA-256 of the URI. Never read back: the URI counts.
    #[must_use]
    pub fn common_name(&self) -> String {
        let full = format!("{}/{}", self.tenant, self.device);
        if full.len() <= 64 {
            return full;
        }
        use sha2::Digest as _;
        let digest = hex::encode(sha2::Sha256::digest(self.uri().as_bytes()));
        let head: String = full.chars().take(51).collect();
        let tail: String = digest.chars().take(12).collect();
        format!("{head}~{tail}")
    }

    /// The installation it belongs to.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The device's name within the tenant.
    #[must_use]
    pub const fn device(&self) -> &DeviceName {
        &self.device
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.uri())
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_uri(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_every_other_spelling() {
        for uri in [
            "",
            "spiffe://countersign.internal/tenant/acme/device/",
            "spiffe://countersign.internal/tenant/acme/device/a/",
            "spiffe://countersign.internal/tenant/acme/device/a/b",
            "spiffe://countersign.internal//tenant/acme/device/a",
            "spiffe://countersign.internal/tenant/acme/device/%61",
            "spiffe://countersign.internal/tenant/Acme/device/a",
            "SPIFFE://countersign.internal/tenant/acme/device/a",
            "spiffe://user@countersign.internal/tenant/acme/device/a",
            "spiffe://countersign.internal:443/tenant/acme/device/a",
            "spiffe://internal/tenant/acme/device/a",
            "spiffe://countersign.internal/edge/a",
            "spiffe://countersign.internal/tenant/acme/device/a?x",
            "https://countersign.internal/tenant/acme/device/a",
        ] {
            assert!(Identity::from_uri(uri).is_err(), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn the_uri_reads_back_as_the_same_identity(
            domain in "[a-z][a-z0-9]{0,8}\\.[a-z]{1,8}",
            tenant in "[a-z0-9][a-z0-9-]{0,62}",
            device in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        ) {
            let identity = Identity::new(
                domain.parse().unwrap(), tenant.parse().unwrap(), device.parse().unwrap());
            prop_assert_eq!(Identity::from_uri(&identity.uri()).unwrap(), identity.clone());
            prop_assert!(identity.common_name().len() <= 64);
        }

        #[test]
        fn what_is_accepted_prints_as_it_was_given(uri in "spiffe://[a-z.]{1,10}/tenant/[ -~]{0,12}/device/[ -~]{0,12}") {
            if let Ok(identity) = Identity::from_uri(&uri) {
                prop_assert_eq!(identity.uri(), uri);
            }
        }

        #[test]
        fn two_devices_never_share_a_common_name(
            first in "[a-z]{60,128}", second in "[a-z]{60,128}",
        ) {
            let name = |device: &str| Identity::new(
                TrustDomain::default(), "acme".parse().unwrap(), device.parse().unwrap()).common_name();
            prop_assert_eq!(first == second, name(&first) == name(&second));
        }
    }
}
