//! What people show besides their password: keys of one-time codes, recovery codes, sign-ins that wait for
//! either or for a passkey, and whether everybody has to have one.

use std::fmt;

use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::Timestamp;

use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const KEYS: &str = "totp_keys";
const CODES: &str = "recovery_codes";
const BEGUN: &str = "begun_sign_ins";
const INSTALLATION: &str = "installation";

spelled_enum! {
    /// Whether people need a second factor.
    SecondFactorPolicy {
        /// Whoever set one up.
        Optional => "optional",
        /// Everybody who signs in with a password.
        Required => "required",
    }
}

/// The key of somebody's one-time codes.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpKeyRow {
    /// Whose it is.
    pub user: UserId,
    /// Itself, sealed by the issuing side.
    pub sealed_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it counts; `None`: its owner has not shown a code of it yet.
    pub confirmed_at: Option<Timestamp>,
    /// The time step of the last code that was taken.
    pub last_step: u64,
}

impl fmt::Debug for TotpKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TotpKeyRow")
            .field("user", &self.user)
            .field("sealed_key", &"[redacted]")
            .field("confirmed_at", &self.confirmed_at)
            .field("last_step", &self.last_step)
            .finish_non_exhaustive()
    }
}

impl FromRow for TotpKeyRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            user: row.parsed("user_id")?,
            sealed_key: row.bytes("sealed_key")?,
            created_at: row.time("created_at")?,
            confirmed_at: row.optional_time("confirmed_at")?,
            last_step: row.number("last_step")?,
        })
    }
}

impl Reading<'_> {
    /// The key of somebody's one-time codes, confirmed or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn totp_key(&mut self, user: UserId) -> Result<Option<TotpKeyRow>, StoreError> {
        sql(KEYS, "SELECT * FROM totp_keys WHERE user_id = $1")
            .bind(user)
            .optional(&mut self.connection)
            .await
    }

    /// Every key of one-time codes, confirmed or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn totp_keys(&mut self) -> Result<Vec<TotpKeyRow>, StoreError> {
        sql(KEYS, "SELECT * FROM totp_keys ORDER BY created_at, user_id").all(&mut self.connection).await
    }

    /// Everybody who has a second factor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn people_with_second_factor(&mut self) -> Result<Vec<UserId>, StoreError> {
        let found: Vec<Item<UserId>> = sql(
            KEYS,
            "SELECT user_id AS item FROM totp_keys WHERE confirmed_at IS NOT NULL
                 UNION SELECT user_id FROM passkeys",
        )
        .all(&mut self.connection)
        .await?;
        Ok(found.into_iter().map(|Item(user)| user).collect())
    }

    /// Whether somebody has a second factor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_second_factor(&mut self, user: UserId) -> Result<bool, StoreError> {
        let Number(count) = sql(
            KEYS,
            "SELECT (SELECT count(*) FROM totp_keys WHERE user_id = $1 AND confirmed_at IS NOT NULL)
                  + (SELECT count(*) FROM passkeys WHERE user_id = $1) AS number",
        )
        .bind(user)
        .one(&mut self.connection)
        .await?;
        Ok(count > 0)
    }

    /// Whether somebody has to set up a second factor before they do anything else. Whoever signs in at an
    /// identity provider shows there what is asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lacks_second_factor(&mut self, user: UserId) -> Result<bool, StoreError> {
        let Number(count) = sql(
            INSTALLATION,
            "SELECT count(*) AS number FROM installation WHERE second_factor = 'required'
                 AND NOT EXISTS (SELECT 1 FROM totp_keys WHERE user_id = $1 AND confirmed_at IS NOT NULL)
                 AND NOT EXISTS (SELECT 1 FROM passkeys WHERE user_id = $1)
                 AND NOT EXISTS (SELECT 1 FROM oidc_links WHERE user_id = $1)",
        )
        .bind(user)
        .one(&mut self.connection)
        .await?;
        Ok(count > 0)
    }

    /// How many recovery codes somebody has left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_recovery_codes(&mut self, user: UserId) -> Result<u64, StoreError> {
        let Number(count) = sql(CODES, "SELECT count(*) AS number FROM recovery_codes WHERE user_id = $1")
            .bind(user)
            .one(&mut self.connection)
            .await?;
        Ok(count)
    }

    /// Who waits to show a second factor. Fails closed: `None` when the token is unknown, used or over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begun_sign_in(
        &mut self,
        token: &SecretHash,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let found: Option<Item<UserId>> = sql(
            BEGUN,
            "SELECT user_id AS item FROM begun_sign_ins WHERE token_sha256 = $1 AND expires_at > $2",
        )
        .bind(*token)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        Ok(found.map(|Item(user)| user))
    }

    /// Whether people need a second factor. Fails closed without an installation.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn second_factor_policy(&mut self) -> Result<SecondFactorPolicy, StoreError> {
        let Item(policy) = sql(INSTALLATION, "SELECT second_factor AS item FROM installation WHERE id = 1")
            .one(&mut self.connection)
            .await?;
        Ok(policy)
    }
}

