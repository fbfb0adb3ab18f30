//! Whom a place admits: devices, services of ours, guests of somebody else's CA; and of those only who
//! is as its lists say.
//!
//! Names are compared as they stand in the certificate, attribute by attribute and never as a text put
//! together from them: `O=Evil\,CN=admin` has no CN `admin`.

use std::str::FromStr;
use std::sync::Arc;

use countersign_core::access::{Holder, Shown};
use countersign_core::guest::{GuestClaim, GuestOf};
use countersign_core::ids::Tenant;
use countersign_core::name_pattern::NamePattern;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{CertificateClaim, Standing, TrustSnapshot};
use countersign_core::time::Timestamp;
use countersign_tls::{AttributeType, LeafDetails, Peer, UntrustedReason};
use thiserror::Error;

/// Whether a place is for devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Devices {
    /// It is.
    #[default]
    Admitted,
    /// It is for guests alone.
    Refused,
}

/// An alternative name of a certificate, exact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExactName {
    /// A URI, to the letter.
    Uri(String),
    /// A host name, in any case.
    Dns(String),
}

/// Not the spelling of an alternative name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no alternative name: write uri:<URI> or dns:<host name>")]
pub struct ExactNameError(String);

impl FromStr for ExactName {
    type Err = ExactNameError;
    fn from_str(text: &str) -> Result<Self, ExactNameError> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.split_once(':') {
            Some(("uri", uri)) if is_plain && uri.contains(':') => Ok(Self::Uri(uri.to_owned())),
            Some(("dns", name)) if is_plain && !name.is_empty() && !name.contains([':', '*']) => {
                Ok(Self::Dns(name.to_owned()))
            }
            Some(_) | None => Err(ExactNameError(text.chars().take(160).collect())),
        }
    }
}

/// An attribute that the subject must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredAttribute {
    /// Which.
    pub kind: AttributeType,
    /// The value that one of its kind must have, to the letter; `None`: any but an empty one.
    pub value: Option<String>,
}

/// Whom a place admits. A list that is empty asks for nothing; of one that is not, one entry must fit,
/// and of the required attributes all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Audience {
    /// Whether it is for devices.
    pub devices: Devices,
    /// For which guests it is.
    pub guests: Vec<GuestOf>,
    /// Devices: of which tenants. Guests have none.
    pub tenants: Vec<Tenant>,
    /// Devices: with which names.
    pub device_names: Vec<NamePattern>,
    /// Everybody: with which alternative names.
    pub names: Vec<ExactName>,
    /// Everybody: with which CN, of which there must be exactly one.
    pub common_names: Vec<String>,
    /// Everybody: what the subject must have.
    pub subject: Vec<RequiredAttribute>,
}

/// What a peer amounts to at a place.
pub(crate) struct Seen {
    pub(crate) shown: Shown,
    /// The claim of the guest that is admitted.
    pub(crate) guest: Option<Arc<GuestClaim>>,
    /// Why nobody's CA vouches for it, if that was asked.
    pub(crate) untrusted: Option<UntrustedReason>,
}

impl Seen {
    pub(crate) const fn no_guest(shown: Shown) -> Self {
        Self { shown, guest: None, untrusted: None }
    }
}

impl Audience {
    /// What `peer`, who `shown` it is as a device, amounts to here.
    ///
    /// Fails closed: a certificate whose names cannot be read is on no list.
    pub(crate) fn see(
        &self,
        peer: &Peer,
        shown: Shown,
        mode: Enforcement,
        (snapshot, now): (&TrustSnapshot, Timestamp),
    ) -> Seen {
        match shown {
            Shown::Device(Holder::Own, Standing::Valid | Standing::Pending) => {
                let is_admitted = peer.claim().is_some_and(|claim| self.admits_device(claim, peer));
                Seen::no_guest(if is_admitted { shown } else { Shown::Outsider })
            }
            // Where nobody is refused for who he is, nobody need find out.
            Shown::Untrusted if mode != Enforcement::Off || !self.guests.is_empty() => {
                self.see_guest(peer, snapshot, now)
            }
            Shown::Nothing | Shown::Untrusted | Shown::Device(..) | Shown::Guest(_) | Shown::Outsider => {
                Seen::no_guest(shown)
            }
        }
    }

