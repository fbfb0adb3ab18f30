//! Proves that an edge's certificate opens the routes of edges and nothing else, and nothing at all once the
//! edge is revoked.

use serde_json::json;

use crate::harness::{Device, Edge, Installation, done, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_edge_loses_its_connection_and_counts_no_more() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let edge = Edge::start(&installation, "berlin").await;
    edge.until(&admin, "attached").await;
    let device = Device::enrol(&installation, "pump").await;
    assert_eq!(device.heartbeat(&mut edge.connect(&installation, &device).await).await.status, 200);
    let revoked = done(&admin.call("DELETE", &format!("/edges/{}", edge.id()), None).await);
    assert_eq!(revoked["appliedEdges"], installation.applied_by_all(0));
    until("the edge has lost its connection", async || edge.log().contains("the authority says no more"))
        .await;
    assert!(edge.listed(&admin).await.is_none());
    let again = admin.call("DELETE", &format!("/edges/{}", edge.id()), None).await;
    assert_eq!((again.status, again.code().as_str()), (409, "ALREADY_REVOKED"));
    // What devices ask it is not handed on any more.
    until("the edge cannot speak for devices", async || {
        let answer = device.heartbeat(&mut edge.connect(&installation, &device).await).await;
        answer.code() == "EDGE_REVOKED"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edges_certificate_opens_no_other_routes_and_no_other_certificate_opens_an_edges() {
    let installation =
        Installation::configured("[admin]\nexpose_admin_on_door = true\n", crate::harness::Time::Real).await;
    let edge = Edge::start(&installation, "berlin").await;
    let device = Device::enrol(&installation, "pump").await;
    let client = installation.client().showing(&edge.identity_pem());
    let bearer = |token: &str| format!("Bearer {token}");
    for (path, token) in [
        (format!("/api/v1/agents/{}/heartbeat", device.agent), device.token.as_str()),
        ("/api/v1/agents/renew-cert/challenge".to_owned(), device.token.as_str()),
        ("/api/v1/edges".to_owned(), installation.admin().token()),
        ("/api/v1/tenants".to_owned(), installation.admin().token()),
    ] {
        let mut connection = client.connect(installation.own_door()).await.unwrap();
        let token = bearer(token);
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        let refused = connection.request("POST", &path, &headers, "{}").await.unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (403, "EDGE_CERTIFICATE"), "{path}");
    }
    let body = [("content-type", "application/json")];
    for client in [installation.client(), device.client(&installation)] {
        let mut connection = client.connect(installation.own_door()).await.unwrap();
        let refused = connection.request("POST", "/api/v1/edges/self/renew", &body, "{}").await.unwrap();
        assert_eq!(refused.status, 401, "{}", refused.text());
        let refused = connection.request("GET", "/api/v1/edges/self/stream", &[], "").await.unwrap();
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
    // Its token is used up.
    let token = fs_err::read_to_string(edge.folder().join("token")).unwrap();
    let csr = countersign_testkit::TestKey::generate(countersign_testkit::KeyKind::P256);
    let enrolment = json!({ "token": token, "csr": csr.signing_request_pem("edge") }).to_string();
    let mut connection = installation.client().connect(installation.own_door()).await.unwrap();
    let refused = connection.request("POST", "/api/v1/edges/self/enroll", &body, enrolment).await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (401, "EDGE_TOKEN_REFUSED"));
}
