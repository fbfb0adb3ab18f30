//! What a device says.

use std::borrow::Cow;

use super::state::{End, Incident, Out, State, Step, Tapped};
use crate::mqtt::door::PayloadTokens;
use crate::mqtt::rights::Denial;
use crate::mqtt::terms::OnDenial;
use crate::mqtt::tokens::without_token;
use crate::mqtt::wire::{
    Fault, Frame, Kind, Packet, PropertyId, PropertyWriter, Publish, Qos, Reason, Subscribe, Unsubscribe,
    Version,
};

/// How many SUBSCRIBE and UNSUBSCRIBE may wait for their answer.
const ASKED_LIMIT: usize = 64;

/// How much of a topic is written down.
const TOPIC_SHOWN: usize = 200;

/// How much of a denied payload is handed on.
const DENIED_PAYLOAD: usize = 4096;

/// The code of a message with a token that cannot be taken out.
const TOKEN_KEPT: &str = "PAYLOAD_INVALID_JSON";

/// The code of a retained message above the quota.
const QUOTA: &str = "MQTT_QUOTA_EXCEEDED";

impl State {
    /// Takes one packet from the device.
    ///
    /// # Errors
    /// When it cannot be read, or has no place here: the connection ends with it.
    pub(in crate::mqtt) fn hear_device(
        &mut self,
        frame: Frame<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Fault> {
        match Packet::read(frame, self.version)? {
            Packet::Publish(publish) => self.publish(frame, &publish, out),
            Packet::Subscribe(subscribe) => self.subscribe(frame, &subscribe, out),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(frame, &unsubscribe, out),
            Packet::Pubrel(ack) if self.settled.contains_key(&ack.packet_id) => {
                let said = self.settled.remove(&ack.packet_id).unwrap_or(Reason::Success);
                self.encoder(out.down).ack(Kind::Pubcomp, ack.packet_id, said);
                Ok(Step::On)
            }
            Packet::Puback(_)
            | Packet::Pubrec(_)
            | Packet::Pubrel(_)
            | Packet::Pubcomp(_)
            | Packet::Pingreq => {
                out.up.extend_from_slice(frame.bytes);
                Ok(Step::On)
            }
            Packet::Disconnect(..) => {
                out.up.extend_from_slice(frame.bytes);
                Ok(Step::End(End::Goodbye))
            }
            Packet::Connect(_) => Err(Fault::Protocol("a second CONNECT")),
            Packet::Auth(..) => Err(Fault::Protocol("AUTH: the certificate is the only credential")),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                Err(Fault::Protocol("a packet that only servers send"))
            }
        }
    }

    fn publish(&mut self, frame: Frame<'_>, publish: &Publish<'_>, out: &mut Out<'_>) -> Result<Step, Fault> {
        if publish.properties.has(PropertyId::SubscriptionIdentifier) {
            return Err(Fault::Protocol("a subscription identifier from a client"));
        }
        let resolved = self.resolve(publish)?;
        let topic = resolved.as_deref().unwrap_or(publish.topic);
        let response = publish.properties.text(PropertyId::ResponseTopic);
        let verdict = self
            .rights
            .may_write(topic)
            .and_then(|()| response.map_or(Ok(()), |response| self.rights.may_be_answered_on(response)));
        if let Err(denial) = verdict {
            let named =
                if denial == Denial::ResponseTopicNotAllowed { response.unwrap_or(topic) } else { topic };
            return Ok(self.deny(publish, named, denial.code(), Reason::NotAuthorized, out));
        }
        if publish.is_retained && self.context.keeps(&self.party, topic, publish.payload.len()).is_err() {
            return Ok(self.deny(publish, topic, QUOTA, Reason::QuotaExceeded, out));
        }
        let payload = match self.context.payload_tokens {
            PayloadTokens::PassedOn => Some(Cow::Borrowed(publish.payload)),
            PayloadTokens::TakenOut => without_token(publish.payload),
        };
        let Some(payload) = payload else {
            return Ok(self.deny(publish, topic, TOKEN_KEPT, Reason::NotAuthorized, out));
        };
        if let Some(id) = publish.packet_id {
            self.inflight.insert(id);
            // In MQTT 5 a denied exchange leaves its identifier free.
            self.settled.remove(&id);
            if self.version == Version::V5 && self.inflight.len() > self.inflight_limit {
                return Ok(Step::End(End::Refused(Reason::ReceiveMaximumExceeded)));
            }
        }
        Ok(self.let_in((frame, publish), topic, &payload, out))
    }

