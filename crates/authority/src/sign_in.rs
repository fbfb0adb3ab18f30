//! Signing in: the password, then the second factor of whoever has one.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::SecretHash;
use countersign_core::time::Timestamp;
use countersign_store::{PasswordHash, StoreError, UserRow};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authorized::{Caller, Factors};
use crate::limits::{Limited, Network, TooMany};
use crate::names::FreshSecret;
use crate::passkeys::challenge_of;
use crate::people::{PeopleError, SignedIn, verify_password};
use crate::second_factor::ShownFactor;
use crate::second_factor::codes::{AskedAt, use_up};

/// The prefix of what a second factor is sent with.
const BEGUN_PREFIX: &str = "csb_";

/// How long a second factor is waited for.
const BEGUN_LIFE: Duration = Duration::from_secs(300);

/// Signing in failed, or goes on.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The account or the password is wrong: answers never say which.
    #[error("wrong e-mail address or password")]
    Invalid,
    /// The password is right, and the second factor is waited for.
    #[error("a second factor is wanted")]
    SecondFactor(BegunSignIn),
    /// The code or the passkey is wrong, or was used before.
    #[error("the code is wrong or was used before")]
    Code,
    /// The second factor came too late, or after another one.
    #[error("this sign-in is over")]
    Over,
    /// Too many failures.
    #[error("too many failed sign-ins")]
    TooMany(TooMany),
    /// The platform failed.
    #[error("cannot sign in")]
    Internal(#[from] PeopleError),
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// What the second factor is sent with: worth nothing alone, and for five minutes.
pub struct BegunSignIn(pub Zeroizing<String>);

impl fmt::Debug for BegunSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BegunSignIn([redacted])")
    }
}

/// An attempt that counts as failed until it is known to be none.
pub(crate) struct Attempt {
    limits: [Limited; 2],
}

/// Somebody did not show that they are who signed in.
pub(crate) enum Unproved {
    /// The password is wrong.
    Wrong,
    /// Too many failures.
    TooMany(TooMany),
    /// The platform failed.
    Internal(PeopleError),
}

impl From<PeopleError> for Unproved {
    fn from(error: PeopleError) -> Self {
        Self::Internal(error)
    }
}

