//! What must hold after every operation, whatever came before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use countersign_authority::IssuerMode;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{CertificateRef, DeviceId};
use countersign_core::snapshot::Bar;
use countersign_store::{AuditFilter, CertificateFilter, ChainScope, DeviceRow};

use super::house::{House, start};

impl House {
    /// Checks everything that must hold about the records and what is published of them.
    pub(crate) async fn check(&self, devices: &[DeviceId]) {
        self.check_state(devices).await;
        self.check_audit().await;
    }

    /// The same without the audit.
    pub(crate) async fn check_state(&self, devices: &[DeviceId]) {
        self.check_snapshot().await;
        for &device in devices {
            self.check_certificates(device).await;
            self.check_bar(&self.row(device).await);
        }
    }

    /// The chains of the audit are whole.
    pub(crate) async fn check_audit(&self) {
        let report = self.read(|r| Box::pin(async move { r.verify_audit().await })).await;
        assert!(report.is_intact(), "{:?}", report.broken);
    }

    /// What the doors go by is what the records alone say; what has ended since the last sweep may be
    /// in it still, since its dates refuse it.
    async fn check_snapshot(&self) {
        let published = self.authority.snapshot();
        let rebuilt = self.reopened(IssuerMode::Embedded).await.snapshot();
        let ended = self.ended().await;
        let live = |references: &mut dyn Iterator<Item = CertificateRef>| -> HashSet<CertificateRef> {
            references.filter(|one| !ended.contains(one)).collect()
        };
        assert_eq!(published.version, rebuilt.version);
        assert_eq!(published.tenants, rebuilt.tenants);
        assert_eq!(published.barred, rebuilt.barred);
        assert_eq!(published.denied_keys, rebuilt.denied_keys);
        assert_eq!(live(&mut published.denied.iter()), live(&mut rebuilt.denied.iter()));
        assert_eq!(live(&mut published.pending.iter().cloned()), live(&mut rebuilt.pending.iter().cloned()));
        assert_eq!(
            live(&mut published.superseded.keys().cloned()),
            live(&mut rebuilt.superseded.keys().cloned())
        );
        for (reference, until) in &rebuilt.superseded {
            assert_eq!(published.superseded.get(reference), Some(until));
        }
    }

    /// Every certificate that has ended, on record or abandoned.
    async fn ended(&self) -> HashSet<CertificateRef> {
        let now = self.now();
        let filter = CertificateFilter { limit: 1000, ..CertificateFilter::default() };
        let rows = self.read(move |r| Box::pin(async move { r.list_certificates(&filter).await })).await;
        let revoked =
            self.read(move |r| Box::pin(async move { r.revocations_ended(start(), now).await })).await;
        let ended = rows.certificates.into_iter().filter(|row| row.lifetime.is_expired(now));
        ended.map(|row| row.reference).chain(revoked).collect()
    }

    /// Every issued certificate is in one state; at most one is active and one pending.
    async fn check_certificates(&self, device: DeviceId) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let rows = self.certificates(device).await;
        for row in &rows {
            *counts.entry(row.state.as_str()).or_default() += 1;
        }
        for state in [CertificateState::Active, CertificateState::PendingActivation] {
            assert!(counts.get(state.as_str()).is_none_or(|count| *count == 1), "{counts:?}");
        }
        let filter = AuditFilter {
            event: Some(AuditEvent::CertificateIssued),
            device: Some(device),
            ..AuditFilter::default()
        };
        let issued: BTreeSet<_> =
            self.audit(filter).await.into_iter().map(|record| record.certificate.unwrap()).collect();
        assert_eq!(issued, rows.iter().map(|row| row.id).collect(), "issued is what is on record");
        let row = self.row(device).await;
        let active = rows.iter().find(|one| one.state == CertificateState::Active);
        if let Some(active) = active {
            assert_eq!(
                row.certificate.map(|summary| summary.serial).as_ref(),
                Some(&active.reference.serial)
            );
            assert_ne!(row.status, DeviceStatus::Decommissioned);
        }
    }

    fn check_bar(&self, device: &DeviceRow) {
        let expected = match device.status {
            DeviceStatus::Quarantined => Some(Bar::Quarantined),
            DeviceStatus::Decommissioned => Some(Bar::Decommissioned),
            DeviceStatus::Pending
            | DeviceStatus::Online
            | DeviceStatus::Offline
            | DeviceStatus::Maintenance => None,
        };
        let key = (device.tenant_slug.clone(), device.name.clone());
        assert_eq!(self.authority.snapshot().barred.get(&key), expected);
        assert_eq!(device.quarantined_at.is_some(), device.status == DeviceStatus::Quarantined);
        assert_eq!(device.quarantined_reason.is_some(), device.status == DeviceStatus::Quarantined);
        assert!(device.token.is_none() || device.status != DeviceStatus::Decommissioned);
        assert!(device.grant_until.is_none() || !device.status.is_barred());
    }

    /// How often something is in the audit of the tenant `default`.
    pub(crate) async fn count(&self, event: AuditEvent) -> usize {
        self.places(event).await.len()
    }

    /// Where it is.
    pub(crate) async fn places(&self, event: AuditEvent) -> Vec<u64> {
        let scope = ChainScope::Tenant("default".parse().unwrap());
        let filter = AuditFilter { scope, event: Some(event), ..AuditFilter::default() };
        self.audit(filter).await.into_iter().map(|record| record.id).collect()
    }
}
