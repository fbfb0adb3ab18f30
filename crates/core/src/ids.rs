//! Names and numbers that identify things, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// A text that does not name what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a {what}: {text:?} ({rule})")]
pub struct IdError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

impl IdError {
    pub(crate) fn new(what: &'static str, rule: &'static str, text: &str) -> Self {
        Self { what, rule, text: text.chars().take(160).collect() }
    }
}

macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError::new($what, $rule, text)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        text_serde!($name);
    };
}

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh random one.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The UUID itself.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_invalid| IdError::new($what, "a UUID", text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        text_serde!($name);
    };
}

/// Writes octets, at most 32, as lower-case hexadecimal digits.
fn write_hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let mut digits = [0; 64];
    let digits = digits.get_mut(..2 * octets.len()).ok_or(fmt::Error)?;
    hex::encode_to_slice(octets, digits).map_err(|_length| fmt::Error)?;
    f.write_str(std::str::from_utf8(digits).map_err(|_digits| fmt::Error)?)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_invalid| IdError::new($what, "64 hex digits", text))?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
        text_serde!($name);
    };
}

name_type!(
    /// A tenant's slug, the seeds' organization: `[a-z0-9][a-z0-9-]{0,62}`.
    Tenant, "tenant", "[a-z0-9][a-z0-9-]{0,62}",
    |text| matches!(text.len(), 1..=63)
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
);

name_type!(
    /// A site's short name within its tenant: `[a-z0-9][a-z0-9-]{0,62}`.
    SiteSlug, "site", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// A CA's name within the installation, for people and commands: `[a-z0-9][a-z0-9-]{0,62}`.
    CaName, "CA name", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// What separates development, staging and production: `[a-z0-9][a-z0-9-]{0,62}`.
    Environment, "environment", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// What people call the certificate of a service, over all its renewals: `[a-z0-9][a-z0-9-]{0,62}`.
    ServiceLabel, "certificate name", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// What people call a certificate that is watched: `[a-z0-9][a-z0-9-]{0,62}`.
    MonitorName, "monitor name", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// What people call a CA of somebody else's that doors may trust: `[a-z0-9][a-z0-9-]{0,62}`.
    TrustName, "trust name", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// What people call an edge, unique in the installation: `[a-z0-9][a-z0-9-]{0,62}`.
    EdgeName, "edge name", "[a-z0-9][a-z0-9-]{0,62}",
    |text| text.parse::<Tenant>().is_ok()
);

name_type!(
    /// A device's name within its tenant: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    DeviceName, "device name", "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    |text| matches!(text.len(), 1..=128)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
);

impl DeviceName {
    /// Whether the name is kept for the platform itself (`service_*`, `countersign*`, `admin`, in
    /// any case): such names are refused at issue.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let lower = self.as_str().to_ascii_lowercase();
        lower.starts_with("service_") || lower.starts_with("countersign") || lower == "admin"
    }

    /// The nearest valid name to what a device calls itself (its host name): what is not allowed
    /// becomes `-`, and a name with nothing left, or a reserved one, becomes `device-…`.
    #[must_use]
    pub fn sanitised(hostname: &str) -> Self {
        let kept: String = hostname
            .chars()
            .take(100)
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
            .collect();
        let trimmed = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match trimmed.parse::<Self>() {
            Ok(name) if !name.is_reserved() => name,
            _ => Self(format!("device-{trimmed}").trim_end_matches('-').into()),
        }
    }

    /// This name with `-` and a suffix, cut so that the whole stays valid.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let room = 127_usize.saturating_sub(suffix.len());
        let head: String = self.as_str().chars().take(room).collect();
        let tail: String = suffix.chars().filter(char::is_ascii_alphanumeric).collect();
        Self(format!("{head}-{tail}").into())
    }
}

