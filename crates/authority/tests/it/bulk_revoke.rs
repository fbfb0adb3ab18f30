//! Many certificates are revoked as one alone is, and by a query nothing falls that was not shown.

use countersign_authority::bulk_revoke::{BulkRevokeError, Fate, Listed, Query, RevokedMany};
use countersign_authority::{Administer, Authorized, Forbidden, Operate};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{CertificateId, SelectionId};
use countersign_core::snapshot::Standing;
use countersign_store::Role;

use super::house::{Device, House, MINUTE, SECOND, fresh_key, refused};

use CertificateState::{Active, PendingActivation, Revoked, Superseded};

const REASON: RevocationReason = RevocationReason::KeyCompromise;

impl House {
    async fn preview(&self, query: Query) -> countersign_authority::bulk_revoke::Preview {
        self.authority.preview_revocation(&self.administer(), query, REASON).await.unwrap()
    }

    async fn execute(&self, id: SelectionId) -> Result<RevokedMany, BulkRevokeError> {
        self.authority.execute_revocation(&self.administer(), id).await
    }

    async fn devices(&self, count: usize) -> Vec<Device> {
        let mut devices = Vec::new();
        for number in 0..count {
            devices.push(self.device(&format!("device-{number}")).await);
        }
        devices
    }
}

fn all(devices: &[Device]) -> Query {
    Query::Listed(Listed::Devices(devices.iter().map(|device| device.id).collect()))
}

#[tokio::test]
async fn by_their_ids_each_falls_or_says_why_not() {
    let house = House::new().await;
    let devices = house.devices(3).await;
    let first = house.in_state(devices[0].id, Active).await;
    house.authority.revoke_certificate(&house.operate(), first.id, REASON).await.unwrap();
    let second = house.in_state(devices[1].id, Active).await;
    let unknown = CertificateId::random();
    let ids = vec![first.id, second.id, unknown];
    let (revoked, fates) = house.authority.revoke_certificates(&house.operate(), ids, REASON).await.unwrap();
    assert_eq!((revoked.certificates, revoked.devices), (1, 1));
    let expected = [(first.id, Fate::AlreadyRevoked), (second.id, Fate::Revoked), (unknown, Fate::Unknown)];
    assert_eq!(fates, expected);
    assert_eq!(house.standing(&second).await, Standing::Revoked);
    let row = house.row(devices[1].id).await;
    assert_eq!(row.status, DeviceStatus::Quarantined);
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
    let events = house.events(devices[1].id).await;
    assert!(events.ends_with(&[AuditEvent::CertificateRevoked, AuditEvent::DeviceQuarantined]), "{events:?}");
    assert_eq!(house.row(devices[2].id).await.status, DeviceStatus::Pending);
    house.check(&[devices[0].id, devices[1].id, devices[2].id]).await;

    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger: Authorized<Operate> =
        house.person(Role::Operator, Some(other.id)).await.authorize().unwrap();
    let third = house.in_state(devices[2].id, Active).await.id;
    let (revoked, fates) = house.authority.revoke_certificates(&stranger, vec![third], REASON).await.unwrap();
    assert_eq!((revoked.certificates, fates), (0, vec![(third, Fate::Forbidden)]));
}

#[tokio::test]
async fn what_was_shown_falls_at_once_and_once() {
    let house = House::new().await;
    let devices = house.devices(4).await;
    let renewed = house.renewed(devices[0].clone()).await;
    house.pass(MINUTE);
    house.renew(&renewed, &fresh_key()).await.unwrap();
    assert_eq!(house.states(renewed.id).await, [PendingActivation, Active, Superseded]);

    let preview = house.preview(all(&devices[..3])).await;
    assert_eq!((preview.certificates, preview.devices, preview.sample.len()), (5, 3, 5));
    assert_eq!(house.states(renewed.id).await, [PendingActivation, Active, Superseded], "nothing changed");
    let epoch = house.authority.snapshot().version.epoch;
    let revoked = house.execute(preview.id).await.unwrap();
    assert_eq!((revoked.certificates, revoked.devices), (5, 3));
    assert_eq!(house.authority.snapshot().version.epoch, epoch + 1);
    for device in &devices[..3] {
        assert!(house.states(device.id).await.iter().all(|state| *state == Revoked));
        assert_eq!(house.row(device.id).await.status, DeviceStatus::Quarantined);
    }
    assert_eq!(house.row(devices[3].id).await.status, DeviceStatus::Pending);
    assert_eq!(house.count(AuditEvent::CertificatesRevoked).await, 1);
    assert_eq!(house.count(AuditEvent::CertificateRevoked).await, 5);
    assert_eq!(house.count(AuditEvent::DeviceQuarantined).await, 3);
    assert!(matches!(refused(house.execute(preview.id).await), BulkRevokeError::Unknown), "used up");
    let ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    house.check(&ids).await;
}

