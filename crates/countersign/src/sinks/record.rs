//! A message as sinks get it.

use std::sync::Arc;

use countersign_authority::ingest::{Accepted, Incoming};
use countersign_core::ids::RequestId;
use serde_json::{Value, json};

/// A message, with an id of its own: what comes twice has the same.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Its id.
    pub(crate) id: RequestId,
    /// Whose device sent it.
    pub(crate) tenant: String,
    /// Which device.
    pub(crate) device: String,
    /// All of it, JSON.
    pub(crate) json: Arc<str>,
}

impl Record {
    /// Of a message that was found right.
    pub(crate) fn of(message: &Incoming, accepted: &Accepted) -> Self {
        let id = RequestId::random();
        let payload: Value = serde_json::from_str(&accepted.payload).unwrap_or_default();
        let json = json!({
            "id": id,
            "tenant": message.identity.tenant(),
            "device": message.identity.device(),
            "deviceId": accepted.device,
            "site": accepted.site,
            "serialNumber": message.certificate.serial.to_string(),
            "topic": message.topic,
            "qos": message.qos,
            "dup": message.is_dup,
            "receivedAt": message.received_at,
            "sentAt": accepted.sent_at,
            "payload": payload,
        });
        Self {
            id,
            tenant: message.identity.tenant().to_string(),
            device: message.identity.device().to_string(),
            json: json.to_string().into(),
        }
    }

    /// `{tenant}` and `{device}` filled in; in names, `separator` becomes `_`.
    pub(super) fn fill(&self, text: &str, separator: char) -> String {
        let plain = |name: &str| name.replace(separator, "_");
        text.replace("{tenant}", &plain(&self.tenant)).replace("{device}", &plain(&self.device))
    }
}

#[cfg(test)]
impl Record {
    /// A record for tests.
    pub(super) fn example(device: &str) -> Self {
        Self {
            id: RequestId::random(),
            tenant: "acme".to_owned(),
            device: device.to_owned(),
            json: format!("{{\"device\":\"{device}\"}}").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_level_of_a_subject() {
        let record = Record::example("pump.7");
        assert_eq!(record.fill("t.{tenant}.{device}", '.'), "t.acme.pump_7");
        assert_eq!(record.fill("t/{tenant}/{device}", '/'), "t/acme/pump.7");
    }
}
