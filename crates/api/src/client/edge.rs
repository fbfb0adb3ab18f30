//! What an edge asks of its authority.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper::upgrade::Upgraded;
use tokio::time::{Instant, timeout_at};

use super::{Caller, Client, ClientError, message, not_upgraded, unsendable};
use crate::edge::frame::PROTOCOL;
use crate::wire::edge_devices::{
    EdgeLetters, EdgeLettersRequest, EdgeLogin, EdgeLoginRequest, EdgeMessages, EdgeMessagesTaken,
};
use crate::wire::edges::{EdgeEquipment, EnrollEdgeRequest, RenewEdgeRequest};

impl Client {
    /// POST `/edges/self/enroll`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn enroll_edge(&self, request: &EnrollEdgeRequest) -> Result<EdgeEquipment, ClientError> {
        self.post(Caller::Nobody, "/api/v1/edges/self/enroll".to_owned(), request).await
    }

    /// POST `/edges/self/renew`, over the edge's own certificate.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn renew_edge(&self, request: &RenewEdgeRequest) -> Result<EdgeEquipment, ClientError> {
        self.post(Caller::Nobody, "/api/v1/edges/self/renew".to_owned(), request).await
    }

    /// POST `/edges/self/messages`, over the edge's own certificate. Whoever is to have them has all of them once
    /// this returns.
    ///
    /// # Errors
    /// See [`ClientError`]: then some may be there nevertheless.
    pub async fn hand_over_messages(
        &self,
        messages: &EdgeMessages,
    ) -> Result<EdgeMessagesTaken, ClientError> {
        self.post(Caller::Nobody, "/api/v1/edges/self/messages".to_owned(), messages).await
    }

    /// POST `/edges/self/letters`, over the edge's own certificate.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn letters(&self, request: &EdgeLettersRequest) -> Result<EdgeLetters, ClientError> {
        self.post(Caller::Nobody, "/api/v1/edges/self/letters".to_owned(), request).await
    }

    /// POST `/edges/self/logins`, over the edge's own certificate.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn log_device_in(&self, request: &EdgeLoginRequest) -> Result<EdgeLogin, ClientError> {
        self.post(Caller::Nobody, "/api/v1/edges/self/logins".to_owned(), request).await
    }

    /// GET `/edges/self/stream`, over the edge's own certificate: the connection, once it has stopped being HTTP.
    ///
    /// # Errors
    /// See [`ClientError`]. No redirect is followed.
    pub async fn open_edge_stream(&self) -> Result<Upgraded, ClientError> {
        let path = "/api/v1/edges/self/stream";
        let deadline = Instant::now() + self.timeout;
        match timeout_at(deadline, self.edge_stream(path)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(self.timed_out(path)),
        }
    }

    async fn edge_stream(&self, path: &str) -> Result<Upgraded, ClientError> {
        let uri = self.uri(path)?;
        let mut request = message(Caller::Nobody, Method::GET, uri, Bytes::new())
            .map_err(|error| unsendable(path, error))?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
        let answer = self.inner.request(request).await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            self.read(path, answer).await?;
            return Err(not_upgraded(path, status));
        }
        hyper::upgrade::on(answer)
            .await
            .map_err(|error| ClientError::Unreachable { server: self.server.clone(), source: error.into() })
    }
}
