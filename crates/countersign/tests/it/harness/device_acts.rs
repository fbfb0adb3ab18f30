//! What a device asks for besides renewals and heartbeats.

use countersign_api::wire::agent::{HeartbeatResponse, Proof};
use countersign_core::ids::CommandId;
use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, Connection};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::admin::{done, read};
use super::device::{Device, csr_pem};
use super::installation::Installation;

impl Device {
    /// Renews with this signing request (DER) by what it shows; by a signature too, where an edge alone sees that.
    pub(crate) async fn renew_over_own(
        &self,
        installation: &Installation,
        connection: &mut Connection,
        csr: &[u8],
    ) -> Answer {
        let csr_sha256 = Sha256::digest(csr).into();
        let proof = self.told_proof(installation, connection, ProofSubject::Renew { csr_sha256 }).await;
        self.renew(connection, &csr_pem(csr), proof.as_ref()).await
    }

    /// The body of a call that wants possession shown: empty where the connection does that, or with a proof
    /// where an edge alone sees it.
    pub(crate) async fn own_body(
        &self,
        installation: &Installation,
        connection: &mut Connection,
        subject: ProofSubject,
    ) -> Value {
        match self.told_proof(installation, connection, subject).await {
            Some(proof) => json!({ "proof": proof }),
            None => json!({}),
        }
    }

    async fn told_proof(
        &self,
        installation: &Installation,
        connection: &mut Connection,
        subject: ProofSubject,
    ) -> Option<Proof> {
        installation.edge()?;
        let challenge = read(&self.challenge(connection).await);
        Some(self.proof(&self.key, &challenge, subject))
    }

    /// What its heartbeat is answered with: commands.
    pub(crate) async fn offered(&self, connection: &mut Connection) -> Vec<CommandId> {
        let answer: HeartbeatResponse = read(&self.heartbeat(connection).await);
        answer.commands.into_iter().map(|command| command.id).collect()
    }

    /// Says what came of a command.
    pub(crate) async fn report(&self, connection: &mut Connection, id: CommandId, body: &Value) -> Answer {
        self.post(connection, &format!("/api/v1/agents/{}/commands/{id}/result", self.agent), body).await
    }

    /// Ends its enrolment, with this proof.
    pub(crate) async fn unenrol(&self, connection: &mut Connection, body: Option<&Value>) -> Answer {
        let path = format!("/api/v1/agents/{}", self.agent);
        connection.json("DELETE", &path, Some(&self.token), body).await.unwrap()
    }

    /// A proof that it is the device itself that wants to go.
    pub(crate) async fn proof_to_unenrol(&self, connection: &mut Connection) -> Value {
        let challenge = read(&self.challenge(connection).await);
        json!({ "proof": self.proof(&self.key, &challenge, ProofSubject::Unenroll) })
    }

    /// Asks for another token.
    pub(crate) async fn rotate(&self, connection: &mut Connection, body: &Value) -> Answer {
        self.post(connection, &format!("/api/v1/agents/{}/rotate-token", self.agent), body).await
    }

    /// The same device with the token of an answer.
    pub(crate) fn with_token_of(&self, answer: &Answer) -> Self {
        let token = done(answer)["authToken"].as_str().unwrap().to_owned();
        assert!(token.starts_with("brz_") && token.len() == 68, "{token}");
        Self { token, ..self.clone() }
    }

    /// Confirms the token that it has now.
    pub(crate) async fn confirm_token(&self, connection: &mut Connection) -> Answer {
        let path = format!("/api/v1/agents/{}/rotate-token/confirm", self.agent);
        connection.json("POST", &path, Some(&self.token), None).await.unwrap()
    }

    /// A proof that it is the device itself that wants another token.
    pub(crate) async fn proof_to_rotate(&self, connection: &mut Connection) -> Value {
        let challenge = read(&self.challenge(connection).await);
        let proof = self.proof(&self.key, &challenge, ProofSubject::RotateToken);
        json!({ "proof": proof })
    }
}
