//! What a leaf says, in the texts that rules and identity headers use.

use countersign_core::time::Timestamp;

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
    /// SAN URIs.
    pub san_uris: Vec<String>,
    /// SAN DNS names.
    pub san_dns: Vec<String>,
    /// Extended key usages: `clientAuth`, `serverAuth`, …, or the dotted object identifier.
    pub ekus: Vec<String>,
    /// `P-256`, `P-384`, `Ed25519`, `RSA-2048`, …
    pub key_type: String,
}
