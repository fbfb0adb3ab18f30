//! The WebSockets of the control plane for tests.

use std::sync::Arc;

use bytes::Bytes;
use countersign_core::ids::SpkiSha256;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::control_plane::ControlPlane;

/// A WebSocket as the test holds it.
pub(crate) struct Socket {
    to_agent: mpsc::UnboundedSender<Message>,
    /// The public key of the certificate that was shown.
    pub(crate) shown: Option<SpkiSha256>,
    /// Whether the agent's end is gone.
    pub(crate) is_over: bool,
    pub(crate) pongs: usize,
}

impl Socket {
    pub(crate) fn say(&self, frame: &Value) {
        self.to_agent.send(Message::text(frame.to_string())).unwrap();
    }

    pub(crate) fn command(&self, command: &Value) {
        self.say(&json!({ "type": "command", "command": command }));
    }

    pub(crate) fn ping(&self) {
        self.to_agent.send(Message::Ping(Bytes::from_static(b"?"))).unwrap();
    }

    pub(crate) fn close(&self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "told to".into() };
        self.to_agent.send(Message::Close(Some(frame))).unwrap();
    }
}

/// A request to become a WebSocket.
pub(crate) struct Upgrade {
    upgrade: OnUpgrade,
    key: String,
}

pub(crate) fn offered(request: &mut Request<Incoming>) -> Option<Upgrade> {
    let header = |name| request.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let is_one = header("upgrade") == Some("websocket") && header("sec-websocket-version") == Some("13");
    let key = header("sec-websocket-key")?.to_owned();
    is_one.then(|| Upgrade { upgrade: hyper::upgrade::on(request), key })
}

/// Answers it, and keeps the WebSocket.
pub(crate) fn accept(
    plane: &Arc<ControlPlane>,
    offered: Upgrade,
    shown: Option<SpkiSha256>,
) -> Response<Full<Bytes>> {
    let accept = derive_accept_key(offered.key.as_bytes());
    let plane = Arc::clone(plane);
    tokio::spawn(async move {
        let io = TokioIo::new(offered.upgrade.await.unwrap());
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let (to_agent, outgoing) = mpsc::unbounded_channel();
        let mut number = 0;
        plane.change(|state| {
            number = state.sockets.len();
            state.sockets.push(Socket { to_agent, shown, is_over: false, pongs: 0 });
        });
        keep(&plane, socket, outgoing, number).await;
        plane.change(|state| state.sockets[number].is_over = true);
    });
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(Full::default())
        .unwrap()
}

async fn keep(
    plane: &ControlPlane,
    mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>,
    mut outgoing: mpsc::UnboundedReceiver<Message>,
    number: usize,
) {
    loop {
        let heard = tokio::select! {
            message = outgoing.recv() => {
                if socket.send(message.unwrap()).await.is_err() {
                    return;
                }
                continue;
            }
            heard = socket.next() => heard,
        };
        match heard {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(text.as_str()).unwrap();
                let mut answer = None;
                plane.change(|state| {
                    if frame["type"] == "result" && state.keeps_results {
                        let id = frame["id"].as_str().unwrap();
                        state.record(id, frame.clone());
                        answer = Some(json!({ "type": "recorded", "id": id }));
                    }
                    state.frames.push(frame);
                });
                if let Some(answer) = answer
                    && socket.send(Message::text(answer.to_string())).await.is_err()
                {
                    return;
                }
            }
            Some(Ok(Message::Pong(_))) => plane.change(|state| state.sockets[number].pongs += 1),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}
