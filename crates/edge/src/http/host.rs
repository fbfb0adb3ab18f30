//! Which host a request is for.

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};
use thiserror::Error;

/// The host a request asks for, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedHost {
    /// With its port, if it was given: what the upstream gets as `Host`.
    pub(crate) authority: Arc<str>,
    name_length: usize,
}

/// Why it cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum HostError {
    /// No `Host` and no authority.
    #[error("no Host header")]
    Missing,
    /// More than one `Host`.
    #[error("more than one Host header")]
    Several,
    /// `Host` and the request target's authority differ.
    #[error("Host differs from the request target")]
    Contradiction,
    /// Not `name[:port]`.
    #[error("not a valid Host")]
    Malformed,
}

impl RequestedHost {
    /// # Errors
    /// Fails closed: a request for no host, or for two, is for none.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, HostError> {
        let mut named = headers.get_all(header::HOST).iter();
        let header = match (named.next(), named.next()) {
            (_, Some(_)) => return Err(HostError::Several),
            (Some(value), None) => {
                let text = value.to_str().map_err(|_invisible| HostError::Malformed)?;
                Some(Self::parse(text)?)
            }
            (None, None) => None,
        };
        let target = uri.authority().map(|authority| Self::parse(authority.as_str())).transpose()?;
        match (target, header) {
            (Some(target), Some(header)) if target != header => Err(HostError::Contradiction),
            (Some(host), _) | (None, Some(host)) => Ok(host),
            (None, None) => Err(HostError::Missing),
        }
    }

    /// Whether a request asks for this host letter by letter, and for no other: what [`Self::of`] would say of
    /// it is known then.
    pub(crate) fn is_asked_by(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(header::HOST).iter();
        let (header, another) = (named.next().map(HeaderValue::as_bytes), named.next());
        let asked = [uri.authority().map(|target| target.as_str().as_bytes()), header];
        let mut asked = asked.into_iter().flatten().peekable();
        another.is_none() && asked.peek().is_some() && asked.all(|host| host == self.authority.as_bytes())
    }

    fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.to_ascii_lowercase();
        let parsed: Authority = text.parse().map_err(|_invalid| HostError::Malformed)?;
        let is_odd = text.contains('@') || parsed.host().is_empty();
        let is_port_bad = match text.get(parsed.host().len()..) {
            None => true,
            Some("") => false,
            Some(_) => parsed.port_u16().is_none(),
        };
        if is_odd || is_port_bad {
            return Err(HostError::Malformed);
        }
        let name_length = parsed.host().len();
        Ok(Self { authority: text.into(), name_length })
    }

    /// The name without port and without the dot at its end.
    pub(crate) fn name(&self) -> &str {
        let name = self.authority.get(..self.name_length).unwrap_or_default();
        name.strip_suffix('.').unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str, hosts: &[&str]) -> Result<String, HostError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        RequestedHost::of(&target.parse().unwrap(), &headers).map(|host| host.name().to_owned())
    }

    #[test]
    fn one_host_has_one_spelling() {
        for host in ["example.com", "Example.COM:8443", "example.com."] {
            assert_eq!(of("/", &[host]).unwrap(), "example.com");
        }
        assert_eq!(of("/", &["[::1]:8443"]).unwrap(), "[::1]");
        assert_eq!(of("https://a.example/", &[]).unwrap(), "a.example");
        assert_eq!(of("https://a.example/", &["A.example"]).unwrap(), "a.example");
    }

    #[test]
    fn only_the_same_letters_are_the_same_host_without_another_look() {
        let host = RequestedHost::parse("a.example:8443").unwrap();
        let is_asked = |target: &str, hosts: &[&str]| {
            let named = hosts.iter().map(|host| (header::HOST, HeaderValue::from_str(host).unwrap()));
            let mut headers = HeaderMap::new();
            headers.extend(named);
            host.is_asked_by(&target.parse().unwrap(), &headers)
        };
        assert!(is_asked("/", &["a.example:8443"]));
        assert!(is_asked("https://a.example:8443/", &[]));
        assert!(is_asked("https://a.example:8443/", &["a.example:8443"]));
        for hosts in [&["A.example:8443"][..], &["a.example"], &[], &["a.example:8443", "a.example:8443"]] {
            assert!(!is_asked("/", hosts), "{hosts:?}");
        }
        assert!(!is_asked("https://b.example/", &["a.example:8443"]));
        assert!(!is_asked("https://a.example:8443/", &["b.example"]));
    }

    #[test]
    fn refuses_none_and_two_and_nonsense() {
        assert_eq!(of("/", &[]), Err(HostError::Missing));
        assert_eq!(of("/", &["a.example", "a.example"]), Err(HostError::Several));
        assert_eq!(of("https://a.example/", &["b.example"]), Err(HostError::Contradiction));
        for bad in ["", "a b", "u@a.example", "a.example:x", "a.example/x", ":80", "a.example:99999"] {
            assert_eq!(of("/", &[bad]), Err(HostError::Malformed), "{bad}");
        }
    }
}
