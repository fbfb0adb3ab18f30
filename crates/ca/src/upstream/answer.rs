//! What the API answers, read.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::UpstreamError;
use super::transport::ApiResponse;

/// How a certificate stands at Cloudflare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Good.
    Active,
    /// On its way back.
    PendingReactivation,
    /// On its way out.
    PendingRevocation,
    /// Revoked.
    Revoked,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

impl CertificateStatus {
    /// The wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PendingReactivation => "pending_reactivation",
            Self::PendingRevocation => "pending_revocation",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// A client certificate of a zone; what it holds is only said, not checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UpstreamCertificate {
    /// Cloudflare's name for it.
    pub id: String,
    /// The certificate, PEM.
    #[serde(default)]
    pub certificate: String,
    /// How it stands.
    #[serde(default = "unknown")]
    pub status: CertificateStatus,
}

const fn unknown() -> CertificateStatus {
    CertificateStatus::Unknown
}

/// A CA certificate that was uploaded to an account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UploadedCa {
    /// Cloudflare's name for it.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// The certificates, PEM.
    #[serde(default)]
    pub certificates: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    result: Option<T>,
    #[serde(default)]
    result_info: Option<PageInfo>,
}

#[derive(Clone, Copy, Deserialize)]
struct PageInfo {
    #[serde(default)]
    total_pages: u32,
}

/// The result in an answer.
///
/// # Errors
/// Fails closed: anything but a successful answer of this shape.
pub fn read_answer<T: DeserializeOwned>(response: &ApiResponse) -> Result<T, UpstreamError> {
    read(response).map(|(result, _pages)| result)
}

/// The same of a list, and how many pages there are.
///
/// # Errors
/// As [`read_answer`].
pub fn page_of<T: DeserializeOwned>(response: &ApiResponse) -> Result<(Vec<T>, u32), UpstreamError> {
    read(response)
}

fn read<T: DeserializeOwned>(response: &ApiResponse) -> Result<(T, u32), UpstreamError> {
    if !(200..300).contains(&response.status) {
        return Err(UpstreamError::of(response));
    }
    let envelope: Envelope<T> = serde_json::from_slice(&response.body)
        .map_err(|error| UpstreamError::Malformed(error.to_string()))?;
    match envelope.result {
        Some(result) if envelope.success => {
            Ok((result, envelope.result_info.map_or(1, |pages| pages.total_pages)))
        }
        Some(_) | None => Err(UpstreamError::Malformed("it neither succeeded nor failed".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<UpstreamCertificate, UpstreamError> {
        read_answer(&ApiResponse { status, retry_after: None, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn an_answer_is_read_and_what_it_adds_is_ignored() {
        let body = "{\"success\":true,\"errors\":[],\"result\":{\"id\":\"a1\",\"certificate\":\"PEM\",\
                    \"status\":\"pending_revocation\",\"validity_days\":90}}";
        let certificate = read(200, body).unwrap();
        assert_eq!((certificate.id.as_str(), certificate.status.as_str()), ("a1", "pending_revocation"));
        let odd = read(200, "{\"success\":true,\"result\":{\"id\":\"a1\",\"status\":\"new\"}}").unwrap();
        assert_eq!(odd.status, CertificateStatus::Unknown);
    }

    #[test]
    fn fails_closed_on_answers_that_say_neither_yes_nor_no() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"success\":true,\"result\":null}",
            "{\"success\":true,\"result\":{}}",
            "{\"success\":false,\"result\":{\"id\":\"a1\"}}",
        ] {
            assert!(matches!(read(200, body), Err(UpstreamError::Malformed(_))), "{body}");
        }
        assert!(matches!(read(404, "{}"), Err(UpstreamError::NotFound(_))));
    }
}
