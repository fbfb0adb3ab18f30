//! Heartbeats: what they say, and what their answers ask for.

use std::time::Duration;

use countersign_api::client::{ApiError, ClientError};
use countersign_api::wire::agent::{HeartbeatRequest, HeartbeatResponse};
use countersign_api::wire::agent_settings::AgentSettingsBody;
use thiserror::Error;
use tokio::time::Instant;

use super::agent::{Agent, SessionError};
use crate::backoff::jittered;
use crate::chain::Chain;
use crate::channel::ConnectionState;
use crate::config::Config;
use crate::disk::DiskError;
use crate::facts;
use crate::host::AGENT_VERSION;
use crate::random;
use crate::renew::{Setback, Trigger};
use crate::trust::{self, TrustError};

/// The codes of a certificate that counts for nothing any more while its key may: it has expired, or the CA
/// that signed it is trusted no more.
const OUTLIVED: [&str; 2] = ["CERTIFICATE_EXPIRED", "CERTIFICATE_UNTRUSTED"];

/// The code of a certificate that the control plane has no record of since it was restored from a backup.
const UNPROVED: &str = "CERTIFICATE_UNPROVED";

/// The codes of refusals that no waiting ends.
const RETIRED: [&str; 2] = ["CERTIFICATE_REVOKED", "DEVICE_DECOMMISSIONED"];

/// How often the CA certificates are compared with the control plane's.
const TRUST_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// The longest interval that is taken over.
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// A heartbeat was not answered with a 200.
#[derive(Debug, Error)]
enum HeartbeatError {
    #[error("prepare the heartbeat")]
    Session(#[from] SessionError),
    #[error("send the heartbeat")]
    Client(#[from] ClientError),
}

impl HeartbeatError {
    fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Session(_) => None,
            Self::Client(error) => error.answer(),
        }
    }

    fn setback(&self) -> Setback {
        match self {
            Self::Session(_) => Setback::Refused,
            Self::Client(error) => Setback::of(error),
        }
    }
}

impl Agent {
    /// Sends a heartbeat, does what its answer asks for, and says why it did not work.
    pub(super) async fn beat(&mut self) -> Result<(), String> {
        match self.send_heartbeat().await {
            Ok(answer) => {
                self.take_over(answer.config_update).await;
                self.full_beat = Some(Instant::now());
                let interval = self.interval();
                self.heartbeats.succeeded(jittered(interval, random::fraction()));
                self.report.contact(self.clock.now());
                if self.report.served() {
                    tracing::info!("device approved, running on");
                    self.connections.now();
                }
                let is_its_turn = answer.renew_cert && answer.renew_from.is_none();
                if is_its_turn && self.trigger == Trigger::Clock {
                    tracing::info!("the control plane asks for a renewal");
                    self.trigger = Trigger::Asked;
                }
                self.note_bundle(answer.trust_bundle);
                for command in answer.commands {
                    self.accept(command);
                }
                self.post_results().await;
                self.tell_of_keys().await;
                Ok(())
            }
            Err(error) => {
                let setback = error.setback();
                self.note_quarantine(setback);
                self.note_expiry(&error);
                self.note_unproved(&error);
                let wait = self.heartbeats.failed(setback);
                let text = Chain(&error).to_string();
                if setback != Setback::Quarantined {
                    self.report.failure(self.clock.now(), &text);
                    self.log_failed_heartbeat(&error, &text, wait);
                }
                Err(text)
            }
        }
    }

    async fn send_heartbeat(&mut self) -> Result<HeartbeatResponse, HeartbeatError> {
        let (client, enrolment) = self.session()?;
        let is_due = self.measured.is_none_or(|at| at.elapsed() >= enrolment.metrics_interval);
        let load = if is_due { facts::load() } else { None };
        let request = HeartbeatRequest {
            status: Some("online".to_owned()),
            agent_version: Some(AGENT_VERSION.to_owned()),
            metrics: load.and_then(|load| serde_json::to_value(load).ok()),
            ip_addresses: Some(facts::addresses()),
            trust_bundle: self.config.ca_pem.as_deref().map(trust::bundle_hash),
            config_version: enrolment.settings_version,
        };
        let answer = client.heartbeat(enrolment.token.expose(), &enrolment.agent, &request).await?;
        if load.is_some() {
            self.measured = Some(Instant::now());
        }
        Ok(answer)
    }

    fn log_failed_heartbeat(&mut self, error: &HeartbeatError, text: &str, wait: Duration) {
        let answer = error.answer();
        let is_retired = answer.is_some_and(|answer| {
            answer.status.as_u16() == 401 || RETIRED.iter().any(|code| answer.has_code(code))
        });
        let retry_seconds = wait.as_secs();
        if is_retired && self.is_unenrolled() {
            tracing::info!("this device was unenrolled, nothing is left to do");
            self.is_over = true;
        } else if is_retired {
            tracing::error!(
                error = text,
                retry_seconds,
                "the control plane does not admit this device any more; an admin has retired it or it must enrol again"
            );
        } else {
            tracing::warn!(error = text, retry_seconds, "heartbeat failed");
        }
    }

