//! A database full of devices, for examples that measure something about many.

use std::time::Duration;

use countersign_authority::Authority;
use countersign_core::certificate::{CertificateState, Lifetime};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    AgentId, CertificateId, CertificateRef, DeviceId, IssuerKeyId, SecretHash, SerialNumber, SpkiSha256,
    TenantId,
};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_store::{AgentReport, CertificateRow, DeviceRow, SiteRow, Store, StoreError, TenantRow};

const DAY: Duration = Duration::from_secs(86_400);

/// Devices that are online, each with an active certificate, but for what `change` makes of each by its number.
pub(crate) async fn fleet(
    store: &Store,
    authority: &Authority,
    count: usize,
    change: impl Fn(usize, &mut DeviceRow),
) -> TenantId {
    let now = SystemClock.now();
    let issuer = authority.snapshot().device_issuers.iter().next().unwrap().key_id;
    let places = store.read::<_, StoreError, _>(|r| {
        Box::pin(async move {
            let tenant = r.tenant_by_slug(&"default".parse().unwrap()).await?.unwrap();
            let site = r.site_by_slug(tenant.id, "default").await?.unwrap();
            Ok((tenant, site))
        })
    });
    let (tenant, site) = places.await.unwrap();
    for first in (0..count).step_by(1000) {
        let last = count.min(first + 1000);
        let mut devices: Vec<_> = (first..last).map(|number| device(number, &tenant, &site, now)).collect();
        for (number, device) in (first..last).zip(&mut devices) {
            change(number, device);
        }
        let certificates: Vec<_> = devices.iter().map(|device| certificate(device, issuer, now)).collect();
        let written = store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                w.insert_devices(&devices).await?;
                w.insert_certificates(&certificates).await
            })
        });
        written.await.unwrap();
    }
    tenant.id
}

fn device(number: usize, tenant: &TenantRow, site: &SiteRow, now: Timestamp) -> DeviceRow {
    let agent = random();
    DeviceRow {
        id: DeviceId::random(),
        tenant: tenant.id,
        tenant_slug: tenant.slug.clone(),
        site: site.id,
        site_slug: site.slug.clone(),
        agent: AgentId::from(agent),
        name: format!("host-{number}").parse().unwrap(),
        hostname: format!("host-{number}"),
        os_type: "linux".to_owned(),
        os_version: "6.12".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_serial: None,
        status: DeviceStatus::Online,
        token: Some(SecretHash::from(random())),
        last_seen_at: Some(now),
        last_ip: None,
        quarantined_at: None,
        quarantined_reason: None,
        pending_key: None,
        grant_until: None,
        certificate: None,
        reported: AgentReport::default(),
        commands_until: None,
        enrolled_at: now,
        decommissioned_at: None,
        revision: 0,
    }
}

fn certificate(device: &DeviceRow, issuer: IssuerKeyId, now: Timestamp) -> CertificateRow {
    let mut serial = vec![1];
    serial.extend_from_slice(DeviceId::random().uuid().as_bytes());
    CertificateRow {
        id: CertificateId::random(),
        device: device.id,
        tenant: device.tenant_slug.clone(),
        device_name: device.name.clone(),
        reference: CertificateRef { issuer, serial: SerialNumber::from_be_bytes(&serial).unwrap() },
        spki: SpkiSha256::from(random()),
        // As long as a real one; nothing parses it.
        der: vec![0x30; 620],
        state: CertificateState::Active,
        lifetime: Lifetime { issued_at: now, expires_at: now + DAY * 90 },
        confirm_before: None,
        superseded_until: None,
        revoked_at: None,
        reason: None,
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(DeviceId::random().uuid().as_bytes());
    bytes[16..].copy_from_slice(DeviceId::random().uuid().as_bytes());
    bytes
}
