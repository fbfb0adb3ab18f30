//! What the hub remembers of a client, also while it is away.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::mqtt::topics::matches;
use crate::mqtt::wire::{Encoder, Properties, PropertyWriter, Publish, Qos, Version};

/// How many messages wait for one client.
const QUEUE: usize = 100;

/// How many filters one client has.
const SUBSCRIPTIONS: usize = 32;

/// A message for a client.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: Qos,
}

/// What is remembered of a client.
#[derive(Debug, Default)]
pub(super) struct Session {
    subscriptions: Vec<(String, Qos)>,
    queue: VecDeque<Outgoing>,
    /// What was sent at QoS 1 and is not acknowledged.
    sending: BTreeMap<u16, Outgoing>,
    /// Messages of QoS 2 that were taken and not released.
    pub(super) received: HashSet<u16>,
    last_id: u16,
    /// Which connection it is on.
    pub(super) connection: Option<u64>,
    /// How long it is kept without one.
    pub(super) expiry: Duration,
    /// When it is forgotten.
    pub(super) ends: Option<Instant>,
    pub(super) waker: Option<Waker>,
}

impl Session {
    /// Adds a filter; `None`: it has too many.
    pub(super) fn subscribe(&mut self, filter: &str, qos: Qos) -> Option<Qos> {
        let granted = qos.min(Qos::AtLeastOnce);
        self.subscriptions.retain(|(known, _)| known != filter);
        if self.subscriptions.len() >= SUBSCRIPTIONS {
            return None;
        }
        self.subscriptions.push((filter.to_owned(), granted));
        Some(granted)
    }

    /// Takes a filter away. Whether there was one.
    pub(super) fn unsubscribe(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|(known, _)| known != filter);
        self.subscriptions.len() < before
    }

    /// Puts a message in the queue if it is subscribed to and there is room. Whether it is there.
    pub(super) fn offer(&mut self, topic: &str, payload: &[u8], qos: Qos) -> bool {
        let wanted = self.subscriptions.iter().filter(|(filter, _)| matches(filter, topic));
        let Some(granted) = wanted.map(|(_, qos)| *qos).max() else { return false };
        // What is not acknowledged is not kept for a client that is away.
        let qos = granted.min(qos);
        if self.queue.len() >= QUEUE || (qos == Qos::AtMostOnce && self.connection.is_none()) {
            return false;
        }
        self.queue.push_back(Outgoing { topic: topic.to_owned(), payload: payload.to_vec(), qos });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    pub(super) fn acknowledged(&mut self, id: u16) {
        self.sending.remove(&id);
    }

    /// Sends again what was not acknowledged on an earlier connection.
    pub(super) fn resend(&self, version: Version, out: &mut Vec<u8>) {
        self.sending.iter().for_each(|(id, message)| put(version, message, Some(*id), true, out));
    }

    /// Sends what waits, so many at once unacknowledged.
    pub(super) fn send(&mut self, version: Version, at_once: usize, out: &mut Vec<u8>) {
        while self.sending.len() < at_once {
            let Some(message) = self.queue.pop_front() else { return };
            if message.qos == Qos::AtMostOnce {
                put(version, &message, None, false, out);
                continue;
            }
            let id = self.free_id();
            put(version, &message, Some(id), false, out);
            self.sending.insert(id, message);
        }
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if !self.sending.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

fn put(version: Version, message: &Outgoing, packet_id: Option<u16>, is_dup: bool, out: &mut Vec<u8>) {
    let publish = Publish {
        is_dup,
        qos: if packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce },
        is_retained: false,
        topic: &message.topic,
        packet_id,
        properties: Properties::default(),
        payload: &message.payload,
    };
    Encoder::new(version, out).publish(&publish, &message.topic, &PropertyWriter::new());
}
