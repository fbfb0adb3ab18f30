//! Building the trust snapshot from the store: whole at start, patched afterwards.
//!
//! Every change of trust leaves its epoch on what it is about. A patch reads whatever has an epoch
//! beyond the snapshot's and derives every fact from the rows as they are then, so a snapshot of one
//! version always says the same, whoever published it, and a change that nobody published goes with
//! the next one.

use std::sync::Arc;

use countersign_ca::certificates_from_pem;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::guest::ForeignTrust;
use countersign_core::ids::{CertificateRef, DeviceName, Tenant};
use countersign_core::snapshot::changes;
use countersign_core::snapshot::{
    Bar, Binding, SnapshotVersion, TOKEN_SESSION, TenantService, TenantTrust, TrustSnapshot, TrustedIssuer,
    UnprovedPeriod,
};
use countersign_core::time::Timestamp;
use countersign_store::{
    BoundCertificate, ChangedCertificate, ChangedDevice, ForeignTrustRow, StoreError, TenantRow,
    TrustChanges, UnprovedPeriodRow,
};
use tokio::sync::watch;

use crate::anchors::hash_of;
use crate::authority::Authority;
use crate::channels::Touched;
use crate::issuers::{Ca, Issuers};
use crate::publish::Applied;

impl Authority {
    /// Adds an edge; it says on `applied` which snapshot it enforces.
    pub fn attach_edge(&self, applied: watch::Receiver<SnapshotVersion>) {
        self.publisher.attach(applied);
    }

    /// Builds the snapshot from the store alone.
    pub(crate) async fn publish_everything(&self) -> Result<(), StoreError> {
        let mut patching = self.publisher.patching.lock().await;
        let now = self.now();
        let material = self.store.read(move |r| Box::pin(async move { r.trust_material(now).await })).await?;
        let mut snapshot = TrustSnapshot::empty(self.config.trust_domain.clone(), now);
        snapshot.version = material.version;
        self.rules.keep(material.rules);
        self.rules.put_into(&mut snapshot);
        set_issuers(&mut snapshot, &self.issuers());
        set_foreign_trusts(&mut snapshot, &material.foreign_trusts);
        for tenant in &material.tenants {
            set_tenant(&mut snapshot, tenant);
        }
        for device in material.barred {
            if let Some(bar) = bar_of(device.status) {
                snapshot.barred.insert((device.tenant, device.name), bar);
            }
        }
        snapshot.superseded = material.superseded.into_iter().map(|one| (one.reference, one.until)).collect();
        for bound in material.bound {
            bind(&mut snapshot, bound);
        }
        snapshot.pending = material.pending.into_iter().collect();
        for UnprovedPeriodRow { issuer, period } in material.unproved {
            snapshot.unproved.entry(issuer).or_default().push_back(period);
        }
        snapshot.proved = material.proved.into_iter().collect();
        snapshot.denied_keys = material.denied_keys.into_iter().collect();
        for revocation in material.revocations {
            snapshot.denied.insert(revocation.reference);
        }
        snapshot.denied.extend(material.ended_tokens);
        snapshot.settle();
        self.publisher.replace(snapshot);
        patching.forgotten_until = now;
        Ok(())
    }

    /// Publishes every change of trust that is on record and waits for the edges. Whoever comes while
    /// another publishes finds its own change published too.
    pub(crate) async fn publish_changes(&self) -> Result<Applied, StoreError> {
        let version = self.catch_up().await?;
        Ok(self.publisher.applied(version).await)
    }

    /// The same without waiting for the edges: the version that holds every change on record.
    pub(crate) async fn catch_up(&self) -> Result<SnapshotVersion, StoreError> {
        let _patching = self.publisher.patching.lock().await;
        let mut snapshot = (*self.publisher.current()).clone();
        let since = snapshot.version.epoch;
        let changes =
            self.store.read(move |r| Box::pin(async move { r.trust_changes_since(since).await })).await?;
        let version = changes.version;
        if version > snapshot.version {
            let now = self.now();
            let touched = Touched::by(&changes);
            let about = if self.publisher.log.is_followed() { about(&changes) } else { <_>::default() };
            if !changes.issuers.is_empty() {
                self.registry.reload(&self.store).await?;
                set_issuers(&mut snapshot, &self.issuers());
            }
            if let Some(rules) = changes.rules.clone() {
                self.rules.keep(rules);
            }
            apply(&mut snapshot, changes, now);
            self.rules.put_into(&mut snapshot);
            self.publisher.patch(snapshot, about);
            self.channels.trust_changed(&touched);
        }
        Ok(version)
    }

    /// Denies a certificate that was signed and never handed out.
    pub(crate) async fn publish_abandoned(&self, reference: CertificateRef) {
        let _patching = self.publisher.patching.lock().await;
        let mut snapshot = (*self.publisher.current()).clone();
        snapshot.denied.insert(reference.clone());
        self.publisher.patch(snapshot, of_certificates([reference]));
    }

    /// Drops from the snapshot the revoked certificates that have ended, for their dates refuse them, and the
    /// tokens that opened no session that could be left.
    pub(crate) async fn forget_ended(&self) -> Result<(), StoreError> {
        let mut patching = self.publisher.patching.lock().await;
        let (since, now) = (patching.forgotten_until, self.now());
        let ended = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let mut ended = r.revocations_ended(since, now).await?;
                    let (from, until) = (since - TOKEN_SESSION, now - TOKEN_SESSION);
                    ended.extend(r.provisioning_tokens_ended(from, until).await?);
                    Ok::<_, StoreError>(ended)
                })
            })
            .await?;
        patching.forgotten_until = now;
        if !ended.is_empty() {
            let mut snapshot = (*self.publisher.current()).clone();
            for reference in &ended {
                snapshot.denied.remove(reference);
            }
            snapshot.settle();
            self.publisher.patch(snapshot, of_certificates(ended));
        }
        Ok(())
    }
}

