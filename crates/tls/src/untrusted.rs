//! Why a chain proves nothing.

use std::fmt;

/// Why no CA vouches for the chain that was shown: none of our device CAs, or none whose guests a place
/// admits.
///
/// Dates and status of the leaf are not among the reasons: they are judged against the trust
/// snapshot, each time, once the chain itself is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UntrustedReason {
    /// More than 8 KiB or more than four certificates; not parsed.
    ChainTooLarge,
    /// Not a DER X.509 version 3 certificate, or one that contradicts itself.
    Malformed,
    /// A key other than P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits.
    UnsupportedKey,
    /// A critical extension that is not understood, in the leaf or in its issuer.
    UnknownCriticalExtension,
    /// A leaf that is a CA, may sign certificates, or may not sign handshakes.
    WrongKeyUsage,
    /// No extended key usage, not the one that is asked for, or anyExtendedKeyUsage.
    WrongExtendedKeyUsage,
    /// No SAN URI that is a device identity.
    NoIdentity,
    /// More than one SAN URI: a certificate names one device.
    SeveralIdentities,
    /// Not issued under a name and key identifier of a device CA we know.
    UnknownIssuer,
    /// The device CA itself is outside its validity, or is no CA that may sign certificates.
    IssuerUnfit,
    /// Names a device CA of ours as its issuer, which did not sign it.
    BadSignature,
    /// A CA on the way to the one that is trusted breaks a rule of path validation: a constraint on names
    /// or on the length of the path, or a purpose that it may not pass on.
    PathInvalid,
    /// Names somebody of this installation, whom its CA may not name.
    BorrowedName,
}

impl UntrustedReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::ChainTooLarge,
        Self::Malformed,
        Self::UnsupportedKey,
        Self::UnknownCriticalExtension,
        Self::WrongKeyUsage,
        Self::WrongExtendedKeyUsage,
        Self::NoIdentity,
        Self::SeveralIdentities,
        Self::UnknownIssuer,
        Self::IssuerUnfit,
        Self::BadSignature,
        Self::PathInvalid,
        Self::BorrowedName,
    ];

    /// The stable code, for logs, metrics and `countersign explain`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ChainTooLarge => "CHAIN_TOO_LARGE",
            Self::Malformed => "CERTIFICATE_MALFORMED",
            Self::UnsupportedKey => "KEY_UNSUPPORTED",
            Self::UnknownCriticalExtension => "CRITICAL_EXTENSION_UNKNOWN",
            Self::WrongKeyUsage => "KEY_USAGE_WRONG",
            Self::WrongExtendedKeyUsage => "EXTENDED_KEY_USAGE_WRONG",
            Self::NoIdentity => "IDENTITY_MISSING",
            Self::SeveralIdentities => "IDENTITY_AMBIGUOUS",
            Self::UnknownIssuer => "ISSUER_UNKNOWN",
            Self::IssuerUnfit => "ISSUER_UNFIT",
            Self::BadSignature => "SIGNATURE_BAD",
            Self::PathInvalid => "CHAIN_INVALID",
            Self::BorrowedName => "NAME_BORROWED",
        }
    }

    /// One phrase for people, lower case, without a full stop.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::ChainTooLarge => "the chain is over 8 KiB or has more than four certificates",
            Self::Malformed => "the certificate is not well-formed",
            Self::UnsupportedKey => "the key type or size is not accepted",
            Self::UnknownCriticalExtension => "a critical extension is not understood",
            Self::WrongKeyUsage => "the certificate is a CA, or its key usage does not fit a leaf",
            Self::WrongExtendedKeyUsage => {
                "the extended key usage is missing, for another purpose or for any"
            }
            Self::NoIdentity => "the certificate names no device",
            Self::SeveralIdentities => "the certificate names more than one device",
            Self::UnknownIssuer => "the issuer is no CA that is trusted here",
            Self::IssuerUnfit => "the issuing CA is not valid at this time, or may not issue",
            Self::BadSignature => "the signature is not from the CA it names",
            Self::PathInvalid => "a CA of the chain breaks a constraint",
            Self::BorrowedName => {
                "the certificate names somebody of this installation, whom its CA may not name"
            }
        }
    }
}

impl fmt::Display for UntrustedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phrase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = UntrustedReason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), UntrustedReason::ALL.len());
    }
}
