//! Puts devices with a certificate each into the database of an installation that was started once and is
//! stopped, for measurements: `cargo run --release -p countersign-store --example fill -- URL COUNT REVOKED
//! SERIALS [TENANT]`. Of the certificates the first are revoked, and their devices in quarantine. The serial
//! numbers go into the file `SERIALS`, the revoked ones first, a line each. The tenant is `default` unless named.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what prepares a measurement stops when it cannot")]

use std::fmt::Write as _;
use std::time::Duration;

use countersign_core::certificate::{CertificateState, Lifetime, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::{
    AgentId, CertificateId, CertificateRef, DeviceId, IssuerKeyId, SecretHash, SerialNumber, SpkiSha256,
    Tenant,
};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_store::{
    AgentReport, CertificateRow, DeviceRow, IssuerRole, IssuerState, RevocationRow, SiteRow, Store,
    StoreError, TenantRow,
};

const DAY: Duration = Duration::from_secs(86_400);

/// How many in one transaction.
const AT_ONCE: usize = 1000;

/// Who the devices are of, and who signed.
struct House {
    tenant: TenantRow,
    site: SiteRow,
    issuer: IssuerKeyId,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, count, revoked, serials, tenant @ ..] = arguments.as_slice() else {
        panic!("URL COUNT REVOKED SERIALS [TENANT]")
    };
    let tenant = tenant.first().map_or("default", String::as_str).parse().unwrap();
    let (count, revoked): (usize, usize) = (count.parse().unwrap(), revoked.parse().unwrap());
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    let house = house(&store, tenant).await;
    let now = SystemClock.now();
    let mut written = String::new();
    for first in (0..count).step_by(AT_ONCE) {
        let numbers = first..count.min(first + AT_ONCE);
        let devices: Vec<_> =
            numbers.clone().map(|number| device(number, &house, (now, number < revoked))).collect();
        let certificates: Vec<_> = devices
            .iter()
            .zip(numbers)
            .map(|(device, number)| certificate(device, house.issuer, (now, number < revoked)))
            .collect();
        for certificate in &certificates {
            writeln!(written, "{}", certificate.reference.serial).unwrap();
        }
        let done = store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                w.insert_devices(&devices).await?;
                w.insert_certificates(&certificates).await?;
                for certificate in certificates.iter().filter(|one| one.revoked_at.is_some()) {
                    w.insert_revocation(&revocation(certificate)).await?;
                }
                Ok(())
            })
        });
        done.await.unwrap();
    }
    fs_err::write(serials, written).unwrap();
    store.close().await;
}

async fn house(store: &Store, tenant: Tenant) -> House {
    let read = store.read::<_, StoreError, _>(|r| {
        Box::pin(async move {
            let tenant = r.tenant_by_slug(&tenant).await?.unwrap();
            let site = r.site_by_slug(tenant.id, "default").await?.unwrap();
            let issuers = r.issuers().await?;
            let signs = |role, state| role == IssuerRole::Device && state == IssuerState::Active;
            let issuer = issuers.iter().find(|issuer| signs(issuer.role, issuer.state)).unwrap().key_id;
            Ok(House { tenant, site, issuer })
        })
    });
    read.await.unwrap()
}

fn device(number: usize, house: &House, (now, is_revoked): (Timestamp, bool)) -> DeviceRow {
    let name = format!("host-{number:07}");
    DeviceRow {
        id: DeviceId::random(),
        tenant: house.tenant.id,
        tenant_slug: house.tenant.slug.clone(),
        site: house.site.id,
        site_slug: house.site.slug.clone(),
        agent: AgentId::from(random()),
        name: name.parse().unwrap(),
        hostname: name,
        os_type: "linux".to_owned(),
        os_version: "6.12".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        hardware_serial: None,
        status: if is_revoked { DeviceStatus::Quarantined } else { DeviceStatus::Offline },
        token: Some(SecretHash::from(random())),
        last_seen_at: Some(now),
        last_ip: None,
        quarantined_at: is_revoked.then_some(now),
        quarantined_reason: is_revoked.then(|| QuarantineReason::known(QuarantineReason::REVOKED)),
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

fn certificate(
    device: &DeviceRow,
    issuer: IssuerKeyId,
    (now, is_revoked): (Timestamp, bool),
) -> CertificateRow {
    // As a certificate's is: 18 octets, the first of which says which node made it.
    let serial = [&[1], random::<17>().as_slice()].concat();
    CertificateRow {
        id: CertificateId::random(),
        device: device.id,
        tenant: device.tenant_slug.clone(),
        device_name: device.name.clone(),
        reference: CertificateRef { issuer, serial: SerialNumber::from_be_bytes(&serial).unwrap() },
        spki: SpkiSha256::from(random()),
        // As long as a real one; nothing parses it.
        der: vec![0x30; 620],
        state: if is_revoked { CertificateState::Revoked } else { CertificateState::Active },
        lifetime: Lifetime { issued_at: now, expires_at: now + DAY * 90 },
        confirm_before: None,
        superseded_until: None,
        revoked_at: is_revoked.then_some(now),
        reason: is_revoked.then_some(RevocationReason::KeyCompromise),
    }
}

fn revocation(certificate: &CertificateRow) -> RevocationRow {
    RevocationRow {
        reference: certificate.reference.clone(),
        spki: Some(certificate.spki),
        revoked_at: certificate.lifetime.issued_at,
        reason: RevocationReason::KeyCompromise,
        expires_at: certificate.lifetime.expires_at,
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for part in bytes.chunks_mut(16) {
        let fresh = DeviceId::random().uuid().into_bytes();
        part.copy_from_slice(fresh.get(..part.len()).unwrap());
    }
    bytes
}