/// Every CA whose certificates make a device, and every one whose make a service: an edge trusts those of
/// one kind side by side, and never one for the other.
fn set_issuers(snapshot: &mut TrustSnapshot, issuers: &Issuers) {
    let trusted = |ca: &Arc<Ca>| TrustedIssuer {
        key_id: ca.key_id(),
        certificate: Arc::from(ca.certificate_der()),
        tenants: None,
    };
    snapshot.device_issuers = issuers.device_trust().map(trusted).collect();
    snapshot.service_issuers = issuers.service_trust().map(trusted).collect();
}

/// Fails closed: one that cannot be read any more is trusted no more.
fn set_foreign_trusts(snapshot: &mut TrustSnapshot, rows: &[ForeignTrustRow]) {
    let read = |row: &ForeignTrustRow| match certificates_from_pem(&row.certificates) {
        Ok(anchors) => {
            let anchors = anchors.into_iter().map(Arc::from).collect();
            Some(ForeignTrust { name: row.name.clone(), anchors })
        }
        Err(error) => {
            tracing::error!(trust = %row.name, %error, "foreign trust unreadable");
            None
        }
    };
    snapshot.foreign_trusts = rows.iter().filter_map(read).collect();
}

fn apply(snapshot: &mut TrustSnapshot, changes: TrustChanges, now: Timestamp) {
    for tenant in &changes.tenants {
        set_tenant(snapshot, tenant);
    }
    for device in changes.devices {
        let ChangedDevice { id: _, token: _, tenant, name, status, certificates, .. } = device;
        for certificate in &certificates {
            if let Some(bound) = bound(certificate, &tenant, &name) {
                bind(snapshot, bound);
            }
        }
        set_device(snapshot, (tenant, name), status);
        for key in &device.lifted_keys {
            snapshot.denied_keys.remove(key);
        }
        for certificate in &certificates {
            set_certificate(snapshot, certificate, now);
        }
        snapshot.denied_keys.extend(device.denied_keys);
        snapshot.denied.extend(device.ended_tokens);
    }
    if let Some(trusts) = &changes.foreign_trusts {
        set_foreign_trusts(snapshot, trusts);
    }
    snapshot.proved.extend(changes.services);
    snapshot.denied.extend(changes.revoked_services);
    snapshot.denied_keys.extend(changes.denied_service_keys);
    snapshot.settle();
    snapshot.version = changes.version;
    snapshot.made_at = now;
}

/// What may be different after these changes.
fn about(changes: &TrustChanges) -> changes::Touched {
    let services = changes.services.iter().chain(&changes.revoked_services);
    let mut touched = of_certificates(services.cloned());
    touched.keys.extend(&changes.denied_service_keys);
    touched.tenants = changes.tenants.iter().map(|tenant| tenant.slug.clone()).collect();
    for device in &changes.devices {
        touched.devices.insert((device.tenant.clone(), device.name.clone()));
        touched.keys.extend(device.denied_keys.iter().chain(&device.lifted_keys));
        for certificate in &device.certificates {
            touched.keys.insert(certificate.spki);
            touched.certificates.insert(certificate.reference.clone(), Some(device.tenant.clone()));
        }
        let ended = device.ended_tokens.iter();
        touched.certificates.extend(ended.map(|token| (token.clone(), Some(device.tenant.clone()))));
    }
    touched
}

/// Certificates of which it is not known whose they are.
fn of_certificates(references: impl IntoIterator<Item = CertificateRef>) -> changes::Touched {
    let certificates = references.into_iter().map(|reference| (reference, None)).collect();
    changes::Touched { certificates, ..changes::Touched::default() }
}

/// What there is to say about a certificate that says itself whose it is: nothing.
fn bound(certificate: &ChangedCertificate, tenant: &Tenant, device: &DeviceName) -> Option<BoundCertificate> {
    let der = certificate.bound.clone()?;
    Some(BoundCertificate {
        reference: certificate.reference.clone(),
        tenant: tenant.clone(),
        device: device.clone(),
        spki: certificate.spki,
        expires_at: certificate.lifetime.expires_at,
        der,
    })
}

fn bind(snapshot: &mut TrustSnapshot, bound: BoundCertificate) {
    let binding = Binding {
        tenant: bound.tenant,
        device: bound.device,
        spki: bound.spki,
        certificate: hash_of(&bound.der),
        not_after: bound.expires_at,
    };
    snapshot.bindings.insert(bound.reference, binding);
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

fn set_device(snapshot: &mut TrustSnapshot, key: (Tenant, DeviceName), status: DeviceStatus) {
    match bar_of(status) {
        Some(bar) => snapshot.barred.insert(key, bar),
        None => snapshot.barred.remove(&key),
    };
}

fn set_certificate(snapshot: &mut TrustSnapshot, certificate: &ChangedCertificate, now: Timestamp) {
    let reference = &certificate.reference;
    snapshot.pending.remove(reference);
    snapshot.superseded.remove(reference);
    let (issued_at, backdating) = (certificate.lifetime.issued_at, UnprovedPeriod::DEVICE_BACKDATING);
    if snapshot.denies_unless_told(&reference.issuer, issued_at, backdating) {
        snapshot.proved.insert(reference.clone());
    }
    let is_revoked = certificate.state == CertificateState::Revoked;
    if is_revoked && certificate.reason != Some(RevocationReason::Superseded) {
        snapshot.denied_keys.insert(certificate.spki);
    }
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
        }
        CertificateState::Active | CertificateState::Expired => {}
    }
}
