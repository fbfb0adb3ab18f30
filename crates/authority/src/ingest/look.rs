//! Looking at telemetry and at what was set aside.

use countersign_store::StoreError;
pub use countersign_store::{MessagePart, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

impl Authority {
    /// A part of the telemetry; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn telemetry(
        &self,
        by: &Authorized<View>,
        mut filter: TelemetryFilter,
    ) -> Result<Vec<TelemetryRow>, LookError> {
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        if let Some(device) = filter.device {
            self.device(by, device).await?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.telemetry(&filter).await })).await?)
    }

    /// Messages that were set aside, newest first; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn messages_set_aside(
        &self,
        by: &Authorized<View>,
        mut filter: SetAsideFilter,
    ) -> Result<Vec<SetAsideRow>, LookError> {
        if let Some(own) = by.scope() {
            filter.tenant.get_or_insert(own);
        }
        if let Some(tenant) = filter.tenant {
            by.covers(tenant)?;
        }
        Ok(self.store.read(move |r| Box::pin(async move { r.set_aside(&filter).await })).await?)
    }

    /// One message that was set aside.
    ///
    /// # Errors
    /// See [`LookError`]. Fails closed: one whose tenant is not on record is for the unbound alone.
    pub async fn message_set_aside(&self, by: &Authorized<View>, id: u64) -> Result<SetAsideRow, LookError> {
        let found: Result<_, StoreError> =
            self.store.read(move |r| Box::pin(async move { r.set_aside_message(id).await })).await;
        let row = found?.ok_or(LookError::Unknown)?;
        match row.tenant {
            Some(tenant) => by.covers(tenant)?,
            None => by.covers_all()?,
        }
        Ok(row)
    }
}
