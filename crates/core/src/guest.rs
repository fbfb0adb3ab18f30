//! Guests: those whom a route may admit on a verified certificate that is no device's.
//!
//! A guest and a device never mix. A guest has a claim of its own, without an identity, so nothing
//! that asks for a device can be given one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use imbl::Vector;

use crate::ids::{CertificateRef, IdError, SpkiSha256, TrustName};
use crate::snapshot::{Standing, TrustSnapshot};
use crate::time::Timestamp;

/// Whose certificates make a guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuestOf {
    /// The service CAs of this installation.
    Services,
    /// A CA of somebody else's, by the name it was added under.
    Trust(TrustName),
}

impl GuestOf {
    const SERVICES: &'static str = "services";
    const TRUST: &'static str = "trust:";
}

impl FromStr for GuestOf {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == Self::SERVICES {
            return Ok(Self::Services);
        }
        let name = text
            .strip_prefix(Self::TRUST)
            .ok_or_else(|| IdError::new("kind of guest", "services or trust:<name>", text))?;
        name.parse().map(Self::Trust)
    }
}

impl fmt::Display for GuestOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Services => f.write_str(Self::SERVICES),
            Self::Trust(name) => write!(f, "{}{name}", Self::TRUST),
        }
    }
}

/// CAs of somebody else's that doors trust under one name, on the routes that ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTrust {
    /// Its name.
    pub name: TrustName,
    /// The certificates of its CAs, DER. A path that ends at any of them is good.
    pub anchors: Vector<Arc<[u8]>>,
}

/// What the certificate of a guest says: made by the relying side from a chain whose signatures, key
/// usages and constraints were found right; its dates and status are still to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestClaim {
    /// Whose CA vouches for it.
    pub of: GuestOf,
    /// Its issuer's key and its serial number.
    pub reference: CertificateRef,
    /// The certificate at which its path ends, DER, as the snapshot has it.
    pub anchor: Arc<[u8]>,
    /// The certificate of the CA that signed it, DER; often the anchor.
    pub issuer: Arc<[u8]>,
    /// Its public key.
    pub spki: SpkiSha256,
    /// The first moment at which its whole path is valid.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
}

impl TrustSnapshot {
    /// The verdict on a guest's `claim` at `now`.
    ///
    /// Of our own services everything counts that counts for devices: what is denied, superseded or not
    /// on record since a backup was restored. Of others' we know the dates, and the keys that we deny.
    ///
    /// Fails closed: a CA that this snapshot does not know (any more) makes it [`Standing::Foreign`].
    #[must_use]
    pub fn guest_standing(&self, claim: &GuestClaim, now: Timestamp) -> Standing {
        if !self.vouches_for(claim) {
            return Standing::Foreign;
        }
        if self.denied.contains(&claim.reference) || self.denied_keys.contains(&claim.spki) {
            return Standing::Revoked;
        }
        if self.is_unproved(&claim.reference, claim.not_before) {
            return Standing::Unproved;
        }
        if now > claim.not_after {
            Standing::Expired
        } else if now < claim.not_before {
            Standing::NotYetValid
        } else if self.superseded.contains_key(&claim.reference) {
            Standing::Superseded
        } else {
            Standing::Valid
        }
    }

    /// Whether a session that a guest was admitted to may go on at `now`, as
    /// [`Self::session_may_go_on`] says it of a device's.
    #[must_use]
    pub fn guest_may_go_on(&self, claim: &GuestClaim, now: Timestamp) -> bool {
        self.goes_on(self.guest_standing(claim, now), &claim.reference, now)
    }

