//! What the broker says to a device.

use super::state::{End, Out, State};
use super::uplink::note;
use crate::mqtt::wire::{Codes, Fault, Frame, Kind, Packet, PropertyId, Publish, Qos, Reason, Version};

/// The code of a message that is not for the device it was sent to.
const MISDIRECTED: &str = "MQTT_MISDIRECTED_MESSAGE";

impl State {
    /// Takes one packet from the broker.
    ///
    /// # Errors
    /// When it cannot be read, or no server may send it.
    pub(in crate::mqtt) fn hear_upstream(
        &mut self,
        frame: Frame<'_>,
        out: &mut Out<'_>,
    ) -> Result<Option<End>, Fault> {
        match Packet::read(frame, self.version)? {
            Packet::Publish(publish) => return self.delivered(frame, &publish, out),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) => {
                self.inflight.remove(&ack.packet_id);
                out.down.extend_from_slice(frame.bytes);
            }
            Packet::Pubrel(ack) if self.dropped.remove(&ack.packet_id) => {
                self.encoder(out.up).ack(Kind::Pubcomp, ack.packet_id, Reason::Success);
            }
            Packet::Suback(codes) => {
                self.answered(frame, &codes, out)?;
                if codes.codes.iter().any(|code| *code < 0x80) {
                    self.context.listens(&self.party);
                }
            }
            Packet::Unsuback(codes) => self.answered(frame, &codes, out)?,
            Packet::Pubrel(_) | Packet::Pingresp => out.down.extend_from_slice(frame.bytes),
            Packet::Disconnect(reason, _) if self.version == Version::V5 => {
                return Ok(Some(End::Dismissed(reason)));
            }
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Pingreq
            | Packet::Disconnect(..)
            | Packet::Auth(..) => return Err(Fault::Protocol("a packet that has no place here")),
        }
        Ok(None)
    }

    /// A second look at the topic: what a broker sends by mistake goes nowhere, and is acknowledged here.
    fn delivered(
        &mut self,
        frame: Frame<'_>,
        publish: &Publish<'_>,
        out: &mut Out<'_>,
    ) -> Result<Option<End>, Fault> {
        if publish.topic.is_empty() || publish.properties.has(PropertyId::TopicAlias) {
            return Err(Fault::Protocol("a topic alias that was not offered"));
        }
        if self.rights.may_read(publish.topic).is_ok() {
            out.down.extend_from_slice(frame.bytes);
            return Ok(None);
        }
        note(out, MISDIRECTED, "PUBLISH", publish.topic);
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => self.encoder(out.up).ack(Kind::Puback, id, Reason::Success),
            (Qos::ExactlyOnce, Some(id)) => {
                self.dropped.insert(id);
                self.encoder(out.up).ack(Kind::Pubrec, id, Reason::Success);
            }
            (Qos::AtMostOnce, _) | (_, None) => {}
        }
        Ok(None)
    }

    /// Puts the codes that were given here among the broker's, in the order of the filters.
    fn answered(&mut self, frame: Frame<'_>, codes: &Codes<'_>, out: &mut Out<'_>) -> Result<(), Fault> {
        let Some(own) = self.asked.remove(&(frame.kind, codes.packet_id)) else {
            out.down.extend_from_slice(frame.bytes);
            return Ok(());
        };
        let mut theirs = codes.codes.iter();
        let has_codes = frame.kind == Kind::Suback || self.version == Version::V5;
        let mut all = Vec::with_capacity(own.len());
        for code in own.iter().filter(|_code| has_codes) {
            let missing = Fault::Protocol("fewer codes than filters");
            all.push(match code {
                Some(code) => *code,
                None => *theirs.next().ok_or(missing)?,
            });
        }
        if theirs.next().is_some() {
            return Err(Fault::Protocol("more codes than filters"));
        }
        self.encoder(out.down).codes(frame.kind, codes.packet_id, codes.properties, &all);
        Ok(())
    }
}
