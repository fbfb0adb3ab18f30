//! New settings come with a heartbeat's answer: taken over, kept, and echoed.

use std::time::Duration;

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::device::Device;
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);

#[tokio::test]
async fn new_settings_are_kept_and_echoed() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    assert_eq!(device.enrolment().settings_version, Some(1));
    let settings =
        json!({ "heartbeatIntervalSeconds": 75, "metricsCollectionIntervalSeconds": 20, "version": 4 });
    plane.change(|state| state.settings = Some(settings));
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane
        .until("they are echoed", |state| {
            state.seen.iter().any(|seen| seen.is("/heartbeat") && seen.body["configVersion"] == 4)
        })
        .await;
    agent.stop().await;
    let enrolment = device.enrolment();
    assert_eq!(enrolment.heartbeat_interval, Duration::from_secs(75));
    assert_eq!(enrolment.metrics_interval, Duration::from_secs(20));
    assert_eq!(enrolment.settings_version, Some(4));
}

#[tokio::test]
async fn the_next_heartbeat_comes_as_they_say() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let settings =
        json!({ "heartbeatIntervalSeconds": 1, "metricsCollectionIntervalSeconds": 5, "version": 2 });
    plane.change(|state| state.settings = Some(settings));
    let agent =
        InProcess::start(&device, countersign_agent::run::Timing { heartbeat: None, ..timing(OFTEN, OFTEN) });
    // Enrolled with a minute; this test does not wait a minute.
    plane.until("it is quicker now", |state| state.count("/heartbeat") >= 3).await;
    agent.stop().await;
}

#[tokio::test]
async fn measurements_are_sent_as_often_as_they_say() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("heartbeats", |state| state.count("/heartbeat") >= 3).await;
    agent.stop().await;
    let state = plane.state();
    let beats: Vec<_> = state.seen.iter().filter(|seen| seen.is("/heartbeat")).collect();
    let metrics = &beats[0].body["metrics"];
    assert!(metrics["memoryTotalBytes"].as_u64().unwrap() > 0, "{metrics}");
    assert!(metrics["uptimeSeconds"].as_u64().unwrap() > 0, "{metrics}");
    assert!(beats[0].body["ipAddresses"].is_array());
    assert!(beats[1].body.get("metrics").is_none(), "not within thirty seconds of the last ones");
}
