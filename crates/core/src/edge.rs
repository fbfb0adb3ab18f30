//! The identity that an edge's certificate carries.

use std::fmt;

use crate::identity::{IdentityError, TrustDomain};
use crate::ids::EdgeName;

/// One edge of one installation.
///
/// Spelled `spiffe://<trust-domain>/edge/<name>` in the certificate's only SAN URI, which no device has:
/// theirs begin with `/tenant/`. Reading it is as strict as reading a device's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeIdentity {
    trust_domain: TrustDomain,
    name: EdgeName,
}

impl EdgeIdentity {
    /// The identity of an edge.
    #[must_use]
    pub const fn new(trust_domain: TrustDomain, name: EdgeName) -> Self {
        Self { trust_domain, name }
    }

    /// Reads the SAN URI.
    ///
    /// # Errors
    /// Fails closed: whatever is not exactly the spelling that [`Self::uri`] gives is refused.
    pub fn from_uri(uri: &str) -> Result<Self, IdentityError> {
        let shape = || IdentityError::Shape(uri.chars().take(400).collect());
        let rest = uri.strip_prefix("spiffe://").ok_or_else(shape)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some("edge"), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape());
        };
        Ok(Self::new(domain.parse()?, name.parse()?))
    }

    /// The SAN URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("spiffe://{}/edge/{}", self.trust_domain, self.name)
    }

    /// The installation.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &EdgeName {
        &self.name
    }
}

impl fmt::Display for EdgeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn an_edge_has_one_spelling_and_no_device_has_it() {
        let uri = "spiffe://countersign.internal/edge/berlin-1";
        assert_eq!(EdgeIdentity::from_uri(uri).unwrap().uri(), uri);
        assert!(Identity::from_uri(uri).is_err());
        for wrong in [
            "spiffe://countersign.internal/edge/",
            "spiffe://countersign.internal/edge/Berlin",
            "spiffe://countersign.internal/edge/a/b",
            "spiffe://countersign.internal//edge/a",
            "SPIFFE://countersign.internal/edge/a",
            "spiffe://internal/edge/a",
            "spiffe://countersign.internal/tenant/edge/device/a",
            "spiffe://countersign.internal/tenant/edge",
        ] {
            assert!(EdgeIdentity::from_uri(wrong).is_err(), "{wrong}");
        }
    }
}
