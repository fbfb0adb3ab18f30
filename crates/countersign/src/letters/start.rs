//! Starting to offer, where somebody hears what devices answer.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::mqtt::MqttUpstream;

use super::offers::{Source, offer};
use crate::config::{Messages, Resolved};
use crate::doors::{self, Doors, Given};

/// Offers devices at the MQTT door of this process what `source` has for them, if the door is open.
///
/// # Errors
/// When what stands behind the door cannot be prepared.
pub(crate) fn start(
    config: &Resolved,
    (doors, given): (&Doors, &Given),
    source: impl Source,
) -> anyhow::Result<()> {
    let (Some(door), Some(_open)) = (&config.mqtt_door, doors.mqtt()) else { return Ok(()) };
    let upstream =
        doors::mqtt_upstream(door, &given.hub, &given.roots).context("prepare commands over MQTT")?;
    let hears_answers = matches!(door.messages, Messages::Database | Messages::Sinks);
    if hears_answers || matches!(upstream, MqttUpstream::Hub(_)) {
        let letters = (upstream, door.layout.clone());
        tokio::spawn(offer(source, letters, Arc::clone(&given.listeners)));
    }
    Ok(())
}
