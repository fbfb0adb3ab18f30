//! API tokens: what programs call the admin API with.

use countersign_core::ids::{ApiTokenId, SecretHash, Tenant, TenantId, UserId};
use countersign_core::scope::Scopes;
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::users::{Role, UserRow};
use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "api_tokens";

/// An API token's record; the token itself is not on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiTokenRow {
    /// Id of the record.
    pub id: ApiTokenId,
    /// The token's hash.
    pub token: SecretHash,
    /// Who made it, and in whose name it acts.
    pub user: UserId,
    /// That person's e-mail address; read with the row, not written.
    pub user_email: String,
    /// What it is called.
    pub name: String,
    /// The highest role it acts with.
    pub role: Role,
    /// The only tenant it sees; `None`: whatever its person sees.
    pub tenant: Option<TenantId>,
    /// That tenant's slug; read with the row, not written.
    pub tenant_slug: Option<Tenant>,
    /// What it may be used for; `None`: everything that the role allows.
    pub scopes: Option<Scopes>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if so.
    pub revoked_at: Option<Timestamp>,
}

impl FromRow for ApiTokenRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            token: row.parsed("token_sha256")?,
            user: row.parsed("user_id")?,
            user_email: row.text("user_email")?,
            name: row.text("name")?,
            role: row.parsed("role")?,
            tenant: row.optional_parsed("org_id")?,
            tenant_slug: row.optional_parsed("tenant_slug")?,
            scopes: row.optional_parsed("scopes")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            last_used_at: row.optional_time("last_used_at")?,
            revoked_at: row.optional_time("revoked_at")?,
        })
    }
}

/// Which API tokens a list is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiTokenFilter {
    /// Those of this person alone.
    pub user: Option<UserId>,
    /// Those of people bound to this tenant alone.
    pub of_people_in: Option<TenantId>,
}

/// A `SELECT` of whole API tokens with the given rest of the statement.
macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT a.*, u.email AS user_email, t.slug AS tenant_slug FROM api_tokens a \
             JOIN users u ON u.id = a.user_id LEFT JOIN tenants t ON t.id = a.org_id",
            $rest
        )
    };
}

impl Reading<'_> {
    /// The API token with this hash and its person. Fails closed: `None` when it was revoked, has
    /// expired, or the person was disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn live_api_token(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(ApiTokenRow, UserRow)>, StoreError> {
        let found: Option<ApiTokenRow> = sql(
            TABLE,
            select_tokens!(" WHERE a.token_sha256 = $1 AND a.revoked_at IS NULL AND a.expires_at > $2"),
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let user = self.user(row.user).await?.filter(|user| user.disabled_at.is_none());
        Ok(user.map(|user| (row, user)))
    }

    /// The record with this id, in whatever condition it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn api_token(&mut self, id: ApiTokenId) -> Result<Option<ApiTokenRow>, StoreError> {
        sql(TABLE, select_tokens!(" WHERE a.id = $1")).bind(id).optional(&mut self.connection).await
    }

    /// The API tokens that match, newest first; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn api_tokens(&mut self, filter: ApiTokenFilter) -> Result<Vec<ApiTokenRow>, StoreError> {
        Conditions::none()
            .and("a.user_id = ?", filter.user)
            .and("u.org_id = ?", filter.of_people_in)
            .select(TABLE, select_tokens!(""), "ORDER BY a.created_at DESC, a.id DESC", LIST_LIMIT)
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records an API token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_api_token(&mut self, token: &ApiTokenRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO api_tokens (id, token_sha256, user_id, name, role, org_id, scopes, created_at,
                 expires_at, last_used_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(token.id)
        .bind(token.token)
        .bind(token.user)
        .bind(token.name.as_str())
        .bind(token.role)
        .bind(token.tenant)
        .bind(token.scopes.as_ref())
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.last_used_at)
        .bind(token.revoked_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Notes when an API token was used; an earlier moment than the noted one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn api_token_used(&mut self, id: ApiTokenId, at: Timestamp) -> Result<(), StoreError> {
        sql(
            TABLE,
            "UPDATE api_tokens SET last_used_at = $2
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        )
        .bind(id)
        .bind(at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Revokes an API token; `false` when there is none or it was revoked before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_api_token(&mut self, id: ApiTokenId, at: Timestamp) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id)
            .bind(at)
            .changed(&mut self.connection)
            .await
    }

    /// Revokes all of a person's API tokens that still work and says which.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_api_tokens_of(
        &mut self,
        user: UserId,
        at: Timestamp,
    ) -> Result<Vec<ApiTokenId>, StoreError> {
        let revoked: Vec<Item<ApiTokenId>> = sql(
            TABLE,
            "UPDATE api_tokens SET revoked_at = $2
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 RETURNING id AS item",
        )
        .bind(user)
        .bind(at)
        .all(&mut self.connection)
        .await?;
        Ok(revoked.into_iter().map(|Item(id)| id).collect())
    }
}
