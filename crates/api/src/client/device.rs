//! What an enrolled agent asks for besides heartbeats and renewals.

use bytes::Bytes;
use countersign_core::ids::{AgentId, CommandId};
use http::Method;
use serde::Serialize;

use super::{Caller, Client, ClientError};
use crate::wire::agent::Success;
use crate::wire::command::CommandResult;
use crate::wire::credentials::{ProvedRequest, StagedToken};

#[derive(Serialize)]
struct Empty {}

impl Client {
    /// GET `/agents/:agentId/trust-bundle`: the CA certificates that an agent should trust, PEM.
    ///
    /// # Errors
    /// See [`ClientError`]. A body that is no text is refused as unreadable.
    pub async fn trust_bundle(&self, token: &str, agent: &AgentId) -> Result<String, ClientError> {
        let path = format!("/api/v1/agents/{agent}/trust-bundle");
        let bytes = self.exchange(&Method::GET, Caller::Agent(token), &path, Bytes::new()).await?;
        String::from_utf8(bytes.to_vec())
            .map_err(|error| ClientError::Unreadable { path, source: serde::de::Error::custom(error) })
    }

    /// POST `/agents/:agentId/commands/:id/result`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn command_result(
        &self,
        token: &str,
        agent: &AgentId,
        command: CommandId,
        result: &CommandResult,
    ) -> Result<Success, ClientError> {
        let path = format!("/api/v1/agents/{agent}/commands/{command}/result");
        self.post(Caller::Agent(token), path, result).await
    }

    /// POST `/agents/:agentId/rotate-token`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rotate_token(
        &self,
        token: &str,
        agent: &AgentId,
        request: &ProvedRequest,
    ) -> Result<StagedToken, ClientError> {
        self.post(Caller::Agent(token), format!("/api/v1/agents/{agent}/rotate-token"), request).await
    }

    /// POST `/agents/:agentId/rotate-token/confirm`, with the new token.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn confirm_token(&self, new: &str, agent: &AgentId) -> Result<Success, ClientError> {
        let path = format!("/api/v1/agents/{agent}/rotate-token/confirm");
        self.post(Caller::Agent(new), path, &Empty {}).await
    }

    /// DELETE `/agents/:agentId`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn unenroll(
        &self,
        token: &str,
        agent: &AgentId,
        request: &ProvedRequest,
    ) -> Result<Success, ClientError> {
        self.call(Method::DELETE, Caller::Agent(token), format!("/api/v1/agents/{agent}"), request).await
    }
}
