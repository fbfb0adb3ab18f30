//! Proves that a server that dies between any two steps of what it does comes back sound: nothing
//! half done counts, nothing signed is forgotten, and whoever was cut off can simply ask again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use countersign_api::wire::agent::RenewResponse;
use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, ClientFailure, DoorClient, KeyKind, TestKey};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Admin, Device, Installation, Time, assert_sound, csr_pem, done, enrolment, read};

/// Lets the server die at `point` while `act` is under way, and starts it again.
async fn die(installation: &mut Installation, point: &str, act: impl AsyncFnOnce(&Installation) -> bool) {
    installation.crash_at(Some(point));
    assert!(!act(installation).await, "answered in spite of the crash at {point}");
    let ended = installation.ended().await;
    assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()), "{point}: {ended}");
    installation.crash_at(None);
    installation.start_again().await;
    assert_sound(installation).await;
}

/// Whether the server has answered: not an edge, for one that it could not reach.
fn is_answered(tried: Result<Answer, ClientFailure>) -> bool {
    tried.is_ok_and(|answer| answer.status != 503)
}

/// States of a device's certificates, in alphabetical order: they may be of the same second.
async fn states(admin: &Admin, device: &Device) -> String {
    let mut states: Vec<_> = admin.states(device.id).await.iter().map(|state| state.as_str()).collect();
    states.sort_unstable();
    states.join(" ")
}

async fn try_enrol(
    installation: &Installation,
    enrolment_key: &str,
    key: &TestKey,
) -> Result<Answer, ClientFailure> {
    let body = enrolment(enrolment_key, "ws", Some(&key.signing_request_pem("ws")));
    installation.connect().await.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await
}

async fn try_renew(
    installation: &Installation,
    device: &Device,
    csr: &[u8],
) -> Result<Answer, ClientFailure> {
    let mut connection = installation.connect().await;
    let challenge = read(&device.challenge(&mut connection).await);
    let proof = device.proof_of_renewal(&device.key, &challenge, csr);
    let body = json!({ "protocolVersion": 2, "csr": csr_pem(csr), "proof": proof });
    connection.json("POST", "/api/v1/agents/renew-cert", Some(&device.token), Some(&body)).await
}

async fn try_confirm(
    installation: &Installation,
    device: &Device,
    fresh: &TestKey,
    renewed: &RenewResponse,
) -> Result<Answer, ClientFailure> {
    let mut connection = installation.connect().await;
    let challenge = read(&device.challenge(&mut connection).await);
    let proof = device.proof(fresh, &challenge, ProofSubject::Confirm(renewed.certificate_id));
    let body = json!({ "certificateId": renewed.certificate_id, "proof": proof });
    connection.json("POST", "/api/v1/agents/renew-cert/confirm", Some(&device.token), Some(&body)).await
}

#[tokio::test]
async fn an_enrolment_that_was_not_recorded_did_not_happen() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    for (count, point) in ["intent", "sign", "record"].into_iter().enumerate() {
        let (enrolment_key, key) = (admin.one_use_key().await, TestKey::generate(KeyKind::P256));
        let act = async |it: &Installation| is_answered(try_enrol(it, &enrolment_key, &key).await);
        die(&mut installation, point, act).await;
        assert_eq!(admin.devices().await.len(), count, "{point}");
        assert_eq!(admin.audit("event=certificate.abandoned").await.len(), count + 1, "{point}");
        // Neither the enrolment key nor the key pair is used up.
        let again = try_enrol(&installation, &enrolment_key, &key).await.unwrap();
        assert_eq!(again.status, 201, "{point}: {}", again.text());
    }
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_done_again_by_a_key_for_that_device() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    let (enrolment_key, key) = (admin.one_use_key().await, TestKey::generate(KeyKind::P256));
    let act = async |it: &Installation| is_answered(try_enrol(it, &enrolment_key, &key).await);
    die(&mut installation, "recorded", act).await;
    let device = admin.the_device().await.id;
    let again = try_enrol(&installation, &enrolment_key, &key).await.unwrap();
    assert_eq!((again.status, &again.json()["reason"]), (401, &json!("enrollment_key_exhausted")));

    let bound = admin.enrollment_key(json!({ "deviceId": device })).await.key;
    let fresh = TestKey::generate(KeyKind::P256);
    let enrolled = Device::enrol_with(&installation, &bound, "ws", fresh).await;
    assert_eq!(enrolled.id, device);
    assert_eq!(states(&admin, &enrolled).await, "active revoked");
    assert_sound(&installation).await;
}

#[tokio::test]
async fn a_renewal_is_there_or_not_and_asking_again_gives_one_certificate() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    for (point, left) in [
        ("intent", "active"),
        ("sign", "active"),
        ("record", "active"),
        ("recorded", "active pending_activation"),
    ] {
        let device = Device::enrol(&installation, point).await;
        let csr = TestKey::generate(KeyKind::P256).signing_request_der(point);
        let act = async |it: &Installation| is_answered(try_renew(it, &device, &csr).await);
        die(&mut installation, point, act).await;
        assert_eq!(states(&admin, &device).await, left, "{point}");
        let kept: Vec<_> = admin.certificates(device.id).await.iter().map(|kept| kept.id).collect();
        let renewed: RenewResponse = read(&try_renew(&installation, &device, &csr).await.unwrap());
        assert_eq!(states(&admin, &device).await, "active pending_activation", "{point}");
        assert_eq!(kept.contains(&renewed.certificate_id), point == "recorded");
        assert_sound(&installation).await;
    }
}

