//! Renewing: when, with which proof, and what is kept until when.

use std::time::Duration;

use countersign_agent::renew::{RenewError, Setback, Trigger};
use countersign_core::time::{Clock as _, SystemClock};
use serde_json::json;

use crate::agent_process::{Running, enrolled};
use crate::control_plane::{Act, ControlPlane, Issuing, refusal};
use crate::device::Device;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_renewal_is_asked_over_the_old_certificate_and_confirmed_over_the_new_one() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let old = device.current_key();
    device.renewal().settle(Trigger::Asked).await.unwrap();
    let new = device.current_key();
    let state = plane.state();
    assert_ne!(new, old);
    assert_eq!(state.last("/renew-cert").shown, Some(old));
    assert_eq!(state.last("/confirm").shown, Some(new));
    assert_eq!(state.count("/challenge"), 0);
    assert_eq!(state.active.as_ref().unwrap().spki(), new);
}

#[tokio::test]
async fn the_old_key_is_kept_until_the_confirmation_was_answered() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let old = device.enrolment().current.unwrap();
    plane.next("/confirm", Act::Answer(503, Vec::new(), refusal(503, "INTERNAL").1));
    let error = device.renewal().settle(Trigger::Asked).await.unwrap_err();
    assert_eq!(error.setback(), Setback::Outage { retry_after: None });
    let enrolment = device.enrolment();
    assert_eq!(enrolment.current.as_ref(), Some(&old));
    assert!(enrolment.pending.unwrap().certificate.is_some());

    device.renewal().settle(Trigger::Clock).await.unwrap();
    let yaml = device.yaml();
    let body = old.key.expose().lines().nth(1).unwrap();
    assert!(!yaml.contains(body), "the old key is gone");
    assert!(!yaml.contains("pending_"), "{yaml}");
    assert_eq!(plane.state().issued.len(), 2);
}

#[tokio::test]
async fn by_its_own_clock_from_two_thirds_of_the_life_on() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let outcome = device.renewal().settle(Trigger::Clock).await.unwrap();
    assert_eq!((outcome.renewed, plane.state().count("/renew-cert")), (None, 0));
    device.clock.advance(DAY * 59);
    assert_eq!(device.renewal().settle(Trigger::Clock).await.unwrap().renewed, None);
    // Two thirds and the whole of the spread.
    device.clock.advance(DAY * 4);
    assert!(device.renewal().settle(Trigger::Clock).await.unwrap().renewed.is_some());
    assert_eq!(plane.state().issued.len(), 2);
}

#[tokio::test]
async fn an_expired_certificate_is_renewed_by_challenge_without_showing_it() {
    let plane = ControlPlane::start().await;
    plane.change(|state| {
        state.lifetime = DAY;
        state.backdated = DAY * 2;
    });
    let device = Device::enrolled(&plane).await;
    plane.change(|state| {
        state.lifetime = DAY * 90;
        state.backdated = Duration::ZERO;
    });
    assert!(device.renewal().settle(Trigger::Clock).await.unwrap().renewed.is_some());
    let state = plane.state();
    assert_eq!(state.last("/challenge").shown, None);
    let renewal = state.last("/renew-cert");
    assert_eq!((renewal.shown, renewal.has_proof()), (None, true));
    assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
}

#[tokio::test]
async fn fails_closed_an_expiry_that_cannot_be_read_counts_as_past() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let mut config = device.config();
    if let Some(current) = config.enrolment.as_mut().unwrap().current.as_mut() {
        current.certificate.expires = "some day".to_owned();
    }
    device.disk.save(&config).unwrap();
    assert!(device.renewal().settle(Trigger::Clock).await.unwrap().renewed.is_some());
    assert_eq!(plane.state().last("/renew-cert").shown, None);
}

#[tokio::test]
async fn behind_something_that_ends_tls_a_signature_does_it() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.change(|state| state.is_behind_a_proxy = true);
    device.renewal().settle(Trigger::Asked).await.unwrap();
    let state = plane.state();
    assert!(state.last("/renew-cert").has_proof() && state.last("/confirm").has_proof());
    assert_eq!(state.issued.len(), 2);
    assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
}

#[tokio::test]
async fn a_first_certificate_is_asked_for_with_the_enrolled_key() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.issuing = Issuing::Off);
    let device = Device::enrolled(&plane).await;
    let error = device.renewal().settle(Trigger::Clock).await.unwrap_err();
    assert_eq!(error.setback(), Setback::Outage { retry_after: None });
    plane.change(|state| state.issuing = Issuing::On);
    device.renewal().settle(Trigger::Clock).await.unwrap();
    assert_eq!(device.current_key(), plane.state().active.as_ref().unwrap().spki());
    assert_eq!(plane.state().distinct_keys(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_taken() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let before = device.enrolment();
    plane.change(|state| state.certifies_another_key = true);
    let error = device.renewal().settle(Trigger::Asked).await.unwrap_err();
    assert!(matches!(error, RenewError::WrongKey), "{error:?}");
    assert_eq!(device.enrolment().current, before.current);
}

#[tokio::test]
async fn what_came_too_late_to_be_confirmed_is_dropped_and_asked_for_with_a_fresh_key() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.next("/confirm", Act::Answer(410, Vec::new(), refusal(410, "CONFIRM_WINDOW_OVER").1));
    device.renewal().settle(Trigger::Asked).await.unwrap();
    let state = plane.state();
    assert_eq!(state.distinct_keys(), 3);
    assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
}

#[tokio::test]
async fn a_key_that_was_activated_behind_our_back_is_kept() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let body = json!({ "error": "no", "code": "CERTIFICATE_STATE", "state": "expired" });
    plane.next("/confirm", Act::Answer(409, Vec::new(), body));
    device.renewal().settle(Trigger::Asked).await.unwrap();
    assert_eq!(device.current_key(), plane.state().pending.as_ref().unwrap().spki());
}

#[tokio::test]
async fn the_running_agent_renews_when_told_and_uses_the_new_certificate_at_once() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let old = device.current_key();
    let running = Running::run(&device.config_path(), ["--heartbeat-interval", "100ms"]);
    plane.until("a heartbeat", |state| state.count("/heartbeat") > 0).await;
    assert_eq!(plane.state().last("/heartbeat").shown, Some(old));
    plane.change(|state| {
        state.asks_for_renewal = true;
        state.renewal_turn = Some(SystemClock.now() + Duration::from_secs(3600));
    });
    let told = plane.state().count("/heartbeat");
    plane.until("two more heartbeats", |state| state.count("/heartbeat") > told + 2).await;
    assert_eq!(plane.state().issued.len(), 1, "others come first");
    plane.change(|state| state.renewal_turn = None);
    plane.until("a renewal", |state| state.active.as_ref().is_some_and(|active| active.spki() != old)).await;
    let new = plane.state().active.as_ref().unwrap().spki();
    plane
        .until("a heartbeat over it", |state| {
            state.seen.last().is_some_and(|seen| seen.is("/heartbeat") && seen.shown == Some(new))
        })
        .await;
    let (status, log) = running.terminate().await;
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("certificate renewed") && log.contains("agent stopped"), "{log}");
    assert!(!log.contains("brz_") && !log.contains("PRIVATE KEY"), "{log}");
    assert_eq!(plane.state().issued.len(), 2);
}
