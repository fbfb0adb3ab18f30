//! What every handler can reach.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::refusals::RefusalReport;
use tokio::sync::mpsc;

/// What the control plane must know besides the authority.
#[derive(Clone, Debug)]
pub struct ControlPlaneConfig {
    /// Where devices reach the HTTP door, `https://host:port`: for the command that enrols one.
    pub door_url: String,
}

/// The control plane: cheap to clone.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Decides, signs and records.
    pub(crate) authority: Arc<Authority>,
    pub(crate) config: Arc<ControlPlaneConfig>,
    refusals: mpsc::Sender<RefusalReport>,
}

impl ControlPlane {
    /// A control plane over `authority`; what it refuses goes to `refusals`.
    #[must_use]
    pub fn new(
        authority: Arc<Authority>,
        config: ControlPlaneConfig,
        refusals: mpsc::Sender<RefusalReport>,
    ) -> Self {
        Self { authority, config: Arc::new(config), refusals }
    }

    /// Hands a report on. When the recorder is behind, the report is dropped and counted in the log:
    /// refusing must never wait for writing.
    pub(crate) fn report(&self, report: RefusalReport) {
        if let Err(error) = self.refusals.try_send(report) {
            tracing::warn!(%error, "refusal not recorded");
        }
    }

    /// The command that enrols a device with `key`.
    #[must_use]
    pub fn enrol_command(&self, key: &str) -> String {
        format!(
            "countersign-agent enroll {key} --server {} --ca-fingerprint {}",
            self.config.door_url,
            self.authority.root_fingerprint()
        )
    }
}
