//! Proves that an edge serves by what it knows while its authority is away, also after a restart, and never
//! by less than it has known.

use countersign_testkit::Connection;

use crate::harness::{Device, Edge, Installation, done, until};
use crate::upstream::Upstream;

async fn asks(connection: &mut Connection) -> (u16, String) {
    let answer = connection.request("GET", "/required/x", &[], "").await.unwrap();
    (answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_edge_admits_and_refuses_without_its_authority() {
    let upstream = Upstream::start().await;
    let mut installation = Installation::configured(&upstream.routes(), crate::harness::Time::Real).await;
    let admin = installation.admin();
    let mut edge = Edge::start(&installation, "berlin").await;
    let good = Device::enrol(&installation, "good").await;
    let bad = Device::enrol(&installation, "bad").await;
    edge.until(&admin, "attached").await;
    until("it keeps what it was told", async || edge.kept().exists()).await;
    let earlier = fs_err::read(edge.kept()).unwrap();
    let denied = done(&admin.deny(bad.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(1));
    installation.terminate().await;

    edge.kill().await;
    edge.start_again().await;
    let (status, _) = asks(&mut edge.connect(&installation, &good).await).await;
    assert_eq!(status, 200, "admitted by what was kept");
    let (status, code) = asks(&mut edge.connect(&installation, &bad).await).await;
    assert_eq!((status, code.as_str()), (403, "CERTIFICATE_REVOKED"));
    let answer = good.heartbeat(&mut edge.connect(&installation, &good).await).await;
    assert_eq!(answer.code(), "AUTHORITY_UNREACHABLE", "{}", answer.text());

    // Somebody puts back what was kept before the device was denied.
    edge.kill().await;
    fs_err::write(edge.kept(), earlier).unwrap();
    edge.begin();
    until("the edge says that it refuses the older file", async || {
        edge.log().contains("what is kept is older than what was seen, refused")
    })
    .await;
    let denied = bad.client(&installation).connect(edge.door()).await;
    assert!(denied.is_err(), "its door stays closed until the authority has spoken");

    installation.start_again().await;
    until("the edge serves again", async || good.client(&installation).connect(edge.door()).await.is_ok())
        .await;
    let (status, code) = asks(&mut edge.connect(&installation, &bad).await).await;
    assert_eq!((status, code.as_str()), (403, "CERTIFICATE_REVOKED"));
}
