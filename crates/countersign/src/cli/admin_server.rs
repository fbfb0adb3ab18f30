//! A running server, and with what to call its admin API.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use countersign_api::ErrorBody;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::kept_sessions::KeptSessions;
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask_with};
use super::server_flags::ServerFlags;
use crate::config::{ConfigFlags, Environment};

/// The server of a configuration, and a token for it.
pub(super) struct AdminServer {
    address: SocketAddr,
    token: Zeroizing<String>,
}

impl AdminServer {
    /// The server of these flags: with the token of `--token-file`, else with the session that
    /// `countersign login` began there.
    ///
    /// # Errors
    /// Fails closed: without either nothing is asked.
    pub(super) fn of(flags: &ServerFlags) -> Result<Self, Failure> {
        if let Some(token_file) = &flags.token_file {
            return Self::with_token_file(flags.config.clone(), token_file);
        }
        let address = admin_address(&loaded(flags.config.clone())?.resolved)?;
        let kept = match Environment::user_folder() {
            Some(folder) => KeptSessions::read(&folder)?.token(address),
            None => None,
        };
        let token = kept.ok_or_else(|| {
            Failure::bad_usage(anyhow::anyhow!("nobody is signed in at {address}"))
                .hint("`countersign login EMAIL` signs in; or name a file with a token, --token-file FILE")
        })?;
        Ok(Self { address, token })
    }

    /// The server of a configuration, with the token of a file.
    pub(super) fn with_token_file(config: ConfigFlags, token_file: &Path) -> Result<Self, Failure> {
        let config = loaded(config)?.resolved;
        let text = Zeroizing::new(fs_err::read_to_string(token_file).context("read the token")?);
        Ok(Self { address: admin_address(&config)?, token: Zeroizing::new(text.trim().to_owned()) })
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
        Err(refused(status, &answer))
    }
}

/// What a server refused, in its words, with what to do where that is always the same.
pub(super) fn refused(status: StatusCode, answer: &str) -> Failure {
    let failure = Failure::from(anyhow::anyhow!("the server answered {status}: {}", said(answer)));
    match status {
        StatusCode::UNAUTHORIZED => failure.hint(
            "the token is unknown, revoked or has expired, or the session is over: `countersign login EMAIL` \
             begins another",
        ),
        StatusCode::FORBIDDEN => failure.hint(
            "`countersign whoami` says who asks; the help of the command says what a token needs for it",
        ),
        StatusCode::TOO_MANY_REQUESTS => failure.hint("wait a minute, then ask again"),
        _ => failure,
    }
}

/// What a failed answer says, with every bad field.
pub(super) fn said(answer: &str) -> String {
    let Ok(body) = serde_json::from_str::<ErrorBody>(answer) else { return answer.trim_end().to_owned() };
    let mut text = format!("{} ({})", body.error, body.code);
    if let Some(state) = &body.state {
        text.push_str(&format!("; it is {state}"));
    }
    for (field, problem) in &body.fields {
        text.push_str(&format!("; {field}: {problem}"));
    }
    text
}
