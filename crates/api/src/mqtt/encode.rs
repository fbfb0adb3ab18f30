//! Writes packets.

use super::connect::Will;
use super::fault::Reason;
use super::frame::Kind;
use super::property::{Properties, Property, PropertyId};
use super::publish::Publish;
use super::subscribe::Subscription;
use super::{Connack, Connect, Version};

/// Writes packets of one version behind one another.
#[derive(Debug)]
pub struct Encoder<'a> {
    version: Version,
    out: &'a mut Vec<u8>,
}

/// Writes the properties of a packet; in MQTT 3.1.1 it writes nothing.
#[derive(Debug, Default)]
pub struct PropertyWriter(Vec<u8>);

impl PropertyWriter {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One as it came.
    pub fn keep(&mut self, property: Property<'_>) {
        self.0.extend_from_slice(property.bytes);
    }

    /// A number of two bytes.
    pub fn two(&mut self, id: PropertyId, number: u16) {
        self.0.push(id as u8);
        self.0.extend(number.to_be_bytes());
    }

    /// A number of four bytes.
    pub fn four(&mut self, id: PropertyId, number: u32) {
        self.0.push(id as u8);
        self.0.extend(number.to_be_bytes());
    }

    /// A number of one byte.
    pub fn byte(&mut self, id: PropertyId, number: u8) {
        self.0.extend([id as u8, number]);
    }

    /// A text.
    pub fn text(&mut self, id: PropertyId, text: &str) {
        self.0.push(id as u8);
        put_text(&mut self.0, text);
    }

    /// A name and a value of the application's.
    pub fn pair(&mut self, name: &str, value: &str) {
        self.0.push(PropertyId::UserProperty as u8);
        put_text(&mut self.0, name);
        put_text(&mut self.0, value);
    }

    fn put(&self, version: Version, body: &mut Vec<u8>) {
        if version == Version::V5 {
            put_variable(body, count(self.0.len()));
            body.extend_from_slice(&self.0);
        }
    }
}

impl<'a> Encoder<'a> {
    /// Writes at the end of `out`.
    #[must_use]
    pub const fn new(version: Version, out: &'a mut Vec<u8>) -> Self {
        Self { version, out }
    }

    fn packet(&mut self, first: u8, body: &[u8]) {
        self.out.push(first);
        put_variable(self.out, count(body.len()));
        self.out.extend_from_slice(body);
    }

