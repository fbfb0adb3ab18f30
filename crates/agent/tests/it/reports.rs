//! What `status` says of a running agent, to people and to scripts.

use countersign_agent::state::StateFile;
use serde_json::Value;

use crate::agent_process::{Running, command, enrolled, output, text};
use crate::control_plane::ControlPlane;
use crate::device::Device;

const FLAGS: [&str; 4] = ["--heartbeat-interval", "100ms", "--retry-base", "100ms"];

async fn status(device: &Device, flags: &[&str]) -> String {
    let mut status = command(&device.config_path());
    status.arg("status").args(flags);
    let ran = output(status).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    text(&ran.stdout)
}

async fn json(device: &Device) -> Value {
    serde_json::from_str(&status(device, &["--json"]).await).unwrap()
}

#[tokio::test]
async fn a_person_sees_that_all_is_well_and_a_script_does() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.has_sockets = true);
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    assert!(json(&device).await.get("agent").is_none(), "no agent has run");
    assert!(status(&device, &[]).await.contains("not running"));

    let running = Running::run(&device.config_path(), FLAGS);
    let file = StateFile::beside(&device.config_path());
    let is_well = || {
        file.read().is_some_and(|state| {
            state.last_contact_at.is_some()
                && state.connection == countersign_agent::channel::ConnectionState::Open
        })
    };
    plane.until_true("it says that all is well", is_well).await;
    let page = status(&device, &[]).await;
    for words in [
        "ws-01 (",
        &plane.url(),
        "valid until",
        "in 89 days",
        "running, version",
        "open, since",
        "seconds ago",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let found = json(&device).await;
    assert_eq!((&found["agent"]["running"], &found["agent"]["connection"]), (&true.into(), &"open".into()));
    assert_eq!(found["certificate"], "valid");
    running.kill();
    let found = json(&device).await;
    assert_eq!(found["agent"]["running"], false, "a killed agent does not run");
    assert!(status(&device, &[]).await.contains("not running"));
}

#[tokio::test]
async fn a_quarantine_says_what_to_do() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    plane.change(|state| state.is_quarantined = true);
    let _running = Running::run(&device.config_path(), FLAGS);
    let file = StateFile::beside(&device.config_path());
    plane.until_true("it knows", || file.read().is_some_and(|state| state.quarantined_since.is_some())).await;
    let page = status(&device, &[]).await;
    assert!(page.contains("An admin has to approve this device"), "{page}");
}

#[tokio::test]
async fn an_outage_is_named() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    plane.change(|state| state.is_enrolled = false);
    let _running = Running::run(&device.config_path(), FLAGS);
    let file = StateFile::beside(&device.config_path());
    plane.until_true("it knows", || file.read().is_some_and(|state| state.last_failure.is_some())).await;
    let page = status(&device, &[]).await;
    assert!(page.contains("Last failure") && page.contains("UNAUTHORIZED"), "{page}");
}

#[tokio::test]
async fn two_agents_do_not_run_with_one_configuration() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let _running = Running::run(&device.config_path(), FLAGS);
    plane.until("it runs", |state| state.count("/heartbeat") >= 1).await;
    let mut second = command(&device.config_path());
    second.arg("run");
    let ran = output(second).await;
    assert_eq!(ran.status.code(), Some(1));
    let said = text(&ran.stderr);
    assert!(said.contains("another agent is running") && said.contains("hint: stop that one"), "{said}");
}