#[tokio::test]
async fn a_confirmation_counts_once_and_may_be_repeated() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    for (point, left) in [("confirm", "active pending_activation"), ("confirmed", "active superseded")] {
        let device = Device::enrol(&installation, point).await;
        let fresh = TestKey::generate(KeyKind::P256);
        let renewed = device.renewed(&installation, &fresh).await.unwrap();
        let act = async |it: &Installation| is_answered(try_confirm(it, &device, &fresh, &renewed).await);
        die(&mut installation, point, act).await;
        assert_eq!(states(&admin, &device).await, left, "{point}");
        let again = try_confirm(&installation, &device, &fresh, &renewed).await.unwrap();
        assert_eq!(done(&again), json!({ "success": true }), "{point}");
        assert_eq!(states(&admin, &device).await, "active superseded", "{point}");
    }
    assert_sound(&installation).await;
}

#[tokio::test]
async fn a_decision_of_an_admin_is_carried_out_whole_or_not_at_all() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    for (point, certificate, status) in [
        ("revoke", "active", "online"),
        ("revoked", "revoked", "quarantined"),
        ("decide", "active", "online"),
        ("decided", "revoked", "decommissioned"),
    ] {
        let device = Device::enrol(&installation, point).await;
        assert_eq!(device.heartbeat(&mut device.connect(&installation).await).await.status, 200);
        let path = match point {
            "revoke" | "revoked" => {
                format!("/certificates/{}/revoke", admin.active(device.id).await.unwrap().id)
            }
            _ => format!("/agents/{}/deny", device.id),
        };
        let act = async |it: &Installation| is_answered(it.admin().try_post(&path, &json!({})).await);
        die(&mut installation, point, act).await;
        assert_eq!(states(&admin, &device).await, certificate, "{point}");
        assert_eq!(admin.device(device.id).await.status.as_str(), status, "{point}");

        let heard = device.heartbeat(&mut device.connect(&installation).await).await;
        let again = admin.post(&path, &json!({})).await;
        if certificate == "active" {
            assert_eq!((heard.status, again.status), (200, 200), "{point}: {}", again.text());
        } else {
            assert_eq!((heard.status, again.status), (403, 409), "{point}: {}", again.text());
        }
        let refused = device.heartbeat(&mut device.connect(&installation).await).await;
        assert_eq!(refused.status, 403, "{point}: {}", refused.text());
    }
    assert_sound(&installation).await;
}

#[tokio::test]
async fn a_start_that_dies_while_it_signs_for_the_door_is_followed_by_a_good_one() {
    let mut installation = Installation::start().await;
    for point in ["intent", "sign"] {
        assert!(installation.terminate().await.success());
        installation.crash_at(Some(point));
        assert_eq!(installation.start_in_vain().await.signal(), Some(Signal::ABORT.as_raw()));
        installation.crash_at(None);
        installation.start_again().await;
        assert_sound(&installation).await;
    }
}

#[tokio::test]
async fn killed_at_any_moment_of_its_first_start_it_starts_the_next_time() {
    for millis in [5, 20, 40, 60, 80, 110, 150] {
        let mut installation = Installation::unstarted("", Time::Real);
        installation.begin();
        installation.kill_after(Duration::from_millis(millis)).await;
        installation.start_again().await;
        installation.set_up().await;
        Device::enrol(&installation, "ws").await;
        assert_sound(&installation).await;
    }
}

#[tokio::test]
async fn killed_under_load_it_forgets_nothing_that_it_answered() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    let mut answered = BTreeSet::new();
    for millis in [30, 90, 150, 40] {
        let key = admin.enrollment_key(json!({ "maxUses": 1000 })).await.key;
        let mut load = JoinSet::new();
        for _ in 0..4 {
            load.spawn(enrol_until_cut(installation.client(), installation.door(), key.clone()));
        }
        installation.kill_after(Duration::from_millis(millis)).await;
        answered.extend(load.join_all().await.concat());
        installation.start_again().await;
        assert_sound(&installation).await;
    }
    assert!(!answered.is_empty());
    let held = admin.devices().await.into_iter().filter_map(|device| device.certificate);
    let known: BTreeSet<String> = held.map(|certificate| certificate.serial_number.to_string()).collect();
    assert!(answered.is_subset(&known), "handed out and not on record: {answered:?}, {known:?}");
}

/// Enrols devices until the connection is cut; gives the serial numbers that it was handed.
async fn enrol_until_cut(client: DoorClient, door: SocketAddr, enrolment_key: String) -> Vec<String> {
    let mut serials = Vec::new();
    let Ok(mut connection) = client.connect(door).await else { return serials };
    for _ in 0..40 {
        let csr = TestKey::generate(KeyKind::P256).signing_request_pem("ws");
        let body = enrolment(&enrolment_key, "ws", Some(&csr));
        let Ok(answer) = connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await else {
            break;
        };
        serials.push(done(&answer)["mtls"]["serialNumber"].as_str().unwrap().to_owned());
    }
    serials
}