    /// A CONNECT with these properties in place of its own, and in its will.
    pub fn connect(
        &mut self,
        connect: &Connect<'_>,
        properties: &PropertyWriter,
        will: Option<(&Will<'_>, &PropertyWriter)>,
    ) {
        let mut body = Vec::new();
        put_text(&mut body, "MQTT");
        body.push(if self.version == Version::V5 { 5 } else { 4 });
        let will_flags =
            will.map_or(0, |(will, _)| 0b100 | will.qos.bits() << 3 | u8::from(will.is_retained) << 5);
        body.push(
            will_flags
                | u8::from(connect.is_clean) << 1
                | u8::from(connect.password.is_some()) << 6
                | u8::from(connect.user_name.is_some()) << 7,
        );
        body.extend(connect.keep_alive.to_be_bytes());
        properties.put(self.version, &mut body);
        put_text(&mut body, connect.client_id);
        if let Some((will, properties)) = will {
            properties.put(self.version, &mut body);
            put_text(&mut body, will.topic);
            put_binary(&mut body, will.payload);
        }
        if let Some(name) = connect.user_name {
            put_text(&mut body, name);
        }
        if let Some(password) = connect.password {
            put_binary(&mut body, password);
        }
        self.packet(Kind::Connect.first_byte(0), &body);
    }

    /// A CONNACK with these properties in place of its own.
    pub fn connack(&mut self, connack: &Connack<'_>, properties: &PropertyWriter) {
        let mut body = vec![u8::from(connack.is_session_present), connack.code];
        properties.put(self.version, &mut body);
        self.packet(Kind::Connack.first_byte(0), &body);
    }

    /// A CONNACK that refuses.
    pub fn refusal(&mut self, reason: Reason) {
        let code = if self.version == Version::V5 { reason.code() } else { reason.return_code() };
        let connack = Connack { is_session_present: false, code, properties: Properties::default() };
        self.connack(&connack, &PropertyWriter::new());
    }

    /// A message on this topic and with these properties in place of its own.
    pub fn publish(&mut self, publish: &Publish<'_>, topic: &str, properties: &PropertyWriter) {
        let mut head = Vec::with_capacity(topic.len() + 8 + properties.0.len());
        put_text(&mut head, topic);
        if let Some(id) = publish.packet_id {
            head.extend(id.to_be_bytes());
        }
        properties.put(self.version, &mut head);
        self.out.push(Kind::Publish.first_byte(publish.flags()));
        put_variable(self.out, count(head.len() + publish.payload.len()));
        self.out.extend_from_slice(&head);
        self.out.extend_from_slice(publish.payload);
    }

    /// A PUBACK, PUBREC, PUBREL or PUBCOMP; MQTT 3.1.1 has no room for the reason.
    pub fn ack(&mut self, kind: Kind, packet_id: u16, reason: Reason) {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.version == Version::V5 && reason != Reason::Success {
            body.push(reason.code());
        }
        self.packet(kind.first_byte(0), &body);
    }

    /// A SUBACK or UNSUBACK with these codes; an UNSUBACK of MQTT 3.1.1 has none.
    pub fn codes(&mut self, kind: Kind, packet_id: u16, properties: Properties<'_>, codes: &[u8]) {
        let mut body = packet_id.to_be_bytes().to_vec();
        self.kept(properties, &mut body);
        if self.version == Version::V5 || kind == Kind::Suback {
            body.extend_from_slice(codes);
        }
        self.packet(kind.first_byte(0), &body);
    }

    /// A SUBSCRIBE of these filters.
    pub fn subscribe<'s>(
        &mut self,
        packet_id: u16,
        properties: Properties<'_>,
        subscriptions: impl Iterator<Item = Subscription<'s>>,
    ) {
        let mut body = packet_id.to_be_bytes().to_vec();
        self.kept(properties, &mut body);
        for subscription in subscriptions {
            put_text(&mut body, subscription.filter);
            body.push(subscription.options);
        }
        self.packet(Kind::Subscribe.first_byte(0), &body);
    }

    /// An UNSUBSCRIBE of these filters.
    pub fn unsubscribe<'s>(
        &mut self,
        packet_id: u16,
        properties: Properties<'_>,
        filters: impl Iterator<Item = &'s str>,
    ) {
        let mut body = packet_id.to_be_bytes().to_vec();
        self.kept(properties, &mut body);
        for filter in filters {
            put_text(&mut body, filter);
        }
        self.packet(Kind::Unsubscribe.first_byte(0), &body);
    }

    /// A PINGREQ.
    pub fn ping(&mut self) {
        self.packet(Kind::Pingreq.first_byte(0), &[]);
    }

    /// A PINGRESP.
    pub fn pong(&mut self) {
        self.packet(Kind::Pingresp.first_byte(0), &[]);
    }

    /// A DISCONNECT; MQTT 3.1.1 has no room for the reason.
    pub fn disconnect(&mut self, reason: Reason, properties: &PropertyWriter) {
        let mut body = Vec::new();
        if self.version == Version::V5 && (reason != Reason::Success || !properties.0.is_empty()) {
            body.push(reason.code());
            if !properties.0.is_empty() {
                properties.put(self.version, &mut body);
            }
        }
        self.packet(Kind::Disconnect.first_byte(0), &body);
    }

    fn kept(&self, properties: Properties<'_>, body: &mut Vec<u8>) {
        let mut writer = PropertyWriter::new();
        properties.iter().for_each(|property| writer.keep(property));
        writer.put(self.version, body);
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A variable byte integer.
pub(super) fn put_variable(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_binary(out, text.as_bytes());
}

/// What is longer than its length can say is cut; texts from packets never are.
fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or_default());
}
