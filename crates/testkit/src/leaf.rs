//! What a test certificate says: by default what it should, and anything else when told.

use std::net::IpAddr;

use countersign_core::time::Timestamp;

use crate::key::{KeyKind, TestKey};

/// Object identifiers of extended key usages.
pub mod purpose {
    /// TLS server.
    pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
    /// TLS client.
    pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
    /// Anything at all.
    pub const ANY: &str = "2.5.29.37.0";
}

/// Bits of the key usage extension, as in its first byte.
pub mod usage {
    /// Signs handshakes.
    pub const DIGITAL_SIGNATURE: u8 = 0x80;
    /// Signs certificates.
    pub const KEY_CERT_SIGN: u8 = 0x04;
    /// Signs revocation lists.
    pub const CRL_SIGN: u8 = 0x02;
}

/// Which CA of a [`TestCa`](crate::TestCa) signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The root.
    Root,
    /// The device issuing CA.
    Device,
    /// The service issuing CA.
    Service,
}

/// What a certificate shall say. Start from [`Self::device`] or [`Self::server`] and change what the
/// test is about.
#[derive(Clone, Debug)]
pub struct LeafSpec {
    /// Who signs it.
    pub signer: Signer,
    /// Subject `O`.
    pub organization: String,
    /// Subject `CN`.
    pub common_name: String,
    /// More attributes of the subject, after these: object identifier and text.
    pub subject: Vec<(&'static str, String)>,
    /// SAN URIs.
    pub uris: Vec<String>,
    /// SAN DNS names.
    pub dns: Vec<String>,
    /// SAN IP addresses.
    pub ips: Vec<IpAddr>,
    /// Extended key usages; empty leaves the extension out.
    pub purposes: Vec<&'static str>,
    /// Key usage, see [`usage`]; `None` leaves the extension out.
    pub key_usage: Option<u8>,
    /// `cA` in the basic constraints; false leaves the extension out.
    pub is_ca: bool,
    /// Adds an extension nobody knows, and calls it critical.
    pub unknown_critical_extension: bool,
    /// Its serial number, big-endian; `None`: a random one.
    pub serial: Option<Vec<u8>>,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
    /// Its key; `None`: a fresh one of `key_kind`.
    pub key: Option<TestKey>,
    /// What kind of key is made.
    pub key_kind: KeyKind,
}

/// 2020-01-01: from when on test certificates are valid.
pub const NOT_BEFORE: Timestamp = Timestamp::from_secs(1_577_836_800);
/// 2045-01-01: until when.
pub const NOT_AFTER: Timestamp = Timestamp::from_secs(2_366_841_600);

impl LeafSpec {
    fn new(signer: Signer, organization: &str, common_name: &str) -> Self {
        Self {
            signer,
            organization: organization.to_owned(),
            common_name: common_name.to_owned(),
            subject: Vec::new(),
            uris: Vec::new(),
            dns: Vec::new(),
            ips: Vec::new(),
            purposes: Vec::new(),
            key_usage: Some(usage::DIGITAL_SIGNATURE),
            is_ca: false,
            unknown_critical_extension: false,
            serial: None,
            not_before: NOT_BEFORE,
            not_after: NOT_AFTER,
            key: None,
            key_kind: KeyKind::P256,
        }
    }

    /// A device as the device profile has it, valid from 2020 to 2045.
    #[must_use]
    pub fn device(trust_domain: &str, tenant: &str, device: &str) -> Self {
        let mut spec = Self::new(Signer::Device, tenant, &format!("{tenant}/{device}"));
        spec.uris = vec![format!("spiffe://{trust_domain}/tenant/{tenant}/device/{device}")];
        spec.purposes = vec![purpose::CLIENT_AUTH];
        spec
    }

    /// A service that connects to others, valid from 2020 to 2045.
    #[must_use]
    pub fn service(common_name: &str) -> Self {
        let mut spec = Self::new(Signer::Service, "countersign", common_name);
        spec.purposes = vec![purpose::CLIENT_AUTH];
        spec
    }

    /// A server with these DNS names and IP addresses, valid from 2020 to 2045.
    #[must_use]
    pub fn server(names: &[&str]) -> Self {
        let mut spec = Self::new(Signer::Service, "countersign", names.first().copied().unwrap_or_default());
        for name in names {
            match name.parse() {
                Ok(ip) => spec.ips.push(ip),
                Err(_) => spec.dns.push((*name).to_owned()),
            }
        }
        spec.purposes = vec![purpose::SERVER_AUTH];
        spec
    }
}