    fn see_guest(&self, peer: &Peer, snapshot: &TrustSnapshot, now: Timestamp) -> Seen {
        let Some(guests) = peer.guests(snapshot, now) else { return Seen::no_guest(Shown::Untrusted) };
        let (mut fallen, mut is_outsider) = (None, false);
        for claim in guests.all() {
            let standing = snapshot.guest_standing(claim, now);
            let is_good = matches!(standing, Standing::Valid | Standing::Pending);
            match (self.guests.contains(&claim.of), is_good) {
                (true, true) if self.allows(peer) => {
                    let guest = Some(Arc::clone(claim));
                    return Seen { guest, ..Seen::no_guest(Shown::Guest(standing)) };
                }
                (_, true) => is_outsider = true,
                (true, false) => fallen = Some(standing),
                (false, false) => {}
            }
        }
        let shown = match fallen {
            Some(standing) => Shown::Guest(standing),
            None if is_outsider => Shown::Outsider,
            None => Shown::Untrusted,
        };
        let untrusted = if self.guests.is_empty() { None } else { guests.untrusted() };
        Seen { untrusted, ..Seen::no_guest(shown) }
    }

    fn admits_device(&self, claim: &CertificateClaim, peer: &Peer) -> bool {
        let (tenant, device) = (claim.identity.tenant(), claim.identity.device());
        self.devices == Devices::Admitted
            && (self.tenants.is_empty() || self.tenants.contains(tenant))
            && (self.device_names.is_empty() || self.device_names.iter().any(|name| name.allows(device)))
            && self.allows(peer)
    }

    fn allows(&self, peer: &Peer) -> bool {
        let asks_for_nothing =
            self.names.is_empty() && self.common_names.is_empty() && self.subject.is_empty();
        asks_for_nothing || peer.leaf().is_some_and(|leaf| self.allows_leaf(leaf))
    }

    fn allows_leaf(&self, leaf: &LeafDetails) -> bool {
        let is_named = |name: &ExactName| match name {
            ExactName::Uri(uri) => leaf.san_uris.contains(uri),
            ExactName::Dns(name) => leaf.san_dns.iter().any(|own| own.eq_ignore_ascii_case(name)),
        };
        (self.names.is_empty() || self.names.iter().any(is_named))
            && (self.common_names.is_empty() || self.has_common_name(leaf))
            && self.subject.iter().all(|required| has_attribute(leaf, required))
    }

    /// Of two CNs nobody knows which one others go by.
    fn has_common_name(&self, leaf: &LeafDetails) -> bool {
        let mut own = leaf.subject.iter().filter(|one| one.kind == AttributeType::COMMON_NAME);
        let (Some(only), None) = (own.next(), own.next()) else { return false };
        only.value.as_ref().is_some_and(|name| self.common_names.contains(name))
    }
}

fn has_attribute(leaf: &LeafDetails, required: &RequiredAttribute) -> bool {
    leaf.subject.iter().filter(|one| one.kind == required.kind).any(|one| match &required.value {
        Some(value) => one.value.as_ref() == Some(value),
        None => one.value.as_ref().is_some_and(|own| !own.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternative_names_have_one_spelling() {
        assert_eq!("uri:spiffe://a.example/x".parse(), Ok(ExactName::Uri("spiffe://a.example/x".to_owned())));
        assert_eq!("dns:a.example".parse(), Ok(ExactName::Dns("a.example".to_owned())));
        for text in
            ["", "a.example", "uri:", "uri:x", "dns:", "dns:*.example", "DNS:a", "ip:1.2.3.4", "dns:a b"]
        {
            assert!(text.parse::<ExactName>().is_err(), "{text}");
        }
    }
}
