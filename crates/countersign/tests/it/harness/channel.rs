//! A device's WebSocket, spoken as a good agent does, and as none does.

use std::time::Duration;

use countersign_testkit::{Answer, Connection, DoorClient};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::device::Device;
use super::installation::Installation;

const PATIENCE: Duration = Duration::from_secs(20);

/// The headers of a good request for a WebSocket.
pub(crate) const WISH: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// An open WebSocket.
pub(crate) struct Channel {
    pub(crate) socket: WebSocketStream<TokioIo<Upgraded>>,
}

impl Channel {
    /// Opens one that shows the device's certificate.
    pub(crate) async fn open(device: &Device, installation: &Installation) -> Self {
        Self::open_by(&device.client(installation), device, installation).await
    }

    /// Opens one by this client.
    pub(crate) async fn open_by(client: &DoorClient, device: &Device, installation: &Installation) -> Self {
        let mut connection = client.connect(installation.door()).await.unwrap();
        let asked = Self::ask(&mut connection, device, &WISH).await;
        asked.unwrap_or_else(|answer| panic!("{} {}", answer.status, answer.text()))
    }

    /// Asks for one with these headers and the device's token; the answer when it is refused.
    pub(crate) async fn ask(
        connection: &mut Connection,
        device: &Device,
        wish: &[(&str, &str)],
    ) -> Result<Self, Answer> {
        let upgraded = Self::upgrade(connection, device, wish).await?;
        Ok(Self { socket: WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await })
    }

    /// The same, as the bare stream, for what no library would write.
    pub(crate) async fn upgrade(
        connection: &mut Connection,
        device: &Device,
        wish: &[(&str, &str)],
    ) -> Result<TokioIo<Upgraded>, Answer> {
        let bearer = format!("Bearer {}", device.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(wish);
        let path = format!("/api/v1/agents/{}/ws", device.agent);
        let response =
            timeout(PATIENCE, connection.begin("GET", &path, &headers, "")).await.unwrap().unwrap();
        if response.status().as_u16() == 101 {
            assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            return Ok(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Err(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Says something; the server may have closed meanwhile.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends a message of any kind; the server may have closed meanwhile.
    pub(crate) async fn send(&mut self, message: Message) {
        drop(timeout(PATIENCE, self.socket.send(message)).await.unwrap());
    }

    /// What the server says next; pings are answered on the way.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    /// The id of the command that the server sends next.
    pub(crate) async fn command(&mut self) -> String {
        let heard = self.hear().await;
        assert_eq!(heard["type"], "command", "{heard}");
        heard["command"]["id"].as_str().unwrap().to_owned()
    }

    /// Whether the server still answers: what was sent before has been dealt with.
    pub(crate) async fn is_alive(&mut self) -> bool {
        self.send(Message::Ping("alive?".into())).await;
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Pong(said))) if said == "alive?".as_bytes() => return true,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                other => panic!("{other:?} instead of an answer"),
            }
        }
    }

    /// Waits until the server closes it, and says with which code; 0: without one.
    pub(crate) async fn closed(&mut self) -> u16 {
        let mut code = 0;
        while let Some(Ok(message)) = timeout(PATIENCE, self.socket.next()).await.unwrap() {
            if let Message::Close(frame) = message {
                code = frame.map_or(0, |frame| frame.code.into());
            }
        }
        code
    }
}

/// What an agent says when it has got a command.
pub(crate) fn ack(id: &str) -> Value {
    json!({ "type": "ack", "id": id })
}

/// What an agent says when it has done a command.
pub(crate) fn completed(id: &str, result: &Value) -> Value {
    json!({ "type": "result", "id": id, "status": "completed", "result": result })
}
