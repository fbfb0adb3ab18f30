//! Every lint of certificates, with what it asks for and who says so.

use super::*;

/// What a lint has to see besides the certificate itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Issuer,
}

pub(super) struct Lint {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) source: &'static str,
    pub(super) needs: Needs,
    pub(super) check: fn(&Subject<'_>) -> Finding,
}

impl Lint {
    const fn new(
        name: &'static str,
        what: &'static str,
        source: &'static str,
        check: fn(&Subject<'_>) -> Finding,
    ) -> Self {
        Self { name, what, source, needs: Needs::Nothing, check }
    }

    const fn of_issuer(self) -> Self {
        Self { needs: Needs::Issuer, ..self }
    }
}

pub(super) const LINTS: &[Lint] = &[
    Lint::new("version_is_3", "it is X.509 version 3", "RFC 5280 4.1.2.1", version_is_3),
    Lint::new(
        "serial_positive_and_at_most_20_octets",
        "the serial number is positive and has at most 20 octets",
        "RFC 5280 4.1.2.2",
        serial_positive_and_at_most_20_octets,
    ),
    Lint::new(
        "serial_has_room_for_64_random_bits",
        "the serial number has room for 64 bits of randomness",
        "CA/B BR 7.1",
        serial_has_room_for_64_random_bits,
    ),
    Lint::new(
        "issuer_name_is_the_issuers_subject",
        "the issuer's name is the issuer's subject, byte for byte",
        "RFC 5280 4.1.2.4",
        issuer_name_is_the_issuers_subject,
    )
    .of_issuer(),
    Lint::new(
        ISSUER_MAY_SIGN_PROFILE,
        "the issuer is of a kind that signs this profile",
        "Countersign: profiles",
        issuer_may_sign_profile,
    )
    .of_issuer(),
    Lint::new(
        "validity_within_issuer",
        "it is valid only while its issuer is",
        "Countersign: notAfter is clamped",
        validity_within_issuer,
    )
    .of_issuer(),
    Lint::new(
        "lifetime_positive",
        "it is valid when issued, and ends after it",
        "RFC 5280 4.1.2.5",
        lifetime_positive,
    ),
    Lint::new(
        "dates_use_right_time_type",
        "UTCTime to 2049, GeneralizedTime after",
        "RFC 5280 4.1.2.5",
        dates_use_right_time_type,
    ),
    Lint::new(
        "subject_present",
        "a CA has a subject; a leaf without one has critical alternative names; each attribute is known and within its upper bound",
        "RFC 5280 4.1.2.6, appendix A",
        subject_present,
    ),
    Lint::new(
        "key_is_the_requested_one",
        "the key is the one whose possession was proved",
        "Countersign: issuing",
        key_is_the_requested_one,
    ),
    Lint::new("extensions_unique", "no extension is there twice", "RFC 5280 4.2", extensions_unique),
    Lint::new(
        "no_unknown_critical_extension",
        "no extension is critical that a relying party may not know",
        "RFC 5280 4.2",
        no_unknown_critical_extension,
    ),
    Lint::new(
        "critical_bits_right",
        "basic constraints and key usage are critical, alternative names only without a subject, nothing else is",
        "RFC 5280 4.2.1; CA/B BR 7.1.2",
        critical_bits_right,
    ),
    Lint::new(
        "ski_present",
        "the subject key identifier is that of the key",
        "RFC 5280 4.2.1.2; RFC 7093 2",
        ski_present,
    ),
    Lint::new(
        "aki_matches_issuer",
        "the authority key identifier is the issuer's subject key identifier, copied, and nothing else",
        "RFC 5280 4.2.1.1; CA/B BR 7.1.2.11.1",
        aki_matches_issuer,
    )
    .of_issuer(),
    Lint::new(
        "leaf_is_not_ca",
        "a leaf is no CA and may sign neither certificates nor revocation lists",
        "RFC 5280 4.2.1.3, 4.2.1.9",
        leaf_is_not_ca,
    ),
    Lint::new(
        "ca_has_key_cert_sign",
        "a CA says so, and may sign certificates and revocation lists",
        "RFC 5280 4.2.1.3, 4.2.1.9",
        ca_has_key_cert_sign,
    ),
    Lint::new(
        "path_length_matches_profile",
        "the path length is the profile's",
        "RFC 5280 4.2.1.9",
        path_length_matches_profile,
    ),
    Lint::new(
        "path_length_within_issuer",
        "the path length is less than the issuer's",
        "RFC 5280 6.1.4",
        path_length_within_issuer,
    )
    .of_issuer(),
    Lint::new(
        "key_usage_matches_profile",
        "the key usage is the profile's",
        "RFC 5280 4.2.1.3; CA/B BR 7.1.2",
        key_usage_matches_profile,
    ),
    Lint::new(
        "eku_matches_profile",
        "the extended key usage is the profile's, and never anyExtendedKeyUsage",
        "RFC 5280 4.2.1.12; CA/B BR 7.1.2",
        eku_matches_profile,
    ),
    Lint::new(
        "purposes_within_issuer",
        "every purpose is among the issuer's",
        "CA/B BR 7.1.2.10.6",
        purposes_within_issuer,
    )
    .of_issuer(),
    Lint::new(
        "no_check_is_for_responders",
        "id-pkix-ocsp-nocheck is in the certificates of OCSP responders and in no other",
        "RFC 6960 4.2.2.2.1",
        no_check_is_for_responders,
    ),
    Lint::new(
        "device_has_exactly_one_identity_uri",
        "a device has its identity as its only alternative name, and nothing else looks like a device",
        "SPIFFE X.509-SVID 2; Countersign: identity",
        device_has_exactly_one_identity_uri,
    ),
    Lint::new(
        "no_reserved_name",
        "the device's name is not reserved",
        "Countersign: identity",
        no_reserved_name,
    ),
    Lint::new(
        "service_names_well_formed",
        "a service's alternative names are host names, addresses or URIs that can be such",
        "RFC 5280 4.2.1.6; CA/B BR 7.1.2.7.12",
        service_names_well_formed,
    ),
    Lint::new(
        "publication_urls_are_http",
        "revocation lists and CA certificates are at http or https URLs",
        "RFC 5280 4.2.1.13, 4.2.2.1; CA/B BR 7.1.2.11.2",
        publication_urls_are_http,
    ),
];

/// A lint, as the reference shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LintRow {
    /// Its stable name.
    pub name: &'static str,
    /// What it asks for.
    pub what: &'static str,
    /// Who says so: an RFC with its section, the baseline requirements of the CA/Browser Forum (BR), or
    /// a rule of ours.
    pub source: &'static str,
}

/// The lints of certificates, in the order in which they run.
pub fn certificate_lints() -> impl Iterator<Item = LintRow> {
    LINTS.iter().map(|lint| LintRow { name: lint.name, what: lint.what, source: lint.source })
}
