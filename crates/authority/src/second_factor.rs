//! Second factors: one-time codes of an app, recovery codes for whoever lost it, and looking after one's own.
//! Passkeys have a file of their own.

use std::net::IpAddr;
use std::time::Duration;

use countersign_ca::{KeyError, SealError};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{PasskeyId, SecretHash, UserId};
use countersign_core::time::Timestamp;
pub use countersign_store::SecondFactorPolicy;
use countersign_store::{PasskeyChallenge, StoreError, TotpKeyRow, UserRow, Writing};
use form_urlencoded::byte_serialize;
use thiserror::Error;
use zeroize::Zeroizing;

pub(crate) mod codes;
mod others;

pub use others::{RemoveError, remove_second_factor_on_the_machine};

use self::codes::{AskedAt, FreshCodes, OwnFactors, sealed_name, use_up};
use crate::api_tokens::chain_of;
use crate::authority::Authority;
use crate::authorized::{Account, Authorized};
use crate::limits::TooMany;
use crate::passkeys::{PasskeyFault, ShownPasskey};
use crate::people::PeopleError;
use crate::sign_in::Unproved;
use crate::totp::TotpKey;

/// How long a key waits for its first code, and a browser for its owner's passkey.
pub(crate) const SET_UP_LIFE: Duration = Duration::from_secs(15 * 60);

/// Somebody's own second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecondFactor {
    /// Since when they show one-time codes; `None`: they do not.
    pub totp_since: Option<Timestamp>,
    /// Their passkeys, oldest first.
    pub passkeys: Vec<OwnPasskey>,
    /// How many recovery codes are left.
    pub recovery_codes_left: u64,
    /// Whether everybody needs one.
    pub policy: SecondFactorPolicy,
}

impl OwnSecondFactor {
    /// Whether there is none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.totp_since.is_none() && self.passkeys.is_empty()
    }
}

/// A passkey of somebody's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPasskey {
    /// Id.
    pub id: PasskeyId,
    /// What they call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last shown.
    pub last_used_at: Option<Timestamp>,
}

/// A key of one-time codes on its way into an app.
pub struct PendingTotp {
    /// In base32, as people type it.
    pub key: Zeroizing<String>,
    /// As apps read it from a QR code.
    pub uri: Zeroizing<String>,
}

/// Recovery codes, shown this once.
pub struct RecoveryCodes(pub Vec<Zeroizing<String>>);

/// What somebody shows before their second factor changes.
pub struct SecondFactorProof {
    /// Their password.
    pub password: Zeroizing<String>,
    /// And what else they have, if anything.
    pub shown: Option<ShownFactor>,
}

/// What somebody shows besides their password.
pub enum ShownFactor {
    /// A one-time code or a recovery code.
    Code(Zeroizing<String>),
    /// A passkey.
    Passkey(ShownPasskey),
}

/// Somebody's own second factor was not changed.
#[derive(Debug, Error)]
pub enum SecondFactorError {
    /// The password is wrong.
    #[error("the password is wrong")]
    Password,
    /// The code or the passkey is wrong, missing, or was used before.
    #[error("the code is wrong or was used before")]
    Code,
    /// The passkey that was made is refused.
    #[error("the passkey is refused")]
    Passkey(#[from] PasskeyFault),
    /// There is one already.
    #[error("there is a second factor already")]
    Present,
    /// There is none, or none that waits for its first code.
    #[error("there is no second factor")]
    Missing,
    /// Too many failures.
    #[error("too many failed attempts")]
    TooMany(TooMany),
    /// The platform failed.
    #[error("cannot change the second factor")]
    Internal(#[from] PeopleError),
}

impl From<StoreError> for SecondFactorError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<SealError> for SecondFactorError {
    fn from(error: SealError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<KeyError> for SecondFactorError {
    fn from(error: KeyError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Unproved> for SecondFactorError {
    fn from(unproved: Unproved) -> Self {
        match unproved {
            Unproved::Wrong => Self::Password,
            Unproved::TooMany(limit) => Self::TooMany(limit),
            Unproved::Internal(error) => Self::Internal(error),
        }
    }
}

impl Authority {
    /// The caller's own second factor.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_second_factor(&self, by: &Authorized<Account>) -> Result<OwnSecondFactor, StoreError> {
        let id = by.user();
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let passkeys = r.passkeys(id).await?.into_iter();
                    let listed = passkeys.map(|row| OwnPasskey {
                        id: row.id,
                        name: row.name,
                        created_at: row.created_at,
                        last_used_at: row.last_used_at,
                    });
                    Ok(OwnSecondFactor {
                        totp_since: r.totp_key(id).await?.and_then(|key| key.confirmed_at),
                        passkeys: listed.collect(),
                        recovery_codes_left: r.count_recovery_codes(id).await?,
                        policy: r.second_factor_policy().await?,
                    })
                })
            })
            .await
    }

    /// Makes a key of one-time codes for the caller, in the place of one that still waits for its first code.
    /// It counts once that was shown. Whoever has a passkey shows that first.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn begin_totp(
        &self,
        by: &Authorized<Account>,
        proof: SecondFactorProof,
        address: IpAddr,
    ) -> Result<PendingTotp, SecondFactorError> {
        let (user, now) = (self.own_row(by).await?, self.now());
        let key = TotpKey::fresh()?;
        let sealed = self.registry.keys.kek.seal_secret(key.as_octets(), &sealed_name(user.id))?;
        let row = TotpKeyRow {
            user: user.id,
            sealed_key: sealed.into(),
            created_at: now,
            confirmed_at: None,
            last_step: 0,
        };
        self.change_proved(by, proof, address, Change::Totp(row)).await?;
        Ok(self.pending(&key, &user))
    }

