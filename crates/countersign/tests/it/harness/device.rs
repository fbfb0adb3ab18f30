//! A device made by the test, which says and shows what the test wants.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::wire::agent::{ChallengeResponse, EnrollResponse, IssuedMtls, Proof, RenewResponse};
use countersign_core::TrustDomain;
use countersign_core::ids::{AgentId, CertificateId, DeviceId};
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_testkit::{Answer, Connection, DoorClient, KeyKind, TestKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::admin::read;
use super::installation::Installation;

/// The body of an enrolment.
pub(crate) fn enrolment(key: &str, hostname: &str, csr: Option<&str>) -> Value {
    let mut body = json!({
        "enrollmentKey": key, "hostname": hostname, "osType": "linux", "osVersion": "12",
        "architecture": "x86_64", "agentVersion": "0.1.0",
    });
    if let Some(csr) = csr {
        body["csr"] = csr.into();
    }
    body
}

/// An enrolled device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) agent: AgentId,
    pub(crate) id: DeviceId,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) key: TestKey,
    pub(crate) mtls: Option<IssuedMtls>,
    pub(crate) mtls_reason: Option<String>,
    /// How its agent is to behave.
    pub(crate) config: Value,
}

impl Device {
    /// Enrols under this host name, with a fresh key pair and a fresh enrolment key.
    pub(crate) async fn enrol(installation: &Installation, hostname: &str) -> Self {
        let key = installation.admin().one_use_key().await;
        Self::enrol_with(installation, &key, hostname, TestKey::generate(KeyKind::P256)).await
    }

    /// Enrols with this enrolment key and this key pair.
    pub(crate) async fn enrol_with(
        installation: &Installation,
        enrolment_key: &str,
        hostname: &str,
        key: TestKey,
    ) -> Self {
        let (client, door) = (installation.client(), installation.door());
        let enrolled = Self::try_enrol(&client, door, enrolment_key, hostname, key).await;
        enrolled
            .unwrap_or_else(|answer| panic!("{}", answer.map_or_else(String::new, |answer| answer.text())))
    }

    /// The same at a door that may be away, or refuse: then with its answer, if there was one.
    pub(crate) async fn try_enrol(
        client: &DoorClient,
        door: SocketAddr,
        enrolment_key: &str,
        hostname: &str,
        key: TestKey,
    ) -> Result<Self, Option<Answer>> {
        let body = enrolment(enrolment_key, hostname, Some(&key.signing_request_pem(hostname)));
        let mut connection = client.connect(door).await.map_err(|_away| None)?;
        let answer = connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await;
        let answer = answer.map_err(|_cut| None)?;
        if answer.status != 201 {
            return Err(Some(answer));
        }
        let enrolled: EnrollResponse = read(&answer);
        Ok(Self {
            agent: enrolled.agent_id,
            id: enrolled.device_id,
            name: enrolled.device_name.to_string(),
            token: enrolled.auth_token,
            key,
            mtls: enrolled.mtls,
            mtls_reason: enrolled.mtls_reason,
            config: serde_json::to_value(enrolled.config).unwrap(),
        })
    }

    /// The certificate that it holds.
    pub(crate) fn certificate(&self) -> &IssuedMtls {
        self.mtls.as_ref().unwrap()
    }

    /// Leaf, chain and private key in PEM.
    pub(crate) fn identity_pem(&self) -> String {
        identity_pem(self.certificate(), &self.key)
    }

    /// A client of the door that shows its certificate.
    pub(crate) fn client(&self, installation: &Installation) -> DoorClient {
        installation.client().showing(&self.identity_pem())
    }

    /// A connection to the door that shows its certificate.
    pub(crate) async fn connect(&self, installation: &Installation) -> Connection {
        self.client(installation).connect(installation.door()).await.unwrap()
    }

    /// Its heartbeat, over this connection.
    pub(crate) async fn heartbeat(&self, connection: &mut Connection) -> Answer {
        let path = format!("/api/v1/agents/{}/heartbeat", self.agent);
        self.post(connection, &path, &json!({ "status": "online" })).await
    }

    /// Asks for a challenge, over this connection.
    pub(crate) async fn challenge(&self, connection: &mut Connection) -> Answer {
        self.post(connection, "/api/v1/agents/renew-cert/challenge", &json!({})).await
    }

    /// Asks for a renewal with this signing request (DER), over this connection.
    pub(crate) async fn renew(
        &self,
        connection: &mut Connection,
        csr_pem: &str,
        proof: Option<&Proof>,
    ) -> Answer {
        let mut body = json!({ "protocolVersion": 2, "csr": csr_pem });
        if let Some(proof) = proof {
            body["proof"] = serde_json::to_value(proof).unwrap();
        }
        self.post(connection, "/api/v1/agents/renew-cert", &body).await
    }

    /// Confirms a certificate, over this connection.
    pub(crate) async fn confirm(
        &self,
        connection: &mut Connection,
        certificate: CertificateId,
        proof: Option<&Proof>,
    ) -> Answer {
        let mut body = json!({ "certificateId": certificate });
        if let Some(proof) = proof {
            body["proof"] = serde_json::to_value(proof).unwrap();
        }
        self.post(connection, "/api/v1/agents/renew-cert/confirm", &body).await
    }

    /// POST of `body` with its token.
    pub(crate) async fn post(&self, connection: &mut Connection, path: &str, body: &Value) -> Answer {
        connection.json("POST", path, Some(&self.token), Some(body)).await.unwrap()
    }

    /// Renews by a signature of its own key, to a fresh one, which is not confirmed yet.
    pub(crate) async fn renewed(
        &self,
        installation: &Installation,
        fresh: &TestKey,
    ) -> Result<RenewResponse, Answer> {
        let mut connection = installation.connect().await;
        let challenge = self.challenge(&mut connection).await;
        if challenge.status != 200 {
            return Err(challenge);
        }
        let csr = fresh.signing_request_der(&self.name);
        let proof = self.proof_of_renewal(&self.key, &read(&challenge), &csr);
        let answer = self.renew(&mut connection, &csr_pem(&csr), Some(&proof)).await;
        if answer.status == 200 { Ok(read(&answer)) } else { Err(answer) }
    }

    /// A signature by `key` for a renewal with this signing request (DER).
    pub(crate) fn proof_of_renewal(
        &self,
        key: &TestKey,
        challenge: &ChallengeResponse,
        csr_der: &[u8],
    ) -> Proof {
        let csr_sha256 = Sha256::digest(csr_der).into();
        self.proof(key, challenge, ProofSubject::Renew { csr_sha256 })
    }

    /// A signature by `key` under a challenge.
    pub(crate) fn proof(&self, key: &TestKey, challenge: &ChallengeResponse, subject: ProofSubject) -> Proof {
        let message = ProofMessage {
            subject,
            trust_domain: &TrustDomain::default(),
            device: self.id,
            challenge: challenge.challenge_id,
            nonce: &challenge.nonce,
            expires_at: challenge.expires_at,
        };
        let signature = key.sign_p256(&message.signing_bytes());
        Proof { challenge_id: challenge.challenge_id, signature: STANDARD.encode(signature) }
    }
}

/// Leaf, chain and private key in PEM.
pub(crate) fn identity_pem(certificate: &IssuedMtls, key: &TestKey) -> String {
    format!("{}\n{}\n{}", certificate.certificate, certificate.chain, key.pkcs8_pem())
}

/// A signing request in PEM.
pub(crate) fn csr_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}
