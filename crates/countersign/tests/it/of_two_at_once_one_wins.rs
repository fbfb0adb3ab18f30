//! Proves that what may happen once happens once, however many ask at the same moment.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use countersign_core::certificate::CertificateState;
use countersign_core::ids::DeviceId;
use countersign_testkit::{Answer, KeyKind, TestKey};
use tokio::sync::Barrier;

use crate::harness::{Admin, Device, done, enrolment};

const MANY: u8 = 30;
/// How often a race of two is run.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_enrolments_on_a_one_use_key_give_one_device() {
    let installation = super::start().await;
    let admin = installation.admin();
    let enrolment_key = admin.one_use_key().await;
    let line = Arc::new(Barrier::new(usize::from(MANY)));
    let runners = (1..=MANY).map(|number| {
        // Each from an address of its own: failed keys are limited per address.
        let client = installation.client().from_address(IpAddr::V4(Ipv4Addr::new(127, 0, 7, number)));
        let (door, line, enrolment_key) = (installation.door(), Arc::clone(&line), enrolment_key.clone());
        tokio::spawn(async move {
            let csr = TestKey::generate(KeyKind::P256).signing_request_pem("racer");
            let body = enrolment(&enrolment_key, &format!("racer-{number}"), Some(&csr));
            let mut connection = client.connect(door).await.unwrap();
            line.wait().await;
            connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap()
        })
    });
    let mut enrolled = 0;
    for runner in runners.collect::<Vec<_>>() {
        let answer = runner.await.unwrap();
        if answer.status == 201 {
            enrolled += 1;
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (401, "ENROLLMENT_KEY_REFUSED"));
            assert_eq!(answer.json()["reason"], "enrollment_key_exhausted");
        }
    }
    assert_eq!(enrolled, 1);
    let device = admin.the_device().await;
    assert_eq!(admin.states(device.id).await, [CertificateState::Active]);
}

/// Two calls at the same moment: one is done, and the other's answer.
async fn race<F: Future<Output = Answer>>(call: impl Fn() -> F) -> Answer {
    let (one, two) = tokio::join!(call(), call());
    let (won, lost) = if one.status < 300 { (one, two) } else { (two, one) };
    done(&won);
    lost
}

async fn conflict_of_approvals(admin: &Admin, device: DeviceId) {
    done(&admin.quarantine(device, "lost").await);
    let lost = race(|| admin.approve(device)).await;
    assert_eq!((lost.status, lost.code().as_str()), (409, "DEVICE_STATE"));
    assert_eq!(lost.json()["state"], "offline");
    assert_eq!(admin.device(device).await.status.as_str(), "offline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_approvals_revocations_and_denials_one_wins() {
    let installation = super::start().await;
    let admin = installation.admin();
    for round in 0..ROUNDS {
        let device = Device::enrol(&installation, &format!("round-{round}")).await;
        conflict_of_approvals(&admin, device.id).await;

        let certificate = admin.active(device.id).await.unwrap().id;
        let lost = race(|| admin.revoke(certificate, "keyCompromise")).await;
        assert_eq!((lost.status, lost.code().as_str()), (409, "ALREADY_REVOKED"));

        let lost = race(|| admin.deny(device.id)).await;
        assert_eq!((lost.status, lost.code().as_str()), (409, "DEVICE_STATE"));
        assert_eq!(lost.json()["state"], "decommissioned");
    }
    for event in ["device.approved", "certificate.revoked", "device.denied"] {
        let entries = admin.audit(&format!("event={event}")).await;
        assert_eq!(entries.len(), ROUNDS, "{event}: a loser leaves no entry");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_at_the_same_moment_leave_one_certificate_to_confirm() {
    let installation = Arc::new(super::start().await);
    let admin = installation.admin();
    let device = Device::enrol(&installation, "hasty").await;
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(device.connect(&installation).await);
    }
    let line = Arc::new(Barrier::new(connections.len()));
    let asking = connections.into_iter().map(|mut connection| {
        let (device, line) = (device.clone(), Arc::clone(&line));
        let installation = Arc::clone(&installation);
        tokio::spawn(async move {
            let csr = TestKey::generate(KeyKind::P256).signing_request_der("hasty");
            line.wait().await;
            device.renew_over_own(&installation, &mut connection, &csr).await.status
        })
    });
    let mut statuses = Vec::new();
    for one in asking.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429, 429, 429, 429, 429, 429, 429]);
    let states = admin.states(device.id).await;
    let count = |wanted| states.iter().filter(|state| **state == wanted).count();
    assert_eq!((count(CertificateState::PendingActivation), count(CertificateState::Active)), (1, 1));
    assert_eq!(states.len(), 2, "{states:?}");
}
