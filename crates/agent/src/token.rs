//! Changing the bearer token, staged: the new one is saved beside the old before it is confirmed,
//! and takes its place after.
//!
//! ```text
//! (old) ─ ask ─saved─▶ (old and new) ─ confirm with the new one ─saved─▶ (new)
//! ```
//!
//! Being killed before a write repeats the step before it: asking again replaces the staged token,
//! and confirming twice is confirming once.

use std::sync::Arc;

use countersign_api::client::{ApiError, Client, ClientError};
use countersign_api::wire::agent::Proof;
use countersign_api::wire::credentials::ProvedRequest;
use countersign_core::proof::ProofSubject;
use countersign_core::time::Clock;
use countersign_tls::ClientError as TlsError;
use futures_util::FutureExt as _;
use thiserror::Error;

use crate::config::{Config, Enrolment};
use crate::connect::Connect;
use crate::disk::{Disk, DiskError};
use crate::possession::{Holder, PossessionError};
use crate::renew::Setback;
use crate::secret::Secret;

/// The token was not changed. What it has come to is saved.
#[derive(Debug, Error)]
pub enum RotateError {
    /// The device has not enrolled.
    #[error("this device has not enrolled")]
    NotEnrolled,
    /// The configuration could not be read or written.
    #[error("keep the new token")]
    Disk(#[from] DiskError),
    /// No new token was given.
    #[error("ask for a new token")]
    Ask(#[from] PossessionError),
    /// The connection to confirm over cannot be set up.
    #[error("set up the connection")]
    Tls(#[from] TlsError),
    /// The new token was not confirmed.
    #[error("confirm the new token")]
    Confirm(#[source] ClientError),
}

impl RotateError {
    /// What it means for when to try again.
    #[must_use]
    pub fn setback(&self) -> Setback {
        match self {
            Self::Disk(_) => Setback::Outage { retry_after: None },
            Self::Ask(error) => error.setback(),
            Self::Confirm(error) => Setback::of(error),
            Self::NotEnrolled | Self::Tls(_) => Setback::Refused,
        }
    }
}

/// Changes the bearer token of an enrolled device.
pub struct TokenRotation {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    connect: Connect,
}

impl TokenRotation {
    /// Changes the token of the device whose configuration is on `disk`.
    #[must_use]
    pub const fn new(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, connect: Connect) -> Self {
        Self { disk, clock, connect }
    }

    /// Gets a new token, or finishes what an earlier try has begun.
    ///
    /// # Errors
    /// See [`RotateError`]; calling it again goes on where it stopped.
    pub async fn rotate(&self) -> Result<(), RotateError> {
        let _lock = self.disk.lock()?;
        let (config, mut enrolment) = self.load()?;
        if enrolment.next_token.is_none() {
            enrolment.next_token = Some(self.ask(&config, &enrolment).await?);
            self.save(&config, &enrolment)?;
        }
        self.confirm(&config, enrolment).await
    }

    /// Finishes what an earlier try has begun, if one has.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    pub async fn finish(&self) -> Result<(), RotateError> {
        let _lock = self.disk.lock()?;
        let (config, enrolment) = self.load()?;
        if enrolment.next_token.is_none() {
            return Ok(());
        }
        self.confirm(&config, enrolment).await
    }

    fn load(&self) -> Result<(Config, Enrolment), RotateError> {
        let mut config = self.disk.load()?.ok_or(RotateError::NotEnrolled)?;
        let enrolment = config.enrolment.take().ok_or(RotateError::NotEnrolled)?;
        Ok((config, enrolment))
    }

    fn save(&self, config: &Config, enrolment: &Enrolment) -> Result<(), DiskError> {
        self.disk.save(&Config { enrolment: Some(enrolment.clone()), ..config.clone() })
    }

    fn holder<'a>(&self, config: &'a Config, enrolment: &'a Enrolment) -> Holder<'a> {
        Holder { connect: self.connect, config, enrolment, now: self.clock.now() }
    }

    async fn ask(&self, config: &Config, enrolment: &Enrolment) -> Result<Secret, PossessionError> {
        let request = |client: Client, proof: Option<Proof>| {
            let (token, agent) = (enrolment.token.clone(), enrolment.agent);
            async move { client.rotate_token(token.expose(), &agent, &ProvedRequest { proof }).await }.boxed()
        };
        let staged = self.holder(config, enrolment).ask(ProofSubject::RotateToken, request).await?;
        Ok(Secret::new(staged.auth_token))
    }

    async fn confirm(&self, config: &Config, mut enrolment: Enrolment) -> Result<(), RotateError> {
        let Some(new) = enrolment.next_token.clone() else { return Ok(()) };
        let client = self.holder(config, &enrolment).ordinary_client()?;
        match client.confirm_token(new.expose(), &enrolment.agent).await {
            Ok(_confirmed) => {
                enrolment.token = new;
                enrolment.next_token = None;
                self.save(config, &enrolment)?;
                Ok(())
            }
            Err(error) => {
                if error.answer().is_some_and(is_worthless) {
                    tracing::warn!("the new token cannot be confirmed any more, keeping the old one");
                    enrolment.next_token = None;
                    self.save(config, &enrolment)?;
                }
                Err(RotateError::Confirm(error))
            }
        }
    }
}

/// Whether the control plane says that the new token counts for nothing: had it been confirmed,
/// confirming it again would have been answered with a success. Something else on the way, whose
/// answer has no code, is not believed.
fn is_worthless(answer: &ApiError) -> bool {
    !answer.body.code.is_empty() && matches!(answer.status.as_u16(), 401 | 404 | 409 | 410)
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_api::ErrorBody;

    #[test]
    fn a_new_token_is_thrown_away_only_when_it_counts_for_nothing() {
        for (status, code, expected) in [
            (401, "UNAUTHORIZED", true),
            (410, "CONFIRM_WINDOW_OVER", true),
            (401, "", false),
            (404, "", false),
            (403, "DEVICE_QUARANTINED", false),
            (429, "RATE_LIMITED", false),
            (500, "INTERNAL", false),
        ] {
            let status = status.try_into().unwrap();
            let answer = ApiError { status, body: ErrorBody::new(code, "no"), retry_after: None };
            assert_eq!(is_worthless(&answer), expected, "{status} {code}");
        }
    }
}
