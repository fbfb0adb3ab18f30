//! Spans of requests on their way to an OpenTelemetry collector: OTLP over HTTP, in JSON.

use std::time::Duration;

use anyhow::Context as _;
use countersign_edge::Traces;
use countersign_tls::{ClientTls, ServerTrust};
use http::{Method, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{HttpUrl, TracesSettings};
use crate::http_client::{Sender, open, request};
use crate::system_roots::roots;

/// Where a collector takes traces (OTLP specification, section "OTLP/HTTP Request").
const PATH: &str = "v1/traces";
/// How many spans go together, and how long the first of them waits for the others.
const TOGETHER: usize = 512;
const GATHERING: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who hands spans over.
struct Exporter {
    otlp: HttpUrl,
    tls: Option<ClientTls>,
    connection: Option<Sender>,
    is_failing: bool,
}

/// Traces requests from now on as the configuration wants it; what the collector does not take is lost.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn start(settings: &TracesSettings) -> anyhow::Result<Traces> {
    let tls = settings.otlp.is_tls().then(|| {
        let trust = ServerTrust::Roots(roots(settings.ca_file.as_deref(), "traces.ca_file")?);
        ClientTls::new(&trust, None).context("set up TLS to the collector of traces")
    });
    let exporter =
        Exporter { otlp: settings.otlp.clone(), tls: tls.transpose()?, connection: None, is_failing: false };
    let (traces, spans) = Traces::of(settings.one_in);
    tokio::spawn(exporter.run(spans));
    Ok(traces)
}

impl Exporter {
    /// Hands over what comes, until nobody traces any more.
    async fn run(mut self, mut spans: mpsc::Receiver<Value>) {
        while let Some(first) = spans.recv().await {
            let mut together = vec![first];
            let end = Instant::now() + GATHERING;
            while together.len() < TOGETHER
                && let Ok(Some(span)) = timeout_at(end, spans.recv()).await
            {
                together.push(span);
            }
            let count = together.len();
            let sent = timeout(PATIENCE, self.send(together)).await;
            let failed = match sent {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_late) => Some("no answer in time".to_owned()),
            };
            if let Some(error) = &failed {
                self.connection = None;
                if !self.is_failing {
                    tracing::warn!(otlp = %self.otlp, count, error, "spans lost: the collector does not take them");
                }
            }
            self.is_failing = failed.is_some();
        }
    }

    async fn send(&mut self, spans: Vec<Value>) -> anyhow::Result<()> {
        let mut connection = match self.connection.take().filter(Sender::is_ready) {
            Some(connection) => connection,
            None => open(&self.otlp, self.tls.as_ref()).await?,
        };
        let path = format!("{}/{PATH}", self.otlp.path().trim_end_matches('/'));
        let request = request(&self.otlp, Method::POST, &path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(export(&spans).to_string()))
            .context("make the request")?;
        let answer = connection.send_request(request).await.context("ask the collector")?;
        let status = answer.status();
        answer.into_body().collect().await.context("read the collector's answer")?;
        anyhow::ensure!(status.is_success(), "the collector answers {status}");
        self.connection = Some(connection);
        Ok(())
    }
}

/// `ExportTraceServiceRequest`.
fn export(spans: &[Value]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let version = env!("CARGO_PKG_VERSION");
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "countersign"), text("service.version", version)] },
        "scopeSpans": [{ "scope": { "name": "countersign-edge", "version": version }, "spans": spans }],
    }] })
}
