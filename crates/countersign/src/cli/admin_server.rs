//! A running server, and with what to call its admin API.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use countersign_api::ErrorBody;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask_with};
use crate::config::ConfigFlags;

/// The server of a configuration, and a token for it.
pub(super) struct AdminServer {
    address: SocketAddr,
    token: String,
}

impl AdminServer {
    pub(super) fn of(config: ConfigFlags, token_file: &Path) -> Result<Self, Failure> {
        let config = loaded(config)?.resolved;
        let token = fs_err::read_to_string(token_file).context("read the token")?.trim().to_owned();
        Ok(Self { address: admin_address(&config)?, token })
    }

    /// Whether the server is on this machine: calls are in plain HTTP, and no private key goes so over a
    /// network.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check_local(&self) -> anyhow::Result<()> {
        let address = self.address;
        anyhow::ensure!(
            address.ip().is_loopback(),
            "the admin listener at {address} is not on this machine, and a private key does not travel in plain HTTP"
        );
        Ok(())
    }

    /// Calls `/api/v1` and `path`: status and body.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<(StatusCode, String), Failure> {
        let path = format!("/api/v1{path}");
        block_on(ask_with(self.address, Call { method, path: &path, token: Some(&self.token) }, body))
    }

    /// The same, read as what it should be.
    ///
    /// # Errors
    /// Also what the server refuses, in its words.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<T, Failure> {
        let (status, answer) = self.call(method, path, body)?;
        if status.is_success() {
            return Ok(serde_json::from_str(&answer).context("read the server's answer")?);
        }
        Err(anyhow::anyhow!("the server answered {status}: {}", said(&answer)).into())
    }
}

/// What a failed answer says, with every bad field.
pub(super) fn said(answer: &str) -> String {
    let Ok(body) = serde_json::from_str::<ErrorBody>(answer) else { return answer.trim_end().to_owned() };
    let mut text = format!("{} ({})", body.error, body.code);
    for (field, problem) in &body.fields {
        text.push_str(&format!("; {field}: {problem}"));
    }
    text
}
