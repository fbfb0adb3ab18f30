//! One device, as its agent is seen from the door.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::wire::agent::{
    ChallengeResponse, EnrollResponse, HeartbeatResponse, IssuedMtls, Proof, RenewResponse,
};
use countersign_core::TrustDomain;
use countersign_core::ids::{AgentId, CertificateId, DeviceId};
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_testkit::{Answer, ClientFailure, Connection, DoorClient, KeyKind, TestKey};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::site::Site;

/// Something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There was no connection or no handshake.
    NoConnection,
    /// The connection broke before there was an answer, or the answer was not what it should be.
    Broken,
    /// The answer was no.
    Answer {
        /// Its status.
        status: u16,
        /// Its stable code.
        code: String,
    },
}

impl Refused {
    /// In a word: the stable code, if there is one.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::NoConnection => "NO_CONNECTION",
            Self::Broken => "BROKEN",
            Self::Answer { code, .. } => code,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection | Self::Broken => f.write_str(self.code()),
            Self::Answer { status, code } => write!(f, "{status} {code}"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<ClientFailure> for Refused {
    fn from(failure: ClientFailure) -> Self {
        match failure {
            ClientFailure::Connect(_) => Self::NoConnection,
            ClientFailure::Http(_) | ClientFailure::TimedOut => Self::Broken,
        }
    }
}

/// An enrolled device.
#[derive(Clone, Debug)]
pub struct Device {
    site: Site,
    /// Its name.
    pub name: String,
    /// Its id in agent URLs.
    pub agent: AgentId,
    id: DeviceId,
    trust_domain: TrustDomain,
    pub(crate) token: String,
    pub(crate) held: Held,
    /// What it was given and has not confirmed.
    staged: Option<(CertificateId, Held)>,
}

/// A certificate with its key, and a client that shows them.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    key: TestKey,
    pub(crate) client: DoorClient,
}

impl Held {
    fn new(site: &Site, issued: &IssuedMtls, key: TestKey) -> Self {
        let identity = format!("{}\n{}\n{}", issued.certificate, issued.chain, key.pkcs8_pem());
        Self { key, client: site.client().showing(&identity) }
    }

    pub(crate) const fn key(&self) -> &TestKey {
        &self.key
    }
}

impl Device {
    /// Enrols under this host name, with a fresh key pair.
    ///
    /// # Errors
    /// When it is refused, or gets no certificate.
    pub async fn enrol(site: &Site, enrolment_key: &str, hostname: &str) -> Result<Self, Refused> {
        let key = TestKey::generate(KeyKind::P256);
        let body = enrolment(enrolment_key, hostname, &key.signing_request_pem(hostname));
        let mut connection = site.client().connect(site.door).await?;
        let answer = connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await?;
        let enrolled: EnrollResponse = read(&answer)?;
        let issued = enrolled.mtls.ok_or(Refused::Broken)?;
        Ok(Self {
            site: site.clone(),
            name: enrolled.device_name.to_string(),
            agent: enrolled.agent_id,
            id: enrolled.device_id,
            trust_domain: enrolled.config.trust_domain,
            token: enrolled.auth_token,
            held: Held::new(site, &issued, key),
            staged: None,
        })
    }

    /// A connection that shows its certificate.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(&self) -> Result<Connection, Refused> {
        Ok(self.held.client.connect(self.site.door).await?)
    }

