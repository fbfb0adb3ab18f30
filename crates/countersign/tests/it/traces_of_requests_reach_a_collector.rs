//! Proves that spans of requests reach an OpenTelemetry collector in the form that its schema has, joined to the
//! client's trace and handed on to the upstream, and that a collector that is away costs no request.

use std::path::Path;
use std::process::{Command, Stdio};

use countersign_testkit::vacant_address;
use serde_json::Value;

use crate::harness::{Device, Installation, Time, until};
use crate::upstream::{Received, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// Reads an export as the protocol's own library does, where that can be installed.
const READ: &str = "
import sys
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
read = Parse(sys.stdin.read(), ExportTraceServiceRequest())
assert read.resource_spans[0].scope_spans[0].spans
";

fn spans(received: &Received) -> Vec<Value> {
    assert_eq!(received.target, "/otlp/v1/traces");
    assert_eq!(received.header("content-type"), Some("application/json"));
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployment/python/bin/python");
    if python.is_file() {
        let mut reading = Command::new(python).args(["-c", READ]).stdin(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut reading.stdin.take().unwrap(), &received.body).unwrap();
        assert!(reading.wait().unwrap().success());
    }
    let export: Value = serde_json::from_slice(&received.body).unwrap();
    export["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

/// The span of a request, once the collector has it.
async fn span(collector: &Upstream, request: &str) -> Value {
    let found = std::sync::Mutex::new(None);
    until("the collector has the span", async || {
        let all = collector.received();
        let mut all = all.iter().flat_map(spans);
        *found.lock().unwrap() = all.find(|span| attribute(span, "countersign.request_id") == request);
        found.lock().unwrap().is_some()
    })
    .await;
    found.into_inner().unwrap().unwrap()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a str {
    let mut all = span["attributes"].as_array().unwrap().iter();
    let value = all.find(|attribute| attribute["key"] == key).map(|attribute| &attribute["value"]);
    value.and_then(|value| value["stringValue"].as_str().or(value["intValue"].as_str())).unwrap_or_default()
}

#[tokio::test]
async fn joined_to_the_clients_trace_and_handed_on() {
    let (collector, upstream) = (Upstream::start().await, Upstream::start().await);
    let traces = format!("[traces]\notlp = \"{}/otlp\"\none_in = 1\n", collector.url());
    let installation = Installation::configured(&format!("{}{traces}", upstream.routes()), Time::Real).await;
    let device = Device::enrol(&installation, "d1").await;
    let mut connection = device.connect(&installation).await;
    let parent = format!("00-{TRACE}-{CLIENT}-00");
    let headers = [("traceparent", parent.as_str())];
    let answer = connection.request("GET", "/required/a?secret", &headers, "").await.unwrap();
    assert_eq!(answer.status, 200);
    let found = span(&collector, answer.header("x-request-id")).await;
    assert_eq!((&found["traceId"], &found["parentSpanId"]), (&TRACE.into(), &CLIENT.into()));
    let told = format!("00-{TRACE}-{}-01", found["spanId"].as_str().unwrap());
    assert_eq!(upstream.received_one().header("traceparent"), Some(told.as_str()));
    assert_eq!(found["name"], "GET /required");
    assert_eq!(attribute(&found, "countersign.device"), "d1");
    assert_eq!(attribute(&found, "http.response.status_code"), "200");
    let nanos = |key: &str| found[key].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{found}");
    assert!(!found.to_string().contains("secret"), "{found}");

    // A refusal has a trace of its own, which is found by the request's id, and nothing is forwarded.
    let refused = installation.connect().await.json("GET", "/required/b", None, None).await.unwrap();
    assert_eq!(refused.status, 403);
    let id = refused.header("x-request-id");
    let found = span(&collector, id).await;
    assert_eq!(found["traceId"], id.replace('-', ""));
    assert_eq!(attribute(&found, "countersign.code"), "MTLS_REQUIRED");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_spans() {
    let traces = format!("[traces]\notlp = \"http://{}\"\none_in = 1\n", vacant_address());
    let installation = Installation::configured(&traces, Time::Real).await;
    let mut connection = installation.connect().await;
    for _ in 0..3 {
        assert_eq!(connection.json("GET", "/health", None, None).await.unwrap().status, 200);
    }
    until("the loss is said", async || installation.log().contains("spans lost")).await;
    assert_eq!(connection.json("GET", "/health", None, None).await.unwrap().status, 200);
}
