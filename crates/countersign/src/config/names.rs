//! Names and URLs that a configuration holds.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use thiserror::Error;

/// A name under which something is reached: a DNS name in lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PublicName {
    /// A host name; one label is enough.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// A text that is no host name or address.
#[derive(Debug, Error)]
#[error("not a host name or IP address: {0:?} (no scheme, port or wildcard)")]
pub(crate) struct PublicNameError(String);

impl FromStr for PublicName {
    type Err = PublicNameError;

    fn from_str(text: &str) -> Result<Self, PublicNameError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(address));
        }
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        let looks_numeric =
            lower.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if lower.len() <= 253 && lower.split('.').all(is_label) && !looks_numeric {
            Ok(Self::Dns(lower))
        } else {
            Err(PublicNameError(text.chars().take(160).collect()))
        }
    }
}

fn is_label(label: &str) -> bool {
    matches!(label.len(), 1..=63)
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl PublicName {
    /// The name as it stands in a URL: IPv6 addresses in brackets.
    pub(crate) fn in_url(&self) -> String {
        match self {
            Self::Dns(name) => name.clone(),
            Self::Ip(IpAddr::V4(address)) => address.to_string(),
            Self::Ip(IpAddr::V6(address)) => format!("[{address}]"),
        }
    }
}

impl fmt::Display for PublicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// An absolute `http` or `https` URL without user, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpUrl(Uri);

/// A text that is no such URL.
#[derive(Debug, Error)]
#[error("not an http:// or https:// URL without user, query or fragment: {0:?}")]
pub(crate) struct HttpUrlError(String);

impl HttpUrl {
    /// The URL itself.
    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }

    /// The host's name or address, without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, which follows from the scheme where none is named.
    pub(crate) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The path, at least a slash.
    pub(crate) fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Whether it begins with `https`.
    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// One where what goes there is for nobody else.
    ///
    /// # Errors
    /// Says what is wrong, also with plain HTTP to elsewhere.
    pub(crate) fn confidential(text: &str) -> Result<Self, String> {
        let url: Self = text.parse().map_err(|error| format!("{error}"))?;
        if url.is_confidential() { Ok(url) } else { Err(format!("plain HTTP leaves this machine: {text:?}")) }
    }

    /// Whether what goes there is for nobody else: over TLS, or within this machine.
    pub(crate) fn is_confidential(&self) -> bool {
        let host = self.host();
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.is_tls() || is_here
    }

    /// This machine.
    pub(crate) fn loopback() -> Self {
        Self(Uri::from_static("http://127.0.0.1"))
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let refused = || HttpUrlError(text.chars().take(160).collect());
        let uri = text.parse::<Uri>().map_err(|_invalid| refused())?;
        let known_scheme = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
        let plain_host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if known_scheme && plain_host && has_host && uri.query().is_none() && !text.contains('#') {
            Ok(Self(uri))
        } else {
            Err(refused())
        }
    }
}

/// `http://host[:port]`: an upstream of the HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamUrl(HttpUrl);

/// A text that names no such upstream.
#[derive(Debug, Error)]
#[error("not an upstream such as http://127.0.0.1:9000, without path: {0:?}")]
pub(crate) struct UpstreamUrlError(String);

impl UpstreamUrl {
    /// The URL itself.
    pub(crate) const fn uri(&self) -> &Uri {
        self.0.uri()
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, UpstreamUrlError> {
        let url = text.parse::<HttpUrl>().ok();
        let plain = url.filter(|url| url.uri().path() == "/" && url.uri().scheme() == Some(&Scheme::HTTP));
        plain.map(Self).ok_or_else(|| UpstreamUrlError(text.chars().take(160).collect()))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_is_a_host_name_or_an_address() {
        for (text, printed) in [
            ("Gateway.Example.COM", "gateway.example.com"),
            ("localhost", "localhost"),
            ("192.0.2.7", "192.0.2.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(text.parse::<PublicName>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_public_name_has_no_scheme_port_wildcard_or_broken_address() {
        for text in
            ["", "https://a", "a:8443", "*.example.com", "a..b", "-a", "256.1.1.1", "a b", "10.0.0.0/8"]
        {
            assert!(text.parse::<PublicName>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_url_is_absolute_http_and_bare() {
        for text in ["http://127.0.0.1:9000", "https://app.internal/base"] {
            assert_eq!(text.parse::<HttpUrl>().unwrap().to_string(), text);
        }
        for text in
            ["", "app:80", "/path", "ftp://a", "http://u:p@a", "http://a?x=1", "http://a#f", "http://"]
        {
            assert!(text.parse::<HttpUrl>().is_err(), "{text}");
        }
    }
}
