//! Passwords: one-time tokens with which people set them, and changing one's own.

use std::net::IpAddr;
use std::time::Duration;

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{SecretHash, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{PasswordHash, PasswordTokenRow, Store, StoreError, UserRow, Writing};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::api_tokens::chain_of;
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::limits::{Limited, Network, TooMany};
use crate::names::FreshSecret;
use crate::people::{PeopleError, hash_password};
use crate::sign_in::Unproved;

/// The prefix of one-time tokens.
const TOKEN_PREFIX: &str = "csp_";

/// How long a one-time token works.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A one-time token to set a password with.
pub struct OneTimeToken {
    /// The token, shown this once.
    pub token: Zeroizing<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A one-time token before it is on record.
pub(crate) struct FreshPasswordToken {
    secret: FreshSecret,
    created_at: Timestamp,
}

impl FreshPasswordToken {
    pub(crate) fn new(now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self { secret: FreshSecret::new(TOKEN_PREFIX)?, created_at: now })
    }

    /// What is on record of it.
    pub(crate) fn row(&self, user: UserId) -> PasswordTokenRow {
        let (token, created_at) = (self.secret.hash, self.created_at);
        PasswordTokenRow { user, token, created_at, expires_at: created_at + TOKEN_LIFE }
    }

    /// What its receiver gets.
    pub(crate) fn shown(self) -> OneTimeToken {
        OneTimeToken { token: Zeroizing::new(self.secret.text), expires_at: self.created_at + TOKEN_LIFE }
    }
}

/// A one-time token was not made; nothing changed.
#[derive(Debug, Error)]
pub enum ResetPasswordError {
    /// There is no such person.
    #[error("unknown person")]
    Unknown,
    /// The person may not sign in.
    #[error("the person is disabled")]
    Disabled,
    /// The person signs in at the identity provider, and has no password here.
    #[error("the person signs in at the identity provider")]
    AtProvider,
    /// Nobody resets their own: a stolen session must not come by the password.
    #[error("this is the caller's own password")]
    Own,
    /// The caller does not manage this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// No token could be made.
    #[error("cannot make a token")]
    Secret(#[from] KeyError),
    /// The store failed.
    #[error("cannot keep the one-time token")]
    Store(#[from] StoreError),
}

/// A password was not set with a one-time token.
#[derive(Debug, Error)]
pub enum SetPasswordError {
    /// The token is unknown, used or over.
    #[error("the one-time token is wrong or no longer good")]
    Token,
    /// Too many failures.
    #[error("too many failed attempts")]
    TooMany(TooMany),
    /// The platform failed.
    #[error("cannot set the password")]
    Internal(#[from] PeopleError),
}

/// Somebody's own password was not changed.
#[derive(Debug, Error)]
pub enum ChangePasswordError {
    /// The current password is wrong.
    #[error("the current password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many failed attempts")]
    TooMany(TooMany),
    /// The platform failed.
    #[error("cannot change the password")]
    Internal(#[from] PeopleError),
}

impl From<StoreError> for SetPasswordError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Unproved> for ChangePasswordError {
    fn from(unproved: Unproved) -> Self {
        match unproved {
            Unproved::Wrong => Self::Wrong,
            Unproved::TooMany(limit) => Self::TooMany(limit),
            Unproved::Internal(error) => Self::Internal(error),
        }
    }
}

impl From<StoreError> for ChangePasswordError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Makes a one-time token for whoever has this e-mail address, for the operator of the machine: the way
/// back for an owner who is locked out. The former one is worth nothing from then on.
///
/// # Errors
/// See [`ResetPasswordError`].
pub async fn reset_password_on_the_machine(
    store: &Store,
    email: &str,
    now: Timestamp,
) -> Result<OneTimeToken, ResetPasswordError> {
    let fresh = FreshPasswordToken::new(now)?;
    let (email, token) = (email.to_lowercase(), fresh.secret.hash);
    store
        .write(move |w| {
            Box::pin(async move {
                let user = w.user_by_email(&email).await?.ok_or(ResetPasswordError::Unknown)?;
                let row =
                    PasswordTokenRow { user: user.id, token, created_at: now, expires_at: now + TOKEN_LIFE };
                issue(w, &user, &row, Actor::Operator).await
            })
        })
        .await?;
    Ok(fresh.shown())
}

/// Records a one-time token within a transaction.
async fn issue(
    w: &mut Writing<'_>,
    user: &UserRow,
    token: &PasswordTokenRow,
    actor: Actor,
) -> Result<(), ResetPasswordError> {
    if user.disabled_at.is_some() {
        return Err(ResetPasswordError::Disabled);
    }
    if w.is_of_oidc(user.id).await? {
        return Err(ResetPasswordError::AtProvider);
    }
    w.put_password_token(token).await?;
    let chain = chain_of(w, user.tenant).await?;
    let entry = AuditEntry::new(chain, token.created_at, AuditEvent::PasswordResetIssued, actor);
    w.append_audit(&entry.detail("id", user.id).detail("email", &user.email)).await?;
    Ok(())
}

/// Sets a password within a transaction; every one-time token of the person's is used up.
async fn set(
    w: &mut Writing<'_>,
    user: &UserRow,
    hash: &PasswordHash,
    kept: Option<SecretHash>,
    now: Timestamp,
) -> Result<(), StoreError> {
    w.set_password(user.id, hash).await?;
    w.delete_password_token_of(user.id).await?;
    w.delete_begun_sign_ins_of(user.id).await?;
    let ended = match kept {
        Some(session) => w.delete_sessions_besides(user.id, &session).await?,
        None => w.delete_sessions_of(user.id).await?,
    };
    let chain = chain_of(w, user.tenant).await?;
    let entry = AuditEntry::new(chain, now, AuditEvent::PasswordChanged, Actor::User(user.id));
    w.append_audit(&entry.detail("id", user.id).detail("sessionsEnded", ended)).await
}

impl Authority {
    /// Makes a one-time token with which a person sets a new password. The old password and the
    /// sessions go on until it is used.
    ///
    /// # Errors
    /// See [`ResetPasswordError`].
    pub async fn reset_password(
        &self,
        by: &Authorized<Administer>,
        id: UserId,
    ) -> Result<OneTimeToken, ResetPasswordError> {
        if by.user() == id {
            return Err(ResetPasswordError::Own);
        }
        let fresh = FreshPasswordToken::new(self.now())?;
        let (row, by) = (fresh.row(id), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let user = w.user(id).await?.ok_or(ResetPasswordError::Unknown)?;
                    by.manages(user.role, user.tenant)?;
                    issue(w, &user, &row, by.actor()).await
                })
            })
            .await?;
        Ok(fresh.shown())
    }

    /// Sets a password with a one-time token, which is used up, and ends the person's sessions.
    ///
    /// # Errors
    /// See [`SetPasswordError`]; of two calls at once with one token one wins.
    pub async fn set_password(
        &self,
        token: &str,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<(), SetPasswordError> {
        let now = self.now();
        let limit = Limited::FailedLoginFrom(Network::from(address));
        self.limits.take(limit.clone(), now).map_err(SetPasswordError::TooMany)?;
        let token = SecretHash::of(token);
        // Looked at before a password is hashed, which is work that nobody gets for nothing.
        let found =
            self.store.read(move |r| Box::pin(async move { r.password_token(&token, now).await })).await?;
        if found.is_none() {
            return Err(SetPasswordError::Token);
        }
        let hash = hash_password(password).await?;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let id = w.take_password_token(&token, now).await?.ok_or(SetPasswordError::Token)?;
                    let user = w.user(id).await?.filter(|user| user.disabled_at.is_none());
                    let user = user.ok_or(SetPasswordError::Token)?;
                    Ok::<_, SetPasswordError>(set(w, &user, &hash, None, now).await?)
                })
            })
            .await?;
        self.limits.give_back(&limit);
        Ok(())
    }

    /// Changes the caller's own password and ends their other sessions.
    ///
    /// # Errors
    /// See [`ChangePasswordError`]. Wrong guesses count as failed sign-ins.
    pub async fn change_password(
        &self,
        by: &Authorized<View>,
        session: &str,
        passwords: Passwords,
        address: IpAddr,
    ) -> Result<(), ChangePasswordError> {
        let (now, id) = (self.now(), by.user());
        let found = self.store.read(move |r| Box::pin(async move { r.user(id).await })).await?;
        let user = found.ok_or(ChangePasswordError::Wrong)?;
        self.prove_password(&user, passwords.current, address).await?;
        let hash = hash_password(passwords.new).await?;
        let kept = Some(SecretHash::of(session));
        self.store
            .write(move |w| Box::pin(async move { set(w, &user, &hash, kept, now).await }))
            .await
            .map_err(ChangePasswordError::from)
    }
}

/// The password that somebody has, and the one they want.
pub struct Passwords {
    /// The one that works now.
    pub current: Zeroizing<String>,
    /// The one that is to work.
    pub new: Zeroizing<String>,
}
