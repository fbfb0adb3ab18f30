//! POST `/pki/ocsp`, GET `/pki/ocsp/:request` (RFC 6960 appendix A.1, RFC 9919 section 6).

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_api::wire::schema;
use countersign_authority::ocsp::OcspReply;
use countersign_core::time::Timestamp;
use http::{HeaderValue, header};

use crate::request::{Segment, Unread};
use crate::state::ControlPlane;

const RESPONSE: HeaderValue = HeaderValue::from_static("application/ocsp-response");

/// The longest that others may keep an answer, in seconds: so long may a revocation go unseen by whoever
/// asks through a cache.
const LONGEST_KEPT: i64 = 300;

/// The longest request, in bytes; the responder itself reads less.
const LIMIT: usize = 16 * 1024;

/// Whether a certificate is good, revoked or unknown.
#[utoipa::path(post, path = "/pki/ocsp", tag = "pki", operation_id = "askOcsp",
    request_body(content_type = "application/ocsp-request", content = schema::Der),
    responses((status = 200, content_type = "application/ocsp-response", body = schema::Der)))]
pub(crate) async fn post(State(state): State<ControlPlane>, body: Unread) -> Response {
    // What cannot be read whole is malformed, which the protocol has an answer of its own for.
    let request = body.bytes(LIMIT).await.unwrap_or_default();
    let OcspReply { der, period: _ } = state.authority.answer_ocsp(&request).await;
    ([(header::CONTENT_TYPE, RESPONSE)], Body::from(der.to_vec())).into_response()
}

/// The same for caches on the way: the request as base64 or base64url in the path.
#[utoipa::path(get, path = "/pki/ocsp/{request}", tag = "pki", operation_id = "getOcsp",
    params(("request" = String, Path, description = "the request, base64 or base64url")),
    responses((status = 200, content_type = "application/ocsp-response", body = schema::Der)))]
pub(crate) async fn get(State(state): State<ControlPlane>, Segment(request): Segment) -> Response {
    let request = URL_SAFE_NO_PAD.decode(in_one_alphabet(&request)).unwrap_or_default();
    let reply = state.authority.answer_ocsp(&request).await;
    let mut response = Body::from(reply.der.to_vec()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, RESPONSE);
    if let Some(period) = reply.period {
        let left = period.next_update.secs() - state.authority.now().secs();
        let age = left.clamp(0, LONGEST_KEPT);
        let kept = format!("max-age={age}, public, no-transform, must-revalidate");
        let known = [
            (header::CACHE_CONTROL, kept),
            (header::LAST_MODIFIED, http_date(period.this_update)),
            (header::EXPIRES, http_date(period.next_update)),
        ];
        for (name, value) in known {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
    response
}

fn in_one_alphabet(request: &str) -> String {
    request
        .trim_end_matches('=')
        .chars()
        .map(|character| match character {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect()
}

/// RFC 9110 section 5.6.7.
fn http_date(at: Timestamp) -> String {
    let secs = u64::try_from(at.secs()).unwrap_or_default();
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs))
}
