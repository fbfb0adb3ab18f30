//! A migrated database with an installation, a tenant and a site, and builders for the rest.

use std::time::Duration;

use countersign_core::TrustDomain;
use countersign_core::agent_settings::AgentSettings;
use countersign_core::certificate::{CertificateState, Lifetime, RevocationReason};
use countersign_core::crl_scope::CrlScope;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{
    AgentId, CertificateId, CertificateRef, DeviceId, EnrollmentKeyId, IssuerKeyId, SecretHash, SerialNumber,
    SiteId, SpkiSha256, TenantId,
};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;
use countersign_store::{
    AgentReport, Approval, CertificateChange, CertificateRow, CrlName, DeviceRow, EnrollmentKeyRow, Inserted,
    Installation, IssuerRole, IssuerRow, IssuerState, KeptKey, Origin, SiteRow, Store, StoreError, StoreUrl,
    TenantRow,
};

use super::database::{Database, Intruder};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// When tests happen.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-02-11T10:00:00Z").unwrap()
}

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) url: StoreUrl,
    pub(crate) tenant: TenantRow,
    pub(crate) site: SiteRow,
    pub(crate) database: Database,
}

/// Runs a write of one call: `write!(store, |w| w.insert_device(&row))`.
macro_rules! write {
    ($store:expr, |$w:ident| $call:expr) => {
        $store
            .write::<_, countersign_store::StoreError, _>(move |$w| Box::pin(async move { $call.await }))
            .await
    };
}

/// Runs a read of one call.
macro_rules! read {
    ($store:expr, |$r:ident| $call:expr) => {
        $store
            .read::<_, countersign_store::StoreError, _>(move |$r| Box::pin(async move { $call.await }))
            .await
    };
}

pub(crate) use {read, write};

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = Database::new();
        let url = database.url();
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        let installation = Installation {
            trust_domain: TrustDomain::default(),
            node: 1,
            created_at: now(),
            version: SnapshotVersion { generation: 1, epoch: 0 },
        };
        assert!(write!(store, |w| w.insert_installation(&installation)).unwrap());
        let (tenant, site) = insert_tenant(&store, "acme").await;
        Self { store, url, tenant, site, database }
    }

    /// A device that is on record.
    pub(crate) async fn device(&self, name: &str) -> DeviceRow {
        let device = self.new_device(name);
        let row = device.clone();
        assert_eq!(write!(self.store, |w| w.insert_device(&row)).unwrap(), Inserted::Done);
        device
    }

    /// A device that is not on record yet.
    pub(crate) fn new_device(&self, name: &str) -> DeviceRow {
        DeviceRow {
            id: DeviceId::random(),
            tenant: self.tenant.id,
            tenant_slug: self.tenant.slug.clone(),
            site: self.site.id,
            site_slug: self.site.slug.clone(),
            agent: AgentId::from(random()),
            name: name.parse().unwrap(),
            hostname: format!("{name}.example"),
            os_type: "linux".into(),
            os_version: "6.12".into(),
            architecture: "x86_64".into(),
            agent_version: "0.1.0".into(),
            hardware_serial: Some("SN-1".into()),
            status: DeviceStatus::Pending,
            token: Some(SecretHash::from(random())),
            last_seen_at: None,
            last_ip: None,
            quarantined_at: None,
            quarantined_reason: None,
            pending_key: None,
            grant_until: None,
            certificate: None,
            reported: AgentReport::default(),
            commands_until: None,
            enrolled_at: now(),
            decommissioned_at: None,
            revision: 0,
        }
    }

    /// A certificate of a device that is on record.
    pub(crate) async fn certificate(&self, device: &DeviceRow, state: CertificateState) -> CertificateRow {
        let certificate = new_certificate(device, state);
        let row = certificate.clone();
        write!(self.store, |w| w.insert_certificate(&row)).unwrap();
        certificate
    }

    /// Revokes a certificate and returns it as it is then on record.
    pub(crate) async fn revoke(&self, certificate: &CertificateRow) -> CertificateRow {
        let (id, from) = (certificate.id, certificate.state);
        let change =
            CertificateChange::Revoke { at: now() + HOUR, reason: RevocationReason::PrivilegeWithdrawn };
        assert!(write!(self.store, |w| w.move_certificate(id, from, change)).unwrap());
        read!(self.store, |r| r.certificate(id)).unwrap().unwrap()
    }

    /// An enrolment key that is on record.
    pub(crate) async fn enrollment_key(&self, max_uses: u32) -> EnrollmentKeyRow {
        let key = self.new_enrollment_key(max_uses);
        let row = key.clone();
        write!(self.store, |w| w.insert_enrollment_key(&row)).unwrap();
        key
    }

    /// An enrolment key that is not on record yet.
    pub(crate) fn new_enrollment_key(&self, max_uses: u32) -> EnrollmentKeyRow {
        EnrollmentKeyRow {
            id: EnrollmentKeyId::random(),
            key: SecretHash::from(random()),
            tenant: self.tenant.id,
            site: self.site.id,
            max_uses,
            uses: 0,
            expires_at: now() + HOUR,
            approval: Approval::NotNeeded,
            name_pattern: None,
            device: None,
            spki: None,
            networks: vec!["10.0.0.0/8".into()],
            created_at: now(),
            created_by: None,
            revoked_at: None,
        }
    }

    /// Somebody else's connection to the database, who may do anything.
    pub(crate) async fn intruder(&self) -> Intruder {
        self.database.intruder().await
    }
}

