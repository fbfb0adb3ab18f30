//! The named checks that every to-be-signed certificate passes before it is signed.
//!
//! A lint reads the certificate as a stranger would and says again, on its own, what RFC 5280 and
//! the profile ask for; it does not trust the code that built it.

use const_oid::{AssociatedOid as _, ObjectIdentifier};
use countersign_core::Identity;
use countersign_core::edge::EdgeIdentity;
use countersign_core::time::Timestamp;
use der::Encode as _;
use der::asn1::UtcTime;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
    KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use crate::distinguished_name::NameAttribute;
use crate::issuer::{IssuerFacts, IssuerKind, OCSP_NO_CHECK, PrepareError};
use crate::name;
use crate::profile::{Profile, Purpose, ServerPurposes};
use crate::public_key::{Kind, PublicKey};
use crate::tbs::{Tbs, timestamp};

mod table;

pub use table::{LintRow, certificate_lints};

use table::{LINTS, Needs};

pub(crate) const ISSUER_MAY_SIGN_PROFILE: &str = "issuer_may_sign_profile";

/// What is looked at: the certificate as read back, and what it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) tbs: &'a Tbs,
    pub(crate) profile: &'a Profile,
    pub(crate) issuer: &'a IssuerFacts,
    pub(crate) public_key: &'a PublicKey,
    pub(crate) issued_at: Timestamp,
}

type Finding = Result<(), String>;

/// The names of the lints of certificates, in the order in which they run.
pub fn lint_names() -> impl Iterator<Item = &'static str> {
    LINTS.iter().map(|lint| lint.name)
}

/// Fails closed: the first lint that finds something, or cannot read what it looks for, refuses.
pub(crate) fn check(subject: &Subject<'_>) -> Result<(), PrepareError> {
    LINTS.iter().try_for_each(|lint| {
        (lint.check)(subject).map_err(|detail| PrepareError::Lint { name: lint.name, detail })
    })
}

/// What every lint finds in a certificate that exists, each by its name; those that need the issuer only
/// if it is known.
pub(crate) fn findings(subject: &Subject<'_>, issuer: IssuerKnown) -> Vec<(&'static str, String)> {
    let known = issuer == IssuerKnown::Yes;
    let lints = LINTS.iter().filter(|lint| known || lint.needs == Needs::Nothing);
    lints.filter_map(|lint| Some((lint.name, (lint.check)(subject).err()?))).collect()
}

