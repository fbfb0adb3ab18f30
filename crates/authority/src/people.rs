//! People: the first owner by setup token, passwords, sessions.

use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use countersign_ca::{KeyError, SealError, random_bytes};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{SecretHash, Tenant, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{PasswordHash, Role, SessionRow, StoreError, UserRow};
use parking_lot::Mutex;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::authorized::{Caller, Factors};
use crate::names::FreshSecret;

/// How long the setup token works after the start.
const SETUP_LIFE: Duration = Duration::from_secs(3600);

/// The shortest password taken.
pub const PASSWORD_MIN: usize = 12;

/// The prefix of setup tokens.
const SETUP_PREFIX: &str = "csetup_";

/// The prefix of session tokens.
const SESSION_PREFIX: &str = "css_";

/// Holds the setup token's hash until it is used.
pub(crate) struct SetupGate {
    token: Mutex<Option<(SecretHash, Timestamp)>>,
    text: Mutex<Option<Zeroizing<String>>>,
}

impl SetupGate {
    pub(crate) fn new(is_needed: bool, now: Timestamp) -> Result<Self, KeyError> {
        let fresh = if is_needed { Some(FreshSecret::new(SETUP_PREFIX)?) } else { None };
        let token = fresh.as_ref().map(|secret| (secret.hash, now + SETUP_LIFE));
        Ok(Self {
            token: Mutex::new(token),
            text: Mutex::new(fresh.map(|secret| Zeroizing::new(secret.text))),
        })
    }
}

/// A person who signed in.
pub struct SignedIn {
    /// The session token, shown this once.
    pub token: Zeroizing<String>,
    /// Until when.
    pub expires_at: Timestamp,
    /// Who.
    pub caller: Caller,
}

/// Whether the first owner can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupState {
    /// With the setup token.
    Open,
    /// The token's hour is over; a restart makes a new one.
    Over,
    /// There is an owner.
    Done,
}

/// Setup was refused.
#[derive(Debug, Error)]
pub enum SetupError {
    /// There is an owner already.
    #[error("setup was done already")]
    Done,
    /// The token is wrong, used or over.
    #[error("the setup token is wrong or no longer good")]
    Token,
    /// The platform failed.
    #[error("cannot set up")]
    Internal(#[from] PeopleError),
}

/// The platform failed at something about people.
#[derive(Debug, Error)]
pub enum PeopleError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A password could not be hashed.
    #[error("cannot hash the password: {0}")]
    Hash(String),
    /// No secret could be made.
    #[error("cannot make a secret")]
    Secret(#[from] KeyError),
    /// A secret cannot be sealed or opened.
    #[error("cannot seal or open a secret")]
    Seal(#[from] SealError),
}

/// A person as others may see them.
pub struct Person {
    /// Id.
    pub id: UserId,
    /// E-mail address.
    pub email: String,
    /// The role's name.
    pub role: &'static str,
    /// The only tenant this person sees; `None`: all.
    pub tenant: Option<Tenant>,
}

impl Authority {
    /// The person behind a caller, with the rights that the caller acts with.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn person(&self, caller: &Caller) -> Result<Person, StoreError> {
        let user = caller.user();
        let tenant = match caller.tenant() {
            Some(tenant) => Some(self.tenant(tenant).await?.slug),
            None => None,
        };
        Ok(Person { id: user.id, email: user.email.clone(), role: caller.role().as_str(), tenant })
    }

    /// The setup token, handed out once, to be shown to whoever starts the program; `None` when
    /// there is an owner.
    #[must_use]
    pub fn take_setup_token(&self) -> Option<Zeroizing<String>> {
        self.setup.text.lock().take()
    }

    /// Whether the first owner can be made.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn setup_state(&self) -> Result<SetupState, StoreError> {
        if self.store.read(|r| Box::pin(async move { r.count_users().await })).await? > 0 {
            return Ok(SetupState::Done);
        }
        let is_open = self.setup.token.lock().as_ref().is_some_and(|(_, until)| self.now() <= *until);
        Ok(if is_open { SetupState::Open } else { SetupState::Over })
    }

