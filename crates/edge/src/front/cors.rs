//! Which web pages may use a route: cross-origin requests as browsers make them (fetch.spec.whatwg.org,
//! "CORS protocol").
//!
//! A browser asks first, without the certificate, whether a page may ask what it wants to: the door
//! answers that itself, and nothing of it reaches an upstream. What a page then sends comes with the
//! person's certificate; from a page that is not listed it is refused, not merely kept from being read.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use thiserror::Error;

use crate::http::host::RequestedHost;

/// How long a browser may remember the answer to its first question, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// The origin of a web page: `https://host[:port]`, or `http://…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebOrigin(HeaderValue);

/// A text that is no origin.
#[derive(Debug, Error)]
#[error("not the origin of a web page, such as https://app.example.com: {0:?}")]
pub struct WebOriginError(String);

impl FromStr for WebOrigin {
    type Err = WebOriginError;

    fn from_str(text: &str) -> Result<Self, WebOriginError> {
        let refused = || WebOriginError(text.chars().take(160).collect());
        let lower = text.to_ascii_lowercase();
        let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
        let is_bare = rest.is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
                && rest.parse::<http::uri::Authority>().is_ok()
        });
        match HeaderValue::from_str(&lower) {
            Ok(value) if is_bare => Ok(Self(value)),
            _ => Err(refused()),
        }
    }
}

/// What is added to the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CorsReply {
    /// The page is not of another origin, or nobody asked: the answer differs by origin, no more.
    Varies,
    /// The page may read the answer.
    Readable(HeaderValue),
    /// The page may ask what it wants to.
    Preflight { origin: HeaderValue, method: HeaderValue, headers: Option<HeaderValue> },
}

/// A page that is not listed sent this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginRefused;

/// What becomes of a request to a route that lists origins.
///
/// # Errors
/// Fails closed: refuses what comes from a page of an origin that is neither listed nor the route's own.
pub(crate) fn judge<B>(
    listed: &[WebOrigin],
    request: &Request<B>,
    host: &RequestedHost,
) -> Result<CorsReply, OriginRefused> {
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return Ok(CorsReply::Varies),
        (Some(origin), None) => origin,
        (Some(_), Some(_)) => return Err(OriginRefused),
    };
    let asked_method = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !listed.iter().any(|own| own.0 == origin) {
        return if is_own(origin, host) { Ok(CorsReply::Varies) } else { Err(OriginRefused) };
    }
    Ok(match asked_method {
        Some(method) if request.method() == Method::OPTIONS => CorsReply::Preflight {
            origin: origin.clone(),
            method: method.clone(),
            headers: request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        },
        _ => CorsReply::Readable(origin.clone()),
    })
}

fn is_own(origin: &HeaderValue, host: &RequestedHost) -> bool {
    let plain = |authority: &str| authority.strip_suffix(":443").unwrap_or(authority).to_owned();
    let origin = origin.to_str().ok().and_then(|text| text.strip_prefix("https://"));
    origin.is_some_and(|origin| plain(origin) == plain(&host.authority))
}

impl CorsReply {
    /// Writes it into an answer; whatever an upstream said about origins is replaced.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        const SAID_BY_UPSTREAM: [HeaderName; 6] = [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ACCESS_CONTROL_MAX_AGE,
        ];
        for name in SAID_BY_UPSTREAM {
            if name != header::ACCESS_CONTROL_EXPOSE_HEADERS || !matches!(self, Self::Readable(_)) {
                headers.remove(name);
            }
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let origin = match self {
            Self::Varies => return,
            Self::Readable(origin) => origin,
            Self::Preflight { origin, method, headers: asked } => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
                if let Some(asked) = asked {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
                }
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
                origin
            }
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // A client certificate is a credential.
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: Method, headers: &[(&str, &str)]) -> Result<CorsReply, OriginRefused> {
        let mut request = Request::builder().method(method).uri("https://api.example.com:8443/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let host = RequestedHost::of(request.uri(), request.headers()).unwrap();
        judge(&["https://App.example.com".parse().unwrap()], &request, &host)
    }

    #[test]
    fn listed_pages_may_and_others_may_not() {
        let listed = HeaderValue::from_static("https://app.example.com");
        assert_eq!(
            judged(Method::POST, &[("origin", "https://app.example.com")]),
            Ok(CorsReply::Readable(listed.clone()))
        );
        assert_eq!(judged(Method::GET, &[]), Ok(CorsReply::Varies));
        assert_eq!(
            judged(Method::POST, &[("origin", "https://api.example.com:8443")]),
            Ok(CorsReply::Varies)
        );
        for other in ["https://evil.example", "null", "http://app.example.com", "https://app.example.com:444"]
        {
            assert_eq!(judged(Method::POST, &[("origin", other)]), Err(OriginRefused), "{other}");
            let preflight = [("origin", other), ("access-control-request-method", "PUT")];
            assert_eq!(judged(Method::OPTIONS, &preflight), Err(OriginRefused), "{other}");
        }
        let twice = [("origin", "https://app.example.com"), ("origin", "https://evil.example")];
        assert_eq!(judged(Method::POST, &twice), Err(OriginRefused));
    }

    #[test]
    fn a_first_question_is_answered_with_what_was_asked() {
        let asked = [
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-a, x-b"),
        ];
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        judged(Method::OPTIONS, &asked).unwrap().write(&mut headers);
        for (name, value) in [
            ("access-control-allow-origin", "https://app.example.com"),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-headers", "x-a, x-b"),
            ("access-control-max-age", "600"),
            ("vary", "Origin"),
        ] {
            assert_eq!(headers.get(name).unwrap(), value);
            assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
        }
    }

    #[test]
    fn what_an_upstream_says_about_origins_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        CorsReply::Varies.write(&mut headers);
        assert!(headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
    }

    #[test]
    fn refuses_what_is_no_origin() {
        for text in ["", "*", "null", "app.example.com", "https://", "https://a/b", "ftp://a", "https://u@a"]
        {
            assert!(text.parse::<WebOrigin>().is_err(), "{text}");
        }
        for text in ["https://a.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(text.parse::<WebOrigin>().is_ok(), "{text}");
        }
    }
}
