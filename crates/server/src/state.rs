//! What every handler can reach.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_authority::Authority;
use countersign_authority::refusals::RefusalReport;
use countersign_tls::{EdgeJudge, Hearsay};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::edges::devices::TakesMessages;
use crate::rule_bench::RuleBench;

/// The control plane: as cheap to clone as can be, since the router does so several times for each request.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Decides, signs and records.
    pub(crate) authority: Arc<Authority>,
    beside: Arc<Beside>,
}

/// What it has beside the authority.
#[derive(Clone, Debug)]
struct Beside {
    refusals: mpsc::Sender<RefusalReport>,
    door_url: Arc<OnceLock<String>>,
    ping_every: Duration,
    edge_judge: Arc<EdgeJudge>,
    hearsay: Arc<Hearsay>,
    measured: Arc<OnceLock<Arc<dyn Measured>>>,
    rule_bench: Option<Arc<dyn RuleBench>>,
    taker: Option<Arc<dyn TakesMessages>>,
}

/// Whoever knows the numbers of this process.
pub trait Measured: Debug + Send + Sync {
    /// All of them, as OpenMetrics text.
    fn text(&self) -> BoxFuture<'_, String>;
}

/// How often a WebSocket is pinged unless it is said otherwise.
const PING_EVERY: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// A control plane over `authority`; what it refuses goes to `refusals`.
    #[must_use]
    pub fn new(authority: Arc<Authority>, refusals: mpsc::Sender<RefusalReport>) -> Self {
        let beside = Beside {
            refusals,
            door_url: Arc::default(),
            ping_every: PING_EVERY,
            edge_judge: Arc::default(),
            hearsay: Arc::default(),
            measured: Arc::default(),
            rule_bench: None,
            taker: None,
        };
        Self { authority, beside: Arc::new(beside) }
    }

    /// The same, with this long between the pings of a WebSocket; an answer may take a third of it.
    #[must_use]
    pub fn pinging_every(mut self, time: Duration) -> Self {
        Arc::make_mut(&mut self.beside).ping_every = time;
        self
    }

    /// The same, where people can try rules with whoever knows their language.
    #[must_use]
    pub fn trying_rules_with(mut self, bench: Arc<dyn RuleBench>) -> Self {
        Arc::make_mut(&mut self.beside).rule_bench = Some(bench);
        self
    }

    /// The same, where whoever takes messages of devices takes those from edges elsewhere too.
    #[must_use]
    pub fn handing_messages_to(mut self, taker: Arc<dyn TakesMessages>) -> Self {
        Arc::make_mut(&mut self.beside).taker = Some(taker);
        self
    }

    pub(crate) fn taker(&self) -> Option<&dyn TakesMessages> {
        self.beside.taker.as_deref()
    }

    pub(crate) fn ping_every(&self) -> Duration {
        self.beside.ping_every
    }

    /// Says where devices reach the HTTP door, `https://host:port`, once it is open: for the command
    /// that enrols one. Only the first call counts.
    pub fn set_door_url(&self, url: String) {
        if let Err(second) = self.beside.door_url.set(url) {
            tracing::warn!(url = second, "door url set twice");
        }
    }

    /// Says who knows the numbers of this process, once there is something to count. Only the first call
    /// counts.
    pub fn set_measured(&self, measured: Arc<dyn Measured>) {
        if self.beside.measured.set(measured).is_err() {
            tracing::warn!("source of metrics set twice");
        }
    }

    pub(crate) fn rule_bench(&self) -> Option<&dyn RuleBench> {
        self.beside.rule_bench.as_deref()
    }

    /// The same, for whoever goes on without this control plane.
    pub(crate) fn shared_rule_bench(&self) -> Option<Arc<dyn RuleBench>> {
        self.beside.rule_bench.clone()
    }

    pub(crate) fn measured(&self) -> Option<&Arc<dyn Measured>> {
        self.beside.measured.get()
    }

    /// Finds out whether a certificate is an edge's.
    pub(crate) fn edge_judge(&self) -> &EdgeJudge {
        &self.beside.edge_judge
    }

    /// Judges what edges were shown.
    pub(crate) fn hearsay(&self) -> &Hearsay {
        &self.beside.hearsay
    }

    /// Hands a report on. When the recorder is behind, it is counted alone: refusing must never wait
    /// for writing.
    pub(crate) fn report(&self, report: RefusalReport) {
        if let Err(error) = self.beside.refusals.try_send(report) {
            tracing::debug!(%error, "refusal counted alone");
            self.authority.count_unseen_refusals(1);
        }
    }

    /// The command that runs an edge, with its token in a file.
    #[must_use]
    pub fn edge_command(&self) -> String {
        let door = self.beside.door_url.get().map_or("https://<door>:8443", String::as_str);
        let fingerprint = self.authority.root_fingerprint();
        format!(
            "countersign edge run --authority {door} --ca-fingerprint {fingerprint} --token-file <file> \
             --data-dir <dir>"
        )
    }

    /// The command that enrols a device with `key`.
    #[must_use]
    pub fn enrol_command(&self, key: &str) -> String {
        let door = self.beside.door_url.get().map_or("https://<door>:8443", String::as_str);
        let fingerprint = self.authority.root_fingerprint();
        format!("countersign-agent enroll {key} --server {door} --ca-fingerprint {fingerprint}")
    }
}