/// Whether the issuer of a certificate that exists is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssuerKnown {
    Yes,
    No,
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Finding {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The extension of type `T`, which must be there.
macro_rules! required {
    ($subject:expr, $type:ty) => {
        $subject
            .tbs
            .extension::<$type>()
            .map_err(|error| format!("unreadable {}: {error}", stringify!($type)))?
            .ok_or_else(|| format!("no {}", stringify!($type)))?
    };
}

fn version_is_3(subject: &Subject<'_>) -> Finding {
    ensure(subject.tbs.version == Version::V3, || format!("version {:?}", subject.tbs.version))
}

fn serial_positive_and_at_most_20_octets(subject: &Subject<'_>) -> Finding {
    let octets = subject.tbs.serial.as_bytes();
    let positive =
        octets.first().is_some_and(|first| *first < 0x80) && octets.iter().any(|octet| *octet != 0);
    ensure(positive && octets.len() <= 20, || format!("serial number {}", hex::encode(octets)))
}

/// CA/Browser Forum Baseline Requirements section 7.1: at least 64 bits from a random generator;
/// ours have a prefix octet before them.
fn serial_has_room_for_64_random_bits(subject: &Subject<'_>) -> Finding {
    let length = subject.tbs.serial.as_bytes().len();
    ensure(length >= 9, || format!("serial number of {length} octets"))
}

fn issuer_name_is_the_issuers_subject(subject: &Subject<'_>) -> Finding {
    ensure(subject.tbs.issuer == subject.issuer.subject, || "another issuer's name".to_owned())
}

fn issuer_may_sign_profile(subject: &Subject<'_>) -> Finding {
    let (kind, profile) = (subject.issuer.kind, subject.profile);
    let may = match profile {
        Profile::Root { .. } => kind == IssuerKind::Root && subject.tbs.subject == subject.tbs.issuer,
        Profile::IssuingDevice { .. } | Profile::IssuingService { .. } | Profile::Intermediate { .. } => {
            matches!(kind, IssuerKind::Root | IssuerKind::Intermediate)
        }
        Profile::Device { .. } => kind == IssuerKind::Device,
        Profile::ServiceServer { .. } | Profile::ServiceClient { .. } => {
            matches!(kind, IssuerKind::Service | IssuerKind::Intermediate)
        }
        Profile::Edge { .. } => kind == IssuerKind::Service,
        Profile::Ocsp { .. } => true,
    };
    ensure(may, || format!("a {kind:?} issuer does not sign {}", profile.as_str()))
}

fn validity_within_issuer(subject: &Subject<'_>) -> Finding {
    let validity = &subject.tbs.validity;
    let (from, to) = (timestamp(&validity.not_before), timestamp(&validity.not_after));
    let issuer = subject.issuer;
    ensure(issuer.not_before <= from && to <= issuer.not_after, || {
        format!("{from} to {to} under an issuer of {} to {}", issuer.not_before, issuer.not_after)
    })
}

fn lifetime_positive(subject: &Subject<'_>) -> Finding {
    let validity = &subject.tbs.validity;
    let (from, to) = (timestamp(&validity.not_before), timestamp(&validity.not_after));
    ensure(from <= subject.issued_at && subject.issued_at < to, || {
        format!("issued at {}, valid from {from} to {to}", subject.issued_at)
    })
}

fn dates_use_right_time_type(subject: &Subject<'_>) -> Finding {
    let validity = &subject.tbs.validity;
    let wrong = [validity.not_before, validity.not_after].into_iter().find(|time| match time {
        Time::UtcTime(_) => false,
        Time::GeneralTime(at) => at.to_date_time().year() <= UtcTime::MAX_YEAR,
    });
    wrong.map_or(Ok(()), |time| Err(format!("GeneralizedTime for {time}, which is before 2050")))
}

/// An empty subject only where the alternative names are critical (RFC 5280 section 4.1.2.6); each
/// attribute known, within its upper bound (appendix A) and without control characters.
fn subject_present(subject: &Subject<'_>) -> Finding {
    let attributes =
        name::attributes_of(&subject.tbs.subject).map_err(|error| format!("unreadable: {error}"))?;
    if attributes.is_empty() {
        let (critical, _names) = required!(subject, SubjectAltName);
        return ensure(critical && !subject.profile.is_ca(), || "the subject is empty".to_owned());
    }
    let wrong = attributes
        .into_iter()
        .find(|(oid, text)| !NameAttribute::of(*oid).is_some_and(|attribute| attribute.accepts(text)));
    wrong.map_or(Ok(()), |(oid, text)| Err(format!("attribute {oid} is {text:?}")))
}

fn key_is_the_requested_one(subject: &Subject<'_>) -> Finding {
    let spki = subject.tbs.public_key.to_der().map_err(|error| error.to_string())?;
    ensure(spki == subject.public_key.spki_der(), || "another public key".to_owned())
}

fn extensions_unique(subject: &Subject<'_>) -> Finding {
    let mut seen = std::collections::HashSet::new();
    let twice = subject.tbs.extensions.iter().find(|extension| !seen.insert(extension.extn_id));
    twice.map_or(Ok(()), |extension| Err(format!("{} is there twice", extension.extn_id)))
}

/// What every relying party can be expected to know.
const KNOWN: [ObjectIdentifier; 8] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    SubjectAltName::OID,
    SubjectKeyIdentifier::OID,
    AuthorityKeyIdentifier::OID,
    CrlDistributionPoints::OID,
    AuthorityInfoAccessSyntax::OID,
];

/// Whether every relying party can be expected to know an extension.
pub(crate) fn is_known(extension: &ObjectIdentifier) -> bool {
    KNOWN.contains(extension)
}

fn no_unknown_critical_extension(subject: &Subject<'_>) -> Finding {
    let mut extensions = subject.tbs.extensions.iter();
    let unknown = extensions.find(|extension| extension.critical && !KNOWN.contains(&extension.extn_id));
    unknown.map_or(Ok(()), |extension| Err(format!("{} is critical", extension.extn_id)))
}

