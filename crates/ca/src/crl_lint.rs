//! The named checks that every to-be-signed revocation list passes before it is signed.
//!
//! As with certificates, a lint reads the list as a stranger would and does not trust what built it.

use std::collections::HashSet;

use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::UtcTime;
use der::{Decode, Encode as _};
use x509_cert::certificate::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::ext::pkix::crl::{CrlNumber, CrlReason, IssuingDistributionPoint};
use x509_cert::time::Time;

use crate::crl::{CrlContents, CrlError};
use crate::issuer::IssuerFacts;
use crate::lint::LintRow;
use crate::name;
use crate::tbs::timestamp;

/// What is looked at: the list as read back, what it is to say, and who is to sign it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) list: &'a TbsCertList,
    pub(crate) contents: &'a CrlContents,
    pub(crate) issuer: &'a IssuerFacts,
}

type Finding = Result<(), String>;

struct Lint {
    row: LintRow,
    check: fn(&Subject<'_>) -> Finding,
}

impl Lint {
    const fn new(
        name: &'static str,
        what: &'static str,
        source: &'static str,
        check: fn(&Subject<'_>) -> Finding,
    ) -> Self {
        Self { row: LintRow { name, what, source }, check }
    }
}

const LINTS: &[Lint] = &[
    Lint::new("crl_version_is_2", "it is version 2", "RFC 5280 5.1.2.1; CA/B BR 7.2.1", version_is_2),
    Lint::new(
        "crl_issuer_name_is_the_issuers_subject",
        "the issuer's name is the issuer's subject, byte for byte",
        "RFC 5280 5.1.2.3",
        issuer_name_is_the_issuers_subject,
    ),
    Lint::new(
        "crl_dates_use_right_time_type",
        "UTCTime to 2049, GeneralizedTime after",
        "RFC 5280 5.1.2.4, 5.1.2.6",
        dates_use_right_time_type,
    ),
    Lint::new(
        "crl_next_update_after_this_update",
        "it says when the next one is due, after it was made",
        "RFC 5280 5.1.2.5; CA/B BR 7.2",
        next_update_after_this_update,
    ),
    Lint::new(
        "crl_extensions_unique_and_known",
        "no extension is there twice, and none that was not asked for",
        "RFC 5280 5.2",
        extensions_unique_and_known,
    ),
    Lint::new(
        "crl_number_present",
        "its number is there, not critical, and the one that was taken for it",
        "RFC 5280 5.2.3; CA/B BR 7.2.2",
        number_present,
    ),
    Lint::new(
        "crl_aki_matches_issuer",
        "the authority key identifier is the issuer's subject key identifier, copied, and nothing else",
        "RFC 5280 5.2.1; CA/B BR 7.2.2",
        aki_matches_issuer,
    ),
    Lint::new(
        "crl_idp_equals_cdp",
        "the issuing distribution point is critical and spelt as certificates spell it; without one it is absent",
        "RFC 5280 5.2.5; CA/B BR 7.2.2.1",
        idp_equals_cdp,
    ),
    Lint::new(
        "crl_no_empty_list",
        "without revoked certificates there is no list of them, and with them all are there",
        "RFC 5280 5.1.2.6",
        no_empty_list,
    ),
    Lint::new(
        "crl_entries_sorted_and_unique",
        "no certificate is named twice; entries are ordered by serial number",
        "RFC 5280 5.1.2.6; Countersign: order",
        entries_sorted_and_unique,
    ),
    Lint::new(
        "crl_serials_positive_and_at_most_20_octets",
        "every serial number is one that a certificate can have",
        "RFC 5280 4.1.2.2",
        serials_positive_and_at_most_20_octets,
    ),
    Lint::new(
        "crl_no_reason_code_zero",
        "an entry without a reason has no reason code; there is no other entry extension, none critical",
        "RFC 5280 5.3.1; CA/B BR 7.2.2",
        no_reason_code_zero,
    ),
];

/// The lints of revocation lists, in the order in which they run.
pub fn crl_lints() -> impl Iterator<Item = LintRow> {
    LINTS.iter().map(|lint| lint.row)
}

/// Fails closed: the first lint that finds something, or cannot read what it looks for, refuses.
pub(crate) fn check(subject: &Subject<'_>) -> Result<(), CrlError> {
    LINTS.iter().try_for_each(|lint| {
        (lint.check)(subject).map_err(|detail| CrlError::Lint { name: lint.row.name, detail })
    })
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Finding {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn entries<'a>(subject: &Subject<'a>) -> &'a [RevokedCert] {
    subject.list.revoked_certificates.as_deref().unwrap_or_default()
}

/// The one extension with this identifier and its critical bit, which must be there.
fn extension<T>(subject: &Subject<'_>, oid: ObjectIdentifier) -> Result<(bool, T), String>
where
    T: for<'a> Decode<'a, Error = der::Error>,
{
    let mut extensions = subject.list.crl_extensions.iter().flatten();
    let found = extensions.find(|extension| extension.extn_id == oid).ok_or_else(|| format!("no {oid}"))?;
    let value = T::from_der(found.extn_value.as_bytes());
    Ok((found.critical, value.map_err(|error| format!("unreadable {oid}: {error}"))?))
}

fn version_is_2(subject: &Subject<'_>) -> Finding {
    ensure(subject.list.version == Version::V2, || format!("version {:?}", subject.list.version))
}

fn issuer_name_is_the_issuers_subject(subject: &Subject<'_>) -> Finding {
    let written = subject.list.issuer.to_der().map_err(|error| error.to_string())?;
    let expected = subject.issuer.subject.to_der().map_err(|error| error.to_string())?;
    ensure(written == expected, || "another issuer's name".to_owned())
}

fn dates_use_right_time_type(subject: &Subject<'_>) -> Finding {
    let list = subject.list;
    let of_entries = entries(subject).iter().map(|entry| entry.revocation_date);
    let mut dates = std::iter::once(list.this_update).chain(list.next_update).chain(of_entries);
    let wrong = dates.find(|time| match time {
        Time::UtcTime(_) => false,
        Time::GeneralTime(at) => at.to_date_time().year() <= UtcTime::MAX_YEAR,
    });
    wrong.map_or(Ok(()), |time| Err(format!("GeneralizedTime for {time}, which is before 2050")))
}

fn next_update_after_this_update(subject: &Subject<'_>) -> Finding {
    let made = timestamp(&subject.list.this_update);
    let due = subject.list.next_update.as_ref().map(timestamp).ok_or("no nextUpdate")?;
    ensure(made < due, || format!("made at {made}, due at {due}"))
}

fn extensions_unique_and_known(subject: &Subject<'_>) -> Finding {
    let known = [CrlNumber::OID, AuthorityKeyIdentifier::OID, ID_CE_ISSUING_DISTRIBUTION_POINT];
    let mut seen = HashSet::new();
    let mut extensions = subject.list.crl_extensions.iter().flatten();
    let wrong =
        extensions.find(|extension| !known.contains(&extension.extn_id) || !seen.insert(extension.extn_id));
    wrong.map_or(Ok(()), |extension| Err(format!("{} is there twice, or at all", extension.extn_id)))
}

fn number_present(subject: &Subject<'_>) -> Finding {
    let (critical, number) = extension::<CrlNumber>(subject, CrlNumber::OID)?;
    let expected = CrlNumber::try_from(subject.contents.number).map_err(|error| error.to_string())?;
    ensure(!critical && number == expected, || format!("critical {critical}, number {number:?}"))
}

fn aki_matches_issuer(subject: &Subject<'_>) -> Finding {
    let (critical, authority) = extension::<AuthorityKeyIdentifier>(subject, AuthorityKeyIdentifier::OID)?;
    let copied =
        authority.key_identifier.as_ref().is_some_and(|id| id.as_bytes() == subject.issuer.subject_key_id);
    let alone = authority.authority_cert_issuer.is_none() && authority.authority_cert_serial_number.is_none();
    ensure(!critical && copied && alone, || "not the issuer's subject key identifier".to_owned())
}

fn idp_equals_cdp(subject: &Subject<'_>) -> Finding {
    let oid = ID_CE_ISSUING_DISTRIBUTION_POINT;
    let Some(url) = &subject.contents.distribution_point else {
        let mut extensions = subject.list.crl_extensions.iter().flatten();
        return ensure(extensions.all(|extension| extension.extn_id != oid), || "unasked for".to_owned());
    };
    let (critical, point) = extension::<IssuingDistributionPoint>(subject, oid)?;
    let expected = name::distribution_point(url).map_err(|error| error.to_string())?;
    let all = !point.only_contains_user_certs
        && !point.only_contains_ca_certs
        && !point.only_contains_attribute_certs
        && !point.indirect_crl
        && point.only_some_reasons.is_none();
    let same = point.distribution_point.as_ref() == Some(&expected);
    ensure(critical && all && same, || format!("{:?}, critical {critical}", point.distribution_point))
}

fn no_empty_list(subject: &Subject<'_>) -> Finding {
    let written = entries(subject).len();
    let is_absent = subject.list.revoked_certificates.is_none();
    let expected = subject.contents.entries.len();
    ensure(written == expected && is_absent == (expected == 0), || {
        format!("{written} entries instead of {expected}, no list: {is_absent}")
    })
}

/// By number, which is by length first: serial numbers have no leading zeros.
fn entries_sorted_and_unique(subject: &Subject<'_>) -> Finding {
    let number = |entry: &RevokedCert| {
        let bytes = entry.serial_number.as_bytes();
        let significant = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        (significant.len(), significant.to_vec())
    };
    let wrong = entries(subject).windows(2).find_map(|pair| match pair {
        [first, second] if number(first) < number(second) => None,
        [_, second] => Some(hex::encode(second.serial_number.as_bytes())),
        _ => None,
    });
    wrong.map_or(Ok(()), |serial| Err(format!("{serial} is there twice, or out of order")))
}

fn serials_positive_and_at_most_20_octets(subject: &Subject<'_>) -> Finding {
    let wrong = entries(subject).iter().map(|entry| entry.serial_number.as_bytes()).find(|octets| {
        let positive =
            octets.first().is_some_and(|first| *first < 0x80) && octets.iter().any(|one| *one != 0);
        !positive || octets.len() > 20
    });
    wrong.map_or(Ok(()), |octets| Err(format!("serial number {}", hex::encode(octets))))
}

fn no_reason_code_zero(subject: &Subject<'_>) -> Finding {
    let is_right = |entry: &RevokedCert| match entry.crl_entry_extensions.as_deref() {
        None => true,
        Some([reason]) if reason.extn_id == CrlReason::OID && !reason.critical => {
            let reason = CrlReason::from_der(reason.extn_value.as_bytes());
            reason.is_ok_and(|reason| reason != CrlReason::Unspecified)
        }
        Some(_) => false,
    };
    let wrong = entries(subject).iter().find(|entry| !is_right(entry));
    wrong.map_or(Ok(()), |entry| Err(format!("entry {}", hex::encode(entry.serial_number.as_bytes()))))
}

#[cfg(test)]
mod tests;
