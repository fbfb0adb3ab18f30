//! One answer of the control plane, read whole.

use countersign_server::ExchangedBody;
use http::header::{self, HeaderName};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

/// Status, headers and body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(response: Response<ExchangedBody>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A text of the body.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }

    /// The stable code of a failure.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.field("code")
    }

    /// The names of the bad fields.
    #[track_caller]
    pub(crate) fn bad_fields(&self) -> Vec<String> {
        self.json()["fields"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    /// Says what every answer must be, whatever was asked.
    #[track_caller]
    pub(crate) fn check_shape(&self) {
        let id = self.headers.get("x-request-id").unwrap_or_else(|| panic!("no request id: {self:?}"));
        let id = id.to_str().unwrap();
        assert_eq!(self.header(&header::CACHE_CONTROL), "no-store", "{self:?}");
        assert_eq!(self.header(&header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{self:?}");
        if self.status.is_success() {
            return;
        }
        assert_eq!(self.header(&header::CONTENT_TYPE), "application/json", "{self:?}");
        let body = self.json();
        assert_eq!(body["requestId"], id, "{self:?}");
        assert!(body["error"].as_str().is_some_and(|sentence| !sentence.is_empty()), "{self:?}");
        let code = self.code();
        assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{self:?}");
        if self.status == StatusCode::UNAUTHORIZED {
            assert_eq!(self.header(&header::WWW_AUTHENTICATE), "Bearer", "{self:?}");
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(self.header(&header::RETRY_AFTER).parse::<u32>().unwrap() > 0, "{self:?}");
        }
    }

    /// Says what every page must be, and every failure of one.
    #[track_caller]
    pub(crate) fn check_page(&self) {
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
        assert_eq!(self.header(&header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{self:?}");
        assert_eq!(self.header(&header::X_FRAME_OPTIONS), "DENY", "{self:?}");
        let policy = self.header(&header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for cookie in self.headers.get_all(header::SET_COOKIE) {
            assert!(cookie.to_str().unwrap().contains("; HttpOnly; SameSite=Strict"), "{cookie:?}");
        }
        if self.status.is_redirection() {
            assert!(self.header(&header::LOCATION).starts_with("/console/"), "{self:?}");
            return;
        }
        let media = self.header(&header::CONTENT_TYPE);
        if media == "application/x-ndjson" {
            return;
        }
        let is_event = media == "text/event-stream";
        assert!(is_event || self.text.starts_with("<!DOCTYPE html>"), "{self:?}");
        for what in [" style=", " onclick=", " onload=", "javascript:", "<style"] {
            assert!(!self.text.contains(what), "the page has {what}");
        }
        if !is_event {
            assert_eq!(self.header(&header::CACHE_CONTROL), "no-store", "{self:?}");
        }
    }

    /// The mark that forms of this page carry.
    #[track_caller]
    pub(crate) fn mark(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text)
    }
}
