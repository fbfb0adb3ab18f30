//! One request of a local service.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::RequestId;
use countersign_core::time::Clock;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tracing::warn;

use super::ways::{NamedWrong, NoWay, Ways, named};
use crate::headers::{self, CfBlobHeader};
use crate::http::body::{Answered, Outgoing, Passing};
use crate::http::forward;
use crate::http::group::UpstreamProtocol;
use crate::http::host::RequestedHost;
use crate::http::refusal::{self, Answer};
use crate::http::upgrade;
use crate::http::upstreams::{UpstreamError, Upstreams};
use crate::report::{EdgeReport, RefusedRequest, Reports};
use crate::url::{NormalisedPath, OddPaths};

/// How long an upstream may take to begin its answer, unless its way says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);
/// When a request that found no upstream well may come again.
const COME_AGAIN: Duration = Duration::from_secs(5);
/// What browsers add to requests of pages.
const OF_PAGES: [&str; 3] = ["origin", "sec-fetch-site", "sec-fetch-mode"];

/// What serves the requests of a listener.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) ways: Ways,
    pub(crate) cf_blob: CfBlobHeader,
    /// Where it listens.
    pub(crate) name: String,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) reports: Reports,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// Somebody on this machine, or a page in somebody's browser.
    Tcp(SocketAddr),
    /// A process of a user who may.
    Unix,
}

