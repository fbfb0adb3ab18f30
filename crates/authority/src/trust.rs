//! Building the trust snapshot from the store: whole at start, patched per device afterwards.
//!
//! A patch reads the device's rows again after the commit and derives every fact from them, so
//! patches may come in any order and twice.

use std::sync::Arc;

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::{Bar, TenantService, TenantTrust, TrustSnapshot, TrustedIssuer};
use countersign_core::time::Timestamp;
use countersign_store::{CertificateRow, DeviceRow, StoreError, TenantRow};
use tokio::sync::watch;

use crate::authority::Authority;
use crate::publish::Applied;

impl Authority {
    /// Adds an edge; it says on `applied` which snapshot it enforces.
    pub fn attach_edge(&self, applied: watch::Receiver<countersign_core::snapshot::SnapshotVersion>) {
        self.publisher.attach(applied);
    }

    /// Builds the snapshot from the store alone.
    pub(crate) async fn publish_everything(&self) -> Result<(), StoreError> {
        let _patching = self.publisher.patching.lock().await;
        let now = self.now();
        let material = self.store.read(move |r| Box::pin(async move { r.trust_material(now).await })).await?;
        let mut snapshot = TrustSnapshot::empty(self.config.trust_domain.clone(), now);
        snapshot.version = material.version;
        snapshot.rules = self.config.rules.clone().into();
        snapshot.device_issuers.push_back(TrustedIssuer {
            key_id: self.hierarchy.device.key_id(),
            certificate: Arc::from(self.hierarchy.device.certificate_der()),
            tenants: None,
        });
        for tenant in &material.tenants {
            set_tenant(&mut snapshot, tenant);
        }
        for device in material.barred {
            if let Some(bar) = bar_of(device.status) {
                snapshot.barred.insert((device.tenant, device.name), bar);
            }
        }
        snapshot.superseded = material.superseded.into_iter().map(|one| (one.reference, one.until)).collect();
        snapshot.pending = material.pending.into_iter().collect();
        snapshot.denied_keys = material.denied_keys.into_iter().collect();
        for revocation in material.revocations {
            snapshot.denied.insert(revocation.reference);
            snapshot.denied_keys.extend(revocation.spki);
        }
        self.publisher.replace(snapshot);
        Ok(())
    }

    /// Publishes what changed about `devices` and waits for the edges.
    pub(crate) async fn publish_devices(&self, devices: &[DeviceId]) -> Result<Applied, StoreError> {
        let version = {
            let _patching = self.publisher.patching.lock().await;
            let ids = devices.to_vec();
            let (facts, version) = self
                .store
                .read(move |r| {
                    Box::pin(async move {
                        let mut facts = Vec::with_capacity(ids.len());
                        for id in ids {
                            if let Some(device) = r.device(id).await? {
                                let certificates = r.certificates_of(id).await?;
                                let denied = r.denied_keys_of(id).await?;
                                facts.push((device, certificates, denied));
                            }
                        }
                        Ok::<_, StoreError>((facts, r.snapshot_version().await?))
                    })
                })
                .await?;
            let now = self.now();
            let mut snapshot = (*self.publisher.current()).clone();
            for (device, certificates, denied) in facts {
                set_device(&mut snapshot, &device);
                for certificate in &certificates {
                    set_certificate(&mut snapshot, certificate, now);
                }
                snapshot.denied_keys.extend(denied);
            }
            snapshot.version = snapshot.version.max(version);
            snapshot.made_at = now;
            self.publisher.replace(snapshot);
            version
        };
        Ok(self.publisher.applied(version).await)
    }

    /// Publishes a tenant's mode and service, and waits for the edges.
    pub(crate) async fn publish_tenant(&self, tenant: &TenantRow) -> Result<Applied, StoreError> {
        let version = {
            let _patching = self.publisher.patching.lock().await;
            let id = tenant.id;
            let (row, version) = self
                .store
                .read(move |r| {
                    Box::pin(async move {
                        Ok::<_, StoreError>((r.tenant_by_id(id).await?, r.snapshot_version().await?))
                    })
                })
                .await?;
            let mut snapshot = (*self.publisher.current()).clone();
            if let Some(row) = row {
                set_tenant(&mut snapshot, &row);
            }
            snapshot.version = snapshot.version.max(version);
            snapshot.made_at = self.now();
            self.publisher.replace(snapshot);
            version
        };
        Ok(self.publisher.applied(version).await)
    }
}

fn set_tenant(snapshot: &mut TrustSnapshot, tenant: &TenantRow) {
    let service =
        if tenant.suspended_at.is_some() { TenantService::Suspended } else { TenantService::Running };
    let trust = TenantTrust { enforcement: tenant.settings.enforcement, service };
    snapshot.tenants.insert(tenant.slug.clone(), trust);
}

const fn bar_of(status: DeviceStatus) -> Option<Bar> {
    match status {
        DeviceStatus::Quarantined => Some(Bar::Quarantined),
        DeviceStatus::Decommissioned => Some(Bar::Decommissioned),
        DeviceStatus::Pending | DeviceStatus::Online | DeviceStatus::Offline | DeviceStatus::Maintenance => {
            None
        }
    }
}

fn set_device(snapshot: &mut TrustSnapshot, device: &DeviceRow) {
    let key = (device.tenant_slug.clone(), device.name.clone());
    match bar_of(device.status) {
        Some(bar) => snapshot.barred.insert(key, bar),
        None => snapshot.barred.remove(&key),
    };
}

fn set_certificate(snapshot: &mut TrustSnapshot, certificate: &CertificateRow, now: Timestamp) {
    let reference = &certificate.reference;
    snapshot.pending.remove(reference);
    snapshot.superseded.remove(reference);
    if certificate.lifetime.is_expired(now) {
        // Its dates refuse it from here on.
        snapshot.denied.remove(reference);
        return;
    }
    match certificate.state {
        CertificateState::PendingActivation => {
            snapshot.pending.insert(reference.clone());
        }
        CertificateState::Superseded => {
            let until = certificate.superseded_until.unwrap_or(now);
            snapshot.superseded.insert(reference.clone(), until);
        }
        CertificateState::Revoked => {
            snapshot.denied.insert(reference.clone());
            if certificate.reason != Some(RevocationReason::Superseded) {
                snapshot.denied_keys.insert(certificate.spki);
            }
        }
        CertificateState::Active | CertificateState::Expired => {}
    }
}
