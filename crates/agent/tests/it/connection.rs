//! The WebSocket: commands over it, what ends it, and what does not.

use std::time::Duration;

use serde_json::json;

use countersign_agent::channel::ConnectionState;
use countersign_agent::run::Timing;
use countersign_agent::state::StateFile;

use crate::control_plane::{Act, ControlPlane, State};
use crate::credentials::command;
use crate::device::Device;
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// An agent that says by WebSocket what it says: between the first and the next heartbeat is an hour.
async fn connected() -> (std::sync::Arc<ControlPlane>, Device, InProcess) {
    connected_with(OFTEN).await
}

/// The same, with this as its first slow wait.
async fn connected_with(retry: Duration) -> (std::sync::Arc<ControlPlane>, Device, InProcess) {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.has_sockets = true);
    let device = Device::enrolled(&plane).await;
    let agent = InProcess::start(&device, timing(NEVER, retry));
    plane.until("it connects", |state| state.sockets.len() == 1).await;
    (plane, device, agent)
}

fn of_type<'a>(state: &'a State, kind: &'a str) -> impl Iterator<Item = &'a serde_json::Value> {
    state.frames.iter().filter(move |frame| frame["type"] == kind)
}

/// How `status` would say that the WebSocket stands.
async fn stands(plane: &ControlPlane, device: &Device, expected: ConnectionState) {
    let file = StateFile::beside(&device.config_path());
    plane
        .until_true("the state file says it", || {
            file.read().is_some_and(|state| state.connection == expected)
        })
        .await;
}

#[tokio::test]
async fn a_pushed_command_is_acknowledged_and_answered() {
    let (plane, device, agent) = connected().await;
    let command = command("ping");
    plane.state().sockets[0].command(&command);
    plane.until("a result", |state| state.results.len() == 1).await;
    stands(&plane, &device, ConnectionState::Open).await;
    agent.stop().await;
    plane.until("it says goodbye", |state| state.sockets[0].is_over).await;
    let state = plane.state();
    assert_eq!(of_type(&state, "ack").next().unwrap()["id"], command["id"]);
    assert_eq!(state.result(&command["id"]).unwrap()["status"], "completed");
    assert_eq!(state.count("/result"), 0, "nothing by HTTP");
    assert_eq!(state.sockets[0].shown, Some(device.current_key()));
}

#[tokio::test]
async fn words_that_are_not_known_and_frames_that_cannot_be_read_change_nothing() {
    let (plane, _device, agent) = connected().await;
    for frame in [json!({ "type": "weather" }), json!([]), json!({ "type": "command" })] {
        plane.state().sockets[0].say(&frame);
    }
    plane.state().sockets[0].ping();
    plane.until("the ping is answered", |state| state.sockets[0].pongs == 1).await;
    plane.state().sockets[0].command(&command("ping"));
    plane.until("a result", |state| state.results.len() == 1).await;
    agent.stop().await;
    assert_eq!(plane.state().sockets.len(), 1);
}

#[tokio::test]
async fn a_result_is_repeated_until_it_is_recorded() {
    let (plane, _device, agent) = connected().await;
    plane.change(|state| state.keeps_results = false);
    let command = command("renew_certificate");
    plane.state().sockets[0].command(&command);
    plane.until("a result", |state| of_type(state, "result").count() == 1).await;
    // Lost with the connection.
    plane.state().sockets[0].close(4008);
    plane.until("it connects again", |state| state.sockets.len() == 2).await;
    plane.until("the result again", |state| of_type(state, "result").count() >= 2).await;
    plane.change(|state| state.keeps_results = true);
    plane.state().sockets[1].command(&command);
    plane.until("it is recorded", |state| state.results.len() == 1).await;
    agent.stop().await;
    assert_eq!(plane.state().issued.len(), 2, "renewed once, whatever was repeated");
}

