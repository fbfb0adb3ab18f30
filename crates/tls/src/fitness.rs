//! What a certificate must be to take part in a chain, whoever asks: doors, clients and people.
//!
//! Stricter than path validation, which lets through what RFC 5280 leaves to profiles: a leaf that could
//! sign certificates, a leaf for any purpose or none, a trusted root that is over or no CA at all.

use const_oid::ObjectIdentifier;
use countersign_core::time::Timestamp;

use crate::certificate::Parsed;
use crate::untrusted::UntrustedReason;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Which side of a handshake a leaf stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that connects.
    Client,
    /// The one that is connected to.
    Server,
}

impl Side {
    const fn purpose(self) -> ObjectIdentifier {
        match self {
            Self::Client => CLIENT_AUTH,
            Self::Server => SERVER_AUTH,
        }
    }
}

/// Whether a leaf may stand for `side`, and for nothing that a leaf must not.
///
/// Fails closed: no extended key usage is none, and anyExtendedKeyUsage is too many.
pub(crate) fn check_leaf(leaf: &Parsed, side: Side) -> Result<(), UntrustedReason> {
    let extensions = &leaf.extensions;
    if !leaf.key_type().is_accepted() {
        return Err(UntrustedReason::UnsupportedKey);
    }
    if extensions.has_unknown_critical || extensions.has_critical_name_constraints {
        return Err(UntrustedReason::UnknownCriticalExtension);
    }
    if leaf.not_before() > leaf.not_after() {
        return Err(UntrustedReason::Malformed);
    }
    let is_ca = extensions.basic_constraints.as_ref().is_some_and(|basic| basic.ca);
    let usage_fits = extensions
        .key_usage
        .as_ref()
        .is_none_or(|usage| usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
    if is_ca || !usage_fits {
        return Err(UntrustedReason::WrongKeyUsage);
    }
    let purposes = extensions.extended_key_usage.as_ref().map(|eku| eku.0.as_slice()).unwrap_or_default();
    if !purposes.contains(&side.purpose()) || purposes.contains(&ANY_EXTENDED_KEY_USAGE) {
        return Err(UntrustedReason::WrongExtendedKeyUsage);
    }
    Ok(())
}

/// Whether a certificate is that of a CA that may sign certificates: a root as well as any below it.
///
/// Constraints on names are for path validation, which knows them.
pub(crate) fn check_ca(ca: &Parsed) -> Result<(), UntrustedReason> {
    let extensions = &ca.extensions;
    if extensions.has_unknown_critical {
        return Err(UntrustedReason::UnknownCriticalExtension);
    }
    let is_ca = extensions.basic_constraints.as_ref().is_some_and(|basic| basic.ca);
    let may_sign = extensions.key_usage.as_ref().is_some_and(|usage| usage.key_cert_sign());
    if !is_ca || !may_sign {
        return Err(UntrustedReason::IssuerUnfit);
    }
    if ca.key_type().is_accepted() { Ok(()) } else { Err(UntrustedReason::UnsupportedKey) }
}

/// Whether the root of a path may vouch for `side` over so many CAs below it: what path validation asks of
/// every CA but of the one it was told to trust, which may be none that signed itself.
pub(crate) fn check_root(root: &Parsed, side: Side, cas_below: usize) -> Result<(), UntrustedReason> {
    let extensions = &root.extensions;
    let length = extensions.basic_constraints.as_ref().and_then(|basic| basic.path_len_constraint);
    let is_too_long = length.is_some_and(|length| cas_below > usize::from(length));
    let purposes = extensions.extended_key_usage.as_ref().map(|eku| eku.0.as_slice());
    let is_for_others = purposes
        .is_some_and(|list| !list.contains(&side.purpose()) && !list.contains(&ANY_EXTENDED_KEY_USAGE));
    if is_too_long || is_for_others { Err(UntrustedReason::IssuerUnfit) } else { Ok(()) }
}

/// Whether `at` lies within a certificate's validity.
pub(crate) fn is_valid_at(certificate: &Parsed, at: Timestamp) -> bool {
    certificate.not_before() <= at && at <= certificate.not_after()
}