    /// The key that waits for its first code, to be shown again.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn pending_totp(&self, by: &Authorized<Account>) -> Result<PendingTotp, SecondFactorError> {
        let user = self.own_row(by).await?;
        let key = self.opened(&self.waiting_key(user.id).await?)?;
        Ok(self.pending(&key, &user))
    }

    /// Lets the caller's key count from now on, and gives them recovery codes. Their other sessions end.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn confirm_totp(
        &self,
        by: &Authorized<Account>,
        session: &str,
        code: &str,
    ) -> Result<RecoveryCodes, SecondFactorError> {
        let (user, now) = (self.own_row(by).await?, self.now());
        let row = self.waiting_key(user.id).await?;
        let step = self.totp_step(&row, code, now)?.ok_or(SecondFactorError::Code)?;
        let FreshCodes { shown, kept } = FreshCodes::new()?;
        let (session, actor) = (SecretHash::of(session), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.confirm_totp_key(&row, step, now).await? {
                        return Err(SecondFactorError::Missing);
                    }
                    w.put_recovery_codes(user.id, &kept).await?;
                    let ended = w.delete_sessions_besides(user.id, &session).await?;
                    let chain = chain_of(w, user.tenant).await?;
                    let entry = AuditEntry::new(chain, now, AuditEvent::SecondFactorSet, actor);
                    let entry = entry.detail("id", user.id).detail("kind", "totp");
                    Ok(w.append_audit(&entry.detail("sessionsEnded", ended)).await?)
                })
            })
            .await?;
        Ok(RecoveryCodes(shown))
    }

    /// Gives the caller new recovery codes; those from before are worth nothing.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn renew_recovery_codes(
        &self,
        by: &Authorized<Account>,
        proof: SecondFactorProof,
        address: IpAddr,
    ) -> Result<RecoveryCodes, SecondFactorError> {
        let FreshCodes { shown, kept } = FreshCodes::new()?;
        self.change_proved(by, proof, address, Change::NewCodes(kept)).await?;
        Ok(RecoveryCodes(shown))
    }

    /// Removes the caller's own second factor with its recovery codes.
    ///
    /// # Errors
    /// See [`SecondFactorError`].
    pub async fn remove_own_second_factor(
        &self,
        by: &Authorized<Account>,
        proof: SecondFactorProof,
        address: IpAddr,
    ) -> Result<(), SecondFactorError> {
        self.change_proved(by, proof, address, Change::Removal).await
    }

    /// Changes a second factor whose owner has shown both, in the transaction that uses the code up; the
    /// password alone does for the first one of somebody's. A wrong code counts as a failed sign-in.
    pub(crate) async fn change_proved(
        &self,
        by: &Authorized<Account>,
        proof: SecondFactorProof,
        address: IpAddr,
        change: Change,
    ) -> Result<(), SecondFactorError> {
        let user = self.own_row(by).await?;
        let factors = self.factors_of(user.id).await?;
        change.check(&factors)?;
        self.prove_password(&user, proof.password, address).await?;
        if factors.is_empty() {
            let (now, actor) = (self.now(), by.actor());
            return self
                .store
                .write(move |w| {
                    Box::pin(async move { change.carry_out(w, &user, &factors, (now, actor)).await })
                })
                .await;
        }
        let given = proof.shown.ok_or(SecondFactorError::Code)?;
        self.change_shown(by, user, (factors, given), address, change).await
    }

    async fn change_shown(
        &self,
        by: &Authorized<Account>,
        user: UserRow,
        (factors, given): (OwnFactors, ShownFactor),
        address: IpAddr,
        change: Change,
    ) -> Result<(), SecondFactorError> {
        let (now, actor) = (self.now(), by.actor());
        let attempt = self.attempt(&user.email, address, now).map_err(SecondFactorError::TooMany)?;
        let shown = self.shown(&factors, &given, AskedAt::Session, now)?;
        let row = user.clone();
        let changed = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let is_right = match &shown {
                        Some(shown) => use_up(w, &factors, shown, now).await?,
                        None => false,
                    };
                    if !is_right {
                        return Err(SecondFactorError::Code);
                    }
                    change.carry_out(w, &row, &factors, (now, actor)).await
                })
            })
            .await;
        match changed {
            Ok(()) => self.succeeded(&attempt),
            Err(SecondFactorError::Code) => self.note_wrong_code(&user, address, now).await?,
            Err(_) => {}
        }
        changed
    }

    /// The key of this person's that waits for its first code.
    async fn waiting_key(&self, user: UserId) -> Result<TotpKeyRow, SecondFactorError> {
        let now = self.now();
        let found = self.store.read(move |r| Box::pin(async move { r.totp_key(user).await })).await?;
        let waits = |row: &TotpKeyRow| row.confirmed_at.is_none() && now < row.created_at + SET_UP_LIFE;
        found.filter(waits).ok_or(SecondFactorError::Missing)
    }

    pub(crate) async fn own_row(&self, by: &Authorized<Account>) -> Result<UserRow, StoreError> {
        let id = by.user();
        let found = self.store.read(move |r| Box::pin(async move { r.user(id).await })).await?;
        found.ok_or_else(|| StoreError::raced("user", id))
    }

    /// What an app reads, after Google Authenticator's Key Uri Format, which all of them know. Installations
    /// are told apart by their trust domains.
    fn pending(&self, key: &TotpKey, user: &UserRow) -> PendingTotp {
        let account: String = byte_serialize(user.email.as_bytes()).collect();
        let (key, issuer) = (key.base32(), self.trust_domain());
        let uri = Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            *key
        ));
        PendingTotp { key, uri }
    }
}

