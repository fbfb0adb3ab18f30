//! What the door says of a sender to those behind it.

use countersign_core::snapshot::CertificateClaim;

use crate::mqtt::wire::{Properties, Property, PropertyId, PropertyWriter, Value};

/// No sender may write properties whose names begin like this, in any case.
const RESERVED: &str = "countersign-";

/// Tenant, device and serial number, verified.
#[derive(Clone, Debug)]
pub(in crate::mqtt) struct Stamp {
    pub(in crate::mqtt) tenant: String,
    pub(in crate::mqtt) device: String,
    pub(in crate::mqtt) serial: String,
}

impl Stamp {
    pub(in crate::mqtt) fn of(claim: &CertificateClaim) -> Self {
        Self {
            tenant: claim.identity.tenant().to_string(),
            device: claim.identity.device().to_string(),
            serial: claim.reference.serial.to_string(),
        }
    }

    /// Keeps the properties that `keep` says, without what only the door may say, and says it.
    pub(in crate::mqtt) fn put(
        &self,
        properties: Properties<'_>,
        writer: &mut PropertyWriter,
        keep: impl Fn(PropertyId) -> bool,
    ) {
        let own = |property: &Property<'_>| keep(property.id) && !is_reserved(property);
        properties.iter().filter(own).for_each(|property| writer.keep(property));
        writer.pair("countersign-tenant", &self.tenant);
        writer.pair("countersign-device", &self.device);
        writer.pair("countersign-serial", &self.serial);
    }
}

fn is_reserved(property: &Property<'_>) -> bool {
    match property.value {
        Value::Pair(name, _) => name
            .as_bytes()
            .get(..RESERVED.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(RESERVED.as_bytes())),
        Value::Number(_) | Value::Text(_) | Value::Binary(_) => false,
    }
}
