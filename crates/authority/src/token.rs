//! Rotate: a device gets a new bearer token; the old one is good until the new one is confirmed. And
//! an admin revokes a token.

use std::time::Duration;

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, SpkiSha256};
use countersign_core::proof::ProofSubject;
use countersign_core::time::Timestamp;
use countersign_store::{StagedTokenRow, StoreError, Writing};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::agent::{AgentCaller, TOKEN_PREFIX};
use crate::agent::{Possession, Token};
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};
use crate::challenge::ProofError;
use crate::limits::{Limited, TooMany};
use crate::names::FreshSecret;
use crate::present::Present;

/// How long a new token may wait for its confirmation.
const CONFIRM_WINDOW: Duration = Duration::from_secs(86_400);

/// A new bearer token.
pub struct StagedToken {
    /// Shown this once.
    pub text: Zeroizing<String>,
    /// By when it is to be confirmed.
    pub confirm_before: Timestamp,
}

/// There is no new token, or it was not confirmed; the old one stays good.
#[derive(Debug, Error)]
pub enum RotateTokenError {
    /// Possession of the present key was not shown.
    #[error("possession of the device's key was not proved")]
    ProofNeeded,
    /// The device is quarantined.
    #[error("the device is quarantined")]
    Quarantined,
    /// The token with which it was asked is none any more.
    #[error("the token was replaced or revoked meanwhile")]
    Unauthorized,
    /// The present token was shown, and another one waits for its confirmation.
    #[error("this is the present token, and another waits to be confirmed")]
    NotStaged,
    /// Too many.
    #[error("too many new tokens")]
    TooMany(TooMany),
    /// A key cannot be read, or no token could be made.
    #[error("cannot make a token")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("cannot replace the token")]
    Store(#[from] StoreError),
}

/// A token was not revoked.
#[derive(Debug, Error)]
pub enum RevokeTokenError {
    /// There is no such device.
    #[error("unknown device")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The device has no token.
    #[error("already revoked")]
    AlreadyRevoked,
    /// The store failed.
    #[error("cannot revoke the token")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Gives a device a new token, which replaces the present one once it is confirmed; a former one
    /// that still waits is worth nothing from then on. A device that ever had a certificate shows
    /// possession of its key.
    ///
    /// # Errors
    /// See [`RotateTokenError`].
    pub async fn rotate_token(
        &self,
        agent: &AgentCaller,
        possession: &Possession,
    ) -> Result<StagedToken, RotateTokenError> {
        let (id, now) = (agent.id(), self.now());
        let present = self.store.read(move |r| Box::pin(async move { Present::read(r, id).await })).await?;
        let present = present.ok_or(RotateTokenError::Unauthorized)?;
        check_status(present.device.status)?;
        if present.device.ever_had_certificate() {
            self.check_key_for_token(agent, &present, possession).await?;
        }
        self.limits.take(Limited::NewToken(id), now).map_err(RotateTokenError::TooMany)?;
        let fresh = FreshSecret::new(TOKEN_PREFIX)?;
        let Some(replaces) = agent.device().token else { return Err(RotateTokenError::Unauthorized) };
        let staged =
            StagedTokenRow { device: id, token: fresh.hash, replaces, expires_at: now + CONFIRM_WINDOW };
        let confirm_before = staged.expires_at;
        let proved = present.key_sha256();
        self.store.write(move |w| Box::pin(async move { stage(w, &staged, proved, now).await })).await?;
        Ok(StagedToken { text: Zeroizing::new(fresh.text), confirm_before })
    }

    async fn check_key_for_token(
        &self,
        agent: &AgentCaller,
        present: &Present,
        possession: &Possession,
    ) -> Result<(), RotateTokenError> {
        match self.check_key(agent, present, ProofSubject::RotateToken, possession).await {
            Ok(()) => Ok(()),
            Err(ProofError::Refused) => {
                self.limits
                    .take(Limited::UnprovedRenewal(agent.id()), self.now())
                    .map_err(RotateTokenError::TooMany)?;
                Err(RotateTokenError::ProofNeeded)
            }
            Err(ProofError::Key(error)) => Err(error.into()),
            Err(ProofError::Store(error)) => Err(error.into()),
        }
    }

