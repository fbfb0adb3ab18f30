//! Proves with OpenSSL as the client, over TLS 1.2 and 1.3, that a session is whose certificate began it, and
//! that none crosses from one door, server name or configuration to another.

use crate::harness::{Device, Installation, SClient, Session, Time, Visit, done};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_whose_certificate_began_it() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let (fallen, good) =
        (Device::enrol(&installation, "fallen").await, Device::enrol(&installation, "good").await);
    for version in SClient::VERSIONS {
        let client = SClient::of(&installation, &fallen, version, "shared");
        assert_eq!(client.visit(Session::New), Visit::of(false, ""));
    }
    let admin = installation.admin();
    done(&admin.revoke(admin.active(fallen.id).await.unwrap().id, "keyCompromise").await);
    for version in SClient::VERSIONS {
        // Another certificate beside the session is not even looked at.
        let borrower = SClient::of(&installation, &good, version, "shared");
        assert_eq!(borrower.visit(Session::Kept), Visit::of(true, "CERTIFICATE_REVOKED"));
        assert_eq!(borrower.visit(Session::New), Visit::of(false, ""), "by itself it is served");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_crosses_to_another_name_door_or_configuration() {
    let upstream = Upstream::start().await;
    let unasked = format!("[http_door]\nclient_auth = \"none\"\n{}", upstream.routes());
    let mut installation = Installation::configured(&unasked, Time::Real).await;
    let other = Installation::configured(&upstream.routes(), Time::Real).await;
    let clients = SClient::VERSIONS.map(|version| SClient::anonymous(&installation, version, "anonymous"));
    let nobody = |is_resumed| Visit::of(is_resumed, "MTLS_REQUIRED");
    for client in &clients {
        assert_eq!(client.visit(Session::New), nobody(false));
        assert_eq!(client.visit(Session::Kept), nobody(true));
        let elsewhere = SClient { server_name: "door.example.com", ..client.clone() };
        assert!(!elsewhere.visit(Session::Kept).is_resumed, "another name");
        let elsewhere = SClient { at: other.door().to_string(), ..client.clone() };
        assert_eq!(elsewhere.visit(Session::Kept), nobody(false), "another door");
    }
    installation.terminate().await;
    installation.reconfigure(&upstream.routes());
    installation.start_again().await;
    let device = Device::enrol(&installation, "d1").await;
    for client in &clients {
        assert_eq!(client.visit(Session::Kept), nobody(false), "the same door, which asks now");
        let own = SClient::of(&installation, &device, client.version, "anonymous");
        assert_eq!(own.visit(Session::Kept), Visit::of(false, ""), "who has a certificate shows it anew");
    }
}
