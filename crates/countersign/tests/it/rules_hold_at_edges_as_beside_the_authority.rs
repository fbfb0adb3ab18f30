//! Proves that rules hold at an edge elsewhere and do not stand in the way of what it hands on, and that whom
//! rules would block that it only observes is on the rollout list.

use countersign_testkit::Connection;
use serde_json::json;

use crate::harness::{Device, Edge, Installation, Time, done, until};
use crate::upstream::Upstream;

const AGENTS: &str = "[[rule]]\nname = \"agents show a certificate\"\n\
    expression = 'http.request.uri.path contains \"/heartbeat\" and not cf.tls_client_auth.cert_verified'\n";
const CLOSED: &str =
    "[[rule]]\nname = \"closed\"\nexpression = 'http.request.uri.path eq \"/open/closed\"'\n";

async fn get(connection: &mut Connection, path: &str) -> (u16, String) {
    let answer = connection.request("GET", path, &[], "").await.unwrap();
    (answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_edge_hands_on_is_not_judged_by_the_edges_certificate() {
    let installation = Installation::configured(AGENTS, Time::Real).await;
    let edge = Edge::start(&installation, "berlin").await;
    let device = Device::enrol(&installation, "pump").await;
    let with = device.heartbeat(&mut edge.connect(&installation, &device).await).await;
    assert_eq!(with.status, 200, "{}", with.text());
    let mut nobody = installation.client().connect(edge.door()).await.unwrap();
    let without = device.heartbeat(&mut nobody).await;
    assert_eq!((without.status, without.code().as_str()), (403, "RULE_BLOCKED"));
    // Whatever else it asks is for edges alone, and nobody gets around the rules by their certificates.
    let client = installation.client().showing(&edge.identity_pem());
    let mut by_edge = client.connect(installation.own_door()).await.unwrap();
    assert_eq!(device.heartbeat(&mut by_edge).await.code(), "EDGE_CERTIFICATE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_rules_would_block_at_an_edge_is_on_the_rollout_list() {
    let upstream = Upstream::start().await;
    let config = format!("[http_door]\nrules = \"observe\"\n\n{}{AGENTS}{CLOSED}", upstream.routes());
    let installation = Installation::configured(&config, Time::Real).await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "off" })).await;
    let edge = Edge::start(&installation, "berlin").await;
    edge.until(&admin, "attached").await;
    let by_token = Device::enrol(&installation, "by-token").await;
    let by_certificate = Device::enrol(&installation, "by-certificate").await;

    let mut nobody = installation.client().connect(edge.door()).await.unwrap();
    let answer = by_token.heartbeat(&mut nobody).await;
    assert_eq!(answer.status, 200, "only observed: {}", answer.text());
    let mut with = edge.connect(&installation, &by_certificate).await;
    assert_eq!(get(&mut with, "/open/closed").await.0, 200, "only observed");
    assert_eq!(by_certificate.heartbeat(&mut with).await.status, 200, "it shows what is asked for");

    let listed = async || {
        let report = done(&admin.get("/rollout/blocked?code=RULE_BLOCKED").await);
        let devices = report["devices"].as_array().unwrap().iter();
        let mut named: Vec<String> = devices.map(|one| format!("{} {}", one["name"], one["rule"])).collect();
        named.sort();
        named
    };
    until("both are listed", async || listed().await.len() == 2).await;
    let expected = ["\"by-certificate\" \"closed\"", "\"by-token\" \"agents show a certificate\""];
    assert_eq!(listed().await, expected);
}
