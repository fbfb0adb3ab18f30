//! Quarantined: the agent keeps asking slowly, and runs on when approved.

use crate::agent_process::{Running, command, enrolled, output, text};
use crate::control_plane::{ControlPlane, Issuing, Seen};
use crate::device::Device;

const FLAGS: [&str; 4] = ["--heartbeat-interval", "100ms", "--retry-base", "200ms"];

#[tokio::test]
async fn a_quarantined_device_keeps_asking_and_renews_with_its_own_key_once_approved() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let old = device.current_key();
    plane.change(|state| state.is_quarantined = true);
    let running = Running::run(&device.config_path(), FLAGS);
    plane.until("it asks for a renewal", |state| state.count("/challenge") >= 3).await;
    assert_eq!(plane.state().last("/challenge").shown, None);
    assert_eq!(plane.state().issued.len(), 1);

    plane.change(|state| state.is_quarantined = false);
    plane.until("a renewal", |state| state.active.as_ref().is_some_and(|active| active.spki() != old)).await;
    let new = plane.state().active.as_ref().unwrap().spki();
    // When the second one arrives, the answer to the first has been read.
    plane
        .until("heartbeats over it", |state| {
            let is_over_it = |seen: &&Seen| seen.is("/heartbeat") && seen.shown == Some(new);
            state.seen.iter().filter(is_over_it).count() >= 2
        })
        .await;
    let (status, log) = running.terminate().await;
    assert!(status.success(), "{status}: {log}");
    assert_eq!(log.matches("device quarantined").count(), 1, "said once: {log}");
    assert!(log.contains("device approved, running on"), "{log}");
    assert_eq!(plane.state().distinct_keys(), 2, "one key for the whole of the quarantine");
}

#[tokio::test]
async fn a_device_that_awaits_approval_gets_its_first_certificate_when_approved() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.issuing = Issuing::AfterApproval);
    let device = Device::enrolled(&plane).await;
    let running = Running::run(&device.config_path(), FLAGS);
    plane.until("it asks", |state| state.count("/challenge") >= 2).await;
    plane.change(|state| {
        state.is_quarantined = false;
        state.issuing = Issuing::On;
    });
    plane.until("it is certified", |state| state.active.is_some()).await;
    let new = plane.state().active.as_ref().unwrap().spki();
    plane
        .until("a heartbeat", |state| {
            state.seen.last().is_some_and(|seen| seen.is("/heartbeat") && seen.shown == Some(new))
        })
        .await;
    drop(running);
    assert_eq!(plane.state().distinct_keys(), 1);
}

#[tokio::test]
async fn renew_says_that_an_admin_has_to_approve() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.change(|state| state.is_quarantined = true);
    let mut renew = command(&device.config_path());
    renew.arg("renew");
    let output = output(renew).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("hint: an admin has to approve this device"), "{stderr}");
}
