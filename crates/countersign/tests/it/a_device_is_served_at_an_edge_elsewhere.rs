//! Proves that a device is served at an edge that runs elsewhere as it is beside the authority: admitted,
//! talked to, cut in under a second, and given nothing without a proof by its key.

use std::time::{Duration, Instant};

use countersign_api::wire::agent::RenewResponse;
use countersign_testkit::{KeyKind, TestKey};
use serde_json::json;

use crate::harness::{Channel, Device, Edge, Installation, csr_pem, done, read};

const AT_ONCE: Duration = Duration::from_secs(1);

/// A connection that opens a WebSocket at the edge.
async fn channel(edge: &Edge, installation: &Installation, device: &Device) -> Channel {
    let mut connection = edge.connect(installation, device).await;
    let asked = Channel::ask(&mut connection, device, &crate::harness::WISH).await;
    asked.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_device_is_cut_at_an_edge_in_under_a_second_and_both_doors_count() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let edge = Edge::start(&installation, "berlin").await;
    let (device, bystander) =
        (Device::enrol(&installation, "pump").await, Device::enrol(&installation, "valve").await);
    let mut connection = edge.connect(&installation, &device).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    let mut websocket = channel(&edge, &installation, &device).await;
    assert!(websocket.is_alive().await);
    let mut bystanding = edge.connect(&installation, &bystander).await;
    assert_eq!(bystander.heartbeat(&mut bystanding).await.status, 200);
    let mut nobody = installation.client().connect(edge.door()).await.unwrap();
    assert_eq!(device.heartbeat(&mut nobody).await.code(), "MTLS_REQUIRED");

    edge.until(&admin, "attached").await;
    crate::harness::until("the edge says how busy it is", async || {
        let load = edge.listed(&admin).await.unwrap()["load"].clone();
        load["connections"].as_u64() >= Some(3) && load["requestsPerMinute"].as_u64() >= Some(2)
    })
    .await;
    let began = Instant::now();
    let denied = done(&admin.deny(device.id).await);
    connection.closed().await;
    websocket.closed().await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(1));

    let answer = device.heartbeat(&mut edge.connect(&installation, &device).await).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "CERTIFICATE_REVOKED"));
    assert_eq!(bystander.heartbeat(&mut bystanding).await.status, 200);
    let request = answer.header("x-request-id").to_owned();
    crate::harness::until("the edge's refusal can be explained", async || {
        installation.run(&["explain", &request]).code == 0
    })
    .await;
    let explained = installation.run(&["explain", &request]).stdout;
    assert!(explained.contains("berlin"), "{explained}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edges_word_alone_never_issues() {
    let installation = Installation::start().await;
    let edge = Edge::start(&installation, "berlin").await;
    let device = Device::enrol(&installation, "pump").await;
    let mut connection = edge.connect(&installation, &device).await;
    let fresh = TestKey::generate(KeyKind::P256);
    let csr = fresh.signing_request_der(&device.name);
    let without = device.renew(&mut connection, &csr_pem(&csr), None).await;
    assert!((400..500).contains(&without.status), "{} {}", without.status, without.text());
    let challenge = read(&device.challenge(&mut connection).await);
    let proof = device.proof_of_renewal(&device.key, &challenge, &csr);
    let renewed: RenewResponse = read(&device.renew(&mut connection, &csr_pem(&csr), Some(&proof)).await);
    assert!(!renewed.mtls.certificate.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_edge_says_of_a_handshake_is_believed_from_edges_only() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let victim = Device::enrol(&installation, "pump").await;
    let leaf = victim.certificate().certificate.clone();
    let body: String = leaf.lines().filter(|line| !line.starts_with("-----")).collect();
    let claimed = json!({
        "leaf": body, "address": "192.0.2.1:1", "requestId": "0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40",
    });
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claimed.to_string());
    let path = format!("/api/v1/agents/{}/heartbeat", victim.agent);
    let bearer = format!("Bearer {}", victim.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("edge-envelope", header.as_str()),
    ];
    // A thief with the token and the public certificate, without a certificate and with another device's.
    let mut nobody = installation.client().connect(installation.own_door()).await.unwrap();
    let refused = nobody.request("POST", &path, &headers, "{}").await.unwrap();
    assert_eq!(refused.code(), "MTLS_REQUIRED", "{}", refused.text());
    let thief = Device::enrol(&installation, "thief").await;
    let mut other = thief.client(&installation).connect(installation.own_door()).await.unwrap();
    let refused = other.request("POST", &path, &headers, "{}").await.unwrap();
    assert_eq!(refused.status, 401, "its own certificate counts: {}", refused.text());
    // An edge's certificate makes it count: this is what the header is for.
    let edge = Edge::start(&installation, "berlin").await;
    let client = installation.client().showing(&edge.identity_pem());
    let mut by_edge = client.connect(installation.own_door()).await.unwrap();
    assert_eq!(by_edge.request("POST", &path, &headers, "{}").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_for_one_tenant_serves_no_other() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    done(&admin.post("/tenants", &json!({ "slug": "acme", "name": "Acme" })).await);
    let mut edge = Edge::unstarted(&installation, "berlin", json!({ "tenants": ["acme"] })).await;
    edge.start_again().await;
    let stranger = Device::enrol(&installation, "pump").await;
    let answer = stranger.heartbeat(&mut edge.connect(&installation, &stranger).await).await;
    assert_eq!(answer.code(), "EDGE_SCOPE", "{}", answer.text());
    let mut bare = installation.client().connect(edge.door()).await.unwrap();
    let answer = stranger.heartbeat(&mut bare).await;
    assert_eq!(answer.code(), "EDGE_SCOPE", "{}", answer.text());
    let key = admin.enrollment_key(json!({ "tenant": "acme" })).await.key;
    let device = Device::enrol_with(&installation, &key, "valve", TestKey::generate(KeyKind::P256)).await;
    crate::harness::until("its own tenant's device is served", async || {
        device.heartbeat(&mut edge.connect(&installation, &device).await).await.status == 200
    })
    .await;
}