#[tokio::test]
async fn a_renewal_leaves_it_alone_and_the_next_one_shows_the_new_certificate() {
    let (plane, device, agent) = connected().await;
    let old = device.current_key();
    plane.state().sockets[0].command(&command("renew_certificate"));
    plane.until("a result", |state| state.results.len() == 1).await;
    let new = device.current_key();
    assert_ne!(new, old);
    plane.state().sockets[0].command(&command("ping"));
    plane.until("a result over the same one", |state| state.results.len() == 2).await;
    assert!(!plane.state().sockets[0].is_over);
    plane.state().sockets[0].close(1001);
    plane.until("it connects again", |state| state.sockets.len() == 2).await;
    agent.stop().await;
    assert_eq!(plane.state().sockets[0].shown, Some(old));
    assert_eq!(plane.state().sockets[1].shown, Some(new));
}

#[tokio::test]
async fn one_that_falls_silent_is_replaced() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.has_sockets = true);
    let device = Device::enrolled(&plane).await;
    let timing = Timing { silence: Duration::from_millis(200), ..timing(NEVER, OFTEN) };
    let agent = InProcess::start(&device, timing);
    plane.until("another one", |state| state.sockets.len() >= 2 && state.sockets[0].is_over).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_device_that_is_not_authorised_any_more_asks_why_and_says_so() {
    let (plane, device, agent) = connected_with(NEVER).await;
    let beats = plane.state().count("/heartbeat");
    plane.state().sockets[0].close(4001);
    stands(&plane, &device, ConnectionState::Unauthorized).await;
    plane.until("it asks why", |state| state.count("/heartbeat") > beats).await;
    agent.stop().await;
    assert_eq!(plane.state().sockets.len(), 1, "it does not try again at once");
}

#[tokio::test]
async fn a_device_whose_place_is_taken_waits_and_says_so() {
    let (plane, device, agent) = connected_with(NEVER).await;
    plane.state().sockets[0].close(4002);
    stands(&plane, &device, ConnectionState::Superseded).await;
    agent.stop().await;
    assert_eq!(plane.state().sockets.len(), 1, "it does not try again at once");
}

#[tokio::test]
async fn whoever_has_to_wait_tries_again_after_it() {
    for code in [4001, 4002] {
        let (plane, _device, agent) = connected().await;
        plane.state().sockets[0].close(code);
        plane.until("it tries again", |state| state.sockets.len() == 2).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_quarantined_device_asks_by_renewal_and_connects_once_approved() {
    let (plane, device, agent) = connected().await;
    plane.change(|state| {
        state.is_quarantined = true;
        state.sockets[0].close(4041);
    });
    plane.until("it asks", |state| state.count("/challenge") >= 2).await;
    stands(&plane, &device, ConnectionState::Quarantined).await;
    assert_eq!(plane.state().count("/ws"), 1, "a quarantined device does not try to connect");
    plane.change(|state| state.is_quarantined = false);
    plane.until("it connects", |state| state.sockets.len() == 2).await;
    agent.stop().await;
    assert_eq!(plane.state().sockets[1].shown, Some(device.current_key()));
}

#[tokio::test]
async fn an_older_control_plane_gets_heartbeats() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("heartbeats", |state| state.count("/heartbeat") >= 5 && state.count("/ws") >= 1).await;
    stands(&plane, &device, ConnectionState::Unsupported).await;
    agent.stop().await;
    assert_eq!(plane.state().count("/ws"), 1, "it is not asked again and again");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let plane = ControlPlane::start().await;
    let other = ControlPlane::start_under(plane.ca.clone()).await;
    for plane in [&plane, &other] {
        plane.change(|state| state.has_sockets = true);
    }
    let device = Device::enrolled(&plane).await;
    for location in [format!("{}/api/v1/agents/x/ws", other.url()), "/elsewhere".to_owned()] {
        plane.next("/ws", Act::Answer(307, vec![("location", location)], serde_json::Value::Null));
    }
    let agent = InProcess::start(&device, timing(NEVER, OFTEN));
    plane.until("it connects", |state| state.sockets.len() == 1).await;
    agent.stop().await;
    assert_eq!(other.state().seen.len(), 0);
    assert_eq!(plane.state().count("/elsewhere"), 0);
}
