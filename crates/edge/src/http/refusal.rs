//! The door's own answers: refusals and failures, as JSON.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use countersign_api::ErrorBody;
use countersign_core::access::Refusal;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::BlockResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::body::{Answered, full};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OVERLOADED: &str = "OVERLOADED";
const BODY_TOO_SLOW: &str = "BODY_TOO_SLOW";
const JSON: &str = "application/json";
/// What a browser may do with an answer of the door's own, should it show one.
const NOTHING_ACTIVE: &str = "default-src 'none'; frame-ancestors 'none'";

/// Whether the connection ends with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    GoOn,
    Close,
}

/// An answer of the door's own.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    code: Cow<'static, str>,
    sentence: Cow<'static, str>,
    is_quarantined: bool,
    body: Option<(String, String)>,
    afterwards: Afterwards,
    retry_after: Option<Duration>,
}

impl Answer {
    const fn new(status: StatusCode, code: &'static str, sentence: &'static str) -> Self {
        Self {
            status,
            code: Cow::Borrowed(code),
            sentence: Cow::Borrowed(sentence),
            is_quarantined: false,
            body: None,
            afterwards: Afterwards::GoOn,
            retry_after: None,
        }
    }

    /// The request cannot be told from another one: after the answer the connection ends.
    pub(crate) fn bad_request(code: &'static str, reason: impl std::fmt::Display) -> Self {
        Self {
            sentence: Cow::Owned(format!("Bad request: {reason}")),
            afterwards: Afterwards::Close,
            ..Self::new(StatusCode::BAD_REQUEST, code, "")
        }
    }

    /// The rest of the request is not waited for.
    pub(crate) fn body_too_slow() -> Self {
        Self {
            afterwards: Afterwards::Close,
            ..Self::new(StatusCode::REQUEST_TIMEOUT, BODY_TOO_SLOW, "The request's body came too slowly")
        }
    }

    /// By the contract's table.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self {
            is_quarantined: refusal == Refusal::Quarantined,
            ..Self::new(StatusCode::FORBIDDEN, refusal.code(), refusal.sentence())
        }
    }

    /// By whatever has a code and a sentence for it.
    pub(crate) const fn forbidden(code: &'static str, sentence: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, sentence)
    }

    /// By a rule.
    pub(crate) fn blocked(response: &BlockResponse) -> Self {
        Self {
            body: response.body.clone(),
            status: StatusCode::from_u16(response.status).unwrap_or(StatusCode::FORBIDDEN),
            ..Self::new(StatusCode::FORBIDDEN, "RULE_BLOCKED", "Blocked by a rule")
        }
    }

    pub(crate) const fn misdirected() -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST", "This host is not served here")
    }

    /// The connection was made under another name, which asks for less of a client.
    pub(crate) const fn asked_too_little() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "CLIENT_AUTH_MISDIRECTED",
            "This host asks more of a client than this connection did; connect under its name",
        )
    }

    pub(crate) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Nothing is served under this path")
    }

    pub(crate) const fn upstream_unreachable() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE", "The upstream gave no valid answer")
    }

    pub(crate) const fn upstream_timeout() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT", "The upstream took too long to answer")
    }

    pub(crate) fn upstreams_unwell(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "UPSTREAM_UNWELL",
                "No upstream is well; try again later",
            )
        }
    }

    pub(crate) fn overloaded(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, "Too much to do; try again later")
        }
    }

    /// More was asked for than the door or the route allows.
    pub(crate) fn too_often(wait: Duration) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(
                wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
            )),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many requests; try again later")
        }
    }

    pub(crate) const fn address_not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "ADDRESS_NOT_ALLOWED", "This is not served to your address")
    }

    pub(crate) const fn origin_not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "ORIGIN_NOT_ALLOWED", "Web pages of this origin may not use this")
    }

    /// The answer to a browser's first question; what it says is in its headers.
    pub(crate) const fn preflight() -> Self {
        Self::new(StatusCode::NO_CONTENT, "", "")
    }

    pub(crate) const fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error")
    }

    /// Whether somebody is turned away by it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code == OVERLOADED || self.code == BODY_TOO_SLOW
    }

    /// Whether it is not the client's fault.
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_server_error()
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// As it goes out.
    pub(crate) fn into_response(self, request: RequestId) -> Response<Answered> {
        let (media, content) = match self.body {
            _ if self.status == StatusCode::NO_CONTENT => return empty(self.status),
            Some((content, media)) => (HeaderValue::from_str(&media).ok(), content),
            None => {
                let mut body = ErrorBody::new(&self.code, self.sentence);
                body.request_id = Some(request);
                body.quarantined = self.is_quarantined.then_some(true);
                (None, serde_json::to_string(&body).unwrap_or_default())
            }
        };
        let mut response = Response::new(full(content));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media.unwrap_or(HeaderValue::from_static(JSON)));
        if self.afterwards == Afterwards::Close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_ACTIVE));
        secure(headers);
        response
    }
}

fn empty(status: StatusCode) -> Response<Answered> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    secure(response.headers_mut());
    response
}

/// The security headers of what is served by ourselves: the door and the control plane.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let defaults = [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Marks an answer with its request's id, ours instead of whatever an upstream wrote.
pub(crate) fn mark(headers: &mut HeaderMap, request: &HeaderValue) {
    headers.insert(X_REQUEST_ID, request.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn json(answer: Answer, id: RequestId) -> serde_json::Value {
        let body = answer.into_response(id).into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn the_seeds_bodies_are_kept() {
        let id = RequestId::random();
        let missing = json(Answer::refused(Refusal::MtlsRequired), id).await;
        assert_eq!(
            missing,
            serde_json::json!({"error": "Mutual TLS authentication required", "code": "MTLS_REQUIRED",
                "requestId": id.to_string()})
        );
        let quarantined = json(Answer::refused(Refusal::Quarantined), id).await;
        assert_eq!(quarantined.get("quarantined"), Some(&serde_json::Value::Bool(true)));
        assert_eq!(quarantined.get("error").unwrap(), "Device quarantined");
    }

    #[test]
    fn what_is_ambiguous_ends_the_connection() {
        let bad = Answer::bad_request("BAD_FRAMING", "x").into_response(RequestId::random());
        assert_eq!(bad.headers().get(header::CONNECTION).unwrap(), "close");
        let plain = Answer::not_found().into_response(RequestId::random());
        assert!(plain.headers().get(header::CONNECTION).is_none());
        assert_eq!(plain.headers().get(header::CACHE_CONTROL).unwrap(), "no-store");
    }

    #[test]
    fn a_rule_may_choose_its_answer() {
        let block = BlockResponse { status: 451, body: Some(("no".to_owned(), "text/plain".to_owned())) };
        let response = Answer::blocked(&block).into_response(RequestId::random());
        assert_eq!(response.status(), 451);
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "text/plain");
    }
}
