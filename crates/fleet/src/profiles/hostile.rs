//! Whatever must be refused is tried, while the others go on: what is let in is a violation, and so is a device
//! that the noise keeps out.

use std::sync::Arc;

use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, Connection, KeyKind, TestCa, TestKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};

use super::Fleet;
use crate::crowd::each;
use crate::device::{Device, Refused, csr_pem, enrolment};
use crate::report::Tally;
use crate::site::Site;

/// How many connections say nothing, or nothing but nonsense.
const NOISE: usize = 64;

pub(super) async fn run(fleet: Fleet<'_>) -> anyhow::Result<()> {
    let Fleet { site, plan, mut devices, tally } = fleet;
    site.admin.enforce(&plan.tenant).await?;
    let thief = devices.pop();
    let end = Instant::now() + plan.duration;
    let (count, victim) = (devices.len(), devices.first().cloned());
    let honest = each(devices, count, |device| {
        let (tally, every) = (Arc::clone(tally), plan.interval);
        async move {
            let mut ticks = interval(every);
            while Instant::now() < end {
                ticks.tick().await;
                if let Err(refused) = tally.time("heartbeat of the others", beat(&device)).await {
                    tally.violation(format!("{} was kept out: {refused}", device.name));
                }
            }
        }
    });
    let noise = each(0..NOISE, NOISE, |number| {
        let (site, tally) = (site.clone(), Arc::clone(tally));
        async move {
            while Instant::now() < end {
                if let Err(error) = shout(&site, number).await {
                    tally
                        .refused("noise", &Refused::from(countersign_testkit::ClientFailure::Connect(error)));
                }
            }
        }
    });
    let attacks = async {
        let (Some(thief), Some(victim)) = (&thief, &victim) else { return };
        loop {
            for attack in ATTACKS {
                let came = attack.by(site, thief, victim).await;
                judge(attack.what(), came, tally);
            }
            if Instant::now() >= end {
                return;
            }
        }
    };
    tokio::join!(honest, noise, attacks);
    Ok(())
}

async fn beat(device: &Device) -> Result<(), Refused> {
    let mut connection = device.connect().await?;
    device.heartbeat(&mut connection).await.map(drop)
}

fn judge(what: &'static str, came: Result<Answer, Refused>, tally: &Tally) {
    match came {
        Ok(answer) if answer.status < 400 => {
            tally.violation(format!("{what}: let in with {}", answer.status))
        }
        Ok(answer) => {
            let refused = Refused::Answer { status: answer.status, code: answer.code() };
            tally.refused(what, &refused);
        }
        Err(refused) => tally.refused(what, &refused),
    }
}

