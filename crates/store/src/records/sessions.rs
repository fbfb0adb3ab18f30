//! Who is signed in.

use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::Timestamp;

use super::users::UserRow;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "sessions";

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The hash of its bearer token.
    pub token: SecretHash,
    /// Whose it is.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
}

impl FromRow for SessionRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            token: row.parsed("token_sha256")?,
            user: row.parsed("user_id")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Reading<'_> {
    /// The session of a token and its person. Fails closed: `None` when it has ended or the person was
    /// disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<(SessionRow, UserRow)>, StoreError> {
        let found: Option<SessionRow> = sql(
            TABLE,
            "SELECT token_sha256, user_id, created_at, expires_at FROM sessions
             WHERE token_sha256 = $1 AND expires_at > $2",
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        let Some(session) = found else { return Ok(None) };
        let user = self.user(session.user).await?.filter(|user| user.disabled_at.is_none());
        Ok(user.map(|user| (session, user)))
    }
}

impl Writing<'_> {
    /// Records a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_session(&mut self, session: &SessionRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO sessions (token_sha256, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(session.token)
        .bind(session.user)
        .bind(session.created_at)
        .bind(session.expires_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Ends a session; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_session(&mut self, token: &SecretHash) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM sessions WHERE token_sha256 = $1")
            .bind(*token)
            .changed(&mut self.connection)
            .await
    }

    /// Ends all of a person's sessions and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_sessions_of(&mut self, user: UserId) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM sessions WHERE user_id = $1").bind(user).run(&mut self.connection).await
    }

    /// Ends all of a person's sessions but one and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_sessions_besides(
        &mut self,
        user: UserId,
        kept: &SecretHash,
    ) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM sessions WHERE user_id = $1 AND token_sha256 <> $2")
            .bind(user)
            .bind(*kept)
            .run(&mut self.connection)
            .await
    }

    /// Removes sessions that have ended and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_sessions(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM sessions WHERE expires_at <= $1").bind(now).run(&mut self.connection).await
    }
}