impl Writing<'_> {
    /// Records the key of somebody's one-time codes in the place of one that was not confirmed; `false` when
    /// there is a confirmed one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_totp_key(&mut self, key: &TotpKeyRow) -> Result<bool, StoreError> {
        sql(
            KEYS,
            "INSERT INTO totp_keys (user_id, sealed_key, created_at, confirmed_at, last_step)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (user_id) DO UPDATE SET sealed_key = excluded.sealed_key,
                 created_at = excluded.created_at, confirmed_at = excluded.confirmed_at,
                 last_step = excluded.last_step
             WHERE totp_keys.confirmed_at IS NULL",
        )
        .bind(key.user)
        .bind(key.sealed_key.as_slice())
        .bind(key.created_at)
        .bind(key.confirmed_at)
        .bind(key.last_step)
        .changed(&mut self.connection)
        .await
    }

    /// Replaces a key's sealed form; `false` when there is no such key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_sealed_totp_key(&mut self, user: UserId, sealed: &[u8]) -> Result<bool, StoreError> {
        sql(KEYS, "UPDATE totp_keys SET sealed_key = $2 WHERE user_id = $1")
            .bind(user)
            .bind(sealed)
            .changed(&mut self.connection)
            .await
    }

    /// Lets a key count from now on, whose code of this time step was shown; `false` when it is not the one
    /// that was made then, or counts already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm_totp_key(
        &mut self,
        key: &TotpKeyRow,
        step: u64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        sql(
            KEYS,
            "UPDATE totp_keys SET confirmed_at = $3, last_step = $4
             WHERE user_id = $1 AND sealed_key = $2 AND confirmed_at IS NULL",
        )
        .bind(key.user)
        .bind(key.sealed_key.as_slice())
        .bind(now)
        .bind(step)
        .changed(&mut self.connection)
        .await
    }

    /// Uses the code of a time step up. Fails closed: `false` when the key is not the one that counts, or a
    /// code of that step or a later one was taken before, decided and recorded in one statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_totp_step(&mut self, key: &TotpKeyRow, step: u64) -> Result<bool, StoreError> {
        sql(
            KEYS,
            "UPDATE totp_keys SET last_step = $3
             WHERE user_id = $1 AND sealed_key = $2 AND confirmed_at IS NOT NULL AND last_step < $3",
        )
        .bind(key.user)
        .bind(key.sealed_key.as_slice())
        .bind(step)
        .changed(&mut self.connection)
        .await
    }

    /// Gives somebody these recovery codes and no others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_recovery_codes(&mut self, user: UserId, codes: &[SecretHash]) -> Result<(), StoreError> {
        self.delete_recovery_codes_of(user).await?;
        for code in codes {
            sql(CODES, "INSERT INTO recovery_codes (user_id, code_sha256) VALUES ($1, $2)")
                .bind(user)
                .bind(*code)
                .run(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Uses a recovery code up. Fails closed: `false` when it is unknown or used, decided and removed in one
    /// statement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_recovery_code(&mut self, user: UserId, code: &SecretHash) -> Result<bool, StoreError> {
        sql(CODES, "DELETE FROM recovery_codes WHERE user_id = $1 AND code_sha256 = $2")
            .bind(user)
            .bind(*code)
            .changed(&mut self.connection)
            .await
    }

    async fn delete_recovery_codes_of(&mut self, user: UserId) -> Result<(), StoreError> {
        let delete = sql(CODES, "DELETE FROM recovery_codes WHERE user_id = $1").bind(user);
        delete.run(&mut self.connection).await.map(drop)
    }

    /// Removes somebody's second factor, every passkey and the recovery codes included; `false` when there
    /// was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_second_factor(&mut self, user: UserId) -> Result<bool, StoreError> {
        self.delete_recovery_codes_of(user).await?;
        let had_passkeys = self.delete_passkeys_of(user).await?;
        let delete = sql(KEYS, "DELETE FROM totp_keys WHERE user_id = $1 AND confirmed_at IS NOT NULL");
        let had_key = delete.bind(user).changed(&mut self.connection).await?;
        Ok(had_key || had_passkeys)
    }

    /// Records that somebody's password was right and a second factor is waited for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_begun_sign_in(
        &mut self,
        token: &SecretHash,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sql(BEGUN, "INSERT INTO begun_sign_ins (token_sha256, user_id, expires_at) VALUES ($1, $2, $3)")
            .bind(*token)
            .bind(user)
            .bind(expires_at)
            .run(&mut self.connection)
            .await
            .map(drop)
    }

    /// Ends a sign-in that waited; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_begun_sign_in(&mut self, token: &SecretHash) -> Result<bool, StoreError> {
        sql(BEGUN, "DELETE FROM begun_sign_ins WHERE token_sha256 = $1")
            .bind(*token)
            .changed(&mut self.connection)
            .await
    }

    /// Ends all of somebody's sign-ins that waited.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_begun_sign_ins_of(&mut self, user: UserId) -> Result<u64, StoreError> {
        sql(BEGUN, "DELETE FROM begun_sign_ins WHERE user_id = $1").bind(user).run(&mut self.connection).await
    }

    /// Removes sign-ins that waited too long and says how many there were.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_begun_sign_ins(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        sql(BEGUN, "DELETE FROM begun_sign_ins WHERE expires_at <= $1")
            .bind(now)
            .run(&mut self.connection)
            .await
    }

    /// Says whether people need a second factor; `false` when it was said already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_second_factor_policy(&mut self, policy: SecondFactorPolicy) -> Result<bool, StoreError> {
        sql(INSTALLATION, "UPDATE installation SET second_factor = $1 WHERE id = 1 AND second_factor <> $1")
            .bind(policy)
            .changed(&mut self.connection)
            .await
    }
}
