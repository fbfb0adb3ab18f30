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
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text)
    }
}