/// One that keeps its connection without a word, or says what is no TLS, or begins a handshake and stops.
async fn shout(site: &Site, number: usize) -> std::io::Result<()> {
    let said: &[u8] = match number % 3 {
        0 => b"",
        1 => b"GET / HTTP/1.1\r\nHost: door\r\n\r\n",
        _ => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    let mut stream = TcpStream::connect(site.door).await?;
    stream.write_all(said).await?;
    // Until the door has had enough.
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.map(drop)
}

/// What must not succeed.
#[derive(Clone, Copy, Debug)]
enum Attack {
    NoCertificate,
    ForgedHeaders,
    TokenOfAnother,
    PathOfAnother,
    EvilTwin,
    RenewalOfAnother,
    ProofTwice,
    WrongEnrolmentKey,
    Oversize,
}

const ATTACKS: [Attack; 9] = [
    Attack::NoCertificate,
    Attack::ForgedHeaders,
    Attack::TokenOfAnother,
    Attack::PathOfAnother,
    Attack::EvilTwin,
    Attack::RenewalOfAnother,
    Attack::ProofTwice,
    Attack::WrongEnrolmentKey,
    Attack::Oversize,
];

impl Attack {
    const fn what(self) -> &'static str {
        match self {
            Self::NoCertificate => "stolen token without a certificate",
            Self::ForgedHeaders => "forged identity headers",
            Self::TokenOfAnother => "another device's token",
            Self::PathOfAnother => "another device's path",
            Self::EvilTwin => "certificate of an evil twin's CA",
            Self::RenewalOfAnother => "renewal with another key's proof",
            Self::ProofTwice => "one proof twice",
            Self::WrongEnrolmentKey => "enrolment with a wrong key",
            Self::Oversize => "oversized body",
        }
    }

    async fn by(self, site: &Site, thief: &Device, victim: &Device) -> Result<Answer, Refused> {
        let heartbeat = format!("/api/v1/agents/{}/heartbeat", victim.agent);
        let online = json!({ "status": "online" });
        match self {
            Self::NoCertificate => victim.post(&mut anonymous(site).await?, &heartbeat, &online).await,
            Self::ForgedHeaders => forged(site, victim, &heartbeat).await,
            Self::TokenOfAnother => victim.post(&mut thief.connect().await?, &heartbeat, &online).await,
            Self::PathOfAnother => thief.post(&mut thief.connect().await?, &heartbeat, &online).await,
            Self::EvilTwin => {
                let leaf = TestCa::new("countersign.internal").device("default", &victim.name);
                let identity = format!("{}\n{}", leaf.chain_pem(), leaf.key_pem());
                let mut connection = site.client().showing(&identity).connect(site.door).await?;
                victim.post(&mut connection, &heartbeat, &online).await
            }
            Self::RenewalOfAnother => {
                let key = TestKey::generate(KeyKind::P256);
                renew(&mut anonymous(site).await?, victim, &key, Again::No).await
            }
            Self::ProofTwice => renew(&mut anonymous(site).await?, thief, thief.held.key(), Again::Yes).await,
            Self::WrongEnrolmentKey => {
                let csr = TestKey::generate(KeyKind::P256).signing_request_pem("intruder");
                let body = enrolment("not-a-key", "intruder", &csr);
                thief.post(&mut anonymous(site).await?, "/api/v1/agents/enroll", &body).await
            }
            Self::Oversize => {
                let own = format!("/api/v1/agents/{}/heartbeat", thief.agent);
                let body = json!({ "status": "x".repeat(16 * 1024 * 1024) });
                thief.post(&mut thief.connect().await?, &own, &body).await
            }
        }
    }
}

async fn anonymous(site: &Site) -> Result<Connection, Refused> {
    Ok(site.client().connect(site.door).await?)
}

/// What an edge or a proxy would say of the victim, said by somebody else.
async fn forged(site: &Site, victim: &Device, path: &str) -> Result<Answer, Refused> {
    let bearer = format!("Bearer {}", victim.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("countersign-tenant", "default"),
        ("countersign-device", victim.name.as_str()),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-forwarded-client-cert", "Hash=00;Subject=\"CN=x\""),
    ];
    Ok(anonymous(site).await?.request("POST", path, &headers, r#"{"status":"online"}"#).await?)
}

/// Whether a renewal is asked for twice with one proof; what came of the second then counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    No,
    Yes,
}

async fn renew(
    connection: &mut Connection,
    device: &Device,
    key: &TestKey,
    again: Again,
) -> Result<Answer, Refused> {
    let csr = TestKey::generate(KeyKind::P256).signing_request_der(&device.name);
    let challenge = device.challenge(connection).await?;
    let subject = ProofSubject::Renew { csr_sha256: Sha256::digest(&csr).into() };
    let mut body = json!({ "protocolVersion": 2, "csr": csr_pem(&csr) });
    if let (Some(members), Ok(proof)) =
        (body.as_object_mut(), serde_json::to_value(device.proof(&challenge, subject, key)))
    {
        members.insert("proof".to_owned(), proof);
    }
    let path = "/api/v1/agents/renew-cert";
    let first = device.post(connection, path, &body).await?;
    if again == Again::No {
        return Ok(first);
    }
    // The same once more with another request: a proof is good for one.
    let other = TestKey::generate(KeyKind::P256).signing_request_der(&device.name);
    if let Some(members) = body.as_object_mut() {
        members.insert("csr".to_owned(), csr_pem(&other).into());
    }
    device.post(connection, path, &body).await
}
