//! What is remembered of a conversation.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::stamp::Stamp;
use crate::mqtt::door::PayloadTokens;
use crate::mqtt::holdings::Holdings;
use crate::mqtt::listeners::Listeners;
use crate::mqtt::party::Party;
use crate::mqtt::retained::QuotaUsedUp;
use crate::mqtt::rights::Rights;
use crate::mqtt::terms::Terms;
use crate::mqtt::wire::{Encoder, Kind, Qos, Reason, Version};

/// Why a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum End {
    /// The device said goodbye, and the broker is told.
    Goodbye,
    /// The device is gone without a word: its will is due.
    Vanished,
    /// The device did what it may not, and is told so.
    Refused(Reason),
    /// The broker ended it, with this code.
    Dismissed(u8),
    /// The broker is gone, or speaks no proper MQTT.
    UpstreamLost,
    /// Somebody decided so: what the device was opened with fell.
    Cut,
    /// Its certificate has expired, or was replaced and its time is over.
    Lapsed,
    /// The door closes.
    Drained,
}

/// Something that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Incident {
    /// The stable code.
    pub(in crate::mqtt) code: &'static str,
    /// In which kind of packet.
    pub(in crate::mqtt) packet: &'static str,
    /// The topic or filter that was named.
    pub(in crate::mqtt) topic: String,
}

/// Where packets are written to.
#[derive(Debug)]
pub(in crate::mqtt) struct Out<'a> {
    pub(in crate::mqtt) up: &'a mut Vec<u8>,
    pub(in crate::mqtt) down: &'a mut Vec<u8>,
    pub(in crate::mqtt) incidents: &'a mut Vec<Incident>,
}

/// What comes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Step {
    /// Nothing more.
    On,
    /// A message goes to the sink first, and these bytes to the broker once it has it.
    Tap(Tapped, Vec<u8>),
    /// A message was denied; the sink may take note.
    SetAside(Tapped, &'static str),
    /// The end.
    End(End),
}

/// A message for the sink.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Tapped {
    pub(in crate::mqtt) topic: String,
    pub(in crate::mqtt) qos: Qos,
    pub(in crate::mqtt) is_dup: bool,
    pub(in crate::mqtt) payload: Vec<u8>,
    pub(in crate::mqtt) packet_id: Option<u16>,
    /// How long it was: of a denied one only the beginning is here.
    pub(in crate::mqtt) payload_bytes: usize,
}

/// What the conversations of a door have in common.
#[derive(Debug)]
pub(in crate::mqtt) struct Context {
    pub(in crate::mqtt) terms: Terms,
    pub(in crate::mqtt) holdings: Arc<Holdings>,
    /// Who is told of devices that begin to listen.
    pub(in crate::mqtt) listeners: Option<Arc<Listeners>>,
    /// Whether messages go to a sink.
    pub(in crate::mqtt) is_tapped: bool,
    /// Whether the broker sees tokens in payloads.
    pub(in crate::mqtt) payload_tokens: PayloadTokens,
}

impl Context {
    /// Notes that a device listens, where somebody wants to know.
    pub(in crate::mqtt) fn listens(&self, party: &Party) {
        if let (Some(listeners), Party::Device(device)) = (&self.listeners, party) {
            listeners.note(device);
        }
    }

    /// Notes a message that is to be kept for those who come later. Only devices have a quota of them.
    pub(in crate::mqtt) fn keeps(&self, party: &Party, topic: &str, bytes: usize) -> Result<(), QuotaUsedUp> {
        match party {
            Party::Device(device) => self.holdings.retained.note(device, topic, bytes, &self.terms),
            Party::Service(_) => Ok(()),
        }
    }
}

/// One conversation.
#[derive(Debug)]
pub(in crate::mqtt) struct State {
    pub(super) version: Version,
    pub(super) context: Arc<Context>,
    pub(super) party: Party,
    pub(super) rights: Rights,
    pub(super) stamp: Stamp,
    /// Topics by their alias.
    pub(super) aliases: HashMap<u16, Box<str>>,
    /// How many messages the broker takes at once.
    pub(super) inflight_limit: usize,
    /// Messages of QoS 1 and 2 that the broker has not acknowledged.
    pub(super) inflight: HashSet<u16>,
    /// Messages of QoS 2 that go nowhere and whose exchange, if their client goes on with it, is completed here,
    /// with this word.
    pub(super) settled: HashMap<u16, Reason>,
    /// Messages of QoS 2 from the broker that were dropped.
    pub(super) dropped: HashSet<u16>,
    /// The codes that are given here, for each filter of a SUBSCRIBE or UNSUBSCRIBE under way.
    pub(super) asked: HashMap<(Kind, u16), Vec<Option<u8>>>,
    pub(super) strikes: u32,
}

impl State {
    pub(in crate::mqtt) fn new(
        version: Version,
        context: Arc<Context>,
        (party, rights, stamp): (Party, Rights, Stamp),
        inflight_limit: u16,
    ) -> Self {
        Self {
            version,
            context,
            party,
            rights,
            stamp,
            aliases: HashMap::new(),
            inflight_limit: usize::from(inflight_limit),
            inflight: HashSet::new(),
            settled: HashMap::new(),
            dropped: HashSet::new(),
            asked: HashMap::new(),
            strikes: 0,
        }
    }

    pub(in crate::mqtt) const fn version(&self) -> Version {
        self.version
    }

    pub(in crate::mqtt) const fn party(&self) -> &Party {
        &self.party
    }

    /// Whether as many messages are under way as may be. MQTT 5 tells the device, which then ends the
    /// connection by sending more; one of 3.1.1 waits.
    pub(in crate::mqtt) fn is_full(&self) -> bool {
        self.version == Version::V311 && self.inflight.len() >= self.inflight_limit
    }

    pub(super) fn encoder<'o>(&self, out: &'o mut Vec<u8>) -> Encoder<'o> {
        Encoder::new(self.version, out)
    }

    /// The code of a denied filter.
    pub(super) const fn denied_code(&self) -> u8 {
        match self.version {
            Version::V311 => 0x80,
            Version::V5 => Reason::NotAuthorized.code(),
        }
    }
}