    /// The sink has the payload as it came: it judges the token, and takes it out itself.
    fn let_in(
        &self,
        (frame, publish): (Frame<'_>, &Publish<'_>),
        topic: &str,
        payload: &[u8],
        out: &mut Out<'_>,
    ) -> Step {
        let mut tapped = Vec::new();
        let up = if self.is_tapped() { &mut tapped } else { &mut *out.up };
        let passed_on = Publish { payload, ..*publish };
        match self.version {
            Version::V311 if payload.len() == publish.payload.len() => up.extend_from_slice(frame.bytes),
            Version::V311 => self.encoder(up).publish(&passed_on, topic, &PropertyWriter::new()),
            Version::V5 => {
                let mut properties = PropertyWriter::new();
                self.stamp.put(publish.properties, &mut properties, |id| id != PropertyId::TopicAlias);
                self.encoder(up).publish(&passed_on, topic, &properties);
            }
        }
        if !self.is_tapped() {
            return Step::On;
        }
        Step::Tap(tapped_message(publish, topic, publish.payload), tapped)
    }

    /// Whether the sink is to have what is said: what a service says is for whoever listens at the broker.
    fn is_tapped(&self) -> bool {
        self.context.is_tapped && self.party.device().is_some()
    }

    /// The topic that an alias stands for; `None`: it says it itself.
    fn resolve(&mut self, publish: &Publish<'_>) -> Result<Option<Box<str>>, Fault> {
        let Some(alias) = publish.properties.number(PropertyId::TopicAlias) else { return Ok(None) };
        let alias = u16::try_from(alias).unwrap_or(u16::MAX);
        if alias == 0 || alias > self.context.terms.topic_aliases {
            return Err(Fault::TopicAlias(alias));
        }
        if publish.topic.is_empty() {
            let known = self.aliases.get(&alias).cloned().ok_or(Fault::TopicAlias(alias))?;
            return Ok(Some(known));
        }
        self.aliases.insert(alias, publish.topic.into());
        Ok(None)
    }

