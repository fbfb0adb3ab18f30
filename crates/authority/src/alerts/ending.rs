//! Certificates that were issued here and end within a week: those of services, and those of devices that should have
//! renewed them.

use std::time::Duration;

use countersign_core::time::Timestamp;
use countersign_store::{
    EndingCertificates, ExpiringDevices, ServiceCertificateRow, ServicesEnding, Severity, StoreError,
};
use parking_lot::Mutex;

use super::causes::Cause;
use super::kind::AlertKind;
use crate::authority::Authority;
use crate::expiry::{ExpiryStep, OVERDUE, name_of};

/// How often it is looked for: there may be many.
const PERIOD: Duration = Duration::from_secs(300);

/// What was found last, and when.
pub(super) type Ending = Mutex<Option<(Timestamp, Vec<Cause>)>>;

impl Authority {
    /// What ends, at most so old.
    pub(super) async fn ending_certificates(&self, now: Timestamp) -> Result<Vec<Cause>, StoreError> {
        let known = self.alerts.ending.lock().clone();
        if let Some((at, causes)) = known
            && at <= now
            && now.since(at) < PERIOD
        {
            return Ok(causes);
        }
        let soon = ExpiryStep::Week.before();
        let services = ServicesEnding { after: now, by: now + soon, step: ExpiryStep::Over };
        let devices = EndingCertificates { after: now, by: now + soon, issued_by: now - soon * OVERDUE };
        let (services, devices) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let services = r.services_ending(services).await?;
                    Ok::<_, StoreError>((services, r.expiring_devices(devices).await?))
                })
            })
            .await?;
        // Of one that lives no longer a week says nothing.
        let services = services.iter().filter(|row| ExpiryStep::of(row.lifetime, now).is_some());
        let causes: Vec<Cause> =
            services.map(of_service).chain(devices.into_iter().map(of_devices)).collect();
        *self.alerts.ending.lock() = Some((now, causes.clone()));
        Ok(causes)
    }
}

fn of_service(row: &ServiceCertificateRow) -> Cause {
    let name = name_of(row);
    Cause {
        kind: AlertKind::ServiceExpiring,
        subject: format!("{name} {}", row.reference.serial),
        tenant: None,
        severity: Severity::Warning,
        summary: format!("the certificate of {name} ends at {}", row.lifetime.expires_at),
    }
}

fn of_devices(found: ExpiringDevices) -> Cause {
    let ExpiringDevices { tenant, devices, soonest } = found;
    let have = if devices == 1 { "device has" } else { "devices have" };
    Cause {
        kind: AlertKind::RenewalOverdue,
        subject: tenant.to_string(),
        severity: Severity::Warning,
        summary: format!("{devices} {have} not renewed certificates of {tenant} that end from {soonest} on"),
        tenant: Some(tenant),
    }
}
