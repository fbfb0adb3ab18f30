//! Proves that after a revocation nothing that the key still opens leads back in: no open
//! connection, no session ticket, no challenge, no enrolment.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_testkit::{DoorClient, HttpVersion, KeyKind, TestKey, TlsVersion};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Device, Installation, csr_pem, done, enrolment};

const PATIENCE: Duration = Duration::from_secs(20);

async fn enrol(installation: &Installation, body: &Value) -> (u16, String) {
    let mut connection = installation.connect().await;
    let answer = connection.json("POST", "/api/v1/agents/enroll", None, Some(body)).await.unwrap();
    (answer.status, answer.code())
}

fn refused(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

/// Every door that an agent's protocol has, tried over one client; what it was told, if anything.
async fn try_everything(
    installation: &Installation,
    client: &DoorClient,
    device: &Device,
) -> Vec<(u16, String)> {
    let csr = TestKey::generate(KeyKind::P256).signing_request_pem("back");
    let mut told = Vec::new();
    for attempt in 0..4 {
        let mut connection = client.connect(installation.door()).await.unwrap();
        assert!(connection.is_resumed(), "attempt {attempt}");
        let answer = match attempt {
            0 => device.challenge(&mut connection).await,
            1 => device.renew(&mut connection, &csr, None).await,
            2 => device.heartbeat(&mut connection).await,
            _ => device.post(&mut connection, "/api/v1/agents/renew-cert", &json!({})).await,
        };
        told.push((answer.status, answer.code()));
    }
    told
}

#[tokio::test]
async fn neither_open_connections_nor_tickets_nor_challenges_nor_enrolment() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "stolen").await;
    let mut open = Vec::new();
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = device.client(&installation).http(version);
        let mut connection = client.connect(installation.door()).await.unwrap();
        assert_eq!(device.heartbeat(&mut connection).await.status, 200);
        open.push(connection);
    }
    let tickets =
        [TlsVersion::Tls12, TlsVersion::Tls13].map(|tls| device.client(&installation).tls(tls).resuming());
    for client in &tickets {
        let mut connection = client.connect(installation.door()).await.unwrap();
        assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    }
    // A challenge that was given before, and signed by the key that is revoked after.
    let csr = TestKey::generate(KeyKind::P256).signing_request_der("back");
    let early = done(&device.challenge(&mut installation.connect().await).await);
    let early = device.proof_of_renewal(&device.key, &serde_json::from_value(early).unwrap(), &csr);

    let certificate = admin.active(device.id).await.unwrap().id;
    done(&admin.revoke(certificate, "keyCompromise").await);

    for mut connection in open {
        timeout(PATIENCE, connection.closed()).await.expect("cut");
        let csr = csr_pem(&csr);
        let body = json!({ "protocolVersion": 2, "csr": csr });
        let path = "/api/v1/agents/renew-cert";
        assert!(connection.json("POST", path, Some(&device.token), Some(&body)).await.is_err());
    }
    for client in &tickets {
        let told = try_everything(&installation, client, &device).await;
        assert_eq!(told, vec![refused("CERTIFICATE_REVOKED"); 4]);
    }
    let mut bare = installation.connect().await;
    let pem = csr_pem(&csr);
    for answer in [
        device.challenge(&mut bare).await,
        device.renew(&mut bare, &pem, Some(&early)).await,
        device.heartbeat(&mut bare).await,
    ] {
        assert_eq!((answer.status, answer.code()), refused("DEVICE_QUARANTINED"));
        assert_eq!(answer.json()["quarantined"], true);
    }

    // An admin's approval brings the device back, not the key.
    done(&admin.approve(device.id).await);
    let again = done(&device.challenge(&mut bare).await);
    let again = device.proof_of_renewal(&device.key, &serde_json::from_value(again).unwrap(), &csr);
    let answer = device.renew(&mut bare, &pem, Some(&again)).await;
    assert_eq!((answer.status, answer.code()), refused("PROOF_REQUIRED"));
    let told = try_everything(&installation, &tickets[1], &device).await;
    assert_eq!(told, vec![refused("CERTIFICATE_REVOKED"); 4]);
    assert_eq!(admin.states(device.id).await, [CertificateState::Revoked]);
}

#[tokio::test]
async fn it_enrols_no_more_under_any_name_and_the_device_comes_back_with_a_fresh_one() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "stolen").await;
    let certificate = admin.active(device.id).await.unwrap().id;
    done(&admin.revoke(certificate, "keyCompromise").await);

    let enrolment_key = admin.one_use_key().await;
    let same_key = device.key.signing_request_pem("stolen");
    for hostname in ["stolen", "another"] {
        let body = enrolment(&enrolment_key, hostname, Some(&same_key));
        assert_eq!(enrol(&installation, &body).await, refused("KEY_DENIED"));
    }
    let bound = admin.enrollment_key(json!({ "deviceId": device.id })).await.key;
    let body = enrolment(&bound, "stolen", Some(&same_key));
    assert_eq!(enrol(&installation, &body).await, refused("KEY_DENIED"));

    // None of these used an enrolment key up.
    let back = Device::enrol_with(&installation, &bound, "stolen", TestKey::generate(KeyKind::P256)).await;
    assert_eq!((back.id, &back.name), (device.id, &device.name), "the same device");
    let mut connection = back.connect(&installation).await;
    assert_eq!(back.heartbeat(&mut connection).await.status, 200);
    assert_eq!(device.heartbeat(&mut connection).await.status, 401, "its old token is over");
    let new =
        Device::enrol_with(&installation, &enrolment_key, "new", TestKey::generate(KeyKind::P256)).await;
    assert_ne!(new.id, device.id);
}

#[tokio::test]
async fn a_denied_device_has_no_way_back() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "denied").await;
    let ticket = device.client(&installation).resuming();
    let mut connection = ticket.connect(installation.door()).await.unwrap();
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    done(&admin.deny(device.id).await);

    let told = try_everything(&installation, &ticket, &device).await;
    assert_eq!(told, vec![refused("CERTIFICATE_REVOKED"); 4]);
    let mut bare = installation.connect().await;
    assert_eq!(device.challenge(&mut bare).await.status, 401, "its token is over");
    let enrolment_key = admin.one_use_key().await;
    let body = enrolment(&enrolment_key, "elsewhere", Some(&device.key.signing_request_pem("x")));
    assert_eq!(enrol(&installation, &body).await, refused("KEY_DENIED"));
    // The same machine with a fresh key waits for an admin.
    let back =
        Device::enrol_with(&installation, &enrolment_key, "denied", TestKey::generate(KeyKind::P256)).await;
    assert_ne!(back.id, device.id);
    assert!(back.mtls.is_none());
    assert_eq!(back.mtls_reason.as_deref(), Some("awaiting_approval"));
    assert_eq!(admin.quarantined().await[0].quarantined_reason, "resembles_denied_device");
    let bound = admin.post("/enrollment-keys", &json!({ "deviceId": device.id })).await;
    assert_eq!(bound.status, 400, "no enrolment key is made for a decommissioned device");
}