    /// Makes the first owner and signs them in.
    ///
    /// # Errors
    /// See [`SetupError`]; of two calls at once one wins.
    pub async fn set_up(
        &self,
        token: &str,
        email: &str,
        password: Zeroizing<String>,
    ) -> Result<SignedIn, SetupError> {
        let now = self.now();
        let users = self
            .store
            .read(|r| Box::pin(async move { r.count_users().await }))
            .await
            .map_err(PeopleError::from)?;
        if users > 0 {
            return Err(SetupError::Done);
        }
        let given = SecretHash::of(token);
        let is_good = self
            .setup
            .token
            .lock()
            .as_ref()
            .is_some_and(|(hash, until)| hash.matches(&given) && now <= *until);
        if !is_good {
            return Err(SetupError::Token);
        }
        let user = UserRow {
            id: UserId::random(),
            email: email.to_lowercase(),
            password_hash: hash_password(password).await?,
            role: Role::Owner,
            tenant: None,
            disabled_at: None,
            created_at: now,
        };
        let (secret, session) = self.fresh_session(user.id, now)?;
        let (row, expires_at) = (user.clone(), session.expires_at);
        let entry = AuditEntry::new(None, now, AuditEvent::SetupCompleted, Actor::User(user.id))
            .detail("email", &user.email);
        let is_first = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    if w.count_users().await? > 0 {
                        return Ok(false);
                    }
                    w.insert_user(&row).await?;
                    w.insert_session(&session).await?;
                    w.append_audit(&entry).await?;
                    Ok::<_, StoreError>(true)
                })
            })
            .await
            .map_err(PeopleError::from)?;
        if !is_first {
            return Err(SetupError::Done);
        }
        *self.setup.token.lock() = None;
        Ok(SignedIn {
            token: Zeroizing::new(secret.text),
            expires_at,
            caller: Caller::new(user, Factors::Complete),
        })
    }

    /// The person behind a session token, or behind an API token; `None` when it is unknown, revoked or
    /// over, or its person disabled.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        if token.starts_with(crate::api_tokens::TOKEN_PREFIX) {
            return self.token_caller(token).await;
        }
        if !token.starts_with(SESSION_PREFIX) {
            return Ok(None);
        }
        let (hash, now) = (SecretHash::of(token), self.now());
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let Some((_, user)) = r.session(&hash, now).await? else { return Ok(None) };
                    let lacks = r.lacks_second_factor(user.id).await?;
                    let factors = if lacks { Factors::Lacking } else { Factors::Complete };
                    Ok(Some(Caller::new(user, factors)))
                })
            })
            .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_out(&self, caller: &Caller, token: &str) -> Result<(), StoreError> {
        let hash = SecretHash::of(token);
        let entry = AuditEntry::new(None, self.now(), AuditEvent::LoggedOut, Actor::User(caller.user().id));
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.delete_session(&hash).await?;
                    w.append_audit(&entry).await
                })
            })
            .await
    }

    pub(crate) fn fresh_session(
        &self,
        user: UserId,
        now: Timestamp,
    ) -> Result<(FreshSecret, SessionRow), PeopleError> {
        let secret = FreshSecret::new(SESSION_PREFIX)?;
        let session = SessionRow {
            token: secret.hash,
            user,
            created_at: now,
            expires_at: now + self.config.session_life,
        };
        Ok((secret, session))
    }
}

pub(crate) async fn hash_password(password: Zeroizing<String>) -> Result<PasswordHash, PeopleError> {
    let salt = random_bytes::<16>()?;
    tokio::task::spawn_blocking(move || {
        let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
        let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
        hash.map(|hash| PasswordHash::new(hash.to_string())).map_err(|error| error.to_string())
    })
    .await
    .map_err(|error| PeopleError::Hash(error.to_string()))?
    .map_err(PeopleError::Hash)
}

/// The hash of no password: what an unknown account is compared with.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ24tc2FsdA$\
                      7LzK1GZtC8hN0mWzvWnWmJ3QyWvH0Q0m0q6vT7m0k1s";

/// Checks a password; without a hash it does the same work and says no.
pub(crate) async fn verify_password(
    hash: Option<PasswordHash>,
    password: Zeroizing<String>,
) -> Result<bool, PeopleError> {
    tokio::task::spawn_blocking(move || {
        let text = hash.as_ref().map_or(NOBODY, PasswordHash::as_str);
        let parsed = argon2::PasswordHash::new(text).map_err(|error| error.to_string())?;
        let is_right = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
        Ok(is_right && hash.is_some())
    })
    .await
    .map_err(|error| PeopleError::Hash(error.to_string()))?
    .map_err(PeopleError::Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_account_costs_the_work_of_a_known_one() {
        let own = hash_password(Zeroizing::new("correct horse".to_owned())).await.unwrap();
        let own = argon2::PasswordHash::new(own.as_str()).unwrap();
        let nobody = argon2::PasswordHash::new(NOBODY).unwrap();
        assert_eq!((nobody.algorithm, nobody.version), (own.algorithm, own.version));
        for parameter in ["m", "t", "p"] {
            assert_eq!(nobody.params.get(parameter), own.params.get(parameter), "{parameter}");
        }
        assert_eq!(nobody.hash.map(|hash| hash.len()), own.hash.map(|hash| hash.len()));
        assert!(!verify_password(None, Zeroizing::new(String::new())).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_alone() {
        let password = || Zeroizing::new("correct horse".to_owned());
        let hash = hash_password(password()).await.unwrap();
        assert!(verify_password(Some(hash.clone()), password()).await.unwrap());
        assert!(!verify_password(Some(hash), Zeroizing::new("correct hors".to_owned())).await.unwrap());
    }
}