/// RFC 5280 section 4.2.1: basic constraints and key usage critical, the alternative names only
/// without a subject, nothing else.
fn critical_bits_right(subject: &Subject<'_>) -> Finding {
    let no_subject = subject.tbs.subject.value().is_empty();
    let wrong = subject.tbs.extensions.iter().find(|extension| {
        let expected = match extension.extn_id {
            BasicConstraints::OID | KeyUsage::OID => true,
            SubjectAltName::OID => no_subject,
            _ => false,
        };
        extension.critical != expected
    });
    wrong.map_or(Ok(()), |extension| Err(format!("{}: critical {}", extension.extn_id, extension.critical)))
}

fn ski_present(subject: &Subject<'_>) -> Finding {
    let (_critical, id) = required!(subject, SubjectKeyIdentifier);
    ensure(id.0.as_bytes() == subject.public_key.subject_key_id(), || {
        format!("{} is not the key's", hex::encode(id.0.as_bytes()))
    })
}

/// The issuer's subject key identifier, copied, and not issuer and serial (RFC 5280 section 4.2.1.1).
fn aki_matches_issuer(subject: &Subject<'_>) -> Finding {
    let (_critical, authority) = required!(subject, AuthorityKeyIdentifier);
    let copied =
        authority.key_identifier.as_ref().is_some_and(|id| id.as_bytes() == subject.issuer.subject_key_id);
    let alone = authority.authority_cert_issuer.is_none() && authority.authority_cert_serial_number.is_none();
    ensure(copied && alone, || "not the issuer's subject key identifier".to_owned())
}

fn leaf_is_not_ca(subject: &Subject<'_>) -> Finding {
    if subject.profile.is_ca() {
        return Ok(());
    }
    let (_critical, constraints) = required!(subject, BasicConstraints);
    let (_critical, usage) = required!(subject, KeyUsage);
    ensure(!constraints.ca && !usage.key_cert_sign() && !usage.crl_sign(), || "it could sign".to_owned())
}

fn ca_has_key_cert_sign(subject: &Subject<'_>) -> Finding {
    if !subject.profile.is_ca() {
        return Ok(());
    }
    let (_critical, constraints) = required!(subject, BasicConstraints);
    let (_critical, usage) = required!(subject, KeyUsage);
    ensure(constraints.ca && usage.key_cert_sign() && usage.crl_sign(), || "it could not sign".to_owned())
}

fn path_length_matches_profile(subject: &Subject<'_>) -> Finding {
    let (_critical, constraints) = required!(subject, BasicConstraints);
    let expected = match subject.profile {
        Profile::IssuingDevice { .. } | Profile::IssuingService { .. } => Some(0),
        Profile::Intermediate { path_length, .. } => *path_length,
        Profile::Root { .. }
        | Profile::Device { .. }
        | Profile::ServiceServer { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. }
        | Profile::Ocsp { .. } => None,
    };
    ensure(constraints.path_len_constraint == expected, || {
        format!("path length {:?}", constraints.path_len_constraint)
    })
}

/// RFC 5280 section 4.2.1.9: below a CA whose path length is n, CAs have at most n - 1; a CA that says
/// nothing of its own is bound by its issuer's all the same.
fn path_length_within_issuer(subject: &Subject<'_>) -> Finding {
    if !subject.profile.is_ca() || matches!(subject.profile, Profile::Root { .. }) {
        return Ok(());
    }
    let (_critical, constraints) = required!(subject, BasicConstraints);
    let own = constraints.path_len_constraint;
    let fits = match subject.issuer.path_length {
        None => true,
        Some(0) => false,
        Some(above) => own.is_none_or(|own| own < above),
    };
    ensure(fits, || format!("path length {own:?} below {:?}", subject.issuer.path_length))
}

