//! Devices that enrolled as devices do: over the door, with a key pair of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use countersign_testkit::{KeyKind, TestKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Client, Identity, Profile, Sessions, json_request};
use crate::installation::{Installation, text};
use crate::site::Site;
use crate::work::Work;

/// How many connections enrol at once.
const CONNECTIONS: usize = 128;
/// How many key pairs are made ahead: making them is not measured.
const BATCH: usize = 8192;

/// An enrolled device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) agent: Arc<str>,
    pub(crate) token: Arc<str>,
    pub(crate) identity: Identity,
}

/// Enrols so many devices; they and what it took.
pub(crate) async fn enrol(
    site: &Site,
    installation: &Installation,
    count: usize,
) -> anyhow::Result<(Vec<Device>, Work)> {
    enrol_named(site, installation, count, "bench").await
}

/// The same with names that begin like this.
pub(crate) async fn enrol_named(
    site: &Site,
    installation: &Installation,
    count: usize,
    name: &'static str,
) -> anyhow::Result<(Vec<Device>, Work)> {
    let key = installation
        .admin
        .call("POST", "/enrollment-keys", &json!({"maxUses": 1_000_000, "expiresInMinutes": 600}))
        .await?;
    let key: Arc<str> = text(&key, "key")?.into();
    let client = site.clients.client(Profile::LikeForLike, None, Sessions::Resumed)?;
    let mut devices = Vec::with_capacity(count);
    let mut work = Work::default();
    while devices.len() < count {
        let first = devices.len();
        let wanted = BATCH.min(count - first);
        let requests = tokio::task::spawn_blocking({
            let key = Arc::clone(&key);
            move || {
                (first..first + wanted)
                    .map(|number| request(&key, &format!("{name}-{number:06}")))
                    .collect::<Vec<_>>()
            }
        });
        let requests = Arc::new(requests.await.context("make keys")?);
        let (cpu, began) = (installation.cpu_time(), Instant::now());
        let enrolled = send(&client, installation, &requests).await?;
        work.add(wanted, installation.cpu_time() - cpu, began.elapsed());
        devices.extend(enrolled);
    }
    Ok((devices, work))
}

struct Wanted {
    key: TestKey,
    bytes: Vec<u8>,
}

fn request(enrollment_key: &str, name: &str) -> Wanted {
    let key = TestKey::generate(KeyKind::P256);
    let body = json!({
        "enrollmentKey": enrollment_key, "hostname": name, "deviceName": name, "osType": "linux", "osVersion": "12",
        "architecture": "x86_64", "agentVersion": "0.1.0", "csr": key.signing_request_pem(name),
    });
    let bytes = json_request("/api/v1/agents/enroll", None, &body.to_string());
    Wanted { key, bytes }
}

async fn send(
    client: &Client,
    installation: &Installation,
    requests: &Arc<Vec<Wanted>>,
) -> anyhow::Result<Vec<Device>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _worker in 0..CONNECTIONS {
        let (client, door) = (client.clone(), installation.door);
        let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = client.connect(door).await?;
            let mut answers = Vec::new();
            while let Some(wanted) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let answer = connection.exchange(&wanted.bytes).await?;
                ensure!(answer.status == 201, "enrol: {}", String::from_utf8_lossy(&answer.body));
                answers.push((wanted.key.clone(), answer.body));
            }
            anyhow::Ok(answers)
        });
    }
    let mut devices = Vec::with_capacity(requests.len());
    while let Some(answers) = workers.join_next().await {
        for (key, body) in answers.context("enrol")?? {
            devices.push(device(&key, &body)?);
        }
    }
    Ok(devices)
}

fn device(key: &TestKey, body: &[u8]) -> anyhow::Result<Device> {
    let answer: Value = serde_json::from_slice(body).context("read an enrolment")?;
    let mtls = answer.get("mtls").context("an enrolment without a certificate")?;
    let leaf = CertificateDer::from_pem_slice(text(mtls, "certificate")?.as_bytes())
        .context("read a certificate")?;
    let issuer = CertificateDer::from_pem_slice(text(mtls, "chain")?.as_bytes()).context("read a chain")?;
    Ok(Device {
        id: text(&answer, "deviceId")?.into(),
        name: text(&answer, "deviceName")?.into(),
        agent: text(&answer, "agentId")?.into(),
        token: text(&answer, "authToken")?.into(),
        identity: Identity { chain: vec![leaf, issuer], key: Arc::new(key.pkcs8_der().to_vec()) },
    })
}

/// How many heartbeats there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beats {
    /// The first one of each device, which brings it online.
    First,
    /// As many as go in this time, by devices in turns.
    For(Duration),
}

impl Beats {
    /// Which device is next after so many, if any is.
    fn next(self, (sent, devices): (usize, usize), began: Instant) -> Option<usize> {
        match self {
            Self::First => (sent < devices).then_some(sent),
            Self::For(time) => (began.elapsed() < time).then_some(sent % devices),
        }
    }
}

/// Lets devices send heartbeats, each with its own token, over connections without a certificate as
/// fleets do that are not enrolled for mTLS yet.
pub(crate) async fn heartbeats(
    site: &Site,
    installation: &Installation,
    devices: &Arc<Vec<Device>>,
    beats: Beats,
) -> anyhow::Result<Work> {
    let client = site.clients.client(Profile::LikeForLike, None, Sessions::Resumed)?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    let (cpu, began) = (installation.cpu_time(), Instant::now());
    for _worker in 0..CONNECTIONS {
        let (client, door) = (client.clone(), installation.door);
        let (devices, next) = (Arc::clone(devices), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = client.connect(door).await?;
            let mut count = 0;
            let next = || beats.next((next.fetch_add(1, Ordering::Relaxed), devices.len()), began);
            while let Some(number) = next() {
                let device = devices.get(number).context("no devices")?;
                let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
                let bytes =
                    json_request(&path, Some(&device.token), r#"{"status":"online","agentVersion":"0.1.0"}"#);
                let answer = connection.exchange(&bytes).await?;
                ensure!(answer.status == 200, "heartbeat: {}", String::from_utf8_lossy(&answer.body));
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(done) = workers.join_next().await {
        count += done.context("send heartbeats")??;
    }
    let mut work = Work::default();
    work.add(count, installation.cpu_time() - cpu, began.elapsed());
    Ok(work)
}
