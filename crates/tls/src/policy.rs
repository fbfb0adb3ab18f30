//! Which client authentication a listener asks for, by the name that the client asks for.

use std::collections::HashMap;

/// Whether a listener asks for a client certificate; later ones are stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientAuth {
    /// It does not.
    None,
    /// It asks, accepts any chain whose key the peer proves to have, and leaves the verdict to the
    /// door: an expired device must be able to reach renewal. Over 8 KiB, over 4 certificates, or with
    /// a key longer than RSA with 4096 bits, a chain is refused in the handshake, unread.
    Optional,
    /// It asks, and refuses inside the handshake what is not in good standing: of devices, and of guests
    /// that some place behind the door admits, see [`DoorTls::admit_guests`](crate::DoorTls::admit_guests).
    Required,
}

/// What a listener asks of clients for each name: one answer by default, others by the name asked for.
///
/// A client chooses the name that it asks for, so that its connection proves as much as that name wanted and
/// no more: whoever serves requests compares [`Peer::client_auth`](crate::Peer::client_auth) with what the
/// host of the request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicies {
    default: ClientAuth,
    by_name: HashMap<String, ClientAuth>,
}

impl HostPolicies {
    /// One answer for every name.
    #[must_use]
    pub fn new(default: ClientAuth) -> Self {
        Self { default, by_name: HashMap::new() }
    }

    /// And another one for these DNS names; `*.example.com` stands for one label.
    #[must_use]
    pub fn with(mut self, named: impl IntoIterator<Item = (String, ClientAuth)>) -> Self {
        let named = named.into_iter().map(|(name, wanted)| (name.to_ascii_lowercase(), wanted));
        self.by_name.extend(named);
        self
    }

    /// What is asked of whoever asks for this name, or for none.
    #[must_use]
    pub fn of(&self, name: Option<&str>) -> ClientAuth {
        let own = name.filter(|_| !self.by_name.is_empty()).and_then(|name| named(&self.by_name, name));
        own.copied().unwrap_or(self.default)
    }

    /// What is asked of everybody, where no name makes a difference.
    pub(crate) fn of_all(&self) -> Option<ClientAuth> {
        self.by_name.values().all(|wanted| *wanted == self.default).then_some(self.default)
    }

    /// What is asked of whoever asks for no name.
    #[must_use]
    pub const fn default(&self) -> ClientAuth {
        self.default
    }
}

/// What a table has for a name: for itself, or for its parent's `*`.
pub(crate) fn named<'a, T>(by_name: &'a HashMap<String, T>, name: &str) -> Option<&'a T> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    by_name.get(&name).or_else(|| {
        let (_, parent) = name.split_once('.')?;
        by_name.get(&format!("*.{parent}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_own_answer_and_a_star_stands_for_one_label() {
        let policies = HostPolicies::new(ClientAuth::Optional).with([
            ("Shop.example".to_owned(), ClientAuth::None),
            ("*.vault.example".to_owned(), ClientAuth::Required),
        ]);
        let of = |name| policies.of(Some(name));
        assert_eq!(of("SHOP.example."), ClientAuth::None);
        assert_eq!(of("a.vault.example"), ClientAuth::Required);
        for other in ["vault.example", "a.b.vault.example", "x.shop.example", ""] {
            assert_eq!(of(other), ClientAuth::Optional, "{other}");
        }
        assert_eq!(policies.of(None), ClientAuth::Optional);
        assert_eq!(policies.of_all(), None);
        assert_eq!(HostPolicies::new(ClientAuth::None).of_all(), Some(ClientAuth::None));
        assert!(ClientAuth::None < ClientAuth::Optional && ClientAuth::Optional < ClientAuth::Required);
    }
}
