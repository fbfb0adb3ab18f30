//! Commands that come by heartbeat: carried out once, and answered until the answer is kept.

use std::time::Duration;

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::device::Device;
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);

#[tokio::test]
async fn commands_are_carried_out_and_answered() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let (ping, facts, refresh, unknown) = (
        plane.command("ping"),
        plane.command("collect_facts"),
        plane.command("refresh_config"),
        plane.command("make_coffee"),
    );
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("four results", |state| state.results.len() == 4).await;
    agent.stop().await;
    let state = plane.state();
    let result = |id| state.result(id).unwrap().clone();
    assert_eq!(result(&ping)["status"], "completed");
    assert_eq!(result(&refresh)["result"], json!({ "configVersion": 1 }));
    let facts = result(&facts);
    assert_eq!((&facts["status"], &facts["result"]["hostname"]), (&json!("completed"), &json!("ws-01")));
    for name in ["osType", "agentVersion", "certificateExpiresAt", "ipAddresses", "collectedAt"] {
        assert!(!facts["result"][name].is_null(), "{name} in {facts}");
    }
    assert_eq!(result(&unknown)["status"], "failed");
    assert!(result(&unknown)["error"].as_str().unwrap().contains("make_coffee"));
}

#[tokio::test]
async fn facts_hold_no_secret() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let id = plane.command("collect_facts");
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("the facts", |state| state.results.len() == 1).await;
    agent.stop().await;
    let facts = plane.state().result(&id).unwrap().to_string();
    assert!(!facts.contains("brz_") && !facts.contains("KEY") && !facts.contains(&plane.state().token));
}

#[tokio::test]
async fn a_command_whose_result_is_lost_is_answered_again_and_not_carried_out_again() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.change(|state| state.keeps_results = false);
    let id = plane.command("renew_certificate");
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("it is answered several times", |state| state.count("/result") >= 3).await;
    plane.change(|state| state.keeps_results = true);
    plane.until("the result is kept", |state| state.results.len() == 1).await;
    let posted = plane.state().count("/result");
    let beats = plane.state().count("/heartbeat");
    plane.until("heartbeats go on", |state| state.count("/heartbeat") >= beats + 3).await;
    agent.stop().await;
    let state = plane.state();
    assert_eq!(state.count("/result"), posted, "a result that is kept is not repeated");
    assert_eq!(state.issued.len(), 2, "one certificate at enrolment, one as told");
    let expires = state.active.as_ref().unwrap().expires;
    assert_eq!(state.result(&id).unwrap()["result"]["certificateExpiresAt"], json!(expires));
}

#[tokio::test]
async fn a_renewal_that_fails_is_answered_with_why_and_goes_on_by_itself() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.change(|state| state.issuing = crate::control_plane::Issuing::Off);
    let id = plane.command("renew_certificate");
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("an answer", |state| state.results.len() == 1).await;
    let result = plane.state().result(&id).unwrap().clone();
    assert_eq!(result["status"], "failed");
    assert!(result["error"].as_str().unwrap().contains("ISSUER_UNAVAILABLE"), "{result}");
    plane.change(|state| state.issuing = crate::control_plane::Issuing::On);
    plane.until("a renewal", |state| state.issued.len() == 2 && state.pending.is_none()).await;
    agent.stop().await;
}
