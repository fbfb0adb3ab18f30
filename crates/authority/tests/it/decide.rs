//! An admin's decisions: from every status that allows them, once, and complete.

use countersign_authority::Forbidden;
use countersign_authority::agent::AgentAuthError;
use countersign_authority::quarantine::{DecisionError, Maintenance};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::Standing;
use countersign_store::Role;
use futures_util::future::join_all;

use super::house::{Device, House, MINUTE, fresh_key, spki};

impl House {
    /// A device in this status, with an active certificate.
    async fn device_in(&self, status: DeviceStatus, name: &str) -> Device {
        let (device, by) = (self.device(name).await, self.operate());
        let id = device.id;
        match status {
            DeviceStatus::Pending => {}
            DeviceStatus::Online => self.heartbeat(&device).await,
            DeviceStatus::Offline => {
                self.heartbeat(&device).await;
                self.pass(MINUTE * 4);
                self.authority.sweep().await.unwrap();
            }
            DeviceStatus::Maintenance => {
                self.authority.set_maintenance(&by, id, Maintenance::Enter).await.unwrap();
            }
            DeviceStatus::Quarantined => {
                self.authority.quarantine_device(&by, id, "x".parse().unwrap()).await.unwrap();
            }
            DeviceStatus::Decommissioned => {
                self.authority.decommission(&by, id).await.unwrap();
            }
        }
        assert_eq!(self.row(id).await.status, status);
        device
    }

    async fn is_over_for(&self, device: &Device) {
        let row = self.row(device.id).await;
        assert_eq!((row.status, row.token, row.pending_key), (DeviceStatus::Decommissioned, None, None));
        let unknown = self.authority.authenticate_agent(&device.token).await.unwrap_err();
        assert!(matches!(unknown, AgentAuthError::Unauthorized));
        for row in self.certificates(device.id).await {
            assert_eq!(row.state, CertificateState::Revoked);
            assert_eq!(self.standing(&row).await, Standing::Revoked);
        }
        self.check(&[device.id]).await;
    }
}

#[tokio::test]
async fn a_device_can_be_denied_and_decommissioned_from_every_status_but_the_last() {
    let house = House::new().await;
    let by = house.operate();
    for status in DeviceStatus::ALL {
        let denied = house.device_in(status, &format!("denied-{status}")).await;
        let gone = house.device_in(status, &format!("gone-{status}")).await;
        let outcomes =
            [house.authority.deny(&by, denied.id).await, house.authority.decommission(&by, gone.id).await];
        for outcome in outcomes {
            match outcome {
                Ok(_) => assert_ne!(status, DeviceStatus::Decommissioned),
                Err(error) => {
                    assert!(
                        matches!(error, DecisionError::Conflict(DeviceStatus::Decommissioned)),
                        "{error}"
                    );
                    assert_eq!(status, DeviceStatus::Decommissioned);
                }
            }
        }
        house.is_over_for(&denied).await;
        house.is_over_for(&gone).await;
        let [row] = house.certificates(denied.id).await.try_into().unwrap();
        let reason = if status == DeviceStatus::Decommissioned {
            RevocationReason::CessationOfOperation
        } else {
            RevocationReason::PrivilegeWithdrawn
        };
        assert_eq!(row.reason, Some(reason));
    }
}

#[tokio::test]
async fn denying_takes_every_key_the_device_ever_had() {
    let house = House::new().await;
    let first = house.device("pump").await;
    let second = house.renewed(first.clone()).await;
    house.pass(MINUTE);
    let third = fresh_key();
    house.renew(&second, &third).await.unwrap();
    house.authority.deny(&house.operate(), first.id).await.unwrap();
    for key in [&first.key, &second.key, &third] {
        assert!(house.authority.snapshot().denied_keys.contains(&spki(key)));
    }
    house.is_over_for(&second).await;
}

#[tokio::test]
async fn a_quarantine_bars_and_an_approval_lets_back() {
    let house = House::new().await;
    let by = house.operate();
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    house.authority.quarantine_device(&by, device.id, "stolen?".parse().unwrap()).await.unwrap();
    assert_eq!(house.standing(&row).await, Standing::Quarantined);
    assert_eq!(house.row(device.id).await.quarantined_reason.unwrap().as_str(), "stolen?");
    let waiting = house.authority.quarantined_devices(&house.view()).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.id).collect::<Vec<_>>(), [device.id]);
    house.check(&[device.id]).await;
    let again = house.authority.quarantine_device(&by, device.id, "y".parse().unwrap()).await;
    assert!(matches!(again, Err(DecisionError::Conflict(DeviceStatus::Quarantined))));

    house.authority.approve(&by, device.id).await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Offline);
    assert_eq!(house.standing(&row).await, Standing::Valid);
    let again = house.authority.approve(&by, device.id).await;
    assert!(matches!(again, Err(DecisionError::Conflict(DeviceStatus::Offline))));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn maintenance_comes_and_goes_and_heartbeats_do_not_end_it() {
    let house = House::new().await;
    let by = house.operate();
    let device = house.device_in(DeviceStatus::Maintenance, "pump").await;
    house.heartbeat(&device).await;
    house.pass(MINUTE * 4);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Maintenance);
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.standing(&row).await, Standing::Valid);
    house.check(&[device.id]).await;
    house.authority.set_maintenance(&by, device.id, Maintenance::Leave).await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Offline);
    let twice = house.authority.set_maintenance(&by, device.id, Maintenance::Leave).await;
    assert!(matches!(twice, Err(DecisionError::Conflict(DeviceStatus::Offline))));
    assert_eq!(house.count(AuditEvent::DeviceMaintenance).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_wins() {
    let house = House::new().await;
    let by = house.operate();
    for round in 0..5 {
        let device = house.device_in(DeviceStatus::Quarantined, &format!("pump-{round}")).await;
        let approvals = join_all((0..4).map(|_| house.authority.approve(&by, device.id))).await;
        assert_eq!(approvals.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let denials = join_all((0..4).map(|_| house.authority.deny(&by, device.id))).await;
        assert_eq!(denials.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let lost = approvals.into_iter().chain(denials).filter_map(Result::err);
        assert!(lost.into_iter().all(|error| matches!(error, DecisionError::Conflict(_))));
        house.check(&[device.id]).await;
    }
}

#[tokio::test]
async fn another_tenants_people_and_viewers_decide_nothing() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Admin, Some(other.id)).await.authorize().unwrap();
    let outcome = house.authority.deny(&stranger, device.id).await;
    assert!(matches!(outcome, Err(DecisionError::Forbidden(Forbidden::OtherTenant))));
    let unknown = house.authority.deny(&stranger, DeviceId::random()).await;
    assert!(matches!(unknown, Err(DecisionError::Unknown)));
    let viewer = house.person(Role::Viewer, None).await;
    assert!(matches!(viewer.authorize::<countersign_authority::Operate>(), Err(Forbidden::Role(_))));
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Pending);
}
