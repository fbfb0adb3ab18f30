//! People who sign in at an identity provider.

use countersign_core::ids::UserId;
use countersign_core::time::Timestamp;

use super::users::UserRow;
use crate::error::StoreError;
use crate::row::Item;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "oidc_links";

/// Somebody as an identity provider names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSubject {
    /// The provider.
    pub issuer: String,
    /// The person, within it; never given to another one.
    pub subject: String,
}

impl Reading<'_> {
    /// The person behind a provider's name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user_of_oidc(&mut self, named: &OidcSubject) -> Result<Option<UserRow>, StoreError> {
        sql(
            TABLE,
            "SELECT users.* FROM users JOIN oidc_links ON oidc_links.user_id = users.id
             WHERE oidc_links.issuer = $1 AND oidc_links.subject = $2",
        )
        .bind(named.issuer.as_str())
        .bind(named.subject.as_str())
        .optional(&mut self.connection)
        .await
    }

    /// Everybody who signs in at a provider.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn people_of_oidc(&mut self) -> Result<Vec<UserId>, StoreError> {
        let found: Vec<Item<UserId>> =
            sql(TABLE, "SELECT user_id AS item FROM oidc_links").all(&mut self.connection).await?;
        Ok(found.into_iter().map(|Item(user)| user).collect())
    }

    /// Whether somebody signs in at a provider.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_of_oidc(&mut self, user: UserId) -> Result<bool, StoreError> {
        let found: Option<Item<UserId>> =
            sql(TABLE, "SELECT user_id AS item FROM oidc_links WHERE user_id = $1")
                .bind(user)
                .optional(&mut self.connection)
                .await?;
        Ok(found.is_some())
    }
}

impl Writing<'_> {
    /// Records who somebody is at a provider; `false` when that name, or this person, is linked already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_oidc_link(
        &mut self,
        named: &OidcSubject,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO oidc_links (issuer, subject, user_id, linked_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(named.issuer.as_str())
        .bind(named.subject.as_str())
        .bind(user)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }
}
