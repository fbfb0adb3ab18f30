//! Passkeys: what people show besides their password with a device of theirs (WebAuthn).

use countersign_core::ids::{PasskeyId, SecretHash, UserId};
use countersign_core::time::Timestamp;

use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "passkeys";
const CHALLENGES: &str = "passkey_challenges";

/// Somebody's passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Id.
    pub id: PasskeyId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What its device calls it.
    pub credential: Vec<u8>,
    /// Its public key, a SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// The count of the last signature that was taken; 0 for devices that do not count.
    pub sign_count: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last shown.
    pub last_used_at: Option<Timestamp>,
}

impl FromRow for PasskeyRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            user: row.parsed("user_id")?,
            name: row.text("name")?,
            credential: row.bytes("credential_id")?,
            public_key: row.bytes("public_key")?,
            sign_count: row.number("sign_count")?,
            created_at: row.time("created_at")?,
            last_used_at: row.optional_time("last_used_at")?,
        })
    }
}

spelled_enum! {
    /// What a challenge is signed for.
    PasskeyPurpose {
        /// To make a passkey.
        Make => "make",
        /// To show one.
        Show => "show",
    }
}

/// What somebody who is signed in is asked to sign. There is one for each purpose: the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyChallenge {
    /// Who is asked.
    pub user: UserId,
    /// For what.
    pub purpose: PasskeyPurpose,
    /// Its hash.
    pub hash: SecretHash,
}

impl Reading<'_> {
    /// Somebody's passkeys, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn passkeys(&mut self, user: UserId) -> Result<Vec<PasskeyRow>, StoreError> {
        sql(TABLE, "SELECT * FROM passkeys WHERE user_id = $1 ORDER BY created_at, id")
            .bind(user)
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records a passkey; `false` when its device made it for somebody before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_passkey(&mut self, passkey: &PasskeyRow) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "INSERT INTO passkeys
                 (id, user_id, name, credential_id, public_key, sign_count, created_at, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(passkey.id)
        .bind(passkey.user)
        .bind(passkey.name.as_str())
        .bind(passkey.credential.as_slice())
        .bind(passkey.public_key.as_slice())
        .bind(passkey.sign_count)
        .bind(passkey.created_at)
        .bind(passkey.last_used_at)
        .changed(&mut self.connection)
        .await
    }

    /// Records that a passkey was shown, with its device's count. Fails closed: `false` when there is no such
    /// passkey, or its device had counted as far before, decided and recorded in one statement; a device that
    /// does not count says 0 every time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_passkey_use(
        &mut self,
        id: PasskeyId,
        count: u32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE passkeys SET sign_count = $2, last_used_at = $3
             WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))",
        )
        .bind(id)
        .bind(count)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }

    /// Removes one of somebody's passkeys; `false` when they have no such one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_passkey(&mut self, user: UserId, id: PasskeyId) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM passkeys WHERE user_id = $1 AND id = $2")
            .bind(user)
            .bind(id)
            .changed(&mut self.connection)
            .await
    }

    /// Removes all of somebody's passkeys; `false` when they had none.
    pub(crate) async fn delete_passkeys_of(&mut self, user: UserId) -> Result<bool, StoreError> {
        let delete = sql(TABLE, "DELETE FROM passkeys WHERE user_id = $1").bind(user);
        Ok(delete.run(&mut self.connection).await? > 0)
    }

    /// Asks somebody to sign a challenge, in the place of one of the same purpose.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_passkey_challenge(
        &mut self,
        challenge: &PasskeyChallenge,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sql(
            CHALLENGES,
            "INSERT INTO passkey_challenges (user_id, purpose, challenge_sha256, expires_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, purpose) DO UPDATE
                 SET challenge_sha256 = excluded.challenge_sha256, expires_at = excluded.expires_at",
        )
        .bind(challenge.user)
        .bind(challenge.purpose)
        .bind(challenge.hash)
        .bind(expires_at)
        .run(&mut self.connection)
        .await
        .map(drop)
    }

    /// Uses a challenge up. Fails closed: `false` when it is not the last one, was used or is over, decided
    /// and removed in one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_passkey_challenge(
        &mut self,
        challenge: &PasskeyChallenge,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            CHALLENGES,
            "DELETE FROM passkey_challenges
             WHERE user_id = $1 AND purpose = $2 AND challenge_sha256 = $3 AND expires_at > $4",
        )
        .bind(challenge.user)
        .bind(challenge.purpose)
        .bind(challenge.hash)
        .bind(now)
        .changed(&mut self.connection)
        .await
    }
}
