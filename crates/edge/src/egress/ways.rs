//! Which way a request goes: its host, its path, and the certificate that it names.

use std::sync::Arc;

use countersign_tls::ServerCredentials;
use http::{HeaderMap, HeaderName};
use thiserror::Error;

use super::settings::EgressWay;
use crate::headers::CfBlobHeader;
use crate::http::group::UpstreamAddress;
use crate::http::members::{Group, UpstreamGroupError};

/// Names the certificate that a request is to be sent with.
const CERTIFICATE_ID: HeaderName = HeaderName::from_static("countersign-certificate-id");

/// Why a way cannot be gone.
#[derive(Debug, Error)]
pub enum EgressWayError {
    /// Its upstreams cannot be spoken to.
    #[error("use its upstreams")]
    Upstreams(#[source] UpstreamGroupError),
    /// Nothing would be shown there.
    #[error("an upstream is not https, or no client certificate is to be shown to it")]
    NoIdentity,
    /// Another way has the same host, path and certificate id.
    #[error("there is another way to the same host and path with the same certificate id")]
    Twice,
}

/// Why a request names no certificate that could be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedWrong {
    /// Two are named.
    Ambiguous,
    /// The `cf` of a Worker cannot be read.
    Malformed,
}

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoWay {
    /// Not to this host and path.
    UpstreamUnknown,
    /// Not with this certificate.
    CertificateUnknown,
    /// Only with a certificate that is named.
    CertificateNeeded,
}

/// The closed list of a listener.
#[derive(Debug)]
pub(crate) struct Ways(Vec<Way>);

#[derive(Debug)]
struct Way {
    host: String,
    prefix: String,
    certificate: Option<String>,
    group: Arc<Group>,
}

impl Ways {
    /// Checks the list. Its upstreams are numbered from `first` on.
    ///
    /// # Errors
    /// Fails closed: a way without a certificate to show is refused.
    pub(crate) fn new(
        ways: &[EgressWay],
        first: usize,
        door: Option<&Arc<ServerCredentials>>,
    ) -> Result<Self, EgressWayError> {
        let mut all: Vec<Way> = Vec::with_capacity(ways.len());
        let mut count = first;
        for way in ways {
            let is_tls = |address: &UpstreamAddress| matches!(address, UpstreamAddress::Tls(_));
            if way.upstreams.tls.certificate.is_none() || !way.upstreams.addresses.iter().all(is_tls) {
                return Err(EgressWayError::NoIdentity);
            }
            let mut upstreams = way.upstreams.clone();
            // It is this host that is meant, wherever it is reached.
            let name = || way.host.trim_start_matches('[').trim_end_matches(']').to_owned();
            upstreams.tls.server_name.get_or_insert_with(name);
            let group = Group::new(&upstreams, count, door).map_err(EgressWayError::Upstreams)?;
            count = count.saturating_add(group.members().len());
            let way = Way {
                host: way.host.to_ascii_lowercase(),
                prefix: way.path_prefix.clone(),
                certificate: way.certificate_id.clone(),
                group: Arc::new(group),
            };
            let is_same = |other: &Way| {
                (&other.host, &other.prefix, &other.certificate) == (&way.host, &way.prefix, &way.certificate)
            };
            if all.iter().any(is_same) {
                return Err(EgressWayError::Twice);
            }
            all.push(way);
        }
        all.sort_by_key(|way| std::cmp::Reverse(way.prefix.len()));
        Ok(Self(all))
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.0.iter().map(|way| &way.group)
    }

    /// The way to a host and path with a certificate: that of the longest path, whatever shorter ones allow.
    pub(crate) fn find(
        &self,
        host: &str,
        path: &str,
        certificate: Option<&str>,
    ) -> Result<&Arc<Group>, NoWay> {
        let leads = |way: &&Way| way.host == host && is_beginning(&way.prefix, path);
        let first = self.0.iter().find(leads).ok_or(NoWay::UpstreamUnknown)?;
        let mut alike = self.0.iter().filter(leads).filter(|way| way.prefix == first.prefix);
        match alike.find(|way| way.certificate.as_deref() == certificate) {
            Some(way) => Ok(&way.group),
            None if certificate.is_some() => Err(NoWay::CertificateUnknown),
            None => Err(NoWay::CertificateNeeded),
        }
    }
}

