//! SIGKILL of the real binary while the control plane keeps it waiting.

use crate::agent_process::{Running, command, enroll, enrolled, output, text};
use crate::control_plane::{Act, ControlPlane};
use crate::device::Device;

/// Kills `renew` while it waits for the answer of `endpoint`, then lets it finish.
async fn killed_at(endpoint: &'static str, act: Act) -> (std::sync::Arc<ControlPlane>, Device) {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let config = device.config_path();
    enrolled(&config, &plane).await;
    plane.next(endpoint, act);
    let renew = || {
        let mut renew = command(&config);
        renew.arg("renew");
        renew
    };
    let before = plane.state().count(endpoint);
    let running = Running::start(renew());
    plane.until("the agent asks", |state| state.count(endpoint) > before).await;
    running.kill();
    let output = output(renew()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("mTLS certificate renewed (expires: "));
    (plane, device)
}

#[tokio::test]
async fn killed_while_a_renewal_is_answered_the_agent_asks_again_with_the_same_key() {
    for act in [Act::Hang, Act::DoAndHang] {
        let (plane, device) = killed_at("/renew-cert", act).await;
        let state = plane.state();
        assert_eq!(state.issued.len(), 2, "one at enrolment, one renewed");
        assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
    }
}

#[tokio::test]
async fn killed_while_a_confirmation_is_answered_the_agent_confirms_again() {
    for act in [Act::Hang, Act::DoAndHang] {
        let (plane, device) = killed_at("/confirm", act).await;
        let state = plane.state();
        assert_eq!(state.issued.len(), 2, "one at enrolment, one renewed");
        assert!(state.pending.is_none());
        assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
    }
}

#[tokio::test]
async fn killed_before_an_enrolment_is_done_the_agent_enrols_with_the_same_key() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let config = device.config_path();
    plane.next("enroll", Act::Hang);
    let running = Running::start(enroll(&config, &plane, "key"));
    plane.until("the agent enrols", |state| state.count("enroll") == 1).await;
    running.kill();
    let saved = crate::device::public_key(&device.config().started.unwrap().key);
    enrolled(&config, &plane).await;
    assert_eq!(device.current_key(), saved);
}
