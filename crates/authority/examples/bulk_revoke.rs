//! Measures one call that revokes a whole tenant: preview, execution until the snapshot of the doors has
//! it, and what comes after (the CRL, the verification of the audit).
//!
//! `cargo run --release -p countersign-authority --example bulk_revoke -- sqlite:/var/tmp/r.db 100000`
//! (the URL of an empty database, how many devices with one active certificate each).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops when it cannot"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_authority::bulk_revoke::Query;
use countersign_authority::{Administer, Authority, AuthorityConfig, Authorized, IssuerMode};
use countersign_core::TrustDomain;
use countersign_core::certificate::{CertificateState, Lifetime, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    AgentId, CertificateId, CertificateRef, DeviceId, IssuerKeyId, SecretHash, SerialNumber, SpkiSha256,
    TenantId, UserId,
};
use countersign_core::time::{Clock, SystemClock, Timestamp};
use countersign_store::{
    AgentReport, CertificateRow, DeviceRow, PasswordHash, Role, SessionRow, SiteRow, Store, StoreError,
    TenantRow, UserRow,
};

const SESSION: &str = "css_measured";
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let devices: usize = arguments.next().unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let authority = open(&store, directory.path()).await;
    let tenant = timed("made", fleet(&store, &authority, devices)).await;
    let owner = owner(&store, &authority).await;

    let query = Query::Tenant(tenant);
    let reason = RevocationReason::KeyCompromise;
    let preview = timed("preview", authority.preview_revocation(&owner, query, reason)).await.unwrap();
    assert_eq!((preview.certificates, preview.devices), (devices as u64, devices as u64));
    let revoked = timed("execution", authority.execute_revocation(&owner, preview.id)).await.unwrap();
    assert_eq!(revoked.certificates, devices as u64);
    assert_eq!(authority.snapshot().denied.len(), devices);
    timed("crl", authority.refresh_crls()).await.unwrap();
    let verified = timed(
        "verification",
        store.read::<_, StoreError, _>(|r| Box::pin(async move { r.verify_audit().await })),
    );
    let report = verified.await.unwrap();
    assert!(report.is_intact());
    println!("audit entries: {}", report.chains.iter().map(|chain| chain.entries).sum::<u64>());
    authority.close().await.unwrap();
}

/// Waits for `work` and prints how long it took, and how much of a processor this process had meanwhile.
async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let (began, used) = (Instant::now(), processor_seconds());
    let done = work.await;
    let (took, used) = (began.elapsed().as_secs_f64(), processor_seconds() - used);
    println!("{what}: {took:.2} s, {used:.2} s of a processor");
    done
}

/// What this process has used so far, in its own code and in the kernel: fields 14 and 15 of proc(5)'s
/// `stat`, in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_name, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap());
    f64::from(ticks.sum::<u32>()) / 100.0
}

async fn open(store: &Store, directory: &Path) -> Arc<Authority> {
    let config = AuthorityConfig {
        trust_domain: TrustDomain::default(),
        key_encryption_key: countersign_authority::KeySource::File(directory.join("kek")),
        token: None,
        issuer: IssuerMode::Embedded,
        public_base_url: None,
        rules: Vec::new(),
        lists: Vec::new(),
        session_life: Duration::from_secs(3600),
    };
    Authority::open(store.clone(), Arc::new(SystemClock), config).await.unwrap()
}

/// Somebody who may do it.
async fn owner(store: &Store, authority: &Authority) -> Authorized<Administer> {
    let now = SystemClock.now();
    let user = UserRow {
        id: UserId::random(),
        email: "owner@example.com".to_owned(),
        password_hash: PasswordHash::new("none".to_owned()),
        role: Role::Owner,
        tenant: None,
        created_at: now,
        disabled_at: None,
    };
    let session =
        SessionRow { token: SecretHash::of(SESSION), user: user.id, created_at: now, expires_at: now + DAY };
    let written = store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_user(&user).await?;
            w.insert_session(&session).await
        })
    });
    written.await.unwrap();
    authority.caller(SESSION).await.unwrap().unwrap().authorize().unwrap()
}

/// Devices that are online, each with an active certificate.
async fn fleet(store: &Store, authority: &Authority, count: usize) -> TenantId {
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
        let devices: Vec<_> = (first..last).map(|number| device(number, &tenant, &site, now)).collect();
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
