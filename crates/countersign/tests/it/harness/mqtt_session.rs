//! A device's session at the MQTT door, in MQTT 5, packet by packet.

use countersign_edge::mqtt::wire::{
    Connect, Encoder, Packet, Properties, PropertyWriter, Publish, Qos, Reason, Version, next_frame,
};
use countersign_tls::{ClientIdentity, ClientStream, ClientTls, ServerTrust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::device::Device;
use super::installation::Installation;
use super::mqtt::door_port;

/// A session that is open.
pub(crate) struct MqttSession {
    stream: ClientStream<TcpStream>,
    inbox: Vec<u8>,
    last_id: u16,
}

impl MqttSession {
    /// Opens one with the certificate that the device holds, under this name among its clients.
    pub(crate) async fn open(
        installation: &Installation,
        device: &Device,
        client_id: &str,
    ) -> Result<Self, String> {
        let own = device.certificate();
        let chain = format!("{}\n{}", own.certificate, own.chain);
        let identity = ClientIdentity::from_pem(chain, device.key.pkcs8_pem());
        let trust = ServerTrust::Roots(installation.root_pem().to_owned());
        let tls = ClientTls::new(&trust, Some(&identity)).unwrap().with_protocols(&[]);
        let stream =
            tls.connect("127.0.0.1", door_port(installation)).await.map_err(|error| error.to_string())?;
        let mut session = Self { stream, inbox: Vec::new(), last_id: 0 };
        let connect = Connect {
            version: Version::V5,
            is_clean: true,
            keep_alive: 60,
            properties: Properties::default(),
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).connect(&connect, &PropertyWriter::new(), None);
        session.stream.write_all(&out).await.map_err(|error| error.to_string())?;
        match session.next().await {
            Some(packet) if packet.get(3) == Some(&0) => Ok(session),
            other => Err(format!("the answer to CONNECT: {other:x?}")),
        }
    }

    /// Says this on a topic and waits until the door has it.
    pub(crate) async fn say(&mut self, topic: &str, payload: &str) -> Result<(), String> {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let publish = Publish {
            is_dup: false,
            qos: Qos::AtLeastOnce,
            is_retained: false,
            topic,
            packet_id: Some(self.last_id),
            properties: Properties::default(),
            payload: payload.as_bytes(),
        };
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).publish(&publish, topic, &PropertyWriter::new());
        self.stream.write_all(&out).await.map_err(|error| error.to_string())?;
        let answer = self.next().await.ok_or("the session ended")?;
        let frame = next_frame(&answer, answer.len()).unwrap().unwrap();
        match Packet::read(frame, Version::V5) {
            Ok(Packet::Puback(ack)) if ack.packet_id == self.last_id && ack.reason < 0x80 => Ok(()),
            other => Err(format!("instead of a PUBACK: {other:?}")),
        }
    }

    /// Says goodbye.
    pub(crate) async fn leave(mut self) {
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).disconnect(Reason::Success, &PropertyWriter::new());
        // The door may have ended it already.
        drop(self.stream.write_all(&out).await);
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = next_frame(&self.inbox, 1 << 20).unwrap() {
                let packet = frame.bytes.to_vec();
                self.inbox.drain(..packet.len());
                return Some(packet);
            }
            let count = self.stream.read_buf(&mut self.inbox).await.ok()?;
            if count == 0 {
                return None;
            }
        }
    }
}