    /// Takes a new token's own use as its confirmation: the former one is worth nothing any more.
    /// Again is no error.
    ///
    /// # Errors
    /// See [`RotateTokenError`].
    pub async fn confirm_token(&self, agent: &AgentCaller) -> Result<(), RotateTokenError> {
        let (id, now) = (agent.id(), self.now());
        check_status(agent.device().status)?;
        let Token::Staged(hash) = *agent.token() else {
            let waiting =
                self.store.read(move |r| Box::pin(async move { r.staged_token_of(id).await })).await?;
            let counts = |staged: &StagedTokenRow| {
                staged.expires_at > now && Some(staged.replaces) == agent.device().token
            };
            return if waiting.is_some_and(|staged| counts(&staged)) {
                Err(RotateTokenError::NotStaged)
            } else {
                Ok(())
            };
        };
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let found = w.device_by_staged_token(&hash, now).await?;
                    let mut device = found.ok_or(RotateTokenError::Unauthorized)?;
                    check_status(device.status)?;
                    device.token = Some(hash);
                    if !w.update_device(&device).await? {
                        return Err(StoreError::raced("device at revision", device.revision).into());
                    }
                    w.drop_staged_token(id).await?;
                    // Channels that the former token opened end.
                    w.device_trust_changed(id).await?;
                    let tenant = Some(device.tenant_slug.clone());
                    let entry =
                        AuditEntry::new(tenant, now, AuditEvent::TokenRotated, Actor::Device(id)).device(id);
                    w.append_audit(&entry).await.map_err(RotateTokenError::from)
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(())
    }

    /// Revokes a device's token at once, and the one that waits for its confirmation with it. The
    /// device comes back with an enrolment key made for it.
    ///
    /// # Errors
    /// See [`RevokeTokenError`].
    pub async fn revoke_token(
        &self,
        by: &Authorized<Administer>,
        id: DeviceId,
    ) -> Result<(), RevokeTokenError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut device = w.device(id).await?.ok_or(RevokeTokenError::Unknown)?;
                    by.covers(device.tenant)?;
                    if device.token.take().is_none() {
                        return Err(RevokeTokenError::AlreadyRevoked);
                    }
                    if !w.update_device(&device).await? {
                        return Err(StoreError::raced("device at revision", device.revision).into());
                    }
                    w.drop_staged_token(id).await?;
                    // Channels that it opened end.
                    w.device_trust_changed(id).await?;
                    let tenant = Some(device.tenant_slug.clone());
                    let entry = AuditEntry::new(tenant, now, AuditEvent::TokenRevoked, by.actor()).device(id);
                    w.append_audit(&entry).await.map_err(RevokeTokenError::from)
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(())
    }
}

const fn check_status(status: DeviceStatus) -> Result<(), RotateTokenError> {
    match status {
        DeviceStatus::Quarantined => Err(RotateTokenError::Quarantined),
        DeviceStatus::Decommissioned => Err(RotateTokenError::Unauthorized),
        DeviceStatus::Pending | DeviceStatus::Online | DeviceStatus::Offline | DeviceStatus::Maintenance => {
            Ok(())
        }
    }
}

/// Fails closed: whatever became of the device, its token or its key since they were looked at counts.
async fn stage(
    w: &mut Writing<'_>,
    staged: &StagedTokenRow,
    proved: Option<SpkiSha256>,
    now: Timestamp,
) -> Result<(), RotateTokenError> {
    let present = Present::read(w, staged.device).await?.ok_or(RotateTokenError::Unauthorized)?;
    check_status(present.device.status)?;
    if present.device.token != Some(staged.replaces) {
        return Err(RotateTokenError::Unauthorized);
    }
    if present.device.ever_had_certificate() && !present.still_counts(proved) {
        return Err(RotateTokenError::ProofNeeded);
    }
    w.stage_token(staged).await?;
    let tenant = Some(present.device.tenant_slug);
    let entry = AuditEntry::new(tenant, now, AuditEvent::TokenStaged, Actor::Device(staged.device))
        .device(staged.device)
        .detail("confirmBefore", staged.expires_at);
    Ok(w.append_audit(&entry).await?)
}
