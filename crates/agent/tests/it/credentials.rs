//! What the control plane for tests says of heartbeats, commands, tokens and the end of an enrolment.

use std::time::Duration;

use countersign_agent::trust::bundle_hash;
use countersign_core::ids::SpkiSha256;
use countersign_core::proof::ProofSubject;
use countersign_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::control_plane::{Answer, ControlPlane, State, refusal};

impl State {
    pub(crate) fn heartbeat(&self, body: &Value) -> Answer {
        let has_result = |command: &&Value| self.results.iter().any(|(id, _)| *id == command["id"]);
        let commands: Vec<&Value> = self.commands.iter().filter(|command| !has_result(command)).collect();
        let update = self.settings.as_ref().filter(|settings| settings["version"] != body["configVersion"]);
        let mut answer = json!({
            "commands": commands, "configUpdate": update, "upgradeTo": null, "renewCert": self.asks_for_renewal,
        });
        if let Some(turn) = self.renewal_turn {
            answer["renewFrom"] = json!(turn);
        }
        let bundle = self.trust_bundle.as_deref().map(bundle_hash);
        if let Some(hash) = bundle.filter(|hash| body["trustBundle"] != hash.as_str()) {
            answer["trustBundle"] = json!(hash);
        }
        (200, answer)
    }

    /// Keeps the first result of a command.
    pub(crate) fn record(&mut self, id: &str, body: Value) -> Answer {
        if !self.keeps_results {
            return refusal(503, "UNAVAILABLE");
        }
        if !self.results.iter().any(|(known, _)| known == id) {
            self.results.push((id.to_owned(), body));
        }
        (200, json!({ "success": true }))
    }

    /// The result of a command.
    pub(crate) fn result(&self, id: &Value) -> Option<&Value> {
        self.results.iter().find(|(known, _)| known == id).map(|(_, result)| result)
    }

    pub(crate) fn confirm_token(&mut self) -> Answer {
        if let Some(staged) = self.staged.take() {
            self.token = staged;
        }
        (200, json!({ "success": true }))
    }
}

impl ControlPlane {
    /// Queues a command and gives its id.
    pub(crate) fn command(&self, kind: &str) -> Value {
        let command = command(kind);
        self.change(|state| state.commands.push(command.clone()));
        command["id"].clone()
    }

    fn is_shown(
        &self,
        state: &mut State,
        shown: Option<SpkiSha256>,
        body: &Value,
        subject: ProofSubject,
    ) -> bool {
        let Some(active) = state.active.clone() else { return true };
        match body["proof"].as_object() {
            Some(proof) => {
                let challenge = proof["challengeId"].as_str().unwrap().parse().unwrap();
                let signature = proof["signature"].as_str().unwrap().to_owned();
                self.is_proved(state, challenge, &signature, subject, &active.spki_der)
            }
            None => shown == Some(active.spki()),
        }
    }

    pub(crate) fn rotate_token(&self, state: &mut State, shown: Option<SpkiSha256>, body: &Value) -> Answer {
        if !self.is_shown(state, shown, body, ProofSubject::RotateToken) {
            return refusal(403, "PROOF_REQUIRED");
        }
        let token = format!("brz_{}", countersign_core::ids::CommandId::random());
        state.staged = Some(token.clone());
        let before = SystemClock.now() + Duration::from_secs(86_400);
        (200, json!({ "authToken": token, "confirmBefore": before }))
    }

    pub(crate) fn unenroll(&self, state: &mut State, shown: Option<SpkiSha256>, body: &Value) -> Answer {
        if !self.is_shown(state, shown, body, ProofSubject::Unenroll) {
            return refusal(403, "PROOF_REQUIRED");
        }
        state.is_enrolled = false;
        (200, json!({ "success": true }))
    }
}

/// A fresh command.
pub(crate) fn command(kind: &str) -> Value {
    let now = SystemClock.now();
    json!({
        "id": countersign_core::ids::CommandId::random(), "type": kind, "payload": null,
        "createdAt": now, "expiresAt": now + Duration::from_secs(86_400),
    })
}
