//! Who an agent is: its bearer token becomes evidence, and so does possession of a key.

use countersign_core::access::Holder;
use countersign_core::device::DeviceStatus;
use countersign_core::identity::Identity;
use countersign_core::ids::{ChallengeId, DeviceId, SecretHash};
use countersign_core::settings::MtlsSettings;
use countersign_core::snapshot::CertificateClaim;
use countersign_store::DeviceRow;
use countersign_store::StoreError;
use countersign_store::TenantRow;
use thiserror::Error;

use crate::authority::Authority;

/// The prefix of agents' bearer tokens, the seed's.
pub const TOKEN_PREFIX: &str = "brz_";

/// A device whose bearer token was right. Made by [`Authority::authenticate_agent`] and
/// [`Authority::authenticate_new_token`] alone.
#[derive(Clone, Debug)]
pub struct AgentCaller {
    device: DeviceRow,
    tenant: TenantRow,
    identity: Identity,
    token: Token,
}

/// Which of a device's bearer tokens was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The one that it has.
    Present(SecretHash),
    /// The one that is to replace it, once it is confirmed.
    Staged(SecretHash),
}

/// Why a bearer token does not open anything.
#[derive(Debug, Error)]
pub enum AgentAuthError {
    /// Unknown, or its device is decommissioned: answers never say which.
    #[error("unknown agent or wrong token")]
    Unauthorized,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The store failed.
    #[error("cannot look up the agent")]
    Store(#[from] StoreError),
}

/// A certificate as it was shown.
#[derive(Clone, Debug)]
pub struct ShownCertificate {
    /// What it says, verified.
    pub claim: CertificateClaim,
    /// DER.
    pub der: Vec<u8>,
}

/// How a device shows that it has a key.
#[derive(Clone, Debug)]
pub enum Possession {
    /// By the handshake of this very request, at a door in this process.
    Handshake(CertificateClaim),
    /// By a signature over a challenge.
    Signature {
        /// Which challenge.
        challenge: ChallengeId,
        /// The signature's bytes.
        signature: Vec<u8>,
        /// The certificate that was shown in the handshake besides, whoever saw that.
        beside: Option<Box<ShownCertificate>>,
    },
    /// By the word of an edge elsewhere, which saw this certificate in a handshake. It proves nothing: whoever
    /// has the edge could say so of every certificate that came by.
    Told(CertificateClaim),
    /// Not at all.
    None,
}

impl AgentCaller {
    /// The device's row, as it was when the token was checked.
    #[must_use]
    pub const fn device(&self) -> &DeviceRow {
        &self.device
    }

    /// The device's id.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.device.id
    }

    /// The tenant's settings.
    #[must_use]
    pub const fn settings(&self) -> &MtlsSettings {
        &self.tenant.settings
    }

    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    pub(crate) const fn tenant(&self) -> &TenantRow {
        &self.tenant
    }

    /// The identity that this device's certificates carry.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whose certificate `claim` is, from this device's point of view.
    #[must_use]
    pub fn holder(&self, claim: &CertificateClaim) -> Holder {
        if claim.identity == self.identity { Holder::Own } else { Holder::Other }
    }

    /// Whether the device waits for an admin's decision.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.device.status == DeviceStatus::Quarantined
    }
}

impl Authority {
    /// Finds the device of a bearer token.
    ///
    /// # Errors
    /// Fails closed: an unknown token, one that was revoked and one of a decommissioned device are
    /// all [`AgentAuthError::Unauthorized`].
    pub async fn authenticate_agent(&self, token: &str) -> Result<AgentCaller, AgentAuthError> {
        let hash = hash_of(token)?;
        let found = self.find_agent(Token::Present(hash)).await?.ok_or(AgentAuthError::Unauthorized)?;
        if found.device.token.is_some_and(|stored| stored.matches(&hash)) {
            Ok(found)
        } else {
            Err(AgentAuthError::Unauthorized)
        }
    }

    /// The same for the confirmation of a new token, which opens nothing else before that. The token
    /// that the device has already is right too: a confirmation may be repeated.
    ///
    /// # Errors
    /// As [`Self::authenticate_agent`].
    pub async fn authenticate_new_token(&self, token: &str) -> Result<AgentCaller, AgentAuthError> {
        match self.find_agent(Token::Staged(hash_of(token)?)).await? {
            Some(found) => Ok(found),
            None => self.authenticate_agent(token).await,
        }
    }

    async fn find_agent(&self, token: Token) -> Result<Option<AgentCaller>, AgentAuthError> {
        let found = match token {
            Token::Present(hash) => self.together.agents.ask(hash).await?,
            Token::Staged(hash) => self.find_staged(hash).await?,
        };
        let Some((device, tenant)) = found else { return Ok(None) };
        if device.status == DeviceStatus::Decommissioned {
            return Err(AgentAuthError::Unauthorized);
        }
        if tenant.suspended_at.is_some() {
            return Err(AgentAuthError::TenantSuspended);
        }
        let identity =
            Identity::new(self.config.trust_domain.clone(), tenant.slug.clone(), device.name.clone());
        Ok(Some(AgentCaller { device, tenant, identity, token }))
    }

    async fn find_staged(&self, token: SecretHash) -> Result<Option<(DeviceRow, TenantRow)>, StoreError> {
        let now = self.now();
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let Some(device) = r.device_by_staged_token(&token, now).await? else { return Ok(None) };
                    let tenant = r.tenant_by_id(device.tenant).await?;
                    Ok(tenant.map(|tenant| (device, tenant)))
                })
            })
            .await
    }
}

fn hash_of(token: &str) -> Result<SecretHash, AgentAuthError> {
    let secret = token.strip_prefix(TOKEN_PREFIX).ok_or(AgentAuthError::Unauthorized)?;
    if secret.len() == 64 { Ok(SecretHash::of(token)) } else { Err(AgentAuthError::Unauthorized) }
}
