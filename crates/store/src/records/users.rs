//! People who may sign in.

use std::fmt;

use countersign_core::ids::{TenantId, UserId};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "users";

spelled_enum! {
    /// What a person may do, from most to least.
    Role {
        /// Everything.
        Owner => "owner",
        /// Everything but what only owners may.
        Admin => "admin",
        /// The daily work on devices.
        Operator => "operator",
        /// Looking.
        Viewer => "viewer",
    }
}

/// What stands in the place of a hash where no password was set: no hash looks like it.
const NO_PASSWORD: &str = "-";

/// A password as its hash, in the hash's own text form (PHC string); never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash, as the hash function printed it.
    #[must_use]
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// Of somebody who has no password yet.
    #[must_use]
    pub fn none() -> Self {
        Self(NO_PASSWORD.to_owned())
    }

    /// Whether there is no password yet: whatever is given is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0 == NO_PASSWORD
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Id.
    pub id: UserId,
    /// E-mail address; unique whatever its case.
    pub email: String,
    /// The password's hash.
    pub password_hash: PasswordHash,
    /// What the person may do.
    pub role: Role,
    /// The only tenant the person sees; `None`: all.
    pub tenant: Option<TenantId>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Since when the person may not sign in, if so.
    pub disabled_at: Option<Timestamp>,
}

impl FromRow for UserRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            email: row.text("email")?,
            password_hash: PasswordHash::new(row.text("password_hash")?),
            role: row.parsed("role")?,
            tenant: row.optional_parsed("org_id")?,
            created_at: row.time("created_at")?,
            disabled_at: row.optional_time("disabled_at")?,
        })
    }
}

impl Reading<'_> {
    /// The person with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&mut self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        sql(TABLE, "SELECT * FROM users WHERE id = $1").bind(id).optional(&mut self.connection).await
    }

    /// The person with this e-mail address, in any case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_by_email(&mut self, email: &str) -> Result<Option<UserRow>, StoreError> {
        sql(TABLE, "SELECT * FROM users WHERE lower(email) = $1")
            .bind(email.to_ascii_lowercase())
            .optional(&mut self.connection)
            .await
    }

    /// People bound to a tenant, or all, by e-mail address; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn users(&mut self, tenant: Option<TenantId>) -> Result<Vec<UserRow>, StoreError> {
        Conditions::none()
            .and("org_id = ?", tenant)
            .select(TABLE, "SELECT * FROM users", "ORDER BY lower(email)", LIST_LIMIT)
            .all(&mut self.connection)
            .await
    }

    /// How many owners besides this person could sign in and act for the whole installation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_owners_besides(&mut self, user: UserId) -> Result<u64, StoreError> {
        let Number(count) = sql(
            TABLE,
            "SELECT count(*) AS number FROM users
             WHERE role = 'owner' AND org_id IS NULL AND disabled_at IS NULL AND password_hash <> $2
                 AND id <> $1",
        )
        .bind(user)
        .bind(NO_PASSWORD)
        .one(&mut self.connection)
        .await?;
        Ok(count)
    }

    /// How many people there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_users(&mut self) -> Result<u64, StoreError> {
        let Number(count) =
            sql(TABLE, "SELECT count(*) AS number FROM users").one(&mut self.connection).await?;
        Ok(count)
    }
}

impl Writing<'_> {
    /// Records a person; `false` when the e-mail address is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_user(&mut self, user: &UserRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO users (id, email, password_hash, role, org_id, created_at, disabled_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (lower(email)) DO NOTHING",
        )
        .bind(user.id)
        .bind(user.email.as_str())
        .bind(user.password_hash.as_str())
        .bind(user.role)
        .bind(user.tenant)
        .bind(user.created_at)
        .bind(user.disabled_at)
        .changed(&mut self.connection)
        .await
    }

    /// Writes what may change about a person: role, tenant, standing; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_user(&mut self, user: &UserRow) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE users SET role = $2, org_id = $3, disabled_at = $4 WHERE id = $1")
            .bind(user.id)
            .bind(user.role)
            .bind(user.tenant)
            .bind(user.disabled_at)
            .changed(&mut self.connection)
            .await
    }

    /// Sets a person's password; `false` when there is no such person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_password(&mut self, user: UserId, hash: &PasswordHash) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE users SET password_hash = $2 WHERE id = $1")
            .bind(user)
            .bind(hash.as_str())
            .changed(&mut self.connection)
            .await
    }
}