/// A certificate that is not on record yet.
pub(crate) fn new_certificate(device: &DeviceRow, state: CertificateState) -> CertificateRow {
    CertificateRow {
        id: CertificateId::random(),
        device: device.id,
        tenant: device.tenant_slug.clone(),
        device_name: device.name.clone(),
        reference: reference(),
        spki: SpkiSha256::from(random()),
        der: vec![0x30, 0x03, 1, 2, 3],
        state,
        lifetime: Lifetime { issued_at: now(), expires_at: now() + DAY * 90 },
        confirm_before: (state == CertificateState::PendingActivation).then(|| now() + DAY),
        superseded_until: (state == CertificateState::Superseded).then(|| now() + DAY),
        revoked_at: None,
        reason: None,
    }
}

/// A tenant with its default site, on record.
pub(crate) async fn insert_tenant(store: &Store, slug: &str) -> (TenantRow, SiteRow) {
    let tenant = TenantRow {
        id: TenantId::random(),
        slug: slug.parse().unwrap(),
        name: format!("Tenant {slug}"),
        created_at: now(),
        suspended_at: None,
        settings: MtlsSettings::default(),
        agent_settings: AgentSettings::default(),
    };
    let site =
        SiteRow { id: SiteId::random(), tenant: tenant.id, slug: "default".into(), name: "Default".into() };
    let rows = (tenant.clone(), site.clone());
    let done = store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move { Ok(w.insert_tenant(&rows.0).await? && w.insert_site(&rows.1).await?) })
    });
    assert!(done.await.unwrap());
    (tenant, site)
}

/// The list of everything that [`issuer`] has revoked.
pub(crate) fn whole() -> CrlName {
    CrlName { issuer: issuer(), scope: CrlScope::Whole }
}

/// The issuer of every test certificate.
pub(crate) fn issuer() -> IssuerKeyId {
    IssuerKeyId::from([7; 32])
}

/// A CA that makes devices.
pub(crate) fn device_ca(key_id: IssuerKeyId, name: &str) -> IssuerRow {
    IssuerRow {
        key_id,
        name: name.parse().unwrap(),
        role: IssuerRole::Device,
        parent: None,
        environment: None,
        state: IssuerState::Active,
        origin: Origin::Made,
        certificate: vec![0x30, 1, 0],
        key: KeptKey::Sealed(vec![1, 2, 3]),
        created_at: now(),
    }
}

/// A fresh reference under that issuer.
pub(crate) fn reference() -> CertificateRef {
    let bytes: [u8; 32] = random();
    let mut serial = vec![1];
    serial.extend_from_slice(&bytes[..16]);
    CertificateRef { issuer: issuer(), serial: SerialNumber::from_be_bytes(&serial).unwrap() }
}

/// 32 bytes nobody else has.
pub(crate) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(DeviceId::random().uuid().as_bytes());
    bytes[16..].copy_from_slice(DeviceId::random().uuid().as_bytes());
    bytes
}
