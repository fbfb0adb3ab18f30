//! Proves that an edge on a machine apart, over a line that loses packets, hears of decisions in time or is not said
//! to have, that while the line is cut it is not counted, and that it and the agents behind the line come back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::{AgentHome, Cable, Device, Edge, FarMachine, Installation, done, eventually};

const PATIENCE: Duration = Duration::from_secs(120);
/// In a hundred packets, each way.
const LOST: u32 = 8;

/// The code that a device is refused with at an edge; empty when it is served there. `None`: the line is too bad.
async fn refusal(edge: &Edge, installation: &Installation, device: &Device) -> Option<String> {
    let mut connection = device.client(installation).connect(edge.door()).await.ok()?;
    let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
    let beat = json!({ "status": "online" });
    let answer = connection.json("POST", &path, Some(&device.token), Some(&beat)).await.ok()?;
    Some(answer.code())
}

async fn is_refused(edge: &Edge, installation: &Installation, device: &Device) {
    eventually(PATIENCE, "the edge refuses it", async || {
        (refusal(edge, installation, device).await? == "CERTIFICATE_REVOKED").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_line_that_loses_packets_and_is_cut() {
    let Some(far) = FarMachine::join().map(Arc::new) else { return };
    let installation = Installation::start().await;
    let admin = installation.admin();
    let line = Cable::from((far.near(), 0).into(), installation.own_door()).await;
    let wishes = json!({ "publicNames": [far.far(), "localhost", "127.0.0.1"] });
    let mut edge = Edge::unstarted(&installation, "berlin", wishes).await;
    edge = edge.by_way_of(line.address()).on(Arc::clone(&far));
    edge.start_again().await;
    edge.until(&admin, "attached").await;
    let agent = AgentHome::beside(&installation);
    let (url, fingerprint) = (format!("https://{}", edge.door()), installation.fingerprint());
    let key = admin.one_use_key().await;
    let ran = agent.output(&["enroll", &key, "--server", &url, "--ca-fingerprint", &fingerprint]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let id = agent.text("device_id").parse().unwrap();

    far.loses(LOST);
    let running = agent.run();
    let mut told = 0;
    for number in 0..8 {
        let device = Device::enrol(&installation, &format!("ws-{number}")).await;
        let denied = done(&admin.deny(device.id).await);
        if denied["appliedEdges"] == installation.applied_by_all(1) {
            told += 1;
            // From the first answer on that reaches us.
            let refused =
                eventually(PATIENCE, "an answer", async || refusal(&edge, &installation, &device).await);
            assert_eq!(refused.await, "CERTIFICATE_REVOKED", "ws-{number}: it was said to know");
        } else {
            is_refused(&edge, &installation, &device).await;
        }
    }
    assert!(told > 0, "in time at least once");

    let device = Device::enrol(&installation, "valve").await;
    far.part();
    let denied = done(&admin.deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_but(1, 1));
    edge.until(&admin, "silent").await;
    let seen = admin.device(id).await.last_seen_at;
    far.mend();
    is_refused(&edge, &installation, &device).await;
    edge.until(&admin, "attached").await;
    eventually(PATIENCE, "the agent is heard again", async || {
        (admin.device(id).await.last_seen_at > seen).then_some(())
    })
    .await;
    assert!(running.terminate().await.success());
}