/// What a CA's own purposes do not allow, relying parties refuse below it. An OCSP responder is
/// authorised by who issued it (RFC 6960 section 4.2.2.2), whatever its issuer is for.
fn purposes_within_issuer(subject: &Subject<'_>) -> Finding {
    let allowed = &subject.issuer.purposes;
    if allowed.is_empty() || matches!(subject.profile, Profile::Ocsp { .. }) {
        return Ok(());
    }
    let written = subject.tbs.extension::<ExtendedKeyUsage>().map_err(|error| error.to_string())?;
    let Some((_critical, ExtendedKeyUsage(purposes))) = written else {
        return Err("any purpose below a CA of limited ones".to_owned());
    };
    let wrong = purposes.into_iter().find(|purpose| !allowed.contains(purpose));
    wrong.map_or(Ok(()), |purpose| Err(format!("the purpose {purpose} is not among the issuer's")))
}

/// RFC 6960 section 4.2.2.2.1: a responder's certificate is not asked about, all others are.
fn no_check_is_for_responders(subject: &Subject<'_>) -> Finding {
    let written = subject.tbs.extensions.iter().any(|extension| extension.extn_id == OCSP_NO_CHECK);
    let expected = matches!(subject.profile, Profile::Ocsp { .. });
    ensure(written == expected, || format!("id-pkix-ocsp-nocheck: {written}"))
}

fn key_usage_matches_profile(subject: &Subject<'_>) -> Finding {
    let (_critical, usage) = required!(subject, KeyUsage);
    let rsa = subject.public_key.kind() == Kind::Rsa;
    let expected = match subject.profile {
        Profile::Root { .. }
        | Profile::IssuingDevice { .. }
        | Profile::IssuingService { .. }
        | Profile::Intermediate { .. } => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        Profile::ServiceServer { .. } | Profile::ServiceClient { .. } if rsa => {
            KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
        }
        Profile::Device { .. }
        | Profile::ServiceServer { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. }
        | Profile::Ocsp { .. } => KeyUsages::DigitalSignature.into(),
    };
    ensure(usage.0 == expected, || format!("{:?}", usage.0))
}

fn eku_matches_profile(subject: &Subject<'_>) -> Finding {
    const SERVER: &str = "1.3.6.1.5.5.7.3.1";
    const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
    const RESPONDER: &str = "1.3.6.1.5.5.7.3.9";
    let expected: Vec<&str> = match subject.profile {
        Profile::Root { .. } => vec![],
        Profile::IssuingDevice { .. }
        | Profile::Device { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. } => vec![CLIENT],
        Profile::IssuingService { .. }
        | Profile::ServiceServer { purposes: ServerPurposes::ServerAndClient, .. } => vec![SERVER, CLIENT],
        Profile::ServiceServer { purposes: ServerPurposes::Server, .. } => vec![SERVER],
        Profile::Intermediate { purposes, .. } => purposes
            .iter()
            .map(|purpose| match purpose {
                Purpose::ServerAuth => SERVER,
                Purpose::ClientAuth => CLIENT,
            })
            .collect(),
        Profile::Ocsp { .. } => vec![RESPONDER],
    };
    let written = subject.tbs.extension::<ExtendedKeyUsage>().map_err(|error| error.to_string())?;
    let purposes: Vec<String> =
        written.map_or_else(Vec::new, |(_, usage)| usage.0.iter().map(ToString::to_string).collect());
    ensure(purposes == expected, || format!("{purposes:?}"))
}

fn alternative_names(subject: &Subject<'_>) -> Result<Vec<GeneralName>, String> {
    let written = subject.tbs.extension::<SubjectAltName>().map_err(|error| error.to_string())?;
    Ok(written.map_or_else(Vec::new, |(_critical, names)| names.0))
}

fn device_has_exactly_one_identity_uri(subject: &Subject<'_>) -> Finding {
    let names = alternative_names(subject)?;
    if let Profile::Device { identity } = subject.profile {
        return match names.as_slice() {
            [GeneralName::UniformResourceIdentifier(uri)]
                if Identity::from_uri(uri.as_str()).as_ref() == Ok(identity) =>
            {
                Ok(())
            }
            _ => Err(format!("{} alternative names, not just the identity {identity}", names.len())),
        };
    }
    if let Profile::Edge { identity } = subject.profile {
        return match names.as_slice() {
            [GeneralName::UniformResourceIdentifier(uri)]
                if EdgeIdentity::from_uri(uri.as_str()).as_ref() == Ok(identity) =>
            {
                Ok(())
            }
            _ => Err(format!("{} alternative names, not just the identity {identity}", names.len())),
        };
    }
    // In any spelling: what looks like a device or an edge to somebody must not come from another profile.
    let device = names.iter().find_map(|name| {
        let GeneralName::UniformResourceIdentifier(uri) = name else { return None };
        let lower = uri.as_str().to_ascii_lowercase();
        let is_own = lower.contains("/tenant/") || lower.contains("/edge/");
        (lower.starts_with("spiffe:") && is_own).then_some(uri)
    });
    device.map_or(Ok(()), |uri| Err(format!("{:?} names a device or an edge", uri.as_str())))
}

