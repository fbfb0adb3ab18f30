//! Devices are counted by status and certificates by their end, of all tenants or of one.

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::time::Timestamp;
use countersign_store::{Notice, NoticedGroup};

use super::fixture::{DAY, Fixture, insert_tenant, now, read, write};

async fn count(fixture: &Fixture, status: DeviceStatus) -> u64 {
    let tenant = fixture.tenant.id;
    let counts = read!(fixture.store, |r| r.device_statuses(Some(tenant))).unwrap();
    counts.iter().find(|one| one.status == status).map_or(0, |one| one.devices)
}

async fn ending(fixture: &Fixture, span: (Timestamp, Timestamp)) -> (u64, u64) {
    let slug = fixture.tenant.slug.clone();
    let all = read!(fixture.store, |r| r.certificates_ending(None, span)).unwrap();
    let own = read!(fixture.store, |r| r.certificates_ending(Some(&slug), span)).unwrap();
    (all, own)
}

#[tokio::test]
async fn each_tenant_has_counts_of_its_own() {
    let fixture = Fixture::new().await;
    let mut device = fixture.new_device("one");
    device.status = DeviceStatus::Online;
    write!(fixture.store, |w| w.insert_device(&device)).unwrap();
    fixture.device("two").await;
    let pending = fixture.new_device("x").status;
    let (tenant, site) = insert_tenant(&fixture.store, "other").await;
    let mut foreign = fixture.new_device("three");
    (foreign.tenant, foreign.tenant_slug, foreign.site) = (tenant.id, tenant.slug, site.id);
    write!(fixture.store, |w| w.insert_device(&foreign)).unwrap();
    assert_eq!((count(&fixture, DeviceStatus::Online).await, count(&fixture, pending).await), (1, 1));
    assert_eq!(count(&fixture, DeviceStatus::Decommissioned).await, 0);
    let all = read!(fixture.store, |r| r.device_statuses(None)).unwrap();
    assert_eq!(all.iter().map(|one| one.devices).sum::<u64>(), 3);
}

#[tokio::test]
async fn certificates_that_could_be_used_count_where_they_end() {
    let fixture = Fixture::new().await;
    let device = fixture.device("one").await;
    let active = fixture.certificate(&device, CertificateState::Active).await;
    let end = active.lifetime.expires_at;
    assert_eq!(ending(&fixture, (now(), end)).await, (1, 1));
    assert_eq!(ending(&fixture, (end, end + DAY)).await, (0, 0), "its end is in the span before");
    fixture.revoke(&active).await;
    assert_eq!(ending(&fixture, (now(), end)).await, (0, 0));
}

#[tokio::test]
async fn what_is_committed_is_told_and_nothing_else() {
    use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
    let fixture = Fixture::new().await;
    let mut notices = fixture.store.notices();
    let entry = |event| AuditEntry::new(Some(fixture.tenant.slug.clone()), now(), event, Actor::System);
    let undone = entry(AuditEvent::DeviceDenied);
    let failed: Result<(), countersign_store::StoreError> = fixture
        .store
        .write(move |w| {
            Box::pin(async move {
                w.append_audit(&undone).await?;
                Err(countersign_store::StoreError::Closed)
            })
        })
        .await;
    assert!(failed.is_err());
    let done = entry(AuditEvent::DeviceEnrolled);
    write!(fixture.store, |w| w.append_audit(&done)).unwrap();
    fixture.store.tell_of_presence();
    let first = notices.recv().await.unwrap();
    let chain = fixture.tenant.slug.to_string();
    let told = |group: &NoticedGroup| {
        group.iter().map(|(notice, count)| (notice.clone(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), [(Notice { chain, event: "device.enrolled" }, 1)]);
    let presence = Notice { chain: String::new(), event: Notice::PRESENCE };
    assert_eq!(told(&notices.recv().await.unwrap()), [(presence, 0)]);
    let slug = fixture.tenant.slug.clone();
    let own = read!(fixture.store, |r| r.audit_length(Some(&slug))).unwrap();
    let all = read!(fixture.store, |r| r.audit_length(None)).unwrap();
    assert!(own > 0 && all >= own, "{own} {all}");
}