/// What changes about a second factor.
pub(crate) enum Change {
    NewCodes(Vec<SecretHash>),
    Removal,
    /// A key of one-time codes waits for its first code.
    Totp(TotpKeyRow),
    /// A browser is asked to make a passkey.
    PasskeyAsked(PasskeyChallenge),
    PasskeyRemoval(PasskeyId),
}

impl Change {
    /// Whether there is what it changes, and not yet what it makes.
    fn check(&self, factors: &OwnFactors) -> Result<(), SecondFactorError> {
        match self {
            Self::Totp(_) if factors.totp.is_some() => Err(SecondFactorError::Present),
            Self::NewCodes(_) | Self::Removal if factors.is_empty() => Err(SecondFactorError::Missing),
            Self::PasskeyRemoval(id) if !factors.passkeys.iter().any(|passkey| passkey.id == *id) => {
                Err(SecondFactorError::Missing)
            }
            Self::Totp(_)
            | Self::NewCodes(_)
            | Self::Removal
            | Self::PasskeyRemoval(_)
            | Self::PasskeyAsked(_) => Ok(()),
        }
    }

    async fn carry_out(
        self,
        w: &mut Writing<'_>,
        user: &UserRow,
        factors: &OwnFactors,
        (now, actor): (Timestamp, Actor),
    ) -> Result<(), SecondFactorError> {
        let chain = chain_of(w, user.tenant).await?;
        let entry = |event| {
            let entry = AuditEntry::new(chain, now, event, actor);
            entry.detail("id", user.id).detail("email", &user.email)
        };
        let entry = match self {
            Self::NewCodes(kept) => {
                w.put_recovery_codes(user.id, &kept).await?;
                entry(AuditEvent::RecoveryCodesMade)
            }
            Self::Removal => {
                w.delete_second_factor(user.id).await?;
                entry(AuditEvent::SecondFactorRemoved)
            }
            Self::Totp(row) => {
                return if w.put_totp_key(&row).await? { Ok(()) } else { Err(SecondFactorError::Present) };
            }
            Self::PasskeyAsked(challenge) => {
                return Ok(w.put_passkey_challenge(&challenge, now + SET_UP_LIFE).await?);
            }
            Self::PasskeyRemoval(id) => {
                let named = factors.passkeys.iter().find(|passkey| passkey.id == id);
                if !w.delete_passkey(user.id, id).await? {
                    return Err(SecondFactorError::Missing);
                }
                if !w.has_second_factor(user.id).await? {
                    // Nothing is left that recovery codes could stand for.
                    w.put_recovery_codes(user.id, &[]).await?;
                }
                let name = named.map_or("", |passkey| passkey.name.as_str());
                entry(AuditEvent::SecondFactorRemoved).detail("kind", "passkey").detail("name", name)
            }
        };
        w.append_audit(&entry).await?;
        Ok(())
    }
}
