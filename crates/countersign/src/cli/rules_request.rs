//! A request as people write it down, for trying rules on it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use countersign_core::Identity;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::Standing;
use countersign_core::time::Timestamp;
use countersign_edge::headers::{self, Scheme};
use countersign_edge::rules::{
    CertificateState, PresentedCertificate, RequestFacts, Resumption, TlsFacts, Validity,
};
use countersign_edge::url::{NormalisedPath, OddPaths};
use countersign_tls::{LeafDetails, certificates_of, unverified_identity};
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};

/// A request, as a door would give it to the rules.
#[derive(Debug)]
pub(crate) struct TestRequest {
    pub(super) method: Method,
    pub(super) version: &'static str,
    pub(super) host: Option<String>,
    pub(super) target: NormalisedPath,
    pub(super) raw_target: String,
    pub(super) headers: HeaderMap,
    pub(super) forwarded_for: Option<HeaderValue>,
}

impl TestRequest {
    /// Reads `GET /path`, or the file of that name, and more headers.
    pub(super) fn read(text: &str, more: &[String]) -> anyhow::Result<Self> {
        if !Path::new(text).is_file() {
            return Self::parse(text, more);
        }
        Self::parse(&fs_err::read_to_string(text).context("read the request")?, more)
    }

    /// Reads `GET /path` with headers below it, and more headers.
    pub(crate) fn parse(head: &str, more: &[String]) -> anyhow::Result<Self> {
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let (method, target, version) = request_line(first)?;
        let mut headers = HeaderMap::new();
        let sent = lines.take_while(|line| !line.trim().is_empty());
        for line in sent.chain(more.iter().map(String::as_str)) {
            let (name, value) = header(line)?;
            headers.append(name, value);
        }
        let host = target.host().map(str::to_owned).or_else(|| host_of(&headers));
        let raw_target = target.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let normalised = NormalisedPath::parse(&raw_target, OddPaths::Refused);
        let normalised = normalised.with_context(|| format!("a door answers {raw_target:?} with 400"))?;
        let forwarded_for = headers::claimed_forwarded_for(&headers);
        headers::strip_request(&mut headers).context("a door answers these headers with 400")?;
        let host = host.map(|host| host.to_ascii_lowercase());
        Ok(Self { method, version, host, target: normalised, raw_target, headers, forwarded_for })
    }
}

fn request_line(line: &str) -> anyhow::Result<(Method, Uri, &'static str)> {
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("not a request such as \"GET /path\": {line:?}");
    };
    let version = match words.next() {
        None | Some("HTTP/1.1") => "HTTP/1.1",
        Some("HTTP/1.0") => "HTTP/1.0",
        Some("HTTP/2" | "HTTP/2.0") => "HTTP/2",
        Some(other) => bail!("no version of HTTP that a door speaks: {other:?}"),
    };
    let method = method.parse().with_context(|| format!("read the method {method:?}"))?;
    let target = target.parse().with_context(|| format!("read the path {target:?}"))?;
    Ok((method, target, version))
}

fn header(line: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) =
        line.split_once(':').ok_or_else(|| anyhow!("not a header such as \"Name: value\": {line:?}"))?;
    let name = name.trim().parse().with_context(|| format!("read the header's name {name:?}"))?;
    let value = HeaderValue::from_str(value.trim()).with_context(|| format!("read the value of {name}"))?;
    Ok((name, value))
}

/// The host without its port.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let authority: http::uri::Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_owned())
}

/// A certificate that the request comes with.
pub(crate) struct TestCertificate {
    pub(super) leaf: LeafDetails,
    chain: Vec<Arc<[u8]>>,
    pub(super) identity: Option<Identity>,
    pub(super) standing: Standing,
    pub(super) state: CertificateState,
}

impl PresentedCertificate for TestCertificate {
    fn leaf(&self) -> Option<&LeafDetails> {
        Some(&self.leaf)
    }

    fn chain_der(&self) -> &[Arc<[u8]>] {
        &self.chain
    }
}

impl TestCertificate {
    /// Reads a file; `standing` is taken for granted, or else follows from the dates. One that names no
    /// device is nobody's.
    pub(super) fn read(file: &Path, standing: Option<Standing>, now: Timestamp) -> anyhow::Result<Self> {
        let bytes = fs_err::read(file).context("read the certificate")?;
        Self::of(&bytes, standing, now).with_context(|| format!("read {}", file.display()))
    }

    /// The same of what a file would hold.
    pub(crate) fn of(bytes: &[u8], standing: Option<Standing>, now: Timestamp) -> anyhow::Result<Self> {
        let chain = certificates_of(bytes).context("read the certificates")?;
        let chain: Vec<Arc<[u8]>> = chain.into_iter().map(Arc::from).collect();
        let leaf = LeafDetails::of_chain(&chain).context("read the first certificate")?;
        let identity = chain.first().and_then(|leaf| unverified_identity(leaf).ok());
        let validity = if leaf.not_before <= now && now <= leaf.not_after {
            Validity::Running
        } else {
            Validity::Outside
        };
        let by_dates = if identity.is_none() {
            Standing::Foreign
        } else if now > leaf.not_after {
            Standing::Expired
        } else if now < leaf.not_before {
            Standing::NotYetValid
        } else {
            Standing::Valid
        };
        let standing = standing.unwrap_or(by_dates);
        let state = CertificateState::standing(standing, validity);
        let identity = identity.filter(|_identity| standing != Standing::Foreign);
        Ok(Self { leaf, chain, identity, standing, state })
    }
}

/// What rules are asked about, as a door would have it.
pub(crate) fn facts_of<'a>(
    request: &'a TestRequest,
    certificate: Option<&'a TestCertificate>,
    (request_id, now): (RequestId, Timestamp),
    (source, server_port): (IpAddr, u16),
) -> RequestFacts<'a> {
    RequestFacts {
        request_id,
        now,
        method: request.method.as_str(),
        version: request.version,
        scheme: Scheme::Https,
        host: request.host.as_deref(),
        target: &request.target,
        raw_target: &request.raw_target,
        headers: &request.headers,
        forwarded_for: request.forwarded_for.as_ref().map(HeaderValue::as_bytes),
        source,
        server_port,
        tls: Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            group: Some("X25519MLKEM768"),
            resumption: Resumption::Full,
        }),
        certificate: certificate.map_or_else(CertificateState::default, |shown| shown.state),
        presented: certificate.map(|shown| shown as &dyn PresentedCertificate),
        device: certificate.and_then(|shown| shown.identity.as_ref()),
        standing: certificate.map(|shown| shown.standing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_a_door_reads_it() {
        let more = ["Host: Gateway.example.com:8443".to_owned(), "X-Forwarded-For: 10.0.0.1".to_owned()];
        let request = TestRequest::read("POST //api/./v1?x=1", &more).unwrap();
        assert_eq!(request.host.as_deref(), Some("gateway.example.com"));
        assert_eq!(
            (request.target.path_and_query(), &*request.raw_target),
            ("/api/v1?x=1", "//api/./v1?x=1")
        );
        assert!(request.forwarded_for.is_some() && !request.headers.contains_key("x-forwarded-for"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in ["GET", "", "GET /a HTTP/3", "GET /%2f", "G\u{e9}T /"] {
            assert!(TestRequest::read(bad, &[]).is_err(), "{bad}");
        }
        assert!(TestRequest::read("GET /", &["nonsense".to_owned()]).is_err());
    }
}
