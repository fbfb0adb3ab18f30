//! A rotation that goes on, as it decides who signs and who is to renew.

use std::collections::HashSet;

use countersign_core::ids::{DeviceId, IssuerKeyId, Tenant};
use countersign_core::rotation::RotationStep;
use countersign_core::time::Timestamp;
use countersign_store::{Reading, RotationRow, StoreError};

/// A rotation with the devices that were chosen to go first.
#[derive(Clone, Debug)]
pub(crate) struct OpenRotation {
    pub(crate) row: RotationRow,
    chosen: HashSet<DeviceId>,
}

impl OpenRotation {
    pub(crate) async fn read_all(r: &mut Reading<'_>) -> Result<Vec<Self>, StoreError> {
        let mut rotations = Vec::new();
        for row in r.open_rotations().await? {
            let chosen = r.rotation_devices(row.id).await?.into_iter().collect();
            rotations.push(Self { row, chosen });
        }
        Ok(rotations)
    }

    /// Whether a CA is one of the two.
    pub(crate) fn is_about(&self, issuer: IssuerKeyId) -> bool {
        self.row.old == issuer || self.row.new == issuer
    }

    /// Which of the two CAs a device's next certificate is to be of.
    pub(crate) fn ca_for(&self, tenant: &Tenant, device: DeviceId) -> IssuerKeyId {
        let goes_over = match (self.row.step, &self.row.canary) {
            (RotationStep::Active | RotationStep::Retired, _) => true,
            (RotationStep::Canary, Some(canary)) => self.goes_first(canary, tenant, device),
            (RotationStep::Prepared | RotationStep::Canary | RotationStep::Withdrawn, _) => false,
        };
        if goes_over { self.row.new } else { self.row.old }
    }

    /// Whether a device is one of those that go first.
    pub(crate) fn goes_first(
        &self,
        canary: &countersign_core::rotation::Canary,
        tenant: &Tenant,
        device: DeviceId,
    ) -> bool {
        canary.takes(self.row.id, tenant, device).unwrap_or_else(|| self.chosen.contains(&device))
    }

    /// Whether a device with a certificate of `issuer` is to renew now.
    pub(crate) fn calls(
        &self,
        (tenant, device): (&Tenant, DeviceId),
        issuer: IssuerKeyId,
        now: Timestamp,
    ) -> bool {
        let is_elsewhere = self.is_about(issuer) && self.ca_for(tenant, device) != issuer;
        is_elsewhere && self.row.renewal.is_some_and(|call| now >= call.turn_of(self.row.id, device))
    }
}
