//! Traces: which of them a request belongs to (W3C Trace Context), what its upstream hears of that, and a span for
//! whoever collects them (OpenTelemetry Protocol 1, JSON).

use std::num::NonZeroU32;
use std::time::Duration;

use countersign_core::ids::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::entry::Entry;
use crate::http::request_ids;

/// What hands a trace on (W3C Trace Context section 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// How many spans may wait for whoever collects them; further ones are lost.
const WAITING: usize = 4096;
/// A span of whoever answers (`SPAN_KIND_SERVER`).
const SERVER: u8 = 2;
/// A span whose request failed here (`STATUS_CODE_ERROR`).
const ERROR: u8 = 2;

type TraceId = [u8; 16];
type SpanId = [u8; 8];

/// Traces some of the requests.
#[derive(Clone, Debug)]
pub struct Traces {
    spans: mpsc::Sender<Value>,
    one_in: NonZeroU32,
}

/// A request that is traced.
#[derive(Debug)]
pub(crate) struct Traced {
    spans: mpsc::Sender<Value>,
    trace: TraceId,
    span: SpanId,
    /// The client's, if it is in a trace itself.
    parent: Option<SpanId>,
}

impl Traces {
    /// Traces one request in so many, by chance, and where their spans come out.
    #[must_use]
    pub fn of(one_in: NonZeroU32) -> (Self, mpsc::Receiver<Value>) {
        let (spans, collected) = mpsc::channel(WAITING);
        (Self { spans, one_in }, collected)
    }

    /// Decides whether a request is traced, and tells its upstream. What a client says of a trace is handed on;
    /// whether there is a span of it is not the client's to say.
    pub(crate) fn begin(&self, id: RequestId, headers: &mut HeaderMap) -> Option<Traced> {
        let own = id.uuid().into_bytes();
        let [.., a, b, c, d] = own;
        if !u32::from_be_bytes([a, b, c, d]).is_multiple_of(self.one_in.get()) {
            return None;
        }
        let theirs = headers.get(&TRACEPARENT).and_then(|value| parent_of(value.as_bytes()));
        // Without one it is found by the request's id.
        let (trace, parent) = theirs.map_or((own, None), |(trace, parent)| (trace, Some(parent)));
        let [.., e, f, g, h, i, j, k, l] = request_ids::next().uuid().into_bytes();
        let span = [e, f, g, h, i, j, k, l];
        let told = format!("00-{}-{}-01", hex::encode(trace), hex::encode(span));
        if let Ok(told) = HeaderValue::try_from(told) {
            headers.insert(TRACEPARENT, told);
        }
        Some(Traced { spans: self.spans.clone(), trace, span, parent })
    }
}

impl Traced {
    /// Tells of a request that was answered. A collector that is too slow costs spans, never a request.
    pub(crate) fn tell(&self, entry: &Entry, took: Duration) {
        if self.spans.try_send(self.span(entry, took)).is_err() {
            tracing::debug!("span lost: too many wait");
        }
    }

    fn span(&self, entry: &Entry, took: Duration) -> Value {
        let began = u128::from(u64::try_from(entry.began_at().millis()).unwrap_or_default()) * 1_000_000;
        let status = if entry.status().is_server_error() { json!({ "code": ERROR }) } else { json!({}) };
        json!({
            "traceId": hex::encode(self.trace),
            "spanId": hex::encode(self.span),
            "parentSpanId": self.parent.map(hex::encode).unwrap_or_default(),
            "name": entry.name(),
            "kind": SERVER,
            "startTimeUnixNano": began.to_string(),
            "endTimeUnixNano": (began + took.as_nanos()).to_string(),
            "attributes": entry.attributes(),
            "status": status,
        })
    }
}

/// The trace and the span that a client says it is in; `None` for what is none.
fn parent_of(said: &[u8]) -> Option<(TraceId, SpanId)> {
    let text = std::str::from_utf8(said).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, _flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    let (trace, span) = (octets::<16>(trace)?, octets::<8>(span)?);
    (is_known && trace != [0; 16] && span != [0; 8]).then_some((trace, span))
}

/// Octets out of exactly so much lower-case hex.
fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut octets = [0; N];
    let is_lower = !text.bytes().any(|octet| octet.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(text, &mut octets).is_ok()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_of_its_trace_is_read_or_is_nothing() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let read = parent_of(format!("00-{trace}-{span}-01").as_bytes()).unwrap();
        assert_eq!((hex::encode(read.0).as_str(), hex::encode(read.1).as_str()), (trace, span));
        for bad in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-02",
            "00-4bf92f3577b34da6a3ce929d0e0e4736é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parent_of(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn one_in_so_many_is_traced_and_the_client_does_not_choose() {
        let (traces, _spans) = Traces::of(NonZeroU32::new(10).unwrap());
        let mut headers = HeaderMap::new();
        let said = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let traced = (0..10_000).filter(|_| {
            headers.insert(TRACEPARENT, said.clone());
            let traced = traces.begin(request_ids::next(), &mut headers);
            assert_eq!(headers[TRACEPARENT] == said, traced.is_none(), "the upstream hears of our span");
            traced.is_some()
        });
        assert!((700..1300).contains(&traced.count()));
    }
}