fn is_beginning(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// The certificate that a request names: in a header, or in the `cf` of a Worker's `fetch`.
///
/// # Errors
/// Fails closed: a request that names two, or what cannot be read, is sent with none.
pub(crate) fn named(headers: &HeaderMap, cf_blob: &CfBlobHeader) -> Result<Option<String>, NamedWrong> {
    let header = only(headers, &CERTIFICATE_ID)?;
    let header = header.map(|value| value.to_str().map(str::to_owned)).transpose();
    let header = header.map_err(|_invisible| NamedWrong::Malformed)?;
    let blob = match only(headers, cf_blob.name())? {
        None => None,
        Some(value) => {
            let cf: serde_json::Value =
                serde_json::from_slice(value.as_bytes()).map_err(|_json| NamedWrong::Malformed)?;
            match cf.pointer("/clientCertificate/certificateId") {
                None => None,
                Some(id) => Some(id.as_str().ok_or(NamedWrong::Malformed)?.to_owned()),
            }
        }
    };
    match (header, blob) {
        (Some(header), Some(blob)) if header != blob => Err(NamedWrong::Ambiguous),
        (header, blob) => Ok(header.or(blob)),
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a http::HeaderValue>, NamedWrong> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_second)) => Err(NamedWrong::Ambiguous),
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::group::{UpstreamCertificate, UpstreamGroup};

    fn way(host: &str, path: &str, certificate: Option<&str>) -> EgressWay {
        let mut upstreams = UpstreamGroup::new(vec!["https://127.0.0.1:1".parse().unwrap()]);
        upstreams.tls.pins = vec![[1; 32].into()];
        upstreams.tls.certificate = Some(UpstreamCertificate::Door);
        let certificate_id = certificate.map(str::to_owned);
        EgressWay { host: host.to_owned(), path_prefix: path.to_owned(), certificate_id, upstreams }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn fails_closed_on_a_way_that_shows_nothing() {
        let mut bare = way("a.example", "/", None);
        bare.upstreams.tls.certificate = None;
        assert!(matches!(Ways::new(&[bare], 0, None), Err(EgressWayError::NoIdentity)));
        let mut plain = way("a.example", "/", None);
        plain.upstreams.addresses = vec!["http://127.0.0.1:1".parse().unwrap()];
        assert!(matches!(Ways::new(&[plain], 0, None), Err(EgressWayError::NoIdentity)));
        let no_door = Ways::new(&[way("a.example", "/", None)], 0, None);
        assert!(matches!(no_door, Err(EgressWayError::Upstreams(_))));
    }

    #[test]
    fn a_certificate_is_named_once_or_not_at_all() {
        let blob = CfBlobHeader::default();
        let cf = r#"{"clientCertificate":{"certificateId":"one"},"cacheTtl":5}"#;
        assert_eq!(named(&headers(&[]), &blob), Ok(None));
        assert_eq!(named(&headers(&[("cf-blob", "{}")]), &blob), Ok(None));
        assert_eq!(named(&headers(&[("cf-blob", cf)]), &blob), Ok(Some("one".to_owned())));
        let both = headers(&[("cf-blob", cf), ("countersign-certificate-id", "one")]);
        assert_eq!(named(&both, &blob), Ok(Some("one".to_owned())));
        let two = headers(&[("cf-blob", cf), ("countersign-certificate-id", "two")]);
        assert_eq!(named(&two, &blob), Err(NamedWrong::Ambiguous));
        for bad in ["", "{", r#"{"clientCertificate":{"certificateId":5}}"#] {
            assert_eq!(named(&headers(&[("cf-blob", bad)]), &blob), Err(NamedWrong::Malformed), "{bad}");
        }
        let mut twice = headers(&[("countersign-certificate-id", "one")]);
        twice.append("countersign-certificate-id", http::HeaderValue::from_static("one"));
        assert_eq!(named(&twice, &blob), Err(NamedWrong::Ambiguous));
    }
}
