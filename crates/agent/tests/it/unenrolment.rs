//! `unenroll`: the control plane is told first, and then nothing is left; or nothing happens.

use std::process::Output;

use countersign_core::time::SystemClock;

use crate::agent_process::{Running, command, enrolled, output, text};
use crate::control_plane::{Act, ControlPlane, refusal};
use crate::device::Device;

async fn unenroll(device: &Device, flags: &[&str]) -> Output {
    let mut unenroll = command(&device.config_path());
    unenroll.arg("unenroll").args(flags);
    output(unenroll).await
}

fn left(device: &Device) -> Vec<String> {
    let folder = device.config_path();
    let entries = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn the_device_is_decommissioned_and_nothing_is_left() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let ran = unenroll(&device, &["--yes"]).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let said = text(&ran.stdout);
    assert!(said.starts_with("Unenrolled ws-01 (device ") && said.contains("removed"), "{said}");
    assert!(!plane.state().is_enrolled);
    assert!(left(&device).is_empty(), "{:?}", left(&device));

    let again = unenroll(&device, &["--yes"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("has not enrolled"), "{}", text(&again.stderr));
}

#[tokio::test]
async fn without_a_terminal_it_has_to_be_said() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let before = device.yaml();
    let ran = unenroll(&device, &[]).await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stderr).contains("--yes"), "{}", text(&ran.stderr));
    assert_eq!((plane.state().is_enrolled, device.yaml()), (true, before));
}

#[tokio::test]
async fn what_the_control_plane_has_not_agreed_to_removes_nothing() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let before = device.yaml();
    let path = "ab".repeat(32);
    let path: &'static str = path.leak();
    for _ in 0..2 {
        plane.next(path, Act::Answer(401, Vec::new(), refusal(401, "UNAUTHORIZED").1));
    }
    let ran = unenroll(&device, &["--yes"]).await;
    assert_eq!(ran.status.code(), Some(1));
    let said = text(&ran.stderr);
    assert!(said.contains("nothing was removed") && said.contains("--offline"), "{said}");
    assert_eq!(device.yaml(), before);
}

#[tokio::test]
async fn offline_removes_the_files_and_says_that_the_server_still_knows_the_device() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let asked = plane.state().seen.len();
    let ran = unenroll(&device, &["--yes", "--offline"]).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("still knows ws-01"), "{}", text(&ran.stdout));
    assert!(left(&device).is_empty(), "{:?}", left(&device));
    assert_eq!(plane.state().seen.len(), asked);
}

#[tokio::test]
async fn the_files_stay_when_asked_to() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let before = device.yaml();
    let ran = unenroll(&device, &["--yes", "--keep-files", "--json"]).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&report["server_told"], &report["files_removed"]), (&true.into(), &false.into()));
    assert_eq!((plane.state().is_enrolled, device.yaml()), (false, before));
}

#[tokio::test]
async fn behind_a_proxy_the_key_is_proved_by_a_signature() {
    let plane = ControlPlane::start().await;
    plane.change(|state| state.is_behind_a_proxy = true);
    let device = Device::enrolled(&plane).await;
    let connect = crate::device::connect();
    countersign_agent::unenrol::unenrol(
        &device.disk,
        &SystemClock,
        connect,
        countersign_agent::unenrol::Files::Remove,
    )
    .await
    .unwrap();
    assert!(plane.state().seen.last().unwrap().has_proof());
    assert!(left(&device).is_empty());
}

#[tokio::test]
async fn a_running_agent_ends_by_itself() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let flags = ["--heartbeat-interval", "100ms", "--retry-base", "100ms"];
    let running = Running::run(&device.config_path(), flags);
    plane.until("it is running", |state| state.count("/heartbeat") >= 1).await;
    let ran = unenroll(&device, &["--yes"]).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let (status, log) = running.ended().await;
    assert!(status.success() && log.contains("this device was unenrolled"), "{status}: {log}");
    assert!(left(&device).is_empty(), "{:?}", left(&device));
}
