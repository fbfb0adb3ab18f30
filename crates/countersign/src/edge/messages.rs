//! What devices say at the MQTT door of an edge, on its way to the authority: it is with whoever is to have it
//! before its device hears that it arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::client::Client;
use countersign_api::wire::edge_devices::{EdgeMessage, EdgeMessages, MESSAGES_AT_ONCE};
use countersign_authority::ingest::PAYLOAD_LIMIT;
use countersign_edge::attach::{Connections, News};
use countersign_edge::mqtt::{Fate, Message, SetAside, Sink, SinkError, Taking};
use tokio::sync::watch;

use crate::sinks::{Deliver, Delivering, SinkQueue};

/// How long the authority may take with what it was handed: its sinks may be slow. That it is gone is heard
/// otherwise.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much is handed over at once at most, in octets: a request may have 1 MiB.
const ROOM: usize = 900 << 10;

/// A message on its way.
#[derive(Clone, Debug)]
struct Handed {
    said: EdgeMessage,
    /// Whether the authority has set it aside.
    is_aside: Arc<AtomicBool>,
}

impl Handed {
    fn new(said: EdgeMessage) -> Self {
        Self { said, is_aside: Arc::default() }
    }
}

/// Hands messages over to the authority, in the order in which they came.
#[derive(Debug)]
pub(super) struct Messages(SinkQueue<Handed>);

impl Messages {
    /// Reached so; must be called on the runtime that its work is to be done on.
    pub(super) fn new(clients: watch::Receiver<Client>, news: &News) -> Self {
        let authority = Authority { clients, connections: news.connections(), is_tried: false };
        Self(SinkQueue::start("authority", MESSAGES_AT_ONCE, authority))
    }
}

impl Sink for Messages {
    fn take(&self, message: Message) -> Taking {
        let (queue, bytes) = (self.0.clone(), message.payload.len());
        let handed = Handed::new(said(message, bytes, None));
        let is_aside = Arc::clone(&handed.is_aside);
        Box::pin(async move {
            queue.take(handed).await.map_err(|error| SinkError(error.into()))?;
            Ok(if is_aside.load(Ordering::Acquire) { Fate::SetAside } else { Fate::Kept })
        })
    }

    fn set_aside(&self, denied: SetAside) {
        let SetAside { message, code, payload_bytes } = denied;
        if !self.0.offer(Handed::new(said(message, payload_bytes, Some(code)))) {
            tracing::debug!(code, "denied message not written down");
        }
    }
}

/// A message as the authority is told of it. What is longer than any that it takes goes without its end.
fn said(mut message: Message, payload_bytes: usize, refused: Option<&str>) -> EdgeMessage {
    message.payload.truncate(PAYLOAD_LIMIT);
    EdgeMessage {
        tenant: message.identity.tenant().clone(),
        device: message.identity.device().clone(),
        issuer: message.certificate.issuer,
        serial_number: message.certificate.serial,
        prefix_bytes: message.topic.len().saturating_sub(message.suffix.len()),
        topic: message.topic,
        qos: message.qos.bits(),
        dup: message.is_dup,
        received_at: message.received_at,
        payload: STANDARD.encode(&message.payload),
        payload_bytes,
        refused: refused.map(ToOwned::to_owned),
    }
}

/// The way to the authority.
struct Authority {
    clients: watch::Receiver<Client>,
    connections: Connections,
    /// Whether it may have some of the messages that it is handed next.
    is_tried: bool,
}

impl Authority {
    /// Which of them were set aside, by their places.
    async fn hand_over(&self, messages: Vec<EdgeMessage>) -> anyhow::Result<Vec<usize>> {
        let client = self.clients.borrow().clone().with_timeout(PATIENCE);
        let request = EdgeMessages { messages };
        tokio::select! {
            taken = client.hand_over_messages(&request) => {
                Ok(taken.context("reach the authority")?.set_aside)
            }
            // It was gone meanwhile: what was asked before may never be answered.
            () = self.connections.made_anew() => bail!("the connection to the authority was made anew"),
        }
    }
}

impl Deliver<Handed> for Authority {
    fn deliver<'a>(&'a mut self, batch: &'a [Handed]) -> Delivering<'a> {
        Box::pin(async move {
            let is_again = std::mem::replace(&mut self.is_tried, true);
            for part in parts(batch) {
                let again = |one: &Handed| EdgeMessage { dup: one.said.dup || is_again, ..one.said.clone() };
                let set_aside = self.hand_over(part.iter().map(again).collect()).await?;
                for aside in set_aside.into_iter().filter_map(|place| part.get(place)) {
                    aside.is_aside.store(true, Ordering::Release);
                }
            }
            self.is_tried = false;
            Ok(())
        })
    }
}

/// The same in parts that there is room for in one request each.
fn parts(batch: &[Handed]) -> Vec<&[Handed]> {
    let (mut parts, mut rest, mut count, mut room) = (Vec::new(), batch, 0, ROOM);
    for message in batch {
        let bytes = bytes_of(&message.said);
        if count > 0 && bytes > room {
            let (part, after) = rest.split_at(count);
            parts.push(part);
            (rest, count, room) = (after, 0, ROOM);
        }
        count += 1;
        room = room.saturating_sub(bytes);
    }
    parts.push(rest);
    parts
}

/// How long a message is in JSON, at most.
const fn bytes_of(message: &EdgeMessage) -> usize {
    message.payload.len() + 6 * message.topic.len() + 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::ids::IssuerKeyId;
    use countersign_core::time::Timestamp;

    fn message(payload: usize) -> EdgeMessage {
        EdgeMessage {
            tenant: "acme".parse().unwrap(),
            device: "d1".parse().unwrap(),
            issuer: IssuerKeyId::OF_TOKENS,
            serial_number: "01".parse().unwrap(),
            topic: "t".to_owned(),
            prefix_bytes: 0,
            qos: 1,
            dup: false,
            received_at: Timestamp::from_secs(0),
            payload: "A".repeat(payload),
            payload_bytes: payload,
            refused: None,
        }
    }

    #[test]
    fn a_batch_goes_in_parts_that_there_is_room_for_and_each_message_once() {
        let lengths = |sizes: &[usize]| {
            let batch: Vec<Handed> = sizes.iter().map(|size| Handed::new(message(*size))).collect();
            parts(&batch).iter().map(|part| part.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[10, 10, 10]), [3]);
        assert_eq!(lengths(&[500 << 10, 500 << 10, 10]), [1, 2]);
        assert_eq!(lengths(&[10, 2 << 20, 10]), [1, 1, 1]);
        let whole = serde_json::to_vec(&message(1000)).unwrap();
        assert!(whole.len() <= bytes_of(&message(1000)));
    }
}
