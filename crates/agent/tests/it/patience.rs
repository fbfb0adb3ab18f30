//! Outages, overload, lost trust, and clocks that are set.

use std::time::Duration;

use countersign_testkit::vacant_address;
use tokio::time::Instant;

use crate::agent_process::{Running, command, output, text};
use crate::control_plane::{Act, ControlPlane, refusal};
use crate::device::Device;
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);

#[tokio::test]
async fn not_before_the_time_that_the_server_asked_for() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let wait = vec![("retry-after", "2".to_owned())];
    plane.next("/heartbeat", Act::Answer(429, wait, refusal(429, "RATE_LIMITED").1));
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("a second heartbeat", |state| state.count("/heartbeat") >= 2).await;
    agent.stop().await;
    let times: Vec<Instant> =
        plane.state().seen.iter().filter(|seen| seen.is("/heartbeat")).map(|seen| seen.at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(2), "{:?}", times[1] - times[0]);
}

#[tokio::test]
async fn overload_and_garbage_are_outlasted() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    for _ in 0..3 {
        plane.next("/heartbeat", Act::Answer(503, Vec::new(), serde_json::Value::Null));
    }
    plane.next("/heartbeat", Act::Answer(200, Vec::new(), serde_json::json!("not a heartbeat")));
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("it goes on", |state| state.count("/heartbeat") >= 7).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_found() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let mut config = device.config();
    config.server = format!("https://{}", vacant_address()).parse().unwrap();
    device.disk.save(&config).unwrap();
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    config.server = plane.url().parse().unwrap();
    device.disk.save(&config).unwrap();
    plane.until("a heartbeat", |state| state.count("/heartbeat") >= 1).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_unknown_device_keeps_its_configuration_and_says_so() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let before = device.yaml();
    plane.change(|state| state.is_enrolled = false);
    let flags = ["--heartbeat-interval", "100ms", "--retry-base", "100ms"];
    let running = Running::run(&device.config_path(), flags);
    plane.until("it asks again", |state| state.count("/heartbeat") >= 3).await;
    let (status, log) = running.terminate().await;
    assert!(status.success(), "{status}");
    assert!(log.contains("ERROR") && log.contains("does not admit this device any more"), "{log}");
    assert_eq!(device.yaml(), before);
}

#[tokio::test]
async fn a_clock_that_is_set_ends_every_wait() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    plane.change(|state| state.is_quarantined = true);
    // The first wait is half a minute at least.
    let agent = InProcess::start(&device, timing(OFTEN, Duration::from_secs(60)));
    plane.until("it learns of the quarantine", |state| state.count("/challenge") >= 1).await;
    let (asked, began) = (plane.state().count("/challenge"), Instant::now());
    device.clock.advance(Duration::from_secs(3 * 3600));
    plane.until("it asks at once", |state| state.count("/challenge") > asked).await;
    assert!(began.elapsed() < Duration::from_secs(25));
    agent.stop().await;
}

#[tokio::test]
async fn renews_by_the_time_of_day_without_being_told() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let old = device.current_key();
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("a heartbeat", |state| state.count("/heartbeat") >= 1).await;
    device.clock.advance(Duration::from_secs(63 * 86_400));
    plane.until("a renewal", |state| state.active.as_ref().is_some_and(|active| active.spki() != old)).await;
    agent.stop().await;
}

#[tokio::test]
async fn what_the_server_calls_expired_is_renewed_whatever_our_clock_says() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let old = device.current_key();
    plane.next("/heartbeat", Act::Answer(403, Vec::new(), refusal(403, "CERTIFICATE_EXPIRED").1));
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("a renewal", |state| state.active.as_ref().is_some_and(|active| active.spki() != old)).await;
    agent.stop().await;
    assert!(plane.state().last("/renew-cert").has_proof());
}

#[tokio::test]
async fn without_an_enrolment_there_is_nothing_to_run() {
    let device = Device::new();
    let mut run = command(&device.config_path());
    run.arg("run");
    let output = output(run).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("hint: enrol first"), "{}", text(&output.stderr));
}