uuid_type!(
    /// A device, in admin URLs.
    DeviceId, "device id"
);
uuid_type!(
    /// A tenant, the seeds' `orgId`.
    TenantId, "tenant id"
);
uuid_type!(
    /// A site within a tenant.
    SiteId, "site id"
);
uuid_type!(
    /// An issued certificate's record.
    CertificateId, "certificate id"
);
uuid_type!(
    /// An enrolment key's record (not the key itself).
    EnrollmentKeyId, "enrollment key id"
);
uuid_type!(
    /// A person who may sign in.
    UserId, "user id"
);
uuid_type!(
    /// An API token's record (not the token itself).
    ApiTokenId, "api token id"
);
uuid_type!(
    /// A passkey of a person's.
    PasskeyId, "passkey id"
);
uuid_type!(
    /// A proof-of-possession challenge.
    ChallengeId, "challenge id"
);
uuid_type!(
    /// A command to a device.
    CommandId, "command id"
);
uuid_type!(
    /// A job: one command to each of many devices.
    JobId, "job id"
);
uuid_type!(
    /// A call to a CA elsewhere that may make a certificate.
    UpstreamIntentId, "upstream intent id"
);
uuid_type!(
    /// What somebody has been shown before it is revoked.
    SelectionId, "selection id"
);
uuid_type!(
    /// One rotation of a CA.
    RotationId, "rotation id"
);
uuid_type!(
    /// One running authority, from its start to its end.
    AuthorityId, "authority id"
);
uuid_type!(
    /// One run of a process that has doors.
    ProcessId, "process id"
);
uuid_type!(
    /// An edge's record.
    EdgeId, "edge id"
);
uuid_type!(
    /// Something that somebody must see to.
    AlertId, "alert id"
);
uuid_type!(
    /// A window in which nobody is told of alerts.
    SilenceId, "silence id"
);
uuid_type!(
    /// One request at a door or at the admin listener; also what `countersign explain` takes.
    RequestId, "request id"
);

hash_type!(
    /// SHA-256 of a public key's SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7).
    SpkiSha256, "SPKI hash"
);
hash_type!(
    /// Which CA key signed: the SHA-256 of its SubjectPublicKeyInfo.
    IssuerKeyId, "issuer key id"
);
hash_type!(
    /// SHA-256 of the CA certificates (PEM) that an agent trusts.
    TrustBundleHash, "trust bundle hash"
);
hash_type!(
    /// The SHA-256 of a secret (token, enrolment key): what is stored instead of it.
    SecretHash, "secret hash"
);

impl SecretHash {
    /// The hash of a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(secret.as_bytes()).into())
    }

    /// Whether both are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(&other.0).into()
    }
}

impl SpkiSha256 {
    /// The hash of a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of(spki_der: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(spki_der).into())
    }
}

impl TrustBundleHash {
    /// The hash of CA certificates as an agent gets them.
    #[must_use]
    pub fn of(pem: &str) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(pem.as_bytes()).into())
    }
}

impl IssuerKeyId {
    /// What stands in an issuer's place where a provisioning token says who a device is, and no certificate: the
    /// serial number is the token's then. No key has this hash, so no certificate is taken for a token.
    pub const OF_TOKENS: Self = Self([0xff; 32]);

    /// The key of a CA whose certificate is not at hand, as its leaves name it: by the issuer's name in DER
    /// and the authority key identifier. Never that of a CA whose certificate is: those go by the hash
    /// of their public key.
    #[must_use]
    pub fn named(issuer_der: &[u8], authority_key_id: &[u8]) -> Self {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new_with_prefix(b"countersign issuer by name\0");
        hash.update((issuer_der.len() as u64).to_be_bytes());
        hash.update(issuer_der);
        hash.update(authority_key_id);
        Self(hash.finalize().into())
    }
}

impl From<SpkiSha256> for IssuerKeyId {
    fn from(spki: SpkiSha256) -> Self {
        Self(spki.0)
    }
}

/// How an agent names itself in agent URLs: 64 lower-case hex digits (32 random bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId([u8; 32]);

impl AgentId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for AgentId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for AgentId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::new("agent id", "64 lower-case hex digits", text);
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_invalid| refused())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}
text_serde!(AgentId);

