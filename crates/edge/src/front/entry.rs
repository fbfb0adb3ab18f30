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
use super::traces::Traced;
use crate::http::body::{Answered, BodyError};
use crate::http::connection::Arrived;

/// How much of a text that the client chose is written.
const TEXT_LIMIT: usize = 1024;

/// A request on its way into the log, a trace, or both.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Option<AccessLog>,
    traced: Option<Traced>,
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
        (log, traced): (Option<&AccessLog>, Option<Traced>),
        arrived: &Arrived,
        request: &Request<B>,
        (id, at): (RequestId, Timestamp),
    ) -> Box<Self> {
        let text = |name: &header::HeaderName| {
            request.headers().get(name).map(|value| cut(&String::from_utf8_lossy(value.as_bytes())))
        };
        let uri = request.uri();
        let host = uri.authority().map(|authority| cut(authority.as_str())).or_else(|| text(&header::HOST));
        let query = uri
            .query()
            .filter(|_query| log.is_some_and(|log| log.queries() == QueryStrings::Written))
            .map(cut);
        Box::new(Self {
            log: log.cloned(),
            traced,
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

    /// When it came.
    pub(crate) const fn began_at(&self) -> Timestamp {
        self.at
    }

    /// What it was answered.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// What a trace calls it: few names, however many paths there are.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.route.as_deref().unwrap_or("")).trim_end().to_owned()
    }

    /// What a trace says of it, by the names of OpenTelemetry's semantic conventions where they have one.
    pub(crate) fn attributes(&self) -> Vec<Value> {
        let identity = self.peer.claim().map(|claim| &claim.identity);
        let text = |key: &str, value: Option<String>| {
            value.map(|value| json!({ "key": key, "value": { "stringValue": value } }))
        };
        let status = json!({ "key": "http.response.status_code",
            "value": { "intValue": self.status.as_u16().to_string() } });
        let texts = [
            text("http.request.method", Some(self.method.to_string())),
            text("http.route", self.route.clone()),
            text("url.scheme", Some("https".to_owned())),
            text("url.path", Some(self.path.clone())),
            text("server.address", Some(self.host.clone())),
            text("client.address", Some(self.address.ip().to_string())),
            text("user_agent.original", self.agent.clone()),
            text("tls.protocol.version", Some(self.peer.protocol().to_string())),
            text("countersign.request_id", Some(self.id.to_string())),
            text("countersign.tenant", identity.map(|identity| identity.tenant().to_string())),
            text("countersign.device", identity.map(|identity| identity.device().to_string())),
            text("countersign.code", self.code.clone()),
        ];
        texts.into_iter().flatten().chain([status]).collect()
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
            let took = entry.began.elapsed();
            entry.took_millis = took.as_millis();
            if let Some(traced) = entry.traced.take() {
                traced.tell(&entry, took);
            }
            if let Some(log) = entry.log.take() {
                log.write(entry);
            }
        }
    }
}
