//! What the door says of a sender to those behind it.

use countersign_core::ids::SerialNumber;

use crate::mqtt::party::Party;
use crate::mqtt::wire::{Properties, Property, PropertyId, PropertyWriter, Value};

/// No sender may write properties whose names begin like this, in any case.
const RESERVED: &str = "countersign-";

/// Who it is, and the serial number of the certificate, verified.
#[derive(Clone, Debug)]
pub(in crate::mqtt) struct Stamp(Vec<(&'static str, String)>);

impl Stamp {
    /// A device's says its tenant and its name, a service's the name of its grant; who showed no certificate has
    /// no serial number.
    pub(in crate::mqtt) fn of(party: &Party, certificate: Option<&SerialNumber>) -> Self {
        let mut pairs = match party {
            Party::Device((tenant, device)) => {
                vec![("countersign-tenant", tenant.to_string()), ("countersign-device", device.to_string())]
            }
            Party::Service(name) => vec![("countersign-service", name.to_string())],
        };
        pairs.extend(certificate.map(|serial| ("countersign-serial", serial.to_string())));
        Self(pairs)
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
        self.0.iter().for_each(|(name, value)| writer.pair(name, value));
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
