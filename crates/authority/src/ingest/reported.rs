//! What a device says of its own state: kept as its shadow, and among the telemetry.

use countersign_store::{DeviceRow, Presence, ReportedState, StoreError, Writing};
use serde_json::{Map, Value};

use super::check;
use super::sender::Sender;
use super::take::{Incoming, Taken, judge_state, reject, telemetry_of};
use crate::authority::Authority;

impl Authority {
    /// Takes what a device says its state is: `{"version": n, "reported": {…}}`, or the state itself. What it
    /// said before is not among the telemetry again.
    ///
    /// # Errors
    /// As [`Self::take_telemetry`].
    pub async fn take_reported_state(&self, message: Incoming) -> Result<Taken, StoreError> {
        let said = check::said(&message.payload);
        let at = message.received_at;
        let (taken, device) = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let sender = Sender::of(w, &message.identity, message.token).await?;
                    let taken = match said.and_then(|said| judge_state(&sender, said)) {
                        Ok((device, members)) => keep(w, device, &message, members).await,
                        Err(rejection) => reject(w, &message, rejection, sender.device.as_ref()).await,
                    };
                    Ok::<_, StoreError>((taken?, sender.device.map(|device| device.id)))
                })
            })
            .await?;
        if let (Some(device), Taken::Telemetry(_) | Taken::KnownState) = (device, taken) {
            self.presence.hear(Presence { device, at, ip: None, agent_version: None });
        }
        Ok(taken)
    }
}

async fn keep(
    w: &mut Writing<'_>,
    device: &DeviceRow,
    message: &Incoming,
    members: Map<String, Value>,
) -> Result<Taken, StoreError> {
    let payload = Value::Object(members.clone()).to_string();
    let (version, state) = said(members);
    let before = w.shadow(device.id).await?.reported;
    let is_known = before.is_some_and(|before| (before.version, &before.state) == (version, &state));
    let reported = ReportedState { version, state, at: message.received_at };
    w.report_state(device.id, &reported).await?;
    if is_known {
        return Ok(Taken::KnownState);
    }
    Ok(Taken::Telemetry(w.insert_telemetry(device, &telemetry_of(message, None, payload)).await?))
}

/// The version that the device goes by, and its state.
fn said(mut members: Map<String, Value>) -> (Option<u64>, Value) {
    match members.remove("reported") {
        Some(state @ Value::Object(_)) => (members.get("version").and_then(Value::as_u64), state),
        Some(other) => {
            members.insert("reported".to_owned(), other);
            (None, Value::Object(members))
        }
        None => (None, Value::Object(members)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_is_what_is_reported_or_all_of_it() {
        let read = |value: Value| said(value.as_object().unwrap().clone());
        assert_eq!(read(json!({ "version": 3, "reported": { "a": 1 } })), (Some(3), json!({ "a": 1 })));
        assert_eq!(read(json!({ "reported": { "a": 1 } })), (None, json!({ "a": 1 })));
        assert_eq!(read(json!({ "version": -1, "reported": {} })), (None, json!({})));
        assert_eq!(read(json!({ "version": 3, "a": 1 })), (None, json!({ "version": 3, "a": 1 })));
        assert_eq!(read(json!({ "reported": 7 })), (None, json!({ "reported": 7 })));
    }
}
