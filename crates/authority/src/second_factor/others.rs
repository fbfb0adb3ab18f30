//! Second factors of others: removing one whose device is lost, and whether everybody needs one.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::UserId;
use countersign_core::time::Timestamp;
use countersign_store::{SecondFactorPolicy, Store, StoreError, UserRow, Writing};
use thiserror::Error;

use crate::api_tokens::chain_of;
use crate::authority::Authority;
use crate::authorized::{Authorized, Forbidden, Own, View};

/// Somebody else's second factor was not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// There is no such person.
    #[error("unknown person")]
    Unknown,
    /// They have none.
    #[error("the person has no second factor")]
    Missing,
    /// Nobody removes their own so: a stolen session must not come by the account.
    #[error("this is the caller's own second factor")]
    Own,
    /// The caller does not manage this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot remove the second factor")]
    Store(#[from] StoreError),
}

/// Removes the second factor of whoever has this e-mail address, for the operator of the machine: the way
/// back for an owner who lost the device and the recovery codes.
///
/// # Errors
/// See [`RemoveError`].
pub async fn remove_second_factor_on_the_machine(
    store: &Store,
    email: &str,
    now: Timestamp,
) -> Result<(), RemoveError> {
    let email = email.to_lowercase();
    store
        .write(move |w| {
            Box::pin(async move {
                let user = w.user_by_email(&email).await?.ok_or(RemoveError::Unknown)?;
                remove(w, &user, Actor::Operator, now).await
            })
        })
        .await
}

/// Removes a second factor within a transaction, and ends the person's sessions.
async fn remove(
    w: &mut Writing<'_>,
    user: &UserRow,
    actor: Actor,
    now: Timestamp,
) -> Result<(), RemoveError> {
    if !w.delete_second_factor(user.id).await? {
        return Err(RemoveError::Missing);
    }
    w.delete_begun_sign_ins_of(user.id).await?;
    let ended = w.delete_sessions_of(user.id).await?;
    let chain = chain_of(w, user.tenant).await?;
    let entry = AuditEntry::new(chain, now, AuditEvent::SecondFactorRemoved, actor);
    let entry = entry.detail("id", user.id).detail("email", &user.email).detail("sessionsEnded", ended);
    w.append_audit(&entry).await?;
    Ok(())
}

impl Authority {
    /// Removes somebody's second factor, who lost it, and ends their sessions: from then on the password alone
    /// lets them in, to set up another one.
    ///
    /// # Errors
    /// See [`RemoveError`].
    pub async fn remove_second_factor(&self, by: &Authorized<Own>, id: UserId) -> Result<(), RemoveError> {
        if by.user() == id {
            return Err(RemoveError::Own);
        }
        let (now, by) = (self.now(), *by);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let user = w.user(id).await?.ok_or(RemoveError::Unknown)?;
                    by.manages(user.role, user.tenant)?;
                    remove(w, &user, by.actor(), now).await
                })
            })
            .await
    }

    /// Whether everybody needs a second factor.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn second_factor_policy(
        &self,
        _by: &Authorized<View>,
    ) -> Result<SecondFactorPolicy, StoreError> {
        self.store.read(|r| Box::pin(async move { r.second_factor_policy().await })).await
    }

    /// Says whether everybody needs a second factor. Sessions of those who have none set one up before
    /// anything else from then on.
    ///
    /// # Errors
    /// See [`RemoveError`]; only an owner who sees every tenant says so.
    pub async fn set_second_factor_policy(
        &self,
        by: &Authorized<Own>,
        policy: SecondFactorPolicy,
    ) -> Result<(), RemoveError> {
        by.covers_all()?;
        let entry = AuditEntry::new(None, self.now(), AuditEvent::SignInSettingsChanged, by.actor());
        let entry = entry.detail("secondFactor", policy);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.set_second_factor_policy(policy).await? {
                        w.append_audit(&entry).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(())
    }
}
