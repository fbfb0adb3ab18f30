//! Looking at devices and certificates.

use std::collections::HashMap;

use countersign_core::ids::{CertificateId, DeviceId};
use countersign_store::StoreError;
pub use countersign_store::{
    CertificateFilter, CertificatePage, CertificateRow, DeviceFilter, DevicePage, DeviceRow,
};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, View};

/// What was looked for cannot be shown.
#[derive(Debug, Error)]
pub enum LookError {
    /// It does not exist.
    #[error("unknown")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot look it up")]
    Store(#[from] StoreError),
}

impl Authority {
    /// The certificate by which each of these devices is known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn shown_certificates(
        &self,
        devices: &[DeviceRow],
    ) -> Result<HashMap<DeviceId, CertificateRow>, StoreError> {
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
        self.store.read(move |r| Box::pin(async move { r.shown_certificates(&ids).await })).await
    }

    /// One page of devices; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_devices(
        &self,
        by: &Authorized<View>,
        mut filter: DeviceFilter,
    ) -> Result<DevicePage, LookError> {
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.list_devices(&filter).await })).await?)
    }

    /// The devices that wait for a decision, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn quarantined_devices(&self, by: &Authorized<View>) -> Result<Vec<DeviceRow>, StoreError> {
        let scope = by.scope();
        self.store.read(move |r| Box::pin(async move { r.quarantined_devices(scope).await })).await
    }

    /// One device.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn device(&self, by: &Authorized<View>, id: DeviceId) -> Result<DeviceRow, LookError> {
        let found = self.store.read(move |r| Box::pin(async move { r.device(id).await })).await?;
        let device = found.ok_or(LookError::Unknown)?;
        by.covers(device.tenant)?;
        Ok(device)
    }

    /// The certificates of a device, newest first.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn device_certificates(
        &self,
        by: &Authorized<View>,
        id: DeviceId,
    ) -> Result<Vec<CertificateRow>, LookError> {
        self.device(by, id).await?;
        Ok(self.store.read(move |r| Box::pin(async move { r.certificates_of(id).await })).await?)
    }

    /// One page of certificates; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn list_certificates(
        &self,
        by: &Authorized<View>,
        mut filter: CertificateFilter,
    ) -> Result<CertificatePage, LookError> {
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.list_certificates(&filter).await })).await?)
    }

    /// One certificate.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn certificate(
        &self,
        by: &Authorized<View>,
        id: CertificateId,
    ) -> Result<CertificateRow, LookError> {
        let row = self
            .store
            .read(move |r| Box::pin(async move { r.certificate(id).await }))
            .await?
            .ok_or(LookError::Unknown)?;
        self.device(by, row.device).await?;
        Ok(row)
    }
}