    /// Answers a message that goes nowhere.
    fn deny(
        &mut self,
        publish: &Publish<'_>,
        topic: &str,
        code: &'static str,
        reason: Reason,
        out: &mut Out<'_>,
    ) -> Step {
        note(out, code, "PUBLISH", topic);
        self.strikes = self.strikes.saturating_add(1);
        let terms = &self.context.terms;
        match self.version {
            Version::V5 if self.strikes >= terms.strikes => return Step::End(End::Refused(reason)),
            Version::V311 if terms.on_denial == OnDenial::Disconnect => {
                return Step::End(End::Refused(reason));
            }
            Version::V5 | Version::V311 => {}
        }
        let said = if self.version == Version::V5 { reason } else { Reason::Success };
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => self.encoder(out.down).ack(Kind::Puback, id, said),
            (Qos::ExactlyOnce, Some(id)) => {
                self.encoder(out.down).ack(Kind::Pubrec, id, said);
                // In MQTT 5 the exchange was over with the PUBREC, but not every client knows (section 4.3.3).
                let completed = match self.version {
                    Version::V311 => Reason::Success,
                    Version::V5 => Reason::PacketIdentifierNotFound,
                };
                self.settled.insert(id, completed);
                if self.version == Version::V311 && self.settled.len() > self.inflight_limit {
                    return Step::End(End::Refused(Reason::ReceiveMaximumExceeded));
                }
            }
            (Qos::AtMostOnce, _) | (_, None) => {}
        }
        if !self.is_tapped() {
            return Step::On;
        }
        let shown = publish.payload.get(..DENIED_PAYLOAD).unwrap_or(publish.payload);
        Step::SetAside(tapped_message(publish, topic, shown), code)
    }

    /// Answers a message that the sink set aside as its receiver would have: it goes nowhere.
    pub(in crate::mqtt) fn set_aside(&mut self, qos: Qos, packet_id: Option<u16>, down: &mut Vec<u8>) {
        let Some(id) = packet_id else { return };
        self.inflight.remove(&id);
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => self.encoder(down).ack(Kind::Puback, id, Reason::Success),
            Qos::ExactlyOnce => {
                self.encoder(down).ack(Kind::Pubrec, id, Reason::Success);
                self.settled.insert(id, Reason::Success);
            }
        }
    }

    fn subscribe(
        &mut self,
        frame: Frame<'_>,
        subscribe: &Subscribe<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Fault> {
        let filters = subscribe.subscriptions.iter().map(|one| one.filter);
        let codes = self.judge(filters, "SUBSCRIBE", out);
        let id = subscribe.packet_id;
        if codes.iter().all(Option::is_none) {
            self.asked.remove(&(Kind::Suback, id));
            out.up.extend_from_slice(frame.bytes);
        } else if codes.iter().all(Option::is_some) {
            let codes: Vec<u8> = codes.into_iter().flatten().collect();
            self.encoder(out.down).codes(Kind::Suback, id, Default::default(), &codes);
        } else {
            let allowed = subscribe.subscriptions.iter().zip(&codes).filter(|(_, code)| code.is_none());
            self.encoder(out.up).subscribe(id, subscribe.properties, allowed.map(|(one, _)| *one));
            self.ask(Kind::Suback, id, codes)?;
        }
        Ok(Step::On)
    }

    fn unsubscribe(
        &mut self,
        frame: Frame<'_>,
        unsubscribe: &Unsubscribe<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Fault> {
        let codes = self.judge(unsubscribe.filters.iter().copied(), "UNSUBSCRIBE", out);
        let id = unsubscribe.packet_id;
        if codes.iter().all(Option::is_none) {
            self.asked.remove(&(Kind::Unsuback, id));
            out.up.extend_from_slice(frame.bytes);
        } else if codes.iter().all(Option::is_some) {
            let codes: Vec<u8> = codes.into_iter().flatten().collect();
            self.encoder(out.down).codes(Kind::Unsuback, id, Default::default(), &codes);
        } else {
            let allowed = unsubscribe.filters.iter().zip(&codes).filter(|(_, code)| code.is_none());
            self.encoder(out.up).unsubscribe(id, unsubscribe.properties, allowed.map(|(filter, _)| *filter));
            self.ask(Kind::Unsuback, id, codes)?;
        }
        Ok(Step::On)
    }

    /// The code of each filter that is denied here.
    fn judge<'f>(
        &self,
        filters: impl Iterator<Item = &'f str>,
        packet: &'static str,
        out: &mut Out<'_>,
    ) -> Vec<Option<u8>> {
        filters
            .map(|filter| {
                let denial = self.rights.may_subscribe(filter).err()?;
                note(out, denial.code(), packet, filter);
                Some(self.denied_code())
            })
            .collect()
    }

    fn ask(&mut self, kind: Kind, id: u16, codes: Vec<Option<u8>>) -> Result<(), Fault> {
        self.asked.insert((kind, id), codes);
        if self.asked.len() > ASKED_LIMIT {
            return Err(Fault::Protocol("too many subscriptions wait for their answer"));
        }
        Ok(())
    }
}

fn tapped_message(publish: &Publish<'_>, topic: &str, payload: &[u8]) -> Tapped {
    let (qos, is_dup) = (publish.qos, publish.is_dup);
    let (payload_bytes, packet_id) = (publish.payload.len(), publish.packet_id);
    Tapped { topic: topic.to_owned(), qos, is_dup, payload: payload.to_vec(), packet_id, payload_bytes }
}

pub(super) fn note(out: &mut Out<'_>, code: &'static str, packet: &'static str, topic: &str) {
    out.incidents.push(Incident { code, packet, topic: topic.chars().take(TOPIC_SHOWN).collect() });
}

/// A will that its device may not leave.
pub(super) fn note_will(topic: &str) -> Incident {
    Incident {
        code: Denial::WillNotAllowed.code(),
        packet: "CONNECT",
        topic: topic.chars().take(TOPIC_SHOWN).collect(),
    }
}
