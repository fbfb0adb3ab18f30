//! Walks the table.

use std::fmt::Debug;
use std::time::Duration;

use countersign_testkit::{Answer, ClientFailure, Connection, DoorClient, HttpVersion, TlsVersion};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::cast::{Actor, Stage};
use super::table::{Mode, Route, Shown, Verdict, goes_on, verdict};
use crate::harness::{Channel, Installation, Time, WISH, done, hours, until};
use crate::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(20);
/// Two proved renewals of a device are this far apart.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(31);

/// An actor with what it opened while everything was in order.
struct Prepared {
    actor: Actor,
    /// A ticket of each version of TLS in its store.
    resuming: [DoorClient; 2],
    live: [Connection; 2],
    /// Its WebSocket, where the route is that and it may have one so far.
    channel: Option<Channel>,
}

impl Prepared {
    async fn new(stage: &Stage<'_>, actor: Actor) -> Self {
        let client = actor.client(stage);
        let resuming = [TlsVersion::Tls12, TlsVersion::Tls13].map(|tls| client.clone().tls(tls).resuming());
        for client in &resuming {
            open(stage, client).await;
        }
        let http_2 = client.clone().http(HttpVersion::Http2);
        let channel = if actor.route == Route::Channel {
            Channel::ask(&mut open(stage, &client).await, &actor.device, &WISH).await.ok()
        } else {
            None
        };
        let live = [open(stage, &client).await, open(stage, &http_2).await];
        Self { actor, resuming, live, channel }
    }
}

/// A connection over which an answer has come, and with it the session's ticket.
async fn open(stage: &Stage<'_>, client: &DoorClient) -> Connection {
    let mut connection = client.connect(stage.installation.door()).await.unwrap();
    assert_eq!(connection.json("GET", "/health", None, None).await.unwrap().status, 200);
    connection
}

/// What differed from the table.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn note(&mut self, cell: impl Debug, how: &str, expected: impl Debug, got: impl Debug) {
        self.0.push(format!("{cell:?} {how}: expected {expected:?}, got {got:?}"));
    }
}

fn told(answer: &Result<Answer, ClientFailure>) -> (u16, String) {
    answer.as_ref().map_or_else(|error| (0, error.to_string()), |answer| (answer.status, answer.code()))
}

/// Holds one cell against the table over one connection after the other.
async fn check(
    stage: &Stage<'_>,
    actor: &Actor,
    how: &str,
    mut connection: Connection,
    findings: &mut Findings,
) {
    let cell = (actor.route, actor.shown, stage.mode);
    let expected = match verdict(actor.route, actor.shown, stage.mode) {
        // A handshake that an edge alone saw is its word, for which nobody gets anything to keep.
        Verdict::Yes
            if stage.installation.edge().is_some()
                && matches!(actor.route, Route::Renew | Route::RotateToken) =>
        {
            Verdict::ProofDecides
        }
        verdict @ (Verdict::Yes | Verdict::ProofDecides | Verdict::No(..)) => verdict,
    };
    let takes_proof = matches!(actor.route, Route::Renew | Route::Confirm | Route::RotateToken);
    let bare = told(&actor.ask(stage, &mut connection).await);
    let is_as_expected = match expected {
        // Over HTTP/2 a WebSocket cannot be had, and whoever might have one is told so.
        Verdict::Yes if actor.route == Route::Channel => {
            bare.0 == if how.contains("HTTP/2") { 426 } else { 101 }
        }
        Verdict::Yes => (200..300).contains(&bare.0),
        Verdict::ProofDecides => bare == (403, "PROOF_REQUIRED".to_owned()),
        Verdict::No(status, code) => bare == (status, code.to_owned()),
    };
    if !is_as_expected {
        findings.note(cell, how, expected, &bare);
    }
    if !takes_proof {
        return;
    }
    let proved = told(&actor.ask_with_proof(stage, &mut connection).await);
    let is_as_expected = match expected {
        Verdict::Yes | Verdict::ProofDecides => proved.0 == 200,
        Verdict::No(status, code) => proved == (status, code.to_owned()),
    };
    if !is_as_expected {
        findings.note(cell, &format!("{how}, with a proof"), expected, &proved);
    }
}

/// Every way of one actor: the open connections, the resumed sessions, a full handshake.
async fn walk(stage: &Stage<'_>, prepared: Prepared, findings: &mut Findings) {
    let Prepared { actor, resuming, live, channel } = prepared;
    if let Some(mut channel) = channel {
        let goes_on = goes_on(actor.shown, stage.mode);
        let is_as_expected = if goes_on { channel.is_alive().await } else { channel.closed().await > 4000 };
        if !is_as_expected {
            findings.note((actor.route, actor.shown, stage.mode), "live WebSocket", goes_on, !goes_on);
        }
    }
    for (mut connection, how) in live.into_iter().zip(["live HTTP/1.1", "live HTTP/2"]) {
        if !actor.shown.has_fallen() {
            check(stage, &actor, how, connection, findings).await;
        } else if timeout(PATIENCE, connection.closed()).await.is_err() {
            findings.note((actor.route, actor.shown, stage.mode), how, "cut", "open");
        }
    }
    for (client, how) in resuming.iter().zip(["resumed TLS 1.2", "resumed TLS 1.3"]) {
        let connection = client.connect(stage.installation.door()).await.unwrap();
        if !connection.is_resumed() {
            findings.note((actor.route, actor.shown, stage.mode), how, "resumed", "full");
        }
        check(stage, &actor, how, connection, findings).await;
    }
    let full = actor.client(stage).connect(stage.installation.door()).await.unwrap();
    check(stage, &actor, "full", full, findings).await;
}

