//! The CA certificates: reported by their hash, and replaced only by ones that hold.

use std::time::Duration;

use countersign_agent::trust::bundle_hash;
use countersign_core::TrustDomain;
use countersign_testkit::TestCa;

use crate::control_plane::ControlPlane;
use crate::device::Device;
use crate::in_process::{InProcess, timing};

const OFTEN: Duration = Duration::from_millis(100);

fn reports(plane: &ControlPlane, hash: &str) -> bool {
    plane.state().seen.iter().any(|seen| seen.is("/heartbeat") && seen.body["trustBundle"] == hash)
}

#[tokio::test]
async fn what_the_control_plane_serves_is_taken_over_and_reported() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    // The next root beside this one, as before a change of roots.
    let next = TestCa::new(TrustDomain::DEFAULT);
    let bundle = format!("{}{}", plane.ca.root_pem(), next.root_pem());
    plane.change(|state| state.trust_bundle = Some(bundle.clone()));
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until_true("it is reported", || reports(&plane, &bundle_hash(&bundle))).await;
    agent.stop().await;
    assert_eq!(device.config().ca_pem, Some(bundle));
}

#[tokio::test]
async fn a_bundle_that_would_lock_the_device_out_is_not_taken_over() {
    for bundle in [TestCa::new(TrustDomain::DEFAULT).root_pem(), String::new(), "no PEM".to_owned()] {
        let plane = ControlPlane::start().await;
        let device = Device::enrolled(&plane).await;
        let before = device.config().ca_pem;
        plane.change(|state| state.trust_bundle = Some(bundle.clone()));
        let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
        plane.until("it was fetched again and again", |state| state.count("/trust-bundle") >= 2).await;
        plane.until("it is served", |state| state.count("/heartbeat") >= 3).await;
        agent.stop().await;
        assert_eq!(device.config().ca_pem, before, "{bundle}");
        assert!(!reports(&plane, &bundle_hash(&bundle)));
    }
}

#[tokio::test]
async fn a_change_is_asked_for_as_soon_as_a_heartbeat_tells_of_it() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN));
    plane.until("they were compared", |state| state.count("/trust-bundle") == 1).await;
    let beats = plane.state().count("/heartbeat");
    plane.until("no more is asked", |state| state.count("/heartbeat") >= beats + 3).await;
    assert_eq!(plane.state().count("/trust-bundle"), 1, "they are compared every few hours");

    let bundle = format!("{}{}", plane.ca.root_pem(), TestCa::new(TrustDomain::DEFAULT).root_pem());
    plane.change(|state| state.trust_bundle = Some(bundle.clone()));
    plane.until_true("it is reported", || reports(&plane, &bundle_hash(&bundle))).await;
    agent.stop().await;
    assert_eq!(device.config().ca_pem, Some(bundle));
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_not_asked_for_with_every_heartbeat() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let agent = InProcess::start(&device, timing(OFTEN, OFTEN * 36_000));
    plane.until("they were compared", |state| state.count("/trust-bundle") == 1).await;
    let other = TestCa::new(TrustDomain::DEFAULT).root_pem();
    plane.change(|state| state.trust_bundle = Some(other));
    plane.until("it is asked for", |state| state.count("/trust-bundle") == 2).await;
    let beats = plane.state().count("/heartbeat");
    plane.until("it is told again and again", |state| state.count("/heartbeat") >= beats + 5).await;
    agent.stop().await;
    assert_eq!(plane.state().count("/trust-bundle"), 2);
}
