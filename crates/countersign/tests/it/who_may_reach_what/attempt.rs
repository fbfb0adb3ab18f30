//! One request of an actor's, over a connection.

use countersign_api::wire::agent::{ChallengeResponse, Proof};
use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, ClientFailure, Connection, KeyKind, TestKey};
use serde_json::{Value, json};

use super::cast::{Actor, Stage};
use super::table::Route;
use crate::harness::{WISH, csr_pem, enrolment, read};

impl Actor {
    /// Asks for what its route is for, without a proof of possession in the request.
    pub(super) async fn ask(
        &self,
        stage: &Stage<'_>,
        connection: &mut Connection,
    ) -> Result<Answer, ClientFailure> {
        self.ask_with(stage, connection, None).await
    }

    /// The same with a signature by its present key, where the route takes one.
    pub(super) async fn ask_with_proof(
        &self,
        stage: &Stage<'_>,
        connection: &mut Connection,
    ) -> Result<Answer, ClientFailure> {
        let asked = self.device.challenge(&mut stage.installation.connect().await).await;
        let challenge: ChallengeResponse =
            if asked.status == 200 { read(&asked) } else { self.early.clone() };
        let proof = match self.route {
            Route::Confirm => {
                let certificate = self.renewal.as_ref().unwrap().certificate_id;
                self.device.proof(&self.fresh, &challenge, ProofSubject::Confirm(certificate))
            }
            Route::RotateToken => self.device.proof(&self.present_key, &challenge, ProofSubject::RotateToken),
            Route::Enroll
            | Route::Renew
            | Route::Challenge
            | Route::Heartbeat
            | Route::TrustBundle
            | Route::CommandResult
            | Route::Channel
            | Route::Required
            | Route::Open => self.device.proof_of_renewal(&self.present_key, &challenge, &self.request),
        };
        self.ask_with(stage, connection, Some(&proof)).await
    }

    async fn ask_with(
        &self,
        stage: &Stage<'_>,
        connection: &mut Connection,
        proof: Option<&Proof>,
    ) -> Result<Answer, ClientFailure> {
        let agent = format!("/api/v1/agents/{}", self.device.agent);
        let token = Some(self.device.token.as_str());
        let with_proof = |mut body: Value| {
            if let Some(proof) = proof {
                body["proof"] = serde_json::to_value(proof).unwrap();
            }
            Some(body)
        };
        let (method, path, body) = match self.route {
            Route::Enroll => {
                let csr = TestKey::generate(KeyKind::P256).signing_request_pem("new");
                let body = enrolment(&stage.enrolment_key, "new", Some(&csr));
                ("POST", "/api/v1/agents/enroll".to_owned(), Some(body))
            }
            Route::Renew => {
                let body = json!({ "protocolVersion": 2, "csr": csr_pem(&self.request) });
                ("POST", "/api/v1/agents/renew-cert".to_owned(), with_proof(body))
            }
            Route::Challenge => ("POST", "/api/v1/agents/renew-cert/challenge".to_owned(), Some(json!({}))),
            Route::Confirm => {
                let body = json!({ "certificateId": self.renewal.as_ref().unwrap().certificate_id });
                ("POST", "/api/v1/agents/renew-cert/confirm".to_owned(), with_proof(body))
            }
            Route::Heartbeat => ("POST", format!("{agent}/heartbeat"), Some(json!({ "status": "online" }))),
            Route::TrustBundle => ("GET", format!("{agent}/trust-bundle"), None),
            Route::CommandResult => {
                let path = format!("{agent}/commands/{}/result", self.command.unwrap());
                ("POST", path, Some(json!({ "status": "completed" })))
            }
            Route::Channel => return self.ask_for_channel(connection, &agent).await,
            Route::RotateToken => ("POST", format!("{agent}/rotate-token"), with_proof(json!({}))),
            Route::Required => ("GET", "/required/x".to_owned(), None),
            Route::Open => ("GET", "/open/x".to_owned(), None),
        };
        connection.json(method, &path, token, body.as_ref()).await
    }

    async fn ask_for_channel(
        &self,
        connection: &mut Connection,
        agent: &str,
    ) -> Result<Answer, ClientFailure> {
        let bearer = format!("Bearer {}", self.device.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(&WISH);
        connection.request("GET", &format!("{agent}/ws"), &headers, "").await
    }
}
