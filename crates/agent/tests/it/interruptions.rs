//! Killed at any write: what was begun is finished, with the same key and without a second
//! certificate.

use std::sync::Arc;
use std::time::Duration;

use countersign_agent::disk::Disk;
use countersign_agent::enrol::{Former, Trust};
use countersign_agent::renew::Trigger;

use crate::control_plane::{ControlPlane, Issuing};
use crate::device::{Device, enrol_on, renewal_on};
use crate::dying_disk::{DyingDisk, Moment};

const DAY: Duration = Duration::from_secs(86_400);

/// A device whose certificate is due for renewal by its own clock; the next one will not be.
async fn due(plane: &ControlPlane) -> Device {
    plane.change(|state| state.lifetime = DAY * 9);
    let device = Device::enrolled(plane).await;
    plane.change(|state| state.lifetime = DAY * 900);
    device.clock.advance(DAY * 8);
    device
}

#[tokio::test]
async fn a_renewal_killed_at_any_write_goes_on_with_the_same_key() {
    // The writes of a renewal: the key, the certificate, the end.
    for write in 0..3 {
        for moment in [Moment::Before, Moment::After] {
            let plane = ControlPlane::start().await;
            let device = due(&plane).await;
            let old = device.current_key();
            let dying = DyingDisk::new(Arc::clone(&device.disk), write, moment);
            let disk: Arc<dyn Disk> = Arc::<DyingDisk>::clone(&dying);
            let killed = renewal_on(&disk, &device.clock).settle(Trigger::Clock).await;
            assert!(killed.is_err() && dying.is_dead(), "write {write} {moment:?}: {killed:?}");

            let outcome = device.renewal().settle(Trigger::Clock).await.unwrap();
            let state = plane.state();
            let case = format!("write {write} {moment:?}");
            assert_eq!(state.issued.len(), 2, "{case}: one at enrolment, one renewed");
            assert_eq!(state.revoked.len(), 0, "{case}");
            assert!(state.pending.is_none(), "{case}: confirmed");
            assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki(), "{case}");
            assert_ne!(device.current_key(), old, "{case}");
            assert!(device.enrolment().pending.is_none(), "{case}");
            assert!(outcome.next.is_some(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_first_issue_killed_at_any_write_goes_on_with_the_enrolled_key() {
    for write in 0..2 {
        for moment in [Moment::Before, Moment::After] {
            let plane = ControlPlane::start().await;
            plane.change(|state| state.issuing = Issuing::Off);
            let device = Device::enrolled(&plane).await;
            plane.change(|state| state.issuing = Issuing::On);
            let dying = DyingDisk::new(Arc::clone(&device.disk), write, moment);
            let disk: Arc<dyn Disk> = dying;
            renewal_on(&disk, &device.clock).settle(Trigger::Clock).await.unwrap_err();
            device.renewal().settle(Trigger::Clock).await.unwrap();
            let state = plane.state();
            assert_eq!(state.issued.len(), 1, "write {write} {moment:?}");
            assert_eq!(device.current_key(), state.active.as_ref().unwrap().spki());
        }
    }
}

#[tokio::test]
async fn an_enrolment_killed_at_any_write_loses_nothing_that_can_be_kept() {
    // The writes of an enrolment: the key, the answer.
    for (write, moment) in [(0, Moment::Before), (0, Moment::After), (1, Moment::Before), (1, Moment::After)]
    {
        let plane = ControlPlane::start().await;
        let device = Device::new();
        let dying: Arc<dyn Disk> = DyingDisk::new(Arc::clone(&device.disk), write, moment);
        let trust = Trust::Fingerprint(plane.ca.root_sha256());
        enrol_on(&dying, &plane, "key", trust, Former::Keep).await.unwrap_err();
        let case = format!("write {write} {moment:?}");
        match (write, moment) {
            // Not sent yet: the same enrolment key still works.
            (0, _) => {
                assert_eq!(plane.state().count("enroll"), 0, "{case}");
                device.enrol(&plane, "key").await.unwrap();
                assert_eq!(plane.state().issued.len(), 1, "{case}");
            }
            // The answer is lost and the enrolment key used up: the next key is for this device.
            (_, Moment::Before) => {
                device.enrol(&plane, "key").await.unwrap_err();
                let sent = plane.state().last("enroll").body["csr"].clone();
                assert!(sent.is_string());
                assert_eq!(plane.state().distinct_keys(), 1, "{case}: the same key was sent again");
                device.enrol(&plane, "bound").await.unwrap();
                assert!(!plane.state().revoked.contains(&device.current_key()), "{case}: the key is fresh");
            }
            (_, Moment::After) => assert!(device.config().started.is_none(), "{case}"),
        }
        assert_eq!(device.current_key(), plane.state().active.as_ref().unwrap().spki(), "{case}");
    }
}
