//! The hub's end of a connection: a stream of MQTT packets without a socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use countersign_core::snapshot::DeviceKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::rooms::{Hub, LONGEST_EXPIRY, Room};
use crate::mqtt::wire::{
    Connack, Connect, Encoder, Fault, Frame, Kind, Packet, Properties, PropertyId, PropertyWriter, Publish,
    Qos, Reason, Subscription, Version, next_frame,
};

/// How many messages a client is sent at once, unacknowledged.
const AT_ONCE: usize = 16;

/// The code with which MQTT 5 says that a filter was not there.
const NO_SUBSCRIPTION: u8 = 0x11;

/// The code of a filter that is one too many.
const TOO_MANY: u8 = 0x80;

/// The code with which a connection ends for a later one of the same name.
const TAKEN_OVER: [u8; 4] = [0xe0, 0x02, 0x8e, 0x00];

struct Entered {
    device: DeviceKey,
    room: Arc<Room>,
    version: Version,
    at_once: usize,
}

/// The hub's end of a connection.
pub(in crate::mqtt) struct HubEnd {
    hub: Arc<Hub>,
    connection: u64,
    inbox: Vec<u8>,
    out: Vec<u8>,
    entered: Option<Entered>,
    is_ended: bool,
}

impl std::fmt::Debug for HubEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubEnd").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl HubEnd {
    pub(super) const fn new(hub: Arc<Hub>, connection: u64) -> Self {
        Self { hub, connection, inbox: Vec::new(), out: Vec::new(), entered: None, is_ended: false }
    }

    fn take(&mut self) -> Result<(), Fault> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        let version = self.entered.as_ref().map_or(Version::V5, |entered| entered.version);
        while let Some(frame) = next_frame(rest, usize::MAX)? {
            self.packet(frame, version)?;
            rest = rest.get(frame.bytes.len()..).unwrap_or_default();
        }
        self.inbox = rest.to_vec();
        Ok(())
    }

    fn packet(&mut self, frame: Frame<'_>, version: Version) -> Result<(), Fault> {
        let packet = Packet::read(frame, version)?;
        let Some(entered) = &self.entered else {
            let Packet::Connect(connect) = packet else { return Err(Fault::Protocol("no CONNECT")) };
            return self.enter(&connect);
        };
        let mut encoder = Encoder::new(version, &mut self.out);
        let mut session = entered.room.session.lock();
        match packet {
            Packet::Publish(Publish { qos: Qos::AtLeastOnce, packet_id: Some(id), .. }) => {
                encoder.ack(Kind::Puback, id, Reason::Success);
            }
            Packet::Publish(Publish { qos: Qos::ExactlyOnce, packet_id: Some(id), .. }) => {
                session.received.insert(id);
                encoder.ack(Kind::Pubrec, id, Reason::Success);
            }
            Packet::Pubrel(ack) => {
                session.received.remove(&ack.packet_id);
                encoder.ack(Kind::Pubcomp, ack.packet_id, Reason::Success);
            }
            Packet::Puback(ack) => session.acknowledged(ack.packet_id),
            Packet::Subscribe(subscribe) => {
                let granted = |one: &Subscription<'_>| {
                    let asked = Qos::from_bits(one.options & 0b11).unwrap_or(Qos::AtMostOnce);
                    session.subscribe(one.filter, asked).map_or(TOO_MANY, Qos::bits)
                };
                let codes: Vec<u8> = subscribe.subscriptions.iter().map(granted).collect();
                encoder.codes(Kind::Suback, subscribe.packet_id, Properties::default(), &codes);
            }
            Packet::Unsubscribe(unsubscribe) => {
                let gone = |filter: &&str| if session.unsubscribe(filter) { 0 } else { NO_SUBSCRIPTION };
                let codes: Vec<u8> = unsubscribe.filters.iter().map(gone).collect();
                encoder.codes(Kind::Unsuback, unsubscribe.packet_id, Properties::default(), &codes);
            }
            Packet::Pingreq => encoder.pong(),
            Packet::Disconnect(_, properties) => {
                if let Some(expiry) = properties.number(PropertyId::SessionExpiry) {
                    session.expiry = Duration::from_secs(u64::from(expiry)).min(LONGEST_EXPIRY);
                }
                drop(session);
                self.is_ended = true;
            }
            Packet::Publish(_) | Packet::Pubrec(_) | Packet::Pubcomp(_) => {}
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp
            | Packet::Auth(..) => return Err(Fault::Protocol("a packet that has no place here")),
        }
        Ok(())
    }

    fn enter(&mut self, connect: &Connect<'_>) -> Result<(), Fault> {
        let (device, name) = named(connect.client_id).ok_or(Fault::Protocol("a name that no door gives"))?;
        let asked = connect.properties.number(PropertyId::SessionExpiry).unwrap_or(0);
        let expiry = match connect.version {
            Version::V311 if connect.is_clean => Duration::ZERO,
            Version::V311 => LONGEST_EXPIRY,
            Version::V5 => Duration::from_secs(u64::from(asked)).min(LONGEST_EXPIRY),
        };
        let (room, is_session_present) =
            self.hub.enter(&device, name, connect.is_clean, (self.connection, expiry));
        let mut properties = PropertyWriter::new();
        if u64::from(asked) > LONGEST_EXPIRY.as_secs() {
            properties.four(PropertyId::SessionExpiry, u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX));
        }
        let connack = Connack { is_session_present, code: 0, properties: Properties::default() };
        Encoder::new(connect.version, &mut self.out).connack(&connack, &properties);
        room.session.lock().resend(connect.version, &mut self.out);
        let maximum = connect.properties.number(PropertyId::ReceiveMaximum).unwrap_or(u32::MAX);
        let at_once = usize::try_from(maximum).unwrap_or(AT_ONCE).min(AT_ONCE);
        self.entered = Some(Entered { device, room, version: connect.version, at_once });
        Ok(())
    }

    /// Gets what waits for the client. Whether the connection goes on.
    fn collect(&mut self, cx: &Context<'_>) -> bool {
        let Some(entered) = &self.entered else { return !self.is_ended };
        let mut session = entered.room.session.lock();
        if session.connection != Some(self.connection) {
            drop(session);
            if entered.version == Version::V5 && !self.is_ended {
                self.out.extend(TAKEN_OVER);
            }
            self.is_ended = true;
            return !self.out.is_empty();
        }
        session.send(entered.version, entered.at_once, &mut self.out);
        if self.out.is_empty() {
            session.waker = Some(cx.waker().clone());
        }
        !self.is_ended || !self.out.is_empty()
    }
}

/// The device, and the name that its client chose.
fn named(client_id: &str) -> Option<(DeviceKey, &str)> {
    let (tenant, rest) = client_id.split_once(':')?;
    let (device, name) = rest.split_once(':')?;
    Some(((tenant.parse().ok()?, device.parse().ok()?), name))
}

impl AsyncRead for HubEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if !own.collect(cx) {
            return Poll::Ready(Ok(()));
        }
        if own.out.is_empty() {
            return Poll::Pending;
        }
        let count = own.out.len().min(buf.remaining());
        buf.put_slice(own.out.get(..count).unwrap_or_default());
        own.out.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HubEnd {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        own.inbox.extend_from_slice(buf);
        let taken = own.take();
        Poll::Ready(taken.map(|()| buf.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().is_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for HubEnd {
    fn drop(&mut self) {
        if let Some(entered) = &self.entered {
            self.hub.leave(&entered.device, &entered.room, self.connection);
        }
    }
}
