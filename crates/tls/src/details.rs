//! What a leaf says, in the texts that rules and identity headers use.

use std::sync::Arc;

use aws_lc_rs::digest;
use const_oid::ObjectIdentifier;
use countersign_core::time::Timestamp;
use der::DateTime;

use crate::attribute::SubjectAttribute;
use crate::certificate::Parsed;
use crate::distinguished_name::{legacy, rfc2253};
use crate::issuers::Issuer;

/// The texts of a presented leaf certificate, trusted or not, in Cloudflare's formats: serial and
/// key identifiers in upper-case hex, fingerprints in lower-case hex, dates as
/// `Mar 21 13:35:00 2022 GMT`. A part the certificate lacks is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafDetails {
    /// Issuer, leaf-most name first: `CN=…,O=…`.
    pub issuer_dn: String,
    /// Issuer as RFC 2253 writes it.
    pub issuer_dn_rfc2253: String,
    /// Issuer in the slash form, root-most name first: `/O=…/CN=…`.
    pub issuer_dn_legacy: String,
    /// Subject, leaf-most name first: `CN=…,O=…`.
    pub subject_dn: String,
    /// Subject as RFC 2253 writes it.
    pub subject_dn_rfc2253: String,
    /// Subject in the slash form, root-most name first: `/O=…/CN=…`.
    pub subject_dn_legacy: String,
    /// Serial number, upper-case hex.
    pub serial: String,
    /// The direct issuer's serial number, upper-case hex; empty when the issuer is not known.
    pub issuer_serial: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint_sha256: String,
    /// SHA-1 of the certificate, lower-case hex.
    pub fingerprint_sha1: String,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
    /// First valid moment as `Mar 21 13:35:00 2022 GMT`.
    pub not_before_text: String,
    /// Last valid moment as `Mar 21 13:35:00 2022 GMT`.
    pub not_after_text: String,
    /// Subject key identifier, upper-case hex.
    pub ski: String,
    /// The direct issuer's subject key identifier, upper-case hex.
    pub issuer_ski: String,
    /// The subject, attribute by attribute.
    pub subject: Vec<SubjectAttribute>,
    /// SAN URIs.
    pub san_uris: Vec<String>,
    /// SAN DNS names.
    pub san_dns: Vec<String>,
    /// Extended key usages: `clientAuth`, `serverAuth`, …, or the dotted object identifier.
    pub ekus: Vec<String>,
    /// `P-256`, `P-384`, `Ed25519`, `RSA-2048`, …
    pub key_type: String,
}

impl LeafDetails {
    /// The texts of the first certificate of a chain in DER that nobody vouches for; `None` when it
    /// cannot be read.
    #[must_use]
    pub fn of_chain(chain: &[Arc<[u8]>]) -> Option<Self> {
        Self::read(chain, None)
    }

    /// The texts of the first certificate of `chain`. The issuer's are those of `issuer`, or else of
    /// the second certificate if the first names it.
    pub(crate) fn read(chain: &[Arc<[u8]>], issuer: Option<&Issuer>) -> Option<Self> {
        let der = chain.first()?;
        let leaf = Parsed::from_der(der).ok()?;
        let next = chain
            .get(1)
            .and_then(|der| Parsed::from_der(der).ok())
            .filter(|next| next.subject() == leaf.issuer());
        let issuer = issuer.map(|issuer| &issuer.parsed).or(next.as_ref());
        let key_id = |parsed: &Parsed| upper(parsed.extensions.subject_key_id.as_deref().unwrap_or_default());
        let purposes = leaf.extensions.extended_key_usage.as_ref();
        Some(Self {
            issuer_dn: rfc2253(leaf.issuer()),
            issuer_dn_rfc2253: rfc2253(leaf.issuer()),
            issuer_dn_legacy: legacy(leaf.issuer()),
            subject_dn: rfc2253(leaf.subject()),
            subject_dn_rfc2253: rfc2253(leaf.subject()),
            subject_dn_legacy: legacy(leaf.subject()),
            serial: upper(leaf.serial.as_bytes()),
            issuer_serial: issuer.map(|issuer| upper(issuer.serial.as_bytes())).unwrap_or_default(),
            fingerprint_sha256: hex::encode(digest::digest(&digest::SHA256, der)),
            fingerprint_sha1: hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der)),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
            not_before_text: date(leaf.not_before()),
            not_after_text: date(leaf.not_after()),
            ski: key_id(&leaf),
            issuer_ski: issuer.map(key_id).unwrap_or_default(),
            subject: SubjectAttribute::all(leaf.subject()),
            san_uris: leaf.uris().map(str::to_owned).collect(),
            san_dns: leaf.dns_names().map(str::to_owned).collect(),
            ekus: purposes.map(|purposes| purposes.0.iter().map(purpose).collect()).unwrap_or_default(),
            key_type: leaf.key_type().name(),
        })
    }
}

fn upper(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// `Mar 21 13:35:00 2022 GMT`: the day is padded with a space, as OpenSSL pads it.
fn date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = u64::try_from(at.secs()).unwrap_or_default();
    let Ok(date) = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)) else {
        return String::new();
    };
    let month = MONTHS.get(usize::from(date.month()).saturating_sub(1)).copied().unwrap_or_default();
    let (day, year) = (date.day(), date.year());
    let (hour, minute, second) = (date.hour(), date.minutes(), date.seconds());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

fn purpose(oid: &ObjectIdentifier) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("1.3.6.1.5.5.7.3.1", "serverAuth"),
        ("1.3.6.1.5.5.7.3.2", "clientAuth"),
        ("1.3.6.1.5.5.7.3.3", "codeSigning"),
        ("1.3.6.1.5.5.7.3.4", "emailProtection"),
        ("1.3.6.1.5.5.7.3.8", "timeStamping"),
        ("1.3.6.1.5.5.7.3.9", "OCSPSigning"),
        ("2.5.29.37.0", "anyExtendedKeyUsage"),
    ];
    let dotted = oid.to_string();
    let known = NAMES.iter().find(|(known, _)| *known == dotted).map(|(_, name)| (*name).to_owned());
    known.unwrap_or(dotted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_cloudflare_writes_them() {
        assert_eq!(date(Timestamp::from_secs(1_647_869_700)), "Mar 21 13:35:00 2022 GMT");
        assert_eq!(date(Timestamp::from_secs(1_646_114_400)), "Mar  1 06:00:00 2022 GMT");
    }
}
