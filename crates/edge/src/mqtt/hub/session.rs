//! What the hub remembers of a client, also while it is away.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::mqtt::letters::Letter;
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
    /// When it is of no use any more.
    pub(super) ends: Option<Instant>,
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

    /// Puts a letter in the queue if it is subscribed to and there is room. Whether it is there, or the same is
    /// under way already.
    pub(super) fn offer(&mut self, letter: &Letter) -> bool {
        let Letter { topic, payload, life } = letter;
        let wanted = self.subscriptions.iter().filter(|(filter, _)| matches(filter, topic));
        let Some(qos) = wanted.map(|(_, qos)| *qos).max() else { return false };
        let mut under_way = self.queue.iter().chain(self.sending.values());
        if under_way.any(|other| other.topic == *topic && other.payload == *payload) {
            return true;
        }
        // What is not acknowledged is not kept for a client that is away.
        if self.queue.len() >= QUEUE || (qos == Qos::AtMostOnce && self.connection.is_none()) {
            return false;
        }
        let ends = life.and_then(|life| Instant::now().checked_add(life));
        self.queue.push_back(Outgoing { topic: topic.clone(), payload: payload.clone(), qos, ends });
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
            if message.ends.is_some_and(|end| end <= Instant::now()) {
                continue;
            }
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
