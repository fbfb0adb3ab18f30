//! Commands: each is carried out once, and answered until the control plane has the answer.

use countersign_api::client::ClientError;
use countersign_api::wire::command::{Command, CommandResult, CommandStatus};
use countersign_core::command::CommandKind;
use countersign_core::ids::CommandId;
use serde_json::{Value, json};

use super::agent::Agent;
use crate::chain::Chain;
use crate::commands::Offer;
use crate::facts::Facts;
use crate::host::AGENT_VERSION;
use crate::renew::{Setback, Trigger};

/// The most characters of an error that are told.
const LONGEST_ERROR: usize = 1000;

impl Agent {
    /// A command is offered.
    pub(super) fn accept(&mut self, command: Command) {
        let (id, kind) = (command.id, command.kind.clone());
        match self.ledger.offer(id) {
            Offer::Fresh => {
                tracing::info!(command = %id, kind, "command received");
                self.queue.push_back(command);
            }
            Offer::Answered => {
                for (id, result) in self.ledger.outstanding().into_iter().filter(|(known, _)| *known == id) {
                    self.send_result(id, result);
                }
            }
            Offer::UnderWay => {}
            Offer::Declined => tracing::warn!(command = %id, kind, "too many commands, this one has to wait"),
        }
    }

    /// Carries out a command and says what came of it.
    pub(super) async fn carry_out(&mut self, command: Command) {
        let outcome = match command.kind.parse() {
            Ok(CommandKind::Ping) => Ok(self.pong()),
            Ok(CommandKind::RenewCertificate) => self.renew_as_told().await,
            Ok(CommandKind::RefreshConfig) => self.refresh_as_told().await,
            Ok(CommandKind::CollectFacts) => self.facts(),
            Ok(CommandKind::RotateToken) => self.rotate_as_told().await,
            Ok(CommandKind::Job) => Err(format!("agent {AGENT_VERSION} does no jobs")),
            Err(unknown) => Err(format!("agent {AGENT_VERSION}: {unknown}")),
        };
        let result = match outcome {
            Ok(result) => {
                tracing::info!(command = %command.id, kind = command.kind, "command carried out");
                CommandResult { status: CommandStatus::Completed, result: Some(result), error: None }
            }
            Err(error) => {
                tracing::warn!(command = %command.id, kind = command.kind, error, "command failed");
                let error = error.chars().take(LONGEST_ERROR).collect();
                CommandResult { status: CommandStatus::Failed, result: None, error: Some(error) }
            }
        };
        self.ledger.finish(command.id, result.clone());
        if !self.send_result(command.id, result.clone()) {
            self.post_result(command.id, &result).await;
        }
    }

    fn pong(&self) -> Value {
        json!({ "agentVersion": AGENT_VERSION, "time": self.clock.now().floor_to_second() })
    }

    async fn renew_as_told(&mut self) -> Result<Value, String> {
        self.trigger = Trigger::Asked;
        let outcome = self.renew().await?;
        match outcome.renewed {
            Some(expires) => Ok(json!({ "certificateExpiresAt": expires })),
            None => Err("there is neither a certificate nor a key that could be renewed".to_owned()),
        }
    }

    /// Heartbeats at once, and compares the CA certificates.
    async fn refresh_as_told(&mut self) -> Result<Value, String> {
        self.bundles.now();
        self.beat().await?;
        let version = self.config.enrolment.as_ref().and_then(|enrolment| enrolment.settings_version);
        Ok(json!({ "configVersion": version }))
    }

    fn facts(&self) -> Result<Value, String> {
        let enrolment = self.config.enrolment.as_ref().ok_or("this device has not enrolled")?;
        let facts = Facts::of(&self.host, enrolment, self.clock.now());
        serde_json::to_value(facts).map_err(|error| error.to_string())
    }

    async fn rotate_as_told(&mut self) -> Result<Value, String> {
        let outcome = self.rotation.rotate().await;
        self.reload();
        outcome.map_err(|error| Chain(&error).to_string())?;
        self.rotations.succeeded(std::time::Duration::ZERO);
        tracing::info!("token replaced");
        Ok(json!({}))
    }

    /// Whether a new token waits for its confirmation.
    pub(super) fn is_rotating(&self) -> bool {
        self.config.enrolment.as_ref().is_some_and(|enrolment| enrolment.next_token.is_some())
    }

    /// Confirms a new token that an earlier try has left unconfirmed.
    pub(super) async fn finish_rotation(&mut self) {
        if !self.is_rotating() || !self.rotations.is_due() {
            return;
        }
        let outcome = self.rotation.finish().await;
        self.reload();
        match outcome {
            Ok(()) => {
                self.rotations.succeeded(std::time::Duration::ZERO);
                tracing::info!("token replaced");
            }
            Err(error) => {
                let wait = self.rotations.failed(error.setback());
                self.note_quarantine(error.setback());
                tracing::warn!(
                    error = %Chain(&error), retry_seconds = wait.as_secs(), "new token not confirmed"
                );
            }
        }
    }

    /// Says by HTTP what came of commands, as far as the control plane does not know it.
    pub(super) async fn post_results(&mut self) {
        for (id, result) in self.ledger.outstanding() {
            if !self.post_result(id, &result).await {
                return;
            }
        }
    }

    /// Whether the control plane can be talked to.
    async fn post_result(&mut self, id: CommandId, result: &CommandResult) -> bool {
        let (client, enrolment) = match self.session() {
            Ok(session) => session,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "result not sent");
                return false;
            }
        };
        match client.command_result(enrolment.token.expose(), &enrolment.agent, id, result).await {
            Ok(_recorded) => {
                self.ledger.settle(id);
                true
            }
            Err(error) if is_final(&error) => {
                tracing::warn!(command = %id, error = %Chain(&error), "the result is not wanted");
                self.ledger.settle(id);
                true
            }
            Err(error) => {
                tracing::debug!(command = %id, error = %Chain(&error), "result not sent, trying again");
                self.note_quarantine(Setback::of(&error));
                false
            }
        }
    }
}

/// Whether saying it again would be answered the same for ever.
fn is_final(error: &ClientError) -> bool {
    error.answer().is_some_and(|answer| {
        !answer.body.code.is_empty() && matches!(answer.status.as_u16(), 400 | 404 | 409 | 410 | 413 | 422)
    })
}
