//! API tokens: what programs call the admin API with, in the name of a person and with no more rights.

use std::collections::HashMap;
use std::time::Duration;

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{ApiTokenId, SecretHash, Tenant, TenantId, UserId};
use countersign_core::scope::Scopes;
use countersign_core::time::Timestamp;
pub use countersign_store::ApiTokenRow;
use countersign_store::{ApiTokenFilter, Role, StoreError, UserRow, Writing};
use parking_lot::Mutex;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authorized::{Authorized, Caller, Forbidden, View, is_at_least};
use crate::names::FreshSecret;
use crate::tenants::TenantError;

/// The prefix of API tokens.
pub(crate) const TOKEN_PREFIX: &str = "cst_";

/// A use is written down when the one on record is older than this.
const USED_EVERY: Duration = Duration::from_secs(60);

/// The uses of API tokens that wait to be written down.
#[derive(Debug, Default)]
pub(crate) struct TokenUses {
    waiting: Mutex<HashMap<ApiTokenId, Timestamp>>,
}

/// The API token that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedToken {
    /// What it is called.
    pub name: String,
    /// The role it acts with; `None`: its maker's.
    pub role: Option<Role>,
    /// Slug or id of the only tenant it sees; `None`: whatever its maker sees.
    pub tenant: Option<String>,
    /// What it may be used for; `None`: everything that its role allows.
    pub scopes: Option<Scopes>,
    /// How long it works.
    pub life: Duration,
}

/// A new API token.
pub struct CreatedToken {
    /// Its record.
    pub row: ApiTokenRow,
    /// The token, shown this once.
    pub token: Zeroizing<String>,
}

/// An API token was not made.
#[derive(Debug, Error)]
pub enum CreateApiTokenError {
    /// There is no such tenant.
    #[error("unknown tenant")]
    UnknownTenant,
    /// It would have more rights than its maker.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// No token could be made.
    #[error("cannot make a token")]
    Secret(#[from] KeyError),
    /// The store failed.
    #[error("cannot keep the API token")]
    Store(#[from] StoreError),
}

impl From<TenantError> for CreateApiTokenError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            TenantError::Forbidden(forbidden) => Self::Forbidden(forbidden),
            TenantError::Store(error) => Self::Store(error),
        }
    }
}

