//! What is known of a request when it has been answered.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use countersign_core::ids::RequestId;
use countersign_core::time::Timestamp;
use countersign_tls::Peer;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::access_log::{AccessLog, QueryStrings, without_nulls};
use crate::http::body::{Answered, BodyError};
use crate::http::connection::Arrived;

/// How much of a text that the client chose is written.
const TEXT_LIMIT: usize = 1024;

/// A request on its way into the log.
#[derive(Debug)]
pub(crate) struct Entry {
    log: AccessLog,
    at: Timestamp,
    began: Instant,
    took_millis: u128,
    id: RequestId,
    address: SocketAddr,
    peer: Peer,
    version: Version,
    method: Method,
    host: String,
    path: String,
    query: Option<String>,
    agent: Option<String>,
    route: Option<String>,
    code: Option<String>,
    status: StatusCode,
    bytes: u64,
    is_whole: bool,
}

impl Entry {
    pub(crate) fn begin<B>(
        log: &AccessLog,
        arrived: &Arrived,
        request: &Request<B>,
        (id, at): (RequestId, Timestamp),
    ) -> Box<Self> {
        let text = |name: &header::HeaderName| {
            request.headers().get(name).map(|value| cut(&String::from_utf8_lossy(value.as_bytes())))
        };
        let uri = request.uri();
        let host = uri.authority().map(|authority| cut(authority.as_str())).or_else(|| text(&header::HOST));
        let query = uri.query().filter(|_query| log.queries() == QueryStrings::Written).map(cut);
        Box::new(Self {
            log: log.clone(),
            at,
            began: Instant::now(),
            took_millis: 0,
            id,
            address: arrived.address,
            peer: arrived.peer.clone(),
            version: request.version(),
            method: request.method().clone(),
            host: host.unwrap_or_default(),
            path: cut(uri.path()),
            query,
            agent: text(&header::USER_AGENT),
            route: None,
            code: None,
            status: StatusCode::OK,
            bytes: 0,
            is_whole: false,
        })
    }

    /// Which path was meant, and by which route it is served.
    pub(crate) fn routed(&mut self, path: &str, route: &str) {
        self.path = cut(path);
        self.route = Some(route.to_owned());
    }

    /// The code of the door's own answer.
    pub(crate) fn refused(&mut self, code: &str) {
        self.code = (!code.is_empty()).then(|| code.to_owned());
    }

    /// Follows the answer to its end.
    pub(crate) fn follow(mut self: Box<Self>, response: Response<Answered>) -> Response<Answered> {
        self.status = response.status();
        response.map(|inner| Answered::Logged(Box::new(Logged { inner, entry: Some(self) })))
    }

    pub(crate) fn json(&self) -> Value {
        let peer = &self.peer;
        without_nulls(json!({
            "time": self.at.to_string(),
            "requestId": self.id.to_string(),
            "peer": self.address.to_string(),
            "identity": peer.claim().map(|claim| claim.identity.uri()),
            "untrusted": peer.untrusted().map(|reason| reason.code()),
            "method": self.method.as_str(),
            "host": self.host,
            "path": self.path,
            "query": self.query,
            "http": format!("{:?}", self.version),
            "userAgent": self.agent,
            "route": self.route,
            "status": self.status.as_u16(),
            "code": self.code,
            "bytes": self.bytes,
            "durationMs": u64::try_from(self.took_millis).unwrap_or(u64::MAX),
            "aborted": (!self.is_whole).then_some(true),
            "tls": {
                "version": peer.protocol().as_str(),
                "cipher": peer.cipher(),
                "resumed": peer.is_resumed(),
                "serverName": peer.server_name(),
            },
        }))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_LIMIT).collect()
}

/// An answer's body that is written down when it has passed, or nobody wants it any more.
#[derive(Debug)]
pub(crate) struct Logged {
    inner: Answered,
    entry: Option<Box<Entry>>,
}

impl Logged {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Some(entry) = &mut self.entry {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    entry.bytes += u64::try_from(length).unwrap_or(u64::MAX);
                }
                Poll::Ready(None) => entry.is_whole = true,
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        polled
    }

    pub(crate) fn is_end(&self) -> bool {
        self.inner.is_end_stream()
    }

    pub(crate) fn size(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.is_whole |= self.inner.is_end_stream();
            entry.took_millis = entry.began.elapsed().as_millis();
            entry.log.clone().write(entry);
        }
    }
}
