//! MQTT 3.1.1 as devices speak it, and as little of it as will do.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::fleet::Device;

/// How sure a message's arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qos {
    /// Nobody says that it arrived.
    AtMostOnce,
    /// PUBACK says so.
    AtLeastOnce,
}

/// PINGREQ.
const PING: [u8; 2] = [0xC0, 0];
/// DISCONNECT.
const GOODBYE: [u8; 2] = [0xE0, 0];

const CONNACK: u8 = 2;
const PUBACK: u8 = 4;
const PINGRESP: u8 = 13;

/// A device that is connected.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Session {
    /// Connects, and is told that it may.
    pub(crate) async fn open(client: &Client, address: SocketAddr, id: &str) -> anyhow::Result<Self> {
        let stream = client.clone().offering(&[]).connect(address).await?.into_stream();
        let mut session = Self { stream, buffer: Vec::new() };
        session.send(&connect(id)).await?;
        let answer = session.packet(CONNACK).await?;
        ensure!(answer.get(1) == Some(&0), "not let in: {answer:?}");
        Ok(session)
    }

    /// Sends messages, each in a TLS record of its own as MQTT libraries do, and waits until all of them have
    /// arrived: until each is acknowledged, or until the answer to what was asked after them.
    pub(crate) async fn publish(&mut self, qos: Qos, batch: &[Vec<u8>]) -> anyhow::Result<()> {
        for message in batch {
            self.stream.write_all(message).await.context("send a message")?;
        }
        match qos {
            Qos::AtMostOnce => {
                self.send(&PING).await?;
                self.packet(PINGRESP).await?;
            }
            Qos::AtLeastOnce => {
                self.stream.flush().await.context("send messages")?;
                for _message in batch {
                    self.packet(PUBACK).await?;
                }
            }
        }
        Ok(())
    }

    /// Says goodbye and waits for the end.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        self.send(&GOODBYE).await?;
        self.ended().await;
        Ok(())
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(count) if count > 0) {}
    }

    async fn send(&mut self, packets: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(packets).await.context("send packets")?;
        self.stream.flush().await.context("send packets")
    }

    /// What the next packet holds, which must be of this type.
    async fn packet(&mut self, wanted: u8) -> anyhow::Result<Vec<u8>> {
        loop {
            // None of the answers is longer than 127 bytes, so that their length is one byte.
            if let [first, length, rest @ ..] = self.buffer.as_slice()
                && let Some(body) = rest.get(..usize::from(*length))
            {
                ensure!(first >> 4 == wanted, "a packet of type {} instead of {wanted}", first >> 4);
                let body = body.to_vec();
                self.buffer.drain(..2 + body.len());
                return Ok(body);
            }
            if self.stream.read_buf(&mut self.buffer).await.context("read a packet")? == 0 {
                bail!("the session ended");
            }
        }
    }
}

/// So many messages to a device's own topic.
pub(crate) fn messages(device: &Device, (qos, count): (Qos, usize), payload: usize) -> Vec<Vec<u8>> {
    let topic = format!("tenant/default/device/{}/telemetry", device.name);
    let mut packets = Vec::new();
    for id in 1..=u16::try_from(count).unwrap_or(u16::MAX) {
        let (flags, id) = match qos {
            Qos::AtMostOnce => (0x30, Vec::new()),
            Qos::AtLeastOnce => (0x32, id.to_be_bytes().to_vec()),
        };
        let body = [text(&topic), id, vec![b'7'; payload]].concat();
        packets.push([vec![flags], length(body.len()), body].concat());
    }
    packets
}

fn connect(id: &str) -> Vec<u8> {
    // Level 4, clean session, kept alive for twenty minutes.
    let body = [text("MQTT"), vec![4, 2, 4, 176], text(id)].concat();
    [vec![0x10], length(body.len()), body].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// MQTT 3.1.1, section 2.2.3.
fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        bytes.push(if length > 0 { low | 128 } else { low });
        if length == 0 {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_sevens() {
        assert_eq!(length(127), [127]);
        assert_eq!(length(128), [128, 1]);
        assert_eq!(length(16_384), [128, 128, 1]);
    }

    #[test]
    fn a_connect_says_what_it_is() {
        assert_eq!(connect("ab"), [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 4, 176, 0, 2, b'a', b'b']);
    }
}