fn no_reserved_name(subject: &Subject<'_>) -> Finding {
    match subject.profile {
        Profile::Device { identity } => ensure(!identity.device().is_reserved(), || {
            format!("the device name {} is reserved", identity.device())
        }),
        Profile::Root { .. }
        | Profile::IssuingDevice { .. }
        | Profile::IssuingService { .. }
        | Profile::Intermediate { .. }
        | Profile::ServiceServer { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. }
        | Profile::Ocsp { .. } => Ok(()),
    }
}

/// At least one name, for a server one that it is reached by; DNS names of letters, digits and inner hyphens (RFC 5280 section 4.2.1.6), `*`
/// as a whole leftmost label; URIs with a scheme.
fn service_names_well_formed(subject: &Subject<'_>) -> Finding {
    let names = alternative_names(subject)?;
    let is_uri_name = |name: &GeneralName| matches!(name, GeneralName::UniformResourceIdentifier(_));
    match subject.profile {
        Profile::Root { .. }
        | Profile::IssuingDevice { .. }
        | Profile::IssuingService { .. }
        | Profile::Intermediate { .. }
        | Profile::Ocsp { .. } => {
            return ensure(names.is_empty(), || "alternative names that mean nothing here".to_owned());
        }
        Profile::Device { .. } | Profile::Edge { .. } => return Ok(()),
        Profile::ServiceServer { purposes, .. } => {
            let is_reached = names.iter().any(|name| !is_uri_name(name));
            ensure(is_reached, || "no host name and no address to reach the server by".to_owned())?;
            let may_have_uris = *purposes == ServerPurposes::ServerAndClient;
            ensure(may_have_uris || !names.iter().any(is_uri_name), || {
                "a URI in the certificate of a server that is no client".to_owned()
            })?;
        }
        Profile::ServiceClient { .. } => ensure(!names.is_empty(), || "no alternative name".to_owned())?,
    }
    let wrong = names.iter().find(|name| match name {
        GeneralName::DnsName(text) => !is_host_name(text.as_str()),
        GeneralName::UniformResourceIdentifier(text) => !is_uri(text.as_str()),
        GeneralName::IpAddress(octets) => !matches!(octets.as_bytes().len(), 4 | 16),
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::RegisteredId(_) => true,
    });
    wrong.map_or(Ok(()), |name| Err(format!("{name:?}")))
}

fn is_host_name(text: &str) -> bool {
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && labels.split('.').all(label)
}

fn is_uri(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !rest.is_empty()
        })
}

fn publication_urls_are_http(subject: &Subject<'_>) -> Finding {
    let mut places = Vec::new();
    let points = subject.tbs.extension::<CrlDistributionPoints>().map_err(|error| error.to_string())?;
    for point in points.map_or_else(Vec::new, |(_, points)| points.0) {
        match point.distribution_point {
            Some(DistributionPointName::FullName(names)) => places.extend(names),
            _ => return Err("a distribution point without a full name".to_owned()),
        }
    }
    let access = subject.tbs.extension::<AuthorityInfoAccessSyntax>().map_err(|error| error.to_string())?;
    places.extend(
        access.map_or_else(Vec::new, |(_, syntax)| syntax.0).into_iter().map(|one| one.access_location),
    );
    let wrong = places.iter().find(|place| {
        let GeneralName::UniformResourceIdentifier(url) = place else { return true };
        let url = url.as_str();
        !is_uri(url) || !(url.starts_with("http://") || url.starts_with("https://"))
    });
    wrong.map_or(Ok(()), |place| Err(format!("{place:?}")))
}

#[cfg(test)]
mod tests;
