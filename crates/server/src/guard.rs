//! The admin listener's guard against web pages: a Host allow-list (DNS rebinding) and an Origin
//! check (cross-site requests).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use crate::failure::Failure;

/// The names by which the admin listener may be called, without ports, lower case.
#[derive(Clone, Debug)]
pub struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    /// `localhost` and the loopback addresses, and these.
    #[must_use]
    pub fn new(further: impl IntoIterator<Item = String>) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(ToOwned::to_owned);
        Self(own.into_iter().chain(further.into_iter().map(|host| host.to_lowercase())).collect())
    }

    fn allows(&self, authority: &str) -> bool {
        let host = without_port(authority).to_lowercase();
        self.0.contains(&host)
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

/// Refuses requests for other hosts, and requests that a page of another origin makes.
///
/// Fails closed: no Host, or one that cannot be read, is refused.
pub(crate) async fn check_host_and_origin(
    State(hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Response {
    let authority = match request.uri().authority() {
        Some(authority) => Some(authority.as_str().to_owned()),
        None => header_text(request.headers(), &header::HOST).map(ToOwned::to_owned),
    };
    let Some(authority) = authority.filter(|authority| hosts.allows(authority)) else {
        return Failure::new(
            StatusCode::MISDIRECTED_REQUEST,
            "HOST_NOT_ALLOWED",
            "This host name is not in the admin listener's allowed_hosts",
        )
        .into_response();
    };
    if let Some(origin) = header_text(request.headers(), &header::ORIGIN) {
        let is_same = origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(&authority));
        if !is_same {
            return Failure::new(
                StatusCode::FORBIDDEN,
                "ORIGIN_NOT_ALLOWED",
                "Requests from pages of another origin are refused",
            )
            .into_response();
        }
    }
    next.run(request).await
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    // An unreadable value must not count as absent.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_do_not_matter_and_other_hosts_do() {
        let hosts = AllowedHosts::new(["Admin.Example.com".to_owned()]);
        for good in
            ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "admin.example.com:443"]
        {
            assert!(hosts.allows(good), "{good}");
        }
        for bad in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "::1", "\u{0}"]
        {
            assert!(!hosts.allows(bad), "{bad}");
        }
    }
}