impl Caller {
    /// A Unix socket has no address.
    fn address(self) -> SocketAddr {
        match self {
            Self::Tcp(address) => address,
            Self::Unix => SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// What was understood of a request.
struct Understood {
    host: RequestedHost,
    path: NormalisedPath,
    certificate: Option<String>,
}

/// Answers one request.
pub(crate) async fn handle(
    serving: Arc<Serving>,
    caller: Caller,
    mut request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    let id = RequestId::random();
    let marked = headers::id_value(id);
    let method = request.method().clone();
    let mut response = match serving.understand(caller, &mut request) {
        Err(answer) => {
            serving.tell((id, caller), &method, None, &answer);
            answer.into_response(id)
        }
        Ok(understood) => match serving.pass_on(request, &understood, &marked).await {
            Ok(response) => response,
            Err(answer) => {
                serving.tell((id, caller), &method, Some(&understood), &answer);
                answer.into_response(id)
            }
        },
    };
    refusal::mark(response.headers_mut(), &marked);
    Ok(response)
}

impl Serving {
    /// Somebody came who may not.
    pub(crate) fn refuse_caller(&self, uid: u32) {
        const CODE: &str = "EGRESS_CALLER_REFUSED";
        warn!(listener = self.name, uid, code = CODE, "egress connection refused");
        let refused = self.bare((RequestId::random(), Caller::Unix), CODE);
        self.reports.tell(EdgeReport::Refused(Box::new(refused)));
    }

    fn understand(&self, caller: Caller, request: &mut Request<Incoming>) -> Result<Understood, Answer> {
        let is_page = OF_PAGES.iter().any(|name| request.headers().contains_key(*name));
        if is_page && matches!(caller, Caller::Tcp(_)) {
            return Err(Answer::forbidden("EGRESS_PAGE_REFUSED", "A web page may not borrow this identity"));
        }
        if request.method() == Method::CONNECT {
            return Err(Answer::bad_request("BAD_METHOD", "CONNECT is not served"));
        }
        // Nobody needs it here; what would be offered is taken away.
        drop(upgrade::take(request));
        let certificate = named(request.headers(), &self.cf_blob).map_err(|wrong| match wrong {
            NamedWrong::Ambiguous => {
                Answer::bad_request("EGRESS_CERTIFICATE_AMBIGUOUS", "two certificates are named")
            }
            NamedWrong::Malformed => {
                Answer::bad_request("EGRESS_CERTIFICATE_UNREADABLE", "the certificate's name cannot be read")
            }
        })?;
        headers::strip_request(request.headers_mut())
            .map_err(|error| Answer::bad_request(error.code(), error))?;
        let host = RequestedHost::of(request.uri(), request.headers())
            .map_err(|error| Answer::bad_request("BAD_HOST", error))?;
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let path = NormalisedPath::parse(target, OddPaths::Refused)
            .map_err(|error| Answer::bad_request(error.code(), error))?;
        Ok(Understood { host, path, certificate })
    }

    async fn pass_on(
        &self,
        mut request: Request<Incoming>,
        understood: &Understood,
        marked: &HeaderValue,
    ) -> Result<Response<Answered>, Answer> {
        let Understood { host, path, certificate } = understood;
        let found = self.ways.find(host.name(), path.path(), certificate.as_deref());
        let group = found.map_err(|none| match none {
            NoWay::UpstreamUnknown => {
                Answer::forbidden("EGRESS_UPSTREAM_UNKNOWN", "This host is not on the list of this egress")
            }
            NoWay::CertificateUnknown => Answer::forbidden(
                "EGRESS_CERTIFICATE_UNKNOWN",
                "This host is not reached with this certificate",
            ),
            NoWay::CertificateNeeded => {
                Answer::forbidden("EGRESS_CERTIFICATE_NEEDED", "This host needs a certificate that is named")
            }
        })?;
        request.headers_mut().remove(header::EXPECT);
        refusal::mark(request.headers_mut(), marked);
        *request.extensions_mut() = http::Extensions::new();
        forward::send_on(request.uri_mut(), path)?;
        match group.protocol {
            UpstreamProtocol::Http1 => {
                let host = HeaderValue::from_str(&host.authority)
                    .map_err(|error| Answer::bad_request("BAD_HOST", error))?;
                request.headers_mut().insert(header::HOST, host);
            }
            UpstreamProtocol::Http2 => drop(forward::as_http2(&mut request, None, (host, group))?),
        }
        let request = request.map(|body| Passing::request(Outgoing::Client(body), headers::strip_trailers));
        let patience = group.timeouts.head.unwrap_or(PATIENCE);
        let mut response =
            self.upstreams.request(group, request, patience).await.map_err(|error| match error {
                UpstreamError::Timeout => Answer::upstream_timeout(),
                UpstreamError::NoneWell => Answer::upstreams_unwell(COME_AGAIN),
                UpstreamError::Connect(_) | UpstreamError::Request(_) | UpstreamError::Idle => {
                    let reason = std::error::Error::source(&error);
                    warn!(%error, reason, host = host.name(), "upstream gave no answer");
                    Answer::upstream_unreachable()
                }
            })?;
        response.headers_mut().remove(header::UPGRADE);
        headers::strip_response(response.headers_mut());
        Ok(response.map(|body| Answered::Upstream(Passing::answer(body, headers::strip_trailers, None))))
    }

    fn tell(
        &self,
        whose: (RequestId, Caller),
        method: &Method,
        understood: Option<&Understood>,
        answer: &Answer,
    ) {
        let facts = RefusedRequest {
            method: cut(method.as_str()),
            host: understood.map(|what| cut(&what.host.authority)).unwrap_or_default(),
            path: understood.map(|what| cut(what.path.path())).unwrap_or_default(),
            ..self.bare(whose, answer.code())
        };
        let report = if answer.is_failure() { EdgeReport::Failed } else { EdgeReport::Refused };
        self.reports.tell(report(Box::new(facts)));
    }

    fn bare(&self, (request_id, caller): (RequestId, Caller), code: &str) -> RefusedRequest {
        RefusedRequest {
            request_id,
            route: Some(format!("egress {}", self.name)),
            ..RefusedRequest::bare(self.clock.now(), caller.address(), code)
        }
    }
}

/// The beginning of what a service wrote: all that is kept of it.
fn cut(text: &str) -> String {
    text.chars().take(RefusedRequest::TEXT_LIMIT).collect()
}
