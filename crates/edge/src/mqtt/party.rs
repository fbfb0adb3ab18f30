//! Who speaks: a device, or a service that was granted topics.

use std::sync::Arc;

use countersign_core::guest::GuestClaim;
use countersign_core::ids::SerialNumber;
use countersign_core::snapshot::{CertificateClaim, DeviceKey, Standing, TrustSnapshot};
use countersign_core::time::Timestamp;

/// What names of services begin with at the broker: no tenant is called so.
const SERVICE: &str = "_service";

/// By what a conversation is named and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// A device.
    Device(DeviceKey),
    /// A service, by the name of its grant.
    Service(Arc<str>),
}

impl Party {
    /// The device, if it is one.
    pub(super) const fn device(&self) -> Option<&DeviceKey> {
        match self {
            Self::Device(device) => Some(device),
            Self::Service(_) => None,
        }
    }

    /// The name of a client at the broker: nobody takes over another's session by its name.
    pub(super) fn client_id(&self, own: &str) -> String {
        match self {
            Self::Device((tenant, device)) => format!("{tenant}:{device}:{own}"),
            Self::Service(name) => format!("{SERVICE}:{name}:{own}"),
        }
    }

    /// The name of its account at a broker with rules by user name.
    pub(super) fn account(&self) -> String {
        match self {
            Self::Device((tenant, device)) => format!("{tenant}/{device}"),
            Self::Service(name) => format!("{SERVICE}/{name}"),
        }
    }
}

/// What opened a conversation: a certificate, or a device's token.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// A device's.
    Device(CertificateClaim),
    /// A service's.
    Service(Arc<GuestClaim>),
}

impl Credential {
    /// The device's, if it is one.
    pub(super) const fn device(&self) -> Option<&CertificateClaim> {
        match self {
            Self::Device(claim) => Some(claim),
            Self::Service(_) => None,
        }
    }

    /// The serial number of the certificate, if it is one.
    pub(super) fn certificate(&self) -> Option<&SerialNumber> {
        match self {
            Self::Device(claim) if claim.is_of_token() => None,
            Self::Device(_) | Self::Service(_) => Some(self.serial()),
        }
    }

    /// The serial number of the certificate, or of the token.
    pub(super) fn serial(&self) -> &SerialNumber {
        match self {
            Self::Device(claim) => &claim.reference.serial,
            Self::Service(claim) => &claim.reference.serial,
        }
    }

    /// Where it stands.
    pub(super) fn standing(&self, snapshot: &TrustSnapshot, now: Timestamp) -> Standing {
        match self {
            Self::Device(claim) => snapshot.standing(claim, now),
            Self::Service(claim) => snapshot.guest_standing(claim, now),
        }
    }

    /// Whether its session may go on.
    pub(super) fn may_go_on(&self, snapshot: &TrustSnapshot, now: Timestamp) -> bool {
        match self {
            Self::Device(claim) => snapshot.session_may_go_on(claim, now),
            Self::Service(claim) => snapshot.guest_may_go_on(claim, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_has_the_name_of_a_device() {
        let device = Party::Device(("acme".parse().unwrap(), "d1".parse().unwrap()));
        let service = Party::Service("ingest".into());
        assert_eq!((device.client_id("x"), device.account()), ("acme:d1:x".to_owned(), "acme/d1".to_owned()));
        assert_eq!(service.client_id("x"), "_service:ingest:x");
        assert_eq!(service.account(), "_service/ingest");
        assert!(SERVICE.parse::<countersign_core::ids::Tenant>().is_err(), "no tenant is called so");
    }
}
