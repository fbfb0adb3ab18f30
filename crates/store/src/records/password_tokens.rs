//! One-time tokens with which people set their passwords.

use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::Item;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "password_tokens";

/// A one-time token's record; the token itself is not on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordTokenRow {
    /// Whose password it sets.
    pub user: UserId,
    /// The token's hash.
    pub token: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// The moment from which on it is refused.
    pub expires_at: Timestamp,
}

impl Reading<'_> {
    /// Whose password a one-time token sets. Fails closed: `None` when it is unknown, used or over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn password_token(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let found: Option<Item<UserId>> = sql(
            TABLE,
            "SELECT user_id AS item FROM password_tokens WHERE token_sha256 = $1 AND expires_at > $2",
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        Ok(found.map(|Item(user)| user))
    }
}

impl Writing<'_> {
    /// Records a one-time token; the person's former one, if any, is worth nothing from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_password_token(&mut self, token: &PasswordTokenRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO password_tokens (user_id, token_sha256, created_at, expires_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id) DO UPDATE SET token_sha256 = excluded.token_sha256,
                 created_at = excluded.created_at, expires_at = excluded.expires_at",
        )
        .bind(token.user)
        .bind(token.token)
        .bind(token.created_at)
        .bind(token.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Uses a one-time token up and says whose it was. Fails closed: `None` when it is unknown, used or
    /// over, decided and removed in one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_password_token(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let taken: Option<Item<UserId>> = sql(
            TABLE,
            "DELETE FROM password_tokens WHERE token_sha256 = $1 AND expires_at > $2
             RETURNING user_id AS item",
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        Ok(taken.map(|Item(user)| user))
    }

    /// Removes a person's one-time token; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_password_token_of(&mut self, user: UserId) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM password_tokens WHERE user_id = $1")
            .bind(user)
            .changed(&mut self.connection)
            .await
    }

    /// Removes one-time tokens that are over and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_password_tokens(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM password_tokens WHERE expires_at <= $1")
            .bind(now)
            .run(&mut self.connection)
            .await
    }
}