/// An API token was not revoked; nothing changed.
#[derive(Debug, Error)]
pub enum RevokeApiTokenError {
    /// There is no such token.
    #[error("unknown API token")]
    Unknown,
    /// It is somebody's whom the caller does not manage.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It is revoked already.
    #[error("already revoked")]
    AlreadyRevoked,
    /// The store failed.
    #[error("cannot revoke the API token")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Makes an API token of the caller's own.
    ///
    /// # Errors
    /// See [`CreateApiTokenError`]; it never gets a higher role or a wider view than its maker has.
    pub async fn create_api_token(
        &self,
        by: &Authorized<View>,
        wanted: WantedToken,
    ) -> Result<CreatedToken, CreateApiTokenError> {
        let now = self.now();
        let role = wanted.role.unwrap_or(by.role());
        if !is_at_least(by.role(), role) {
            return Err(Forbidden::AboveOwn.into());
        }
        let tenant = match (wanted.tenant, by.scope()) {
            (Some(tenant), _) => Some(self.find_tenant(by, &tenant).await?),
            (None, Some(own)) => Some(self.tenant(own).await?),
            (None, None) => None,
        };
        let secret = FreshSecret::new(TOKEN_PREFIX)?;
        let mut row = ApiTokenRow {
            id: ApiTokenId::random(),
            token: secret.hash,
            user: by.user(),
            user_email: String::new(),
            name: wanted.name,
            role,
            tenant: tenant.as_ref().map(|tenant| tenant.id),
            tenant_slug: tenant.map(|tenant| tenant.slug),
            scopes: wanted.scopes,
            created_at: now,
            expires_at: now + wanted.life,
            last_used_at: None,
            revoked_at: None,
        };
        let (by, stored) = (*by, row.clone());
        let maker = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    // Read again: who was demoted or disabled meanwhile makes no token.
                    let maker = w.user(stored.user).await?.filter(|user| user.disabled_at.is_none());
                    let maker = maker.ok_or(Forbidden::Session)?;
                    if !is_at_least(maker.role, stored.role) || maker.tenant != by.scope() {
                        return Err(CreateApiTokenError::Forbidden(Forbidden::AboveOwn));
                    }
                    w.insert_api_token(&stored).await?;
                    let chain = chain_of(w, maker.tenant).await?;
                    w.append_audit(&created_entry(chain, &stored, by.actor())).await?;
                    Ok(maker)
                })
            })
            .await?;
        row.user_email = maker.email;
        Ok(CreatedToken { row, token: Zeroizing::new(secret.text) })
    }

    /// The API tokens that the caller may revoke, newest first: their own and, for admins, those of the
    /// people they manage.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_api_tokens(&self, by: &Authorized<View>) -> Result<Vec<ApiTokenRow>, StoreError> {
        let filter = if is_at_least(by.role(), Role::Admin) {
            ApiTokenFilter { user: None, of_people_in: by.scope() }
        } else {
            ApiTokenFilter { user: Some(by.user()), of_people_in: None }
        };
        self.store.read(move |r| Box::pin(async move { r.api_tokens(filter).await })).await
    }

    /// Revokes an API token: it works no more from this moment on.
    ///
    /// # Errors
    /// See [`RevokeApiTokenError`]; of two calls at once one wins.
    pub async fn revoke_api_token(
        &self,
        by: &Authorized<View>,
        id: ApiTokenId,
    ) -> Result<ApiTokenRow, RevokeApiTokenError> {
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let mut row = w.api_token(id).await?.ok_or(RevokeApiTokenError::Unknown)?;
                    let maker = w.user(row.user).await?.ok_or(RevokeApiTokenError::Unknown)?;
                    may_revoke(&by, &row, &maker)?;
                    if !w.revoke_api_token(id, now).await? {
                        return Err(RevokeApiTokenError::AlreadyRevoked);
                    }
                    let chain = chain_of(w, maker.tenant).await?;
                    w.append_audit(&revoked_entry(chain, id, maker.id, now, by.actor())).await?;
                    row.revoked_at = Some(now);
                    Ok(row)
                })
            })
            .await
    }

    /// The program behind an API token; `None` when it is unknown, revoked or over, or its person
    /// disabled.
    pub(crate) async fn token_caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        let (hash, now) = (SecretHash::of(token), self.now());
        let found =
            self.store.read(move |r| Box::pin(async move { r.live_api_token(&hash, now).await })).await?;
        let Some((row, user)) = found else { return Ok(None) };
        if row.last_used_at.is_none_or(|used| used + USED_EVERY < now) {
            self.token_uses.waiting.lock().insert(row.id, now);
        }
        Ok(Caller::with_token(user, row))
    }

    /// Writes down which API tokens were used.
    pub(crate) async fn flush_token_uses(&self) -> Result<(), StoreError> {
        let uses: Vec<_> = self.token_uses.waiting.lock().drain().collect();
        if uses.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for (id, at) in uses {
                        w.api_token_used(id, at).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Its maker may, though not by a token with fewer rights, and admins who manage its maker.
fn may_revoke(by: &Authorized<View>, token: &ApiTokenRow, maker: &UserRow) -> Result<(), Forbidden> {
    if by.user() == maker.id {
        return by.manages(token.role, token.tenant);
    }
    by.manages(maker.role, maker.tenant)?;
    if is_at_least(by.role(), Role::Admin) { Ok(()) } else { Err(Forbidden::Role(Role::Admin.as_str())) }
}

/// Revokes all of a person's API tokens within a transaction, an audit entry each, and says how many.
pub(crate) async fn revoke_all_of(
    w: &mut Writing<'_>,
    user: UserId,
    chain: Option<Tenant>,
    now: Timestamp,
    actor: Actor,
) -> Result<usize, StoreError> {
    let revoked = w.revoke_api_tokens_of(user, now).await?;
    for id in &revoked {
        w.append_audit(&revoked_entry(chain.clone(), *id, user, now, actor.clone())).await?;
    }
    Ok(revoked.len())
}

/// Whose audit tells of a person who is bound to this tenant, or to none.
pub(crate) async fn chain_of(
    w: &mut Writing<'_>,
    tenant: Option<TenantId>,
) -> Result<Option<Tenant>, StoreError> {
    match tenant {
        Some(id) => Ok(w.tenant_by_id(id).await?.map(|tenant| tenant.slug)),
        None => Ok(None),
    }
}

fn created_entry(chain: Option<Tenant>, row: &ApiTokenRow, actor: Actor) -> AuditEntry {
    let scopes = row.scopes.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
    let entry = AuditEntry::new(chain, row.created_at, AuditEvent::ApiTokenCreated, actor)
        .detail("id", row.id)
        .detail("name", &row.name)
        .detail("role", row.role)
        .detail("scopes", scopes)
        .detail("expiresAt", row.expires_at);
    match &row.tenant_slug {
        Some(tenant) => entry.detail("tenant", tenant),
        None => entry,
    }
}

fn revoked_entry(
    chain: Option<Tenant>,
    id: ApiTokenId,
    user: UserId,
    now: Timestamp,
    actor: Actor,
) -> AuditEntry {
    AuditEntry::new(chain, now, AuditEvent::ApiTokenRevoked, actor).detail("id", id).detail("user", user)
}