impl Authority {
    /// Signs a person in by password.
    ///
    /// # Errors
    /// See [`LoginError`]. An unknown account takes as long as a wrong password; whoever has a second factor
    /// goes on with [`Self::finish_sign_in`].
    pub async fn log_in(
        &self,
        email: &str,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<SignedIn, LoginError> {
        let now = self.now();
        let email = email.to_lowercase();
        let attempt = self.attempt(&email, address, now).map_err(LoginError::TooMany)?;
        let wanted = email.clone();
        let user = self
            .store
            .read(move |r| Box::pin(async move { r.user_by_email(&wanted).await }))
            .await?
            .filter(|user| user.disabled_at.is_none());
        let hash = user.as_ref().map(|user| user.password_hash.clone()).filter(|hash| !hash.is_none());
        let is_right = verify_password(hash, password).await?;
        let Some(user) = user.filter(|_| is_right) else {
            self.note_failed_login(&email, address, now).await?;
            return Err(LoginError::Invalid);
        };
        self.succeeded(&attempt);
        if !self.factors_of(user.id).await?.is_empty() {
            return Err(LoginError::SecondFactor(self.begin_sign_in(&user, now).await?));
        }
        let entry = signed_in(&user, address, now);
        let (secret, session) = self.fresh_session(user.id, now)?;
        let (id, expires_at) = (user.id, session.expires_at);
        let lacks = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_session(&session).await?;
                    w.append_audit(&entry).await?;
                    w.lacks_second_factor(id).await
                })
            })
            .await?;
        let caller = Caller::new(user, if lacks { Factors::Lacking } else { Factors::Complete });
        Ok(SignedIn { token: Zeroizing::new(secret.text), expires_at, caller })
    }

    /// Signs a person in whose password was right, with a one-time code, a recovery code or a passkey.
    ///
    /// # Errors
    /// See [`LoginError`]. Wrong ones count as failed sign-ins; of two with one code at once one wins.
    pub async fn finish_sign_in(
        &self,
        begun: &BegunSignIn,
        given: &ShownFactor,
        address: IpAddr,
    ) -> Result<SignedIn, LoginError> {
        let challenge = challenge_of(begun);
        let (now, begun) = (self.now(), SecretHash::of(&begun.0));
        let found = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let Some(id) = r.begun_sign_in(&begun, now).await? else { return Ok(None) };
                    r.user(id).await
                })
            })
            .await?;
        let user = found.filter(|user| user.disabled_at.is_none()).ok_or(LoginError::Over)?;
        let factors = self.factors_of(user.id).await?;
        if factors.is_empty() {
            return Err(LoginError::Over);
        }
        let attempt = self.attempt(&user.email, address, now).map_err(LoginError::TooMany)?;
        let Some(shown) = self.shown(&factors, given, AskedAt::SignIn(&challenge), now)? else {
            self.note_wrong_code(&user, address, now).await?;
            return Err(LoginError::Code);
        };
        let entry = signed_in(&user, address, now).detail("secondFactor", shown.kind());
        let (secret, session) = self.fresh_session(user.id, now)?;
        let expires_at = session.expires_at;
        let finished = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    if !w.delete_begun_sign_in(&begun).await? {
                        return Err(LoginError::Over);
                    }
                    if !use_up(w, &factors, &shown, now).await? {
                        return Err(LoginError::Code);
                    }
                    w.insert_session(&session).await?;
                    Ok(w.append_audit(&entry).await?)
                })
            })
            .await;
        match finished {
            Ok(()) => self.succeeded(&attempt),
            Err(LoginError::Code) => {
                self.note_wrong_code(&user, address, now).await?;
                return Err(LoginError::Code);
            }
            Err(error) => return Err(error),
        }
        let caller = Caller::new(user, Factors::Complete);
        Ok(SignedIn { token: Zeroizing::new(secret.text), expires_at, caller })
    }

    async fn begin_sign_in(&self, user: &UserRow, now: Timestamp) -> Result<BegunSignIn, LoginError> {
        let secret = FreshSecret::new(BEGUN_PREFIX).map_err(PeopleError::from)?;
        let (id, hash) = (user.id, secret.hash);
        self.store
            .write(move |w| {
                Box::pin(async move { w.insert_begun_sign_in(&hash, id, now + BEGUN_LIFE).await })
            })
            .await?;
        Ok(BegunSignIn(Zeroizing::new(secret.text)))
    }

    /// Counts an attempt before anything is looked at, so that guesses at once count too; the network first,
    /// so that one that is refused cannot lock an account.
    pub(crate) fn attempt(&self, email: &str, address: IpAddr, now: Timestamp) -> Result<Attempt, TooMany> {
        let limits =
            [Limited::FailedLoginFrom(Network::from(address)), Limited::FailedLogin(SecretHash::of(email))];
        for limit in &limits {
            self.limits.take(limit.clone(), now)?;
        }
        Ok(Attempt { limits })
    }

    /// Takes an attempt back that turned out not to be a failure.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        for limit in &attempt.limits {
            self.limits.give_back(limit);
        }
    }

    /// Asks somebody who is signed in for their password once more. Wrong guesses count as failed sign-ins.
    pub(crate) async fn prove_password(
        &self,
        user: &UserRow,
        password: Zeroizing<String>,
        address: IpAddr,
    ) -> Result<(), Unproved> {
        let now = self.now();
        let attempt = self.attempt(&user.email, address, now).map_err(Unproved::TooMany)?;
        let own = Some(user.password_hash.clone()).filter(|hash| !PasswordHash::is_none(hash));
        if !verify_password(own, password).await? {
            self.note_failed_login(&user.email, address, now).await?;
            return Err(Unproved::Wrong);
        }
        self.succeeded(&attempt);
        Ok(())
    }

    async fn note_failed_login(
        &self,
        email: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), PeopleError> {
        Ok(self.note(failed(email, address, now)).await?)
    }

    /// Notes a wrong second factor, which whoever has the password has shown.
    pub(crate) async fn note_wrong_code(
        &self,
        user: &UserRow,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), PeopleError> {
        Ok(self.note(failed(&user.email, address, now).detail("secondFactor", "wrong")).await?)
    }
}

fn failed(email: &str, address: IpAddr, now: Timestamp) -> AuditEntry {
    AuditEntry::new(None, now, AuditEvent::LoginFailed, Actor::Peer(address))
        .detail("email", email.chars().take(255).collect::<String>())
}

fn signed_in(user: &UserRow, address: IpAddr, now: Timestamp) -> AuditEntry {
    AuditEntry::new(None, now, AuditEvent::LoginSucceeded, Actor::User(user.id)).detail("address", address)
}