/// A certificate's serial number as its bytes without leading zeros, so that two spellings of one
/// number are equal; 1 to 20 octets, positive (RFC 5280 section 4.1.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    // Padded with zeros behind its end; in this order, so that a number comes right after what it begins with.
    bytes: [u8; 20],
    length: u8,
}

impl SerialNumber {
    /// From the big-endian bytes of a non-negative number; leading zeros do not count.
    ///
    /// # Errors
    /// Refuses zero and more than 20 significant octets.
    pub fn from_be_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        let significant = bytes.iter().position(|b| *b != 0).and_then(|at| bytes.get(at..));
        let number = significant.unwrap_or_default();
        match u8::try_from(number.len()) {
            Ok(length @ 1..=20) => {
                let mut padded = [0; 20];
                padded.iter_mut().zip(number).for_each(|(place, byte)| *place = *byte);
                Ok(Self { bytes: padded, length })
            }
            _ => Err(IdError::new("serial number", "1 to 20 octets, positive", &hex::encode(bytes))),
        }
    }

    /// The big-endian bytes without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl FromStr for SerialNumber {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
        hex::decode(&even)
            .map_err(|_invalid| IdError::new("serial number", "hex digits", text))
            .and_then(|bytes| Self::from_be_bytes(&bytes))
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}
text_serde!(SerialNumber);

/// The one key under which an issued certificate is found: who signed it, and its serial number.
/// Never a fingerprint: ECDSA signatures are malleable, so a fingerprint is not unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CertificateRef {
    /// The key that signed it.
    pub issuer: IssuerKeyId,
    /// Its serial number.
    pub serial: SerialNumber,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tenant_accepts_slugs_and_refuses_everything_else() {
        for good in ["a", "acme", "0-9", &"x".repeat(63)] {
            assert!(good.parse::<Tenant>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "Acme", "a_b", "a/b", "a.b", "é", " a", &"x".repeat(64)] {
            assert!(bad.parse::<Tenant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reserved_device_names_are_recognised_in_any_case() {
        for name in ["service_pulse", "Service_x", "countersign", "Countersign-door", "ADMIN"] {
            assert!(name.parse::<DeviceName>().unwrap().is_reserved(), "{name}");
        }
        assert!(!"administrator".parse::<DeviceName>().unwrap().is_reserved());
    }

    #[test]
    fn serial_numbers_ignore_leading_zeros() {
        let plain: SerialNumber = "0abc".parse().unwrap();
        assert_eq!(plain, "000abc".parse().unwrap());
        assert_eq!(plain, "ABC".parse().unwrap());
        assert!("00".parse::<SerialNumber>().is_err());
        assert!("11".repeat(21).parse::<SerialNumber>().is_err());
    }

    #[test]
    fn serial_numbers_are_in_the_order_of_their_bytes() {
        let numbers = ["01", "0100", "010000", "010001", "0101", "02", &"02".repeat(19), &"02".repeat(20)];
        let numbers = numbers.map(|text| text.parse::<SerialNumber>().unwrap());
        assert!(numbers.is_sorted_by(|one, next| one < next && one.as_bytes() < next.as_bytes()));
    }

    #[test]
    fn agent_ids_refuse_upper_case() {
        assert!("ab".repeat(32).parse::<AgentId>().is_ok());
        assert!("AB".repeat(32).parse::<AgentId>().is_err());
        assert!("ab".repeat(31).parse::<AgentId>().is_err());
    }

    proptest! {
        #[test]
        fn any_host_name_becomes_a_name_that_may_be_issued(hostname in "\\PC{0,200}") {
            let name = DeviceName::sanitised(&hostname);
            prop_assert!(!name.is_reserved());
            prop_assert!(name.as_str().parse::<DeviceName>().is_ok());
            prop_assert!(name.with_suffix("a1b2c3").as_str().parse::<DeviceName>().is_ok());
        }
    }
}
