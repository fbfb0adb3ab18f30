//! A new bearer token: staged, confirmed, and whole whenever the agent is killed.

use std::sync::Arc;
use std::time::Duration;

use countersign_agent::disk::Disk;
use countersign_agent::token::TokenRotation;
use countersign_core::time::Clock;
use countersign_testkit::ManualClock;

use crate::control_plane::{Act, ControlPlane, TOKEN, refusal};
use crate::device::{Device, connect};
use crate::dying_disk::{DyingDisk, Moment};
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);

fn rotation(device: &Device, disk: &Arc<dyn Disk>) -> TokenRotation {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&device.clock);
    TokenRotation::new(Arc::clone(disk), clock, connect())
}

/// The device has the token that counts, and no other.
fn assert_settled(plane: &ControlPlane, device: &Device, case: &str) {
    let enrolment = device.enrolment();
    assert_eq!(enrolment.token.expose(), plane.state().token, "{case}");
    assert!(enrolment.next_token.is_none(), "{case}");
    assert_ne!(enrolment.token.expose(), TOKEN, "{case}");
}

#[tokio::test]
async fn a_rotation_killed_at_any_write_is_finished_by_the_running_agent() {
    // The writes of a rotation: the new token beside the old, and in its place.
    for write in 0..2 {
        for moment in [Moment::Before, Moment::After] {
            let plane = ControlPlane::start().await;
            let device = Device::enrolled(&plane).await;
            let dying = DyingDisk::new(Arc::clone(&device.disk), write, moment);
            let disk: Arc<dyn Disk> = Arc::<DyingDisk>::clone(&dying);
            let case = format!("write {write} {moment:?}");
            rotation(&device, &disk).rotate().await.unwrap_err();
            assert!(dying.is_dead(), "{case}");
            let is_staged = device.enrolment().next_token.is_some();
            assert_eq!(
                is_staged,
                (write, moment) != (0, Moment::Before) && (write, moment) != (1, Moment::After)
            );

            // Asking twice is asking once; the agent has to be served in any case.
            let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
            plane.until("it is served", |state| state.count("/heartbeat") >= 2).await;
            agent.stop().await;
            assert!(device.enrolment().next_token.is_none(), "{case}");
            assert_eq!(device.enrolment().token.expose(), plane.state().token, "{case}");
            rotation(&device, &device.disk).rotate().await.unwrap();
            assert_settled(&plane, &device, &case);
        }
    }
}

#[tokio::test]
async fn a_command_sets_one_off_and_is_answered_with_the_new_token() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.has_sockets = true);
    let device = Device::enrolled(&plane).await;
    let id = plane.command("rotate_token");
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("an answer", |state| state.results.len() == 1).await;
    assert_eq!(plane.state().result(&id).unwrap()["status"], "completed");
    assert_settled(&plane, &device, "by command");
    let heard = plane.state().result(&id).unwrap().to_string();
    assert!(!heard.contains("brz_"), "{heard}");

    // The control plane closes the WebSocket of the old token; the next one comes with the new.
    plane.until("it is connected", |state| !state.sockets.is_empty()).await;
    let sockets = plane.state().sockets.len();
    plane.state().sockets[sockets - 1].close(4001);
    plane.until("it connects again", |state| state.sockets.len() > sockets).await;
    agent.stop().await;
    let state = plane.state();
    assert_eq!(state.last("/ws").token.as_ref(), Some(&state.token));
}

#[tokio::test]
async fn where_no_certificate_is_seen_the_key_is_proved_by_a_signature() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.is_behind_a_proxy = true);
    let device = Device::enrolled(&plane).await;
    rotation(&device, &device.disk).rotate().await.unwrap();
    assert_settled(&plane, &device, "behind a proxy");
    assert!(plane.state().last("/rotate-token").has_proof());
}

#[tokio::test]
async fn an_expired_certificate_is_not_shown() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    device.clock.advance(Duration::from_secs(91 * 86_400));
    rotation(&device, &device.disk).rotate().await.unwrap();
    assert_settled(&plane, &device, "expired");
    assert_eq!(plane.state().last("/rotate-token").shown, None);
    assert_eq!(plane.state().last("/rotate-token/confirm").shown, None);
}

#[tokio::test]
async fn a_token_that_can_no_longer_be_confirmed_is_dropped_and_the_old_one_goes_on() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.next("/rotate-token/confirm", Act::Answer(401, Vec::new(), refusal(401, "UNAUTHORIZED").1));
    rotation(&device, &device.disk).rotate().await.unwrap_err();
    assert_eq!((device.enrolment().token.expose(), device.enrolment().next_token), (TOKEN, None));

    // What has no code was not said by a control plane, and is not believed.
    plane.next("/rotate-token/confirm", Act::Answer(401, Vec::new(), serde_json::json!("captive portal")));
    rotation(&device, &device.disk).rotate().await.unwrap_err();
    assert!(device.enrolment().next_token.is_some());
    rotation(&device, &device.disk).finish().await.unwrap();
    assert_settled(&plane, &device, "finished");
}

#[tokio::test]
async fn there_is_nothing_to_finish_when_nothing_was_begun() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let before = device.yaml();
    rotation(&device, &device.disk).finish().await.unwrap();
    assert_eq!((device.yaml(), plane.state().count("/rotate-token/confirm")), (before, 0));
}