/// A mode's part of the table. Everything is opened in another mode and in good standing; then what
/// is to happen happens.
async fn walk_mode(installation: &Installation, mode: Mode) -> Findings {
    let stage = Stage::set(installation, mode).await;
    let before = if mode == Mode::Off { Mode::Enforce } else { Mode::Off };
    stage.configure(&json!({ "enforcement": before.name(), "certLifetimeDays": 90 })).await;
    let mut prepared = Vec::new();
    for shown in Shown::ALL.into_iter().filter(|shown| *shown != Shown::Expired) {
        for route in Route::ALL {
            prepared.push(Prepared::new(&stage, Actor::enrol(&stage, route, shown).await).await);
        }
    }
    for one in &mut prepared {
        one.actor.fall(&stage).await;
    }
    stage.configure(&json!({ "enforcement": mode.name() })).await;
    installation.time().advance(BETWEEN_RENEWALS);
    let mut findings = Findings::default();
    for one in prepared {
        walk(&stage, one, &mut findings).await;
    }
    findings
}

/// The column of what has expired, for a mode whose tenant is there.
async fn walk_expired(installation: &Installation, mode: Mode) -> Findings {
    let stage = Stage::set(installation, mode).await;
    stage.configure(&json!({ "enforcement": mode.name(), "certLifetimeDays": 1 })).await;
    let mut actors = Vec::new();
    for route in Route::ALL {
        actors.push(Actor::enrol(&stage, route, Shown::Expired).await);
    }
    // A certificate lives a day at least, a session ticket half of that at most.
    installation.time().advance(hours(23));
    let mut prepared = Vec::new();
    for actor in actors {
        prepared.push(Prepared::new(&stage, actor).await);
    }
    installation.time().advance(hours(2));
    let mut findings = Findings::default();
    for one in prepared {
        walk(&stage, one, &mut findings).await;
    }
    findings
}

/// One that does not expect an answer to a ping from clients that wait for their turn.
async fn installation(upstream: &Upstream) -> Installation {
    let config = format!("{}\n[http_door]\nwebsocket_ping_seconds = 3600\n", upstream.routes());
    Installation::configured(&config, Time::Fake).await
}

fn report(all: [Findings; 3]) {
    let all: Vec<String> = all.into_iter().flat_map(|findings| findings.0).collect();
    assert!(all.is_empty(), "{} cells differ from the table:\n{}", all.len(), all.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_certificate_and_mode_is_as_the_table_says() {
    let upstream = Upstream::start().await;
    let installation = installation(&upstream).await;
    let [off, observe, enforce] = Mode::ALL.map(|mode| walk_mode(&installation, mode));
    let (off, observe, enforce) = tokio::join!(off, observe, enforce);
    report([off, observe, enforce]);
    let observed = async || -> Vec<Value> {
        let entries = installation.admin().audit("event=access.would_refuse").await;
        entries
            .into_iter()
            .map(|entry| serde_json::to_value(entry).unwrap()["details"]["code"].clone())
            .collect()
    };
    until("what observe let through is in the audit", async || {
        let codes = observed().await;
        codes.contains(&"MTLS_REQUIRED".into()) && codes.contains(&"CERTIFICATE_UNTRUSTED".into())
    })
    .await;
}

#[tokio::test]
async fn under_a_grant_a_quarantined_device_renews_and_confirms() {
    let installation = Installation::in_fake_time().await;
    let stage = Stage::set(&installation, Mode::Enforce).await;
    stage.configure(&json!({ "enforcement": "enforce" })).await;
    for route in [Route::Renew, Route::Confirm] {
        let mut actor = Actor::enrol(&stage, route, Shown::QuarantinedDevices).await;
        actor.fall(&stage).await;
        installation.time().advance(BETWEEN_RENEWALS);
        let mut own = actor.client(&stage).connect(installation.door()).await.unwrap();
        let refused = told(&actor.ask_with_proof(&stage, &mut own).await);
        assert_eq!(refused, (403, "DEVICE_QUARANTINED".to_owned()), "{route:?}");
        done(&installation.admin().approve(actor.device.id).await);
        let granted = told(&actor.ask_with_proof(&stage, &mut own).await);
        assert_eq!(granted.0, 200, "{route:?}: {granted:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_as_the_table_says() {
    let upstream = Upstream::start().await;
    let installation = installation(&upstream).await;
    let mut all = Vec::new();
    for mode in Mode::ALL {
        all.push(walk_expired(&installation, mode).await);
    }
    report(all.try_into().unwrap_or_else(|_| panic!("three modes")));
}
