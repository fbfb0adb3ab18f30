//! A control plane of one device, for tests: says what the contract says of the agent endpoints,
//! writes down what it is asked, and misbehaves when told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign_api::wire::agent::{ConfirmRequest, EnrollRequest, RenewRequest};
use countersign_core::TrustDomain;
use countersign_core::ids::{AgentId, CertificateId, ChallengeId, DeviceId, SiteId, SpkiSha256, TenantId};
use countersign_core::proof::{ProofMessage, ProofSubject};
use countersign_core::settings::Enforcement;
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_testkit::{TestCa, TestKey};
use countersign_tls::{ClientAuth, DoorTls, Peer, ServerCredential, ServerCredentials};
use der::{DecodePem as _, Encode as _};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use x509_cert::request::CertReq;

use crate::sockets::{self, Socket};

/// How long anything that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const TOKEN: &str = "brz_00000000000000000000000000000000";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    /// The public key of the certificate that was shown.
    pub(crate) shown: Option<SpkiSha256>,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn is(&self, endpoint: &str) -> bool {
        self.path.ends_with(endpoint)
    }

    pub(crate) fn has_proof(&self) -> bool {
        self.body.get("proof").is_some()
    }
}

/// What to do with the next request to an endpoint instead of answering it.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Answer(u16, Vec<(&'static str, String)>, Value),
    /// Never answers; what the request asks for is not done.
    Hang,
    /// Does what the request asks for and never answers.
    DoAndHang,
}

/// Why an enrolment gets no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuing {
    On,
    Off,
    AfterApproval,
}

#[derive(Clone, Debug)]
pub(crate) struct Certified {
    pub(crate) id: CertificateId,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) expires: Timestamp,
    mtls: Value,
}

