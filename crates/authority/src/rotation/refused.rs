//! Why a step of a rotation is not taken.

use std::fmt;

use countersign_core::ids::{CaName, IssuerKeyId, ServiceLabel};
use countersign_core::rotation::{IllegalRotationEvent, RotationStep};
use countersign_core::time::Timestamp;
use countersign_store::{Dependents, IssuerRole, IssuerState, Reading, StoreError};
use thiserror::Error;

use crate::authorized::Forbidden;
use crate::issuers::NoIssuer;

/// How many devices a refusal names.
const NAMED: u32 = 5;

/// A rotation stays where it is.
#[derive(Debug, Error)]
pub enum RotationError {
    /// The caller may not, or is bound to one tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// There is no such CA, or its key is not at hand.
    #[error("cannot use the CA")]
    Ca(#[from] NoIssuer),
    /// The CA is not being replaced, and replaces none.
    #[error("no rotation of the CA {0} was begun")]
    NotRotating(CaName),
    /// The step is not allowed now.
    #[error("the step is refused")]
    Refused(#[from] Refused),
    /// The new CA could not be made.
    #[error("cannot make the new CA")]
    Make(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// Why a step is not allowed now.
#[derive(Clone, Debug, Error)]
pub enum Refused {
    /// A CA like this is not rotated.
    #[error("the CA {0} cannot be rotated: {1}")]
    NotPossible(CaName, &'static str),
    /// It is being rotated already.
    #[error("a rotation of the CA {0} goes on; it is {1}")]
    GoesOn(CaName, RotationStep),
    /// Only of a CA that makes devices some can go first.
    #[error("a canary is for device CAs, and this is a {0} CA; activate it for all at once")]
    NoCanary(IssuerRole),
    /// No device has a certificate of the old CA and was seen.
    #[error("no device with a certificate of the old CA was ever seen; choose a tenant or a percentage")]
    NobodyToGoFirst,
    /// The steps have an order.
    #[error("{0}")]
    Step(IllegalRotationEvent),
    /// Not all follow yet.
    #[error("not adopted yet: {}", .0.join("; "))]
    NotAdopted(Vec<String>),
    /// Somebody depends on the CA.
    #[error("{0}")]
    InUse(Box<InUse>),
    /// Somebody else took a step in between.
    #[error("somebody else took a step of this rotation meanwhile; look at its status")]
    Raced,
}

/// Who depends on a CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// The CA.
    pub ca: Option<CaName>,
    /// Live certificates.
    pub certificates: Dependents,
    /// Doors that show a certificate of it.
    pub doors: u32,
    /// Services by their names; some may have none.
    pub services: Vec<ServiceLabel>,
    /// CAs below it that are not retired.
    pub cas: Vec<CaName>,
    /// Some of the devices, as `tenant/device`.
    pub devices: Vec<String>,
}

impl InUse {
    /// Reads it; `None` when nobody does.
    pub(crate) async fn read(
        r: &mut Reading<'_>,
        (issuer, name): (IssuerKeyId, CaName),
        doors: u32,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let certificates = r.dependents(issuer, now).await?;
        let cas: Vec<CaName> = r
            .issuers()
            .await?
            .into_iter()
            .filter(|row| row.parent == Some(issuer) && row.state != IssuerState::Retired)
            .map(|row| row.name)
            .collect();
        if certificates.is_none() && cas.is_empty() && doors == 0 {
            return Ok(None);
        }
        let devices = r.dependent_devices((issuer, None), now, None, NAMED).await?.devices;
        let services = r.dependent_services(issuer, now).await?;
        let devices = devices.iter().map(|one| format!("{}/{}", one.tenant, one.name)).collect();
        Ok(Some(Self { ca: Some(name), certificates, doors, services, cas, devices }))
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dependents { active, pending, superseded, services, unrecorded } = self.certificates;
        let mut parts = Vec::new();
        let mut say = |count: u64, what: &str, which: &[String]| {
            if count > 0 {
                let which = if which.is_empty() { String::new() } else { format!(" ({})", which.join(", ")) };
                parts.push(format!("{count} {what}{which}"));
            }
        };
        let more = if active + pending + superseded > self.devices.len() as u64 { Some("…") } else { None };
        let devices: Vec<String> =
            self.devices.iter().map(String::as_str).chain(more).map(str::to_owned).collect();
        say(active, "active certificates of devices", &[]);
        say(pending, "certificates of devices to be confirmed", &[]);
        say(superseded, "replaced certificates of devices whose overlap has not ended", &[]);
        let labels: Vec<String> = self.services.iter().map(ToString::to_string).collect();
        say(services, "certificates of services", &labels);
        say(unrecorded, "certificates that are being signed", &[]);
        say(u64::from(self.doors), "doors that show a certificate of it", &[]);
        let cas: Vec<String> = self.cas.iter().map(ToString::to_string).collect();
        say(cas.len() as u64, "CAs below it", &cas);
        let name = self.ca.as_ref().map_or("", CaName::as_str);
        write!(f, "the CA {name} is still needed: {}", parts.join(", "))?;
        if devices.is_empty() { Ok(()) } else { write!(f, "; devices: {}", devices.join(", ")) }
    }
}