#[tokio::test]
async fn a_selection_that_takes_something_else_by_now_takes_nothing() {
    let house = House::new().await;
    let devices = house.devices(3).await;
    let tenant = house.row(devices[0].id).await.tenant;
    for round in 0..3 {
        let preview = house.preview(Query::Tenant(tenant)).await;
        match round {
            0 => drop(house.device("late").await),
            1 => {
                let one = house.in_state(devices[0].id, Active).await.id;
                house.authority.revoke_certificate(&house.operate(), one, REASON).await.unwrap();
            }
            _ => drop(house.renewed(devices[1].clone()).await),
        }
        let refusal = refused(house.execute(preview.id).await);
        assert!(matches!(refusal, BulkRevokeError::Changed { .. }), "{round}: {refusal}");
        assert!(matches!(refused(house.execute(preview.id).await), BulkRevokeError::Unknown), "used up");
        assert_eq!(house.states(devices[2].id).await, [Active]);
    }
    let preview = house.preview(Query::Tenant(tenant)).await;
    house.heartbeat(&devices[2]).await;
    house.execute(preview.id).await.unwrap();
    assert_eq!(house.states(devices[2].id).await, [Revoked], "a heartbeat changes nothing");
}

#[tokio::test]
async fn a_selection_is_for_ten_minutes_and_for_its_maker() {
    let house = House::new().await;
    let devices = house.devices(1).await;
    let somebody: Authorized<Administer> = house.person(Role::Owner, None).await.authorize().unwrap();
    let preview = house.preview(all(&devices)).await;
    let refusal = refused(house.authority.execute_revocation(&somebody, preview.id).await);
    assert!(matches!(refusal, BulkRevokeError::Unknown), "somebody else's: {refusal}");
    house.pass(MINUTE * 10 - SECOND);
    house.execute(preview.id).await.unwrap();
    let other = house.device("other").await;
    let preview = house.preview(all(&[other])).await;
    house.pass(MINUTE * 10);
    assert!(matches!(refused(house.execute(preview.id).await), BulkRevokeError::Unknown), "too late");
}

#[tokio::test]
async fn whoever_is_bound_to_a_tenant_takes_nothing_else() {
    let house = House::new().await;
    let devices = house.devices(2).await;
    let row = house.in_state(devices[0].id, Active).await;
    let default = house.row(devices[0].id).await.tenant;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let bound = house.person(Role::Owner, Some(other.id)).await;
    let stranger: Authorized<Administer> = bound.authorize().unwrap();
    for listed in [
        Listed::Devices(vec![devices[0].id]),
        Listed::Serials(vec![row.reference.serial.clone()]),
        Listed::Keys(vec![row.spki]),
    ] {
        let query = Query::Listed(listed);
        let preview = house.authority.preview_revocation(&stranger, query, REASON).await.unwrap();
        assert_eq!((preview.certificates, preview.sample.len()), (0, 0));
        let revoked = house.authority.execute_revocation(&stranger, preview.id).await.unwrap();
        assert_eq!(revoked.certificates, 0);
    }
    let issuer = Query::Issuer(bound.authorize().unwrap(), row.reference.issuer);
    for query in [Query::Tenant(default), issuer] {
        let refusal = refused(house.authority.preview_revocation(&stranger, query, REASON).await);
        assert!(matches!(refusal, BulkRevokeError::Forbidden(Forbidden::OtherTenant)), "{refusal}");
    }
    let issuer = Query::Issuer(house.own(), row.reference.issuer);
    assert_eq!(house.preview(issuer).await.certificates, 2);
    let nobody = Query::Issuer(house.own(), [9; 32].into());
    assert_eq!(house.preview(nobody).await.certificates, 0);
    assert_eq!(house.states(devices[0].id).await, [Active]);
}