impl Certified {
    pub(crate) fn spki(&self) -> SpkiSha256 {
        SpkiSha256::of(&self.spki_der)
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a test throws")]
pub(crate) struct State {
    pub(crate) seen: Vec<Seen>,
    pub(crate) script: VecDeque<(&'static str, Act)>,
    pub(crate) issuing: Issuing,
    /// How long certificates live from now on.
    pub(crate) lifetime: Duration,
    /// Issued this long ago, so that a lifetime can be over.
    pub(crate) backdated: Duration,
    pub(crate) is_enrolled: bool,
    pub(crate) is_quarantined: bool,
    pub(crate) asks_for_renewal: bool,
    /// From when on it is to renew; `None`: at once.
    pub(crate) renewal_turn: Option<Timestamp>,
    /// Behind something that ends TLS: no certificate is ever seen.
    pub(crate) is_behind_a_proxy: bool,
    pub(crate) certifies_another_key: bool,
    pub(crate) active: Option<Certified>,
    pub(crate) pending: Option<Certified>,
    pub(crate) pending_key: Option<Vec<u8>>,
    pub(crate) revoked: Vec<SpkiSha256>,
    /// Every certificate ever made.
    pub(crate) issued: Vec<Certified>,
    /// The bearer token that counts.
    pub(crate) token: String,
    /// A new one that is not confirmed yet.
    pub(crate) staged: Option<String>,
    /// Commands that are offered until they have a result.
    pub(crate) commands: Vec<Value>,
    /// The results, as they came.
    pub(crate) results: Vec<(String, Value)>,
    /// Whether results are kept.
    pub(crate) keeps_results: bool,
    /// What agents are told to go by.
    pub(crate) settings: Option<Value>,
    /// What stands in for the CA certificates.
    pub(crate) trust_bundle: Option<String>,
    /// Whether there are WebSockets; older control planes have none.
    pub(crate) has_sockets: bool,
    /// Every WebSocket there ever was.
    pub(crate) sockets: Vec<Socket>,
    /// What agents said over them.
    pub(crate) frames: Vec<Value>,
    challenges: Vec<(ChallengeId, String, Timestamp)>,
}

impl State {
    pub(crate) fn count(&self, endpoint: &str) -> usize {
        self.seen.iter().filter(|seen| seen.is(endpoint)).count()
    }

    pub(crate) fn last(&self, endpoint: &str) -> &Seen {
        self.seen.iter().rfind(|seen| seen.is(endpoint)).expect("a request to the endpoint")
    }

    pub(crate) fn distinct_keys(&self) -> usize {
        let mut keys: Vec<_> = self.issued.iter().map(|certified| certified.spki_der.clone()).collect();
        keys.sort();
        keys.dedup();
        keys.len()
    }
}

pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    pub(crate) ca: TestCa,
    pub(crate) device: DeviceId,
    pub(crate) agent: AgentId,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

pub(crate) type Answer = (u16, Value);

/// A request, as far as answers depend on it.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    token: Option<String>,
    shown: Option<SpkiSha256>,
    body: Value,
}

impl ControlPlane {
    pub(crate) async fn start() -> Arc<Self> {
        Self::start_under(TestCa::new(TrustDomain::DEFAULT)).await
    }

    /// One whose server certificate is under `ca`.
    pub(crate) async fn start_under(ca: TestCa) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plane = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            device: DeviceId::random(),
            agent: "ab".repeat(32).parse().unwrap(),
            state: Mutex::new(State {
                seen: Vec::new(),
                script: VecDeque::new(),
                issuing: Issuing::On,
                lifetime: Duration::from_secs(90 * 86_400),
                backdated: Duration::ZERO,
                is_enrolled: false,
                is_quarantined: false,
                asks_for_renewal: false,
                renewal_turn: None,
                is_behind_a_proxy: false,
                certifies_another_key: false,
                active: None,
                pending: None,
                pending_key: None,
                revoked: Vec::new(),
                issued: Vec::new(),
                token: TOKEN.to_owned(),
                staged: None,
                commands: Vec::new(),
                results: Vec::new(),
                keeps_results: true,
                settings: None,
                trust_bundle: None,
                has_sockets: false,
                sockets: Vec::new(),
                frames: Vec::new(),
                challenges: Vec::new(),
            }),
            changed: watch::Sender::new(0),
            ca,
        });
        tokio::spawn(Arc::clone(&plane).serve(listener));
        plane
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.address.port())
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_modify(|count| *count += 1);
    }

    /// The next request to `endpoint` is treated like this.
    pub(crate) fn next(&self, endpoint: &'static str, act: Act) {
        self.change(|state| state.script.push_back((endpoint, act)));
    }

    /// Waits until the state is as wanted.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            while !is_so(&self.state()) {
                changes.changed().await.unwrap();
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            let seen: Vec<_> = self.state().seen.iter().map(|seen| seen.path.clone()).collect();
            panic!("waited in vain until {what}; seen: {seen:?}");
        }
    }

    /// Waits until something that no request tells of is so.
    pub(crate) async fn until_true(&self, what: &str, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "waited in vain until {what}");
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let server = self.ca.server(&["localhost", "127.0.0.1"]);
        let credential = ServerCredential::from_pem(&server.chain_pem(), &server.key_pem()).unwrap();
        let snapshot = self.ca.snapshot(&["acme"], Enforcement::Observe);
        let (_keep, snapshots) = watch::channel(Arc::new(snapshot));
        let credentials = Arc::new(ServerCredentials::new(credential));
        let door = DoorTls::new(credentials, snapshots, ClientAuth::Optional, Arc::new(SystemClock))
            .unwrap()
            .with_protocols(&[b"http/1.1"]);
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (plane, door) = (Arc::clone(&self), door.clone());
            tokio::spawn(async move {
                // An agent that does not trust us breaks off here.
                let Ok((stream, peer)) = door.accept(socket).await else { return };
                let service = hyper::service::service_fn(move |request| {
                    let (plane, peer) = (Arc::clone(&plane), peer.clone());
                    async move { plane.respond(request, peer).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                drop(connection.await);
            });
        }
    }

    async fn respond(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let claim = if self.state().is_behind_a_proxy { None } else { peer.claim() };
        let shown = claim.filter(|claim| claim.not_after >= SystemClock.now()).map(|claim| claim.spki);
        let upgrading = sockets::offered(&mut request);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let seen = Seen {
            path: path.clone(),
            token: token.clone(),
            shown: peer.claim().map(|claim| claim.spki),
            body: body.clone(),
            at: Instant::now(),
        };
        self.change(|state| state.seen.push(seen));
        let act = self.scripted(&path);
        if let Some(Act::Hang) = act {
            std::future::pending::<()>().await;
        }
        if let Some(Act::Answer(status, headers, body)) = act {
            return Ok(response(status, &headers, &body));
        }
        let asked = Asked { method, path: &path, token, shown, body };
        if let Some(answer) = self.special(&asked, upgrading) {
            return Ok(answer);
        }
        let (status, answer) = self.answer(asked);
        self.changed.send_modify(|count| *count += 1);
        if let Some(Act::DoAndHang) = act {
            std::future::pending::<()>().await;
        }
        Ok(response(status, &[], &answer))
    }

    /// What is not answered with JSON.
    fn special(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        upgrading: Option<sockets::Upgrade>,
    ) -> Option<Response<Full<Bytes>>> {
        let is_fine = self.is_served(asked);
        if asked.path.ends_with("/trust-bundle") && is_fine {
            let pem = self.state().trust_bundle.clone().unwrap_or_else(|| self.ca.root_pem());
            return Some(Response::new(Full::new(Bytes::from(pem))));
        }
        if asked.path.ends_with("/ws") && is_fine && self.state().has_sockets {
            return Some(sockets::accept(self, upgrading.unwrap(), asked.shown));
        }
        None
    }

    fn is_served(&self, asked: &Asked<'_>) -> bool {
        let state = self.state();
        state.is_enrolled && !state.is_quarantined && asked.token.as_deref() == Some(state.token.as_str())
    }

    fn scripted(&self, path: &str) -> Option<Act> {
        let mut state = self.state();
        let at = state.script.iter().position(|(endpoint, _)| path.ends_with(endpoint))?;
        state.script.remove(at).map(|(_, act)| act)
    }

    fn answer(&self, asked: Asked<'_>) -> Answer {
        let mut state = self.state();
        let Asked { method, path, token, shown, body } = asked;
        if path == "/api/v1/agents/enroll" {
            return self.enroll(&mut state, &serde_json::from_value(body).unwrap());
        }
        let is_confirming = path.ends_with("/rotate-token/confirm") && state.staged == token;
        let is_authorized = token.as_deref() == Some(state.token.as_str()) || is_confirming;
        if !is_authorized || !state.is_enrolled {
            return refusal(401, "UNAUTHORIZED");
        }
        if state.is_quarantined {
            let mut answer = refusal(403, "DEVICE_QUARANTINED");
            answer.1["quarantined"] = json!(true);
            return answer;
        }
        let rest = path.strip_prefix("/api/v1/agents/").unwrap_or_default();
        match rest {
            "renew-cert/challenge" => challenge(&mut state),
            "renew-cert" => self.renew(&mut state, shown, &serde_json::from_value(body).unwrap()),
            "renew-cert/confirm" => self.confirm(&mut state, shown, &serde_json::from_value(body).unwrap()),
            _ => match rest.strip_prefix(&self.agent.to_string()).unwrap_or_default() {
                "/heartbeat" => state.heartbeat(&body),
                "/rotate-token" => self.rotate_token(&mut state, shown, &body),
                "/rotate-token/confirm" => state.confirm_token(),
                "" if method == Method::DELETE => self.unenroll(&mut state, shown, &body),
                other => match other.strip_prefix("/commands/").and_then(|id| id.strip_suffix("/result")) {
                    Some(id) => state.record(id, body),
                    None => refusal(404, "NOT_FOUND"),
                },
            },
        }
    }

    fn enroll(&self, state: &mut State, request: &EnrollRequest) -> Answer {
        if state.is_enrolled && request.enrollment_key != "bound" {
            let mut answer = refusal(401, "ENROLLMENT_KEY_REFUSED");
            answer.1["reason"] = json!("enrollment_key_exhausted");
            return answer;
        }
        let spki = csr_key(request.csr.as_deref().unwrap()).0;
        if state.revoked.contains(&SpkiSha256::of(&spki)) {
            return refusal(403, "KEY_DENIED");
        }
        let former: Vec<_> = state.active.take().into_iter().chain(state.pending.take()).collect();
        state.revoked.extend(former.iter().map(Certified::spki));
        state.is_enrolled = true;
        let (mtls, reason) = match state.issuing {
            Issuing::On => {
                let certified = self.certify(state, &spki);
                let mtls = certified.mtls.clone();
                state.active = Some(certified);
                (mtls, Value::Null)
            }
            Issuing::Off => {
                state.pending_key = Some(spki);
                (Value::Null, json!("issuer_off"))
            }
            Issuing::AfterApproval => {
                state.pending_key = Some(spki);
                state.is_quarantined = true;
                (Value::Null, json!("awaiting_approval"))
            }
        };
        let answer = json!({
            "agentId": self.agent, "deviceId": self.device, "authToken": state.token,
            "orgId": TenantId::random(), "siteId": SiteId::random(), "deviceName": "ws-01",
            "config": { "heartbeatIntervalSeconds": 60, "metricsCollectionIntervalSeconds": 30,
                        "trustDomain": TrustDomain::DEFAULT },
            "mtls": mtls, "mtlsReason": reason,
        });
        (201, answer)
    }

    fn certify(&self, state: &mut State, spki: &[u8]) -> Certified {
        let mut spec = self.ca.device_spec("acme", "ws-01");
        let issued_at = SystemClock.now() - state.backdated;
        spec.not_before = issued_at - Duration::from_secs(300);
        spec.not_after = (issued_at + state.lifetime).floor_to_second();
        let key = if state.certifies_another_key {
            TestKey::generate(countersign_testkit::KeyKind::P256)
        } else {
            TestKey::of_public_key(spki)
        };
        spec.key = Some(key);
        let minted = self.ca.mint(&spec);
        let pem = minted.chain_pem();
        let (leaf, chain) = pem.split_at(pem.find("-----END CERTIFICATE-----\n").unwrap() + 26);
        let certified = Certified {
            id: CertificateId::random(),
            spki_der: spki.to_vec(),
            expires: spec.not_after,
            mtls: json!({
                "certificate": leaf, "chain": chain, "expiresAt": spec.not_after,
                "serialNumber": minted.reference.serial,
            }),
        };
        state.issued.push(certified.clone());
        certified
    }

    fn renew(&self, state: &mut State, shown: Option<SpkiSha256>, request: &RenewRequest) -> Answer {
        let (spki, csr_sha256) = csr_key(request.csr.as_deref().unwrap());
        let counts = match (&state.active, &state.pending_key) {
            (Some(active), _) => active.spki_der.clone(),
            (None, Some(key)) => key.clone(),
            (None, None) => return refusal(403, "PROOF_REQUIRED"),
        };
        let is_proved = match &request.proof {
            Some(proof) => {
                let subject = ProofSubject::Renew { csr_sha256 };
                self.is_proved(state, proof.challenge_id, &proof.signature, subject, &counts)
            }
            None => state.active.is_some() && shown == Some(SpkiSha256::of(&counts)),
        };
        if !is_proved {
            return refusal(403, "PROOF_REQUIRED");
        }
        if state.issuing == Issuing::Off {
            return refusal(503, "ISSUER_UNAVAILABLE");
        }
        if state.revoked.contains(&SpkiSha256::of(&spki)) {
            return refusal(403, "KEY_DENIED");
        }
        let certified = match state.pending.take() {
            Some(pending) if pending.spki_der == spki => pending,
            former => {
                state.revoked.extend(former.iter().map(Certified::spki));
                self.certify(state, &spki)
            }
        };
        let before = SystemClock.now() + Duration::from_secs(86_400);
        let answer =
            json!({ "mtls": certified.mtls, "certificateId": certified.id, "confirmBefore": before });
        state.pending = Some(certified);
        (200, answer)
    }

    fn confirm(&self, state: &mut State, shown: Option<SpkiSha256>, request: &ConfirmRequest) -> Answer {
        let found = [&state.active, &state.pending].into_iter().flatten();
        let Some(found) = found.into_iter().find(|found| found.id == request.certificate_id).cloned() else {
            return refusal(404, "NOT_FOUND");
        };
        let is_proved = match &request.proof {
            Some(proof) => {
                let subject = ProofSubject::Confirm(found.id);
                self.is_proved(state, proof.challenge_id, &proof.signature, subject, &found.spki_der)
            }
            None => shown == Some(found.spki()),
        };
        if !is_proved {
            return refusal(403, "PROOF_REQUIRED");
        }
        if state.pending.take_if(|pending| pending.id == found.id).is_some() {
            state.active = Some(found);
            state.pending_key = None;
            state.asks_for_renewal = false;
        }
        (200, json!({ "success": true }))
    }

    pub(crate) fn is_proved(
        &self,
        state: &mut State,
        challenge: ChallengeId,
        signature: &str,
        subject: ProofSubject,
        spki: &[u8],
    ) -> bool {
        let Some(at) = state.challenges.iter().position(|(id, ..)| *id == challenge) else { return false };
        let (challenge, nonce, expires_at) = state.challenges.remove(at);
        let domain = TrustDomain::default();
        let message = ProofMessage {
            subject,
            trust_domain: &domain,
            device: self.device,
            challenge,
            nonce: &nonce,
            expires_at,
        };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki);
        key.verify(&message.signing_bytes(), &STANDARD.decode(signature).unwrap()).is_ok()
    }
}

fn challenge(state: &mut State) -> Answer {
    let id = ChallengeId::random();
    let nonce = hex::encode(id.uuid().as_bytes());
    let expires_at = (SystemClock.now() + Duration::from_secs(300)).floor_to_second();
    state.challenges.push((id, nonce.clone(), expires_at));
    (200, json!({ "challengeId": id, "nonce": nonce, "expiresAt": expires_at }))
}

pub(crate) fn refusal(status: u16, code: &str) -> Answer {
    (status, json!({ "error": "no", "code": code }))
}

fn response(status: u16, headers: &[(&'static str, String)], body: &Value) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// The key of a signing request that verifies, and the hash of the request.
fn csr_key(pem: &str) -> (Vec<u8>, [u8; 32]) {
    let request = CertReq::from_pem(pem).unwrap();
    let spki = request.info.public_key.to_der().unwrap();
    let signed = request.info.to_der().unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &spki)
        .verify(&signed, request.signature.raw_bytes())
        .expect("the request is signed by its key");
    (spki, countersign_agent::key::sha256(&request.to_der().unwrap()))
}