    /// Its heartbeat.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn heartbeat(&self, connection: &mut Connection) -> Result<HeartbeatResponse, Refused> {
        let path = format!("/api/v1/agents/{}/heartbeat", self.agent);
        read(&self.post(connection, &path, &json!({ "status": "online" })).await?)
    }

    /// Renews to a fresh key pair and confirms it; begins with what an earlier, interrupted renewal left.
    ///
    /// # Errors
    /// When it is refused, or interrupted: then it can be called again.
    pub async fn renew(&mut self) -> Result<(), Refused> {
        if self.staged.is_none() {
            let fresh = TestKey::generate(KeyKind::P256);
            let renewed = self.request(&fresh).await?;
            self.staged = Some((renewed.certificate_id, Held::new(&self.site, &renewed.mtls, fresh)));
        }
        self.confirm().await
    }

    /// Confirms what an interrupted renewal left, if it left anything.
    ///
    /// # Errors
    /// As [`Self::renew`].
    pub async fn confirm(&mut self) -> Result<(), Refused> {
        let Some((certificate, held)) = self.staged.clone() else { return Ok(()) };
        let mut connection = held.client.connect(self.site.door).await?;
        let path = "/api/v1/agents/renew-cert/confirm";
        let body = json!({ "certificateId": certificate });
        let subject = ProofSubject::Confirm(certificate);
        let _confirmed: Value = self.with_proof(&mut connection, path, body, (subject, &held.key)).await?;
        (self.held, self.staged) = (held, None);
        Ok(())
    }

    async fn request(&self, fresh: &TestKey) -> Result<RenewResponse, Refused> {
        let csr = fresh.signing_request_der(&self.name);
        let body = json!({ "protocolVersion": 2, "csr": csr_pem(&csr) });
        let subject = ProofSubject::Renew { csr_sha256: Sha256::digest(&csr).into() };
        let mut connection = self.connect().await?;
        self.with_proof(&mut connection, "/api/v1/agents/renew-cert", body, (subject, &self.held.key)).await
    }

    /// Asks, and where the connection's certificate is not enough, as behind an edge elsewhere, once more with
    /// a signature.
    async fn with_proof<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        path: &str,
        mut body: Value,
        (subject, key): (ProofSubject, &TestKey),
    ) -> Result<T, Refused> {
        let answer = self.post(connection, path, &body).await?;
        if answer.code() != "PROOF_REQUIRED" {
            return read(&answer);
        }
        let challenge = self.challenge(connection).await?;
        let proof = serde_json::to_value(self.proof(&challenge, subject, key));
        if let (Some(members), Ok(proof)) = (body.as_object_mut(), proof) {
            members.insert("proof".to_owned(), proof);
        }
        read(&self.post(connection, path, &body).await?)
    }

    pub(crate) async fn challenge(&self, connection: &mut Connection) -> Result<ChallengeResponse, Refused> {
        read(&self.post(connection, "/api/v1/agents/renew-cert/challenge", &json!({})).await?)
    }

    /// A signature by `key` under a challenge.
    pub(crate) fn proof(&self, challenge: &ChallengeResponse, subject: ProofSubject, key: &TestKey) -> Proof {
        let message = ProofMessage {
            subject,
            trust_domain: &self.trust_domain,
            device: self.id,
            challenge: challenge.challenge_id,
            nonce: &challenge.nonce,
            expires_at: challenge.expires_at,
        };
        let signature = STANDARD.encode(key.sign_p256(&message.signing_bytes()));
        Proof { challenge_id: challenge.challenge_id, signature }
    }

    /// POST of `body` with its token.
    pub(crate) async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Refused> {
        Ok(connection.json("POST", path, Some(&self.token), Some(body)).await?)
    }
}

/// The body of an enrolment.
pub(crate) fn enrolment(key: &str, hostname: &str, csr: &str) -> Value {
    json!({
        "enrollmentKey": key, "hostname": hostname, "osType": "linux", "osVersion": "12",
        "architecture": "x86_64", "agentVersion": env!("CARGO_PKG_VERSION"), "csr": csr,
    })
}

/// A signing request in PEM.
pub(crate) fn csr_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Refused> {
    if !(200..300).contains(&answer.status) {
        let code = answer.code();
        let code = if code.is_empty() { answer.status.to_string() } else { code };
        return Err(Refused::Answer { status: answer.status, code });
    }
    serde_json::from_slice(&answer.body).map_err(|_other| Refused::Broken)
}