    /// The control plane's clock counts, not ours, and so do its CAs: what it calls expired or untrusted
    /// is renewed.
    fn note_expiry(&mut self, error: &HeartbeatError) {
        let code = |answer: &ApiError| OUTLIVED.into_iter().find(|code| answer.has_code(code));
        if let Some(code) = error.answer().and_then(code) {
            tracing::warn!(
                code,
                "the control plane takes the certificate for expired or untrusted, renewing it; check the clock"
            );
            self.renewal.prefer_signatures();
            self.trigger = Trigger::Asked;
        }
    }

    /// The control plane was restored from a backup: showing the certificate proves it, for a new one.
    fn note_unproved(&mut self, error: &HeartbeatError) {
        if error.answer().is_some_and(|answer| answer.has_code(UNPROVED)) {
            tracing::warn!("the control plane has no record of the certificate, renewing it");
            self.renewal.prefer_handshakes();
            self.trigger = Trigger::Asked;
        }
    }

    /// A quarantined device asks by renewal, slowly: an approval is used up by a renewed
    /// certificate, and not using it leads back into quarantine.
    pub(super) fn note_quarantine(&mut self, setback: Setback) {
        if setback != Setback::Quarantined {
            return;
        }
        self.renewal.prefer_signatures();
        self.trigger = Trigger::Asked;
        if self.connection.is_none() {
            self.note_connection(ConnectionState::Quarantined);
        }
        if self.report.quarantined(self.clock.now()) {
            tracing::warn!("device quarantined, asking slowly until an admin has approved it");
        }
    }

    /// Takes over new settings; when they cannot be saved, the next heartbeat brings them again.
    async fn take_over(&mut self, update: Option<AgentSettingsBody>) {
        let Some(update) = update else { return };
        let seconds = |count: u16| {
            Duration::from_secs(u64::from(count)).clamp(Duration::from_secs(1), LONGEST_INTERVAL)
        };
        let (heartbeat, metrics) =
            (seconds(update.heartbeat_interval_seconds), seconds(update.metrics_collection_interval_seconds));
        let saved = self.amend(|config| {
            if let Some(enrolment) = &mut config.enrolment {
                enrolment.heartbeat_interval = heartbeat;
                enrolment.metrics_interval = metrics;
                enrolment.settings_version = Some(update.version);
            }
        });
        match saved {
            Ok(()) => tracing::info!(
                version = update.version,
                heartbeat_seconds = heartbeat.as_secs(),
                metrics_seconds = metrics.as_secs(),
                "settings taken over"
            ),
            Err(error) => tracing::warn!(error = %Chain(&error), "settings not saved, asking again"),
        }
    }

    /// Changes the configuration on the disk and in memory.
    fn amend(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), DiskError> {
        let _lock = self.disk.lock()?;
        // Another process may have changed it before the lock was ours.
        let Some(mut config) = self.disk.load()?.filter(|config| config.enrolment.is_some()) else {
            return Ok(());
        };
        change(&mut config);
        self.disk.save(&config)?;
        self.config = config;
        Ok(())
    }

    /// The control plane says that it has other CA certificates: asks for them at once, and for the
    /// same ones only once, since what cannot be taken over is tried again with patience.
    fn note_bundle(&mut self, told: Option<String>) {
        if told.is_some() && told != self.told_bundle {
            self.told_bundle = told;
            self.bundles.now();
        }
    }

    /// Compares the CA certificates with the control plane's now and then, and takes over its own.
    pub(super) async fn refresh_trust(&mut self) {
        if !self.bundles.is_due() || self.report.is_quarantined() {
            return;
        }
        let (client, enrolment) = match self.session() {
            Ok(session) => session,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "CA certificates not compared");
                self.bundles.failed(Setback::Refused);
                return;
            }
        };
        let now = self.clock.now();
        match trust::fetch(self.connect, &client, &self.config, &enrolment, now).await {
            Ok(None) => self.bundles.succeeded(jittered(TRUST_INTERVAL, random::fraction())),
            Ok(Some(ca_pem)) => {
                let sha256 = trust::bundle_hash(&ca_pem);
                match self.amend(|config| config.ca_pem = Some(ca_pem)) {
                    Ok(()) => {
                        self.bundles.succeeded(jittered(TRUST_INTERVAL, random::fraction()));
                        tracing::info!(sha256, "CA certificates taken over");
                        // The control plane learns of it by a heartbeat.
                        self.beat_in_full();
                    }
                    Err(error) => {
                        self.bundles.failed(Setback::Outage { retry_after: None });
                        tracing::warn!(error = %Chain(&error), "CA certificates not saved");
                    }
                }
            }
            // Heartbeats say when the control plane cannot be reached or refuses.
            Err(error @ TrustError::Fetch(_)) => {
                self.bundles.failed(error.setback());
                tracing::debug!(error = %Chain(&error), "CA certificates not compared");
            }
            Err(error) => {
                let wait = self.bundles.failed(error.setback());
                tracing::warn!(
                    error = %Chain(&error), retry_seconds = wait.as_secs(),
                    "CA certificates stay as they are"
                );
            }
        }
    }
}
