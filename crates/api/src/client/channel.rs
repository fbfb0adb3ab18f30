//! Opening an agent's WebSocket: the HTTP part of RFC 6455's opening handshake. What is said over it
//! afterwards is the caller's.

use bytes::Bytes;
use countersign_core::ids::AgentId;
use http::header::{
    CONNECTION, LOCATION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, StatusCode};
use hyper::upgrade::Upgraded;
use tokio::time::{Instant, timeout_at};

use super::{Caller, Client, ClientError, message, redirected, unsendable};

/// A connection that the control plane has turned into a WebSocket.
#[derive(Debug)]
pub struct Channel {
    /// The connection.
    pub io: Upgraded,
    /// The server's `Sec-WebSocket-Accept`, which must fit the key that was sent.
    pub accept: Option<HeaderValue>,
}

impl Client {
    /// GET `/agents/:agentId/ws`, with this `Sec-WebSocket-Key`.
    ///
    /// # Errors
    /// See [`ClientError`]. No redirect is followed. An answer that is a success but no upgrade is
    /// [`ClientError::Refused`] with an empty code.
    pub async fn open_channel(
        &self,
        token: &str,
        agent: &AgentId,
        key: &str,
    ) -> Result<Channel, ClientError> {
        let path = format!("/api/v1/agents/{agent}/ws");
        let deadline = Instant::now() + self.timeout;
        match timeout_at(deadline, self.upgrade(token, &path, key)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(self.timed_out(&path)),
        }
    }

    async fn upgrade(&self, token: &str, path: &str, key: &str) -> Result<Channel, ClientError> {
        let uri = self.uri(path)?;
        let mut request = message(Caller::Agent(token), Method::GET, uri, Bytes::new())
            .map_err(|error| unsendable(path, error))?;
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers
            .insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).map_err(|error| unsendable(path, error))?);
        let answer = self.inner.request(request).await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_redirection() {
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            return Err(redirected(path, location.unwrap_or(""), "a WebSocket follows no redirect"));
        }
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = answer.status();
            self.read(path, answer).await?;
            return Err(super::not_upgraded(path, status));
        }
        let accept = answer.headers().get(SEC_WEBSOCKET_ACCEPT).cloned();
        let io = hyper::upgrade::on(answer).await.map_err(|error| ClientError::Unreachable {
            server: self.server.clone(),
            source: error.into(),
        })?;
        Ok(Channel { io, accept })
    }
}
