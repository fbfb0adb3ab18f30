//! Devices: what is written reads back, names are never reused, changes are compare-and-set.

use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{AgentId, SecretHash};
use countersign_store::{CertificateSummary, Inserted, StoreError};
use sqlx::Executor as _;

use super::database::{CORRUPTIONS, INDEX_EXISTS};
use super::fixture::{DAY, Fixture, HOUR, insert_tenant, now, random, read, write};

#[tokio::test]
async fn a_device_reads_back_by_each_of_its_names() {
    let fixture = Fixture::new().await;
    let mut device = fixture.new_device("d1");
    device.pending_key = Some(vec![1, 2, 3]);
    let row = device.clone();
    write!(fixture.store, |w| w.insert_device(&row)).unwrap();
    let (id, agent, token) = (device.id, device.agent, device.token.unwrap());
    let (tenant, name) = (device.tenant, device.name.clone());
    let expected = Some(device);
    assert_eq!(read!(fixture.store, |r| r.device(id)).unwrap(), expected);
    assert_eq!(read!(fixture.store, |r| r.device_by_agent(agent)).unwrap(), expected);
    assert_eq!(read!(fixture.store, |r| r.device_by_token(&token)).unwrap(), expected);
    assert_eq!(read!(fixture.store, |r| r.device_by_name(tenant, &name)).unwrap(), expected);

    let (unknown_agent, unknown_token) = (AgentId::from([9; 32]), SecretHash::from([9; 32]));
    assert_eq!(read!(fixture.store, |r| r.device_by_agent(unknown_agent)).unwrap(), None);
    assert_eq!(read!(fixture.store, |r| r.device_by_token(&unknown_token)).unwrap(), None);
}

#[tokio::test]
async fn every_field_that_may_change_is_written_once_per_revision() {
    let fixture = Fixture::new().await;
    let mut device = fixture.device("d1").await;
    device.agent = AgentId::from(random());
    device.hostname = "other".into();
    device.os_type = "windows".into();
    device.os_version = "11".into();
    device.architecture = "arm64".into();
    device.agent_version = "0.2.0".into();
    device.hardware_serial = None;
    device.status = DeviceStatus::Quarantined;
    device.token = None;
    device.quarantined_at = Some(now() + HOUR);
    device.quarantined_reason = Some("odd behaviour".parse().unwrap());
    device.pending_key = Some(vec![4; 91]);
    device.grant_until = Some(now() + DAY);
    device.decommissioned_at = Some(now());
    let (row, again) = (device.clone(), device.clone());
    assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());
    assert!(!write!(fixture.store, |w| w.update_device(&again)).unwrap(), "the revision has moved on");
    device.revision += 1;
    let id = device.id;
    assert_eq!(read!(fixture.store, |r| r.device(id)).unwrap(), Some(device));
}

#[tokio::test]
async fn a_name_is_never_given_twice_in_a_tenant() {
    let fixture = Fixture::new().await;
    let mut first = fixture.device("d1").await;
    first.status = DeviceStatus::Decommissioned;
    first.decommissioned_at = Some(now());
    let row = first.clone();
    assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());

    let second = fixture.new_device("d1");
    let row = second.clone();
    assert_eq!(write!(fixture.store, |w| w.insert_device(&row)).unwrap(), Inserted::NameTaken);
    let (tenant, site) = insert_tenant(&fixture.store, "other").await;
    let elsewhere = countersign_store::DeviceRow { tenant: tenant.id, site: site.id, ..second };
    assert_eq!(write!(fixture.store, |w| w.insert_device(&elsewhere)).unwrap(), Inserted::Done);
    let id = first.id;
    let victim = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
    assert_eq!(victim.status, DeviceStatus::Decommissioned);
}

#[tokio::test]
async fn an_agent_id_of_another_device_is_an_error_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let first = fixture.device("d1").await;
    let mut second = fixture.new_device("d2");
    second.agent = first.agent;
    let id = second.id;
    let refused = write!(fixture.store, |w| w.insert_device(&second)).unwrap_err();
    assert!(matches!(refused, StoreError::Statement { table: "devices", .. }), "{refused}");
    assert_eq!(read!(fixture.store, |r| r.device(id)).unwrap(), None);
}

#[tokio::test]
async fn the_certificate_summary_says_whether_it_ever_had_one() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    assert!(!device.ever_had_certificate());
    let summary = CertificateSummary {
        serial: "01aabb".parse().unwrap(),
        issuer: Some([7; 32].into()),
        issued_at: now(),
        expires_at: now() + DAY * 90,
    };
    let (id, row) = (device.id, summary.clone());
    assert!(write!(fixture.store, |w| w.set_certificate_summary(id, &row)).unwrap());
    let device = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
    assert!(device.ever_had_certificate());
    assert_eq!((device.certificate, device.revision), (Some(summary), 0));
}

#[tokio::test]
async fn the_columns_and_indexes_the_seed_names_are_there() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    let columns = "SELECT org_id, site_id, agent_id, status, mtls_cert_serial_number, mtls_cert_expires_at,
        mtls_cert_issued_at, mtls_cert_cf_id, quarantined_at, quarantined_reason FROM devices";
    intruder.execute(columns).await.unwrap();
    for index in ["devices_mtls_cert_expires_idx", "devices_quarantined_idx"] {
        let found = sqlx::query(INDEX_EXISTS).bind(index).fetch_optional(&mut intruder).await.unwrap();
        assert!(found.is_some(), "{index}");
    }
    let of_certificates = "SELECT 1 FROM device_certificates
        WHERE tenant_id = 'acme' AND device_id = 'd1' AND status = 'ACTIVE'";
    intruder.execute(of_certificates).await.unwrap();
}

#[tokio::test]
async fn fails_closed_on_a_stored_value_that_cannot_be() {
    let fixture = Fixture::new().await;
    let id = fixture.device("d1").await.id;
    let mut intruder = fixture.intruder().await;
    for &(change, column) in CORRUPTIONS {
        intruder.execute(change).await.unwrap();
        let error = read!(fixture.store, |r| r.device(id)).unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt { table: "devices", column: named, .. } if *named == column),
            "{change}: {error}"
        );
    }
}

#[tokio::test]
async fn quarantine_reasons_read_back() {
    let fixture = Fixture::new().await;
    let mut device = fixture.new_device("d1");
    device.status = DeviceStatus::Quarantined;
    device.quarantined_at = Some(now());
    device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::AWAITING_APPROVAL));
    let row = device.clone();
    write!(fixture.store, |w| w.insert_device(&row)).unwrap();
    let id = device.id;
    assert_eq!(read!(fixture.store, |r| r.device(id)).unwrap(), Some(device));
}