    fn vouches_for(&self, claim: &GuestClaim) -> bool {
        match &claim.of {
            GuestOf::Services => {
                self.service_issuers.iter().any(|issuer| issuer.key_id == claim.reference.issuer)
            }
            GuestOf::Trust(name) => self
                .foreign_trusts
                .iter()
                .any(|trust| trust.name == *name && trust.anchors.contains(&claim.anchor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TrustDomain;
    use crate::ids::IssuerKeyId;
    use crate::snapshot::{TrustedIssuer, UnprovedPeriod};

    const NOW: Timestamp = Timestamp::from_secs(50);

    fn claim(of: &str) -> GuestClaim {
        GuestClaim {
            of: of.parse().unwrap(),
            reference: CertificateRef { issuer: IssuerKeyId::from([1; 32]), serial: "01".parse().unwrap() },
            anchor: Arc::from([7]),
            issuer: Arc::from([7]),
            spki: SpkiSha256::from([2; 32]),
            not_before: Timestamp::from_secs(0),
            not_after: Timestamp::from_secs(100),
        }
    }

    fn issuer() -> TrustedIssuer {
        TrustedIssuer { key_id: IssuerKeyId::from([1; 32]), certificate: Arc::from([7]), tenants: None }
    }

    fn snapshot() -> TrustSnapshot {
        let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), NOW);
        snapshot.service_issuers.push_back(issuer());
        let anchors = Vector::unit(Arc::from([7]));
        snapshot.foreign_trusts.push_back(ForeignTrust { name: "partner".parse().unwrap(), anchors });
        snapshot
    }

    #[test]
    fn a_kind_of_guest_has_one_spelling() {
        for text in ["services", "trust:partner"] {
            assert_eq!(text.parse::<GuestOf>().unwrap().to_string(), text);
        }
        for text in ["", "devices", "Services", "trust:", "trust:A", "partner", "trust: partner"] {
            assert!(text.parse::<GuestOf>().is_err(), "{text}");
        }
    }

    #[test]
    fn fails_closed_without_the_ca_that_vouched() {
        let (service, foreign) = (claim("services"), claim("trust:partner"));
        let mut bare = TrustSnapshot::empty(TrustDomain::default(), NOW);
        bare.device_issuers.push_back(issuer());
        assert_eq!(bare.guest_standing(&service, NOW), Standing::Foreign, "a device CA makes no service");
        let mut known = snapshot();
        assert_eq!(known.guest_standing(&service, NOW), Standing::Valid);
        assert_eq!(known.guest_standing(&foreign, NOW), Standing::Valid);
        assert_eq!(known.guest_standing(&claim("trust:other"), NOW), Standing::Foreign);
        let replaced = GuestClaim { anchor: Arc::from([8]), ..foreign.clone() };
        assert_eq!(known.guest_standing(&replaced, NOW), Standing::Foreign);
        known.foreign_trusts = Vector::new();
        known.service_issuers = Vector::new();
        assert!(!known.guest_may_go_on(&service, NOW) && !known.guest_may_go_on(&foreign, NOW));
    }

    #[test]
    fn dates_and_denials_are_judged_every_time() {
        for of in ["services", "trust:partner"] {
            let (claim, mut snapshot) = (claim(of), snapshot());
            assert_eq!(snapshot.guest_standing(&claim, Timestamp::from_secs(100)), Standing::Valid);
            assert_eq!(snapshot.guest_standing(&claim, Timestamp::from_secs(101)), Standing::Expired);
            assert_eq!(snapshot.guest_standing(&claim, Timestamp::from_secs(-1)), Standing::NotYetValid);
            snapshot.denied_keys.insert(claim.spki);
            assert_eq!(snapshot.guest_standing(&claim, NOW), Standing::Revoked);
        }
    }

    #[test]
    fn a_revoked_superseded_or_unproved_service_falls() {
        let service = claim("services");
        let mut snapshot = snapshot();
        snapshot.superseded.insert(service.reference.clone(), NOW);
        assert_eq!(snapshot.guest_standing(&service, NOW), Standing::Superseded);
        assert!(snapshot.guest_may_go_on(&service, NOW));
        assert!(!snapshot.guest_may_go_on(&service, Timestamp::from_secs(51)));
        let period = UnprovedPeriod { from: Timestamp::from_secs(0), until: NOW };
        snapshot.unproved.insert(service.reference.issuer, Vector::unit(period));
        assert_eq!(snapshot.guest_standing(&service, NOW), Standing::Unproved);
        snapshot.denied.insert(service.reference.clone());
        assert_eq!(snapshot.guest_standing(&service, NOW), Standing::Revoked);
    }
}
