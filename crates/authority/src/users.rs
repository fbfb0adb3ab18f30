//! People: inviting them, and changing what they may.

use std::collections::{HashMap, HashSet};

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{Tenant, TenantId, UserId};
use countersign_core::time::Timestamp;
use countersign_store::{PasswordHash, StoreError, Writing};
pub use countersign_store::{Role, UserRow};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::api_tokens::{chain_of, revoke_all_of};
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};
use crate::passwords::{FreshPasswordToken, OneTimeToken};
use crate::people::{PeopleError, hash_password};
use crate::tenants::TenantError;

/// Somebody who is to be let in.
#[derive(Clone, Debug)]
pub struct WantedUser {
    /// E-mail address.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Slug or id of the only tenant they see; `None`: what the caller sees.
    pub tenant: Option<String>,
    /// Their password; `None`: they set one with a one-time token.
    pub password: Option<Zeroizing<String>>,
}

/// A person with the slug of their tenant.
#[derive(Clone, Debug)]
pub struct ListedUser {
    /// The person.
    pub row: UserRow,
    /// The only tenant they see; `None`: all.
    pub tenant: Option<Tenant>,
    /// Whether they sign in with a second factor.
    pub has_second_factor: bool,
    /// Where they sign in.
    pub signs_in: SignsIn,
}

/// Where somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignsIn {
    /// Here, by password.
    Here,
    /// At the identity provider.
    AtProvider,
}

impl SignsIn {
    fn of(is_of_oidc: bool) -> Self {
        if is_of_oidc { Self::AtProvider } else { Self::Here }
    }
}

/// Somebody was let in.
pub struct CreatedUser {
    /// Who.
    pub user: ListedUser,
    /// With what they set their password, if they have none.
    pub invitation: Option<OneTimeToken>,
}

/// What is to change about a person; `None`: it stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// What they may do.
    pub role: Option<Role>,
    /// What they see.
    pub tenant: Option<Sight>,
    /// Whether they may sign in.
    pub standing: Option<AccountStanding>,
}

/// What a person sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Every tenant.
    All,
    /// One tenant, by slug or id.
    One(String),
}

/// Whether a person may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStanding {
    /// They may.
    Enabled,
    /// They may not, and nothing of theirs works.
    Disabled,
}

/// Somebody was not let in.
#[derive(Debug, Error)]
pub enum CreateUserError {
    /// There is no such tenant.
    #[error("unknown tenant")]
    UnknownTenant,
    /// An owner is for the whole installation.
    #[error("an owner is bound to no tenant")]
    BoundOwner,
    /// Somebody has this e-mail address.
    #[error("the e-mail address is taken")]
    Taken,
    /// The caller manages no such people.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// No one-time token could be made.
    #[error("cannot make a token")]
    Secret(#[from] KeyError),
    /// The password could not be hashed.
    #[error("cannot keep the password")]
    Password(#[from] PeopleError),
    /// The store failed.
    #[error("cannot keep the person")]
    Store(#[from] StoreError),
}

/// A person was not changed, or not found.
#[derive(Debug, Error)]
pub enum UserError {
    /// There is no such person.
    #[error("unknown person")]
    Unknown,
    /// There is no such tenant.
    #[error("unknown tenant")]
    UnknownTenant,
    /// An owner is for the whole installation.
    #[error("an owner is bound to no tenant")]
    BoundOwner,
    /// Nobody would be left who could make an owner.
    #[error("this is the last owner")]
    LastOwner,
    /// The caller does not manage this person, or not so far.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot change the person")]
    Store(#[from] StoreError),
}

impl From<TenantError> for CreateUserError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            TenantError::Forbidden(forbidden) => Self::Forbidden(forbidden),
            TenantError::Store(error) => Self::Store(error),
        }
    }
}

impl From<TenantError> for UserError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            TenantError::Forbidden(forbidden) => Self::Forbidden(forbidden),
            TenantError::Store(error) => Self::Store(error),
        }
    }
}

impl Authority {
    /// Lets somebody in: with a password, or with a one-time token to set one.
    ///
    /// # Errors
    /// See [`CreateUserError`]; nobody makes people with a higher role or a wider view than their own.
    pub async fn create_user(
        &self,
        by: &Authorized<Administer>,
        wanted: WantedUser,
    ) -> Result<CreatedUser, CreateUserError> {
        let now = self.now();
        let tenant = match (&wanted.tenant, by.scope()) {
            (Some(tenant), _) => Some(self.find_tenant(by, tenant).await?),
            (None, Some(own)) => Some(self.tenant(own).await?),
            (None, None) => None,
        };
        let tenant_id = tenant.as_ref().map(|tenant| tenant.id);
        by.manages(wanted.role, tenant_id)?;
        if is_bound_owner(wanted.role, tenant_id) {
            return Err(CreateUserError::BoundOwner);
        }
        let (password_hash, fresh) = match wanted.password {
            Some(password) => (hash_password(password).await?, None),
            None => (PasswordHash::none(), Some(FreshPasswordToken::new(now)?)),
        };
        let row = UserRow {
            id: UserId::random(),
            email: wanted.email.to_lowercase(),
            password_hash,
            role: wanted.role,
            tenant: tenant_id,
            created_at: now,
            disabled_at: None,
        };
        let slug = tenant.map(|tenant| tenant.slug);
        let entry = AuditEntry::new(slug.clone(), now, AuditEvent::UserCreated, by.actor())
            .detail("id", row.id)
            .detail("email", &row.email)
            .detail("role", row.role);
        let token = fresh.as_ref().map(|fresh| fresh.row(row.id));
        let stored = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if !w.insert_user(&stored).await? {
                        return Err(CreateUserError::Taken);
                    }
                    if let Some(token) = &token {
                        w.put_password_token(token).await?;
                    }
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        let user = ListedUser { row, tenant: slug, has_second_factor: false, signs_in: SignsIn::Here };
        Ok(CreatedUser { user, invitation: fresh.map(FreshPasswordToken::shown) })
    }

    /// The people that the caller manages, by e-mail address.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_users(&self, by: &Authorized<Administer>) -> Result<Vec<ListedUser>, StoreError> {
        let scope = by.scope();
        let (rows, tenants, with_second_factor, of_oidc) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let (rows, tenants) = (r.users(scope).await?, r.tenants().await?);
                    let with_second_factor = r.people_with_second_factor().await?;
                    Ok::<_, StoreError>((rows, tenants, with_second_factor, r.people_of_oidc().await?))
                })
            })
            .await?;
        let with_second_factor: HashSet<UserId> = with_second_factor.into_iter().collect();
        let of_oidc: HashSet<UserId> = of_oidc.into_iter().collect();
        let slugs: HashMap<TenantId, Tenant> =
            tenants.into_iter().map(|tenant| (tenant.id, tenant.slug)).collect();
        let listed = |row: UserRow| {
            let tenant = row.tenant.and_then(|id| slugs.get(&id).cloned());
            let has_second_factor = with_second_factor.contains(&row.id);
            let signs_in = SignsIn::of(of_oidc.contains(&row.id));
            ListedUser { row, tenant, has_second_factor, signs_in }
        };
        Ok(rows.into_iter().map(listed).collect())
    }

    /// One person that the caller manages.
    ///
    /// # Errors
    /// See [`UserError`].
    pub async fn user(&self, by: &Authorized<Administer>, id: UserId) -> Result<ListedUser, UserError> {
        let found = self.store.read(move |r| Box::pin(async move { r.user(id).await })).await?;
        let row = found.ok_or(UserError::Unknown)?;
        sees(by, &row)?;
        self.listed(row).await
    }

    /// Changes what a person may do, what they see, or whether they may sign in. Every change ends their
    /// sessions and revokes their API tokens at once.
    ///
    /// # Errors
    /// See [`UserError`]; nobody gives, or takes, a role above their own, and the last owner stays one.
    pub async fn change_user(
        &self,
        by: &Authorized<Administer>,
        id: UserId,
        change: UserChange,
    ) -> Result<ListedUser, UserError> {
        let tenant = match &change.tenant {
            Some(Sight::One(tenant)) => Some(Some(self.find_tenant(by, tenant).await?.id)),
            Some(Sight::All) => Some(None),
            None => None,
        };
        let (now, by) = (self.now(), *by);
        let row = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let before = w.user(id).await?.ok_or(UserError::Unknown)?;
                    by.manages(before.role, before.tenant)?;
                    let mut after = before.clone();
                    after.role = change.role.unwrap_or(before.role);
                    after.tenant = tenant.unwrap_or(before.tenant);
                    after.disabled_at = match change.standing {
                        Some(AccountStanding::Enabled) => None,
                        Some(AccountStanding::Disabled) => before.disabled_at.or(Some(now)),
                        None => before.disabled_at,
                    };
                    if after == before {
                        return Ok(after);
                    }
                    by.manages(after.role, after.tenant)?;
                    let names_rights = change.role.is_some() || tenant.is_some();
                    if names_rights && is_bound_owner(after.role, after.tenant) {
                        return Err(UserError::BoundOwner);
                    }
                    if is_acting_owner(&before)
                        && !is_acting_owner(&after)
                        && w.count_owners_besides(id).await? == 0
                    {
                        return Err(UserError::LastOwner);
                    }
                    write_down(w, &before, &after, now, by.actor()).await?;
                    Ok(after)
                })
            })
            .await?;
        self.listed(row).await
    }

    async fn listed(&self, row: UserRow) -> Result<ListedUser, UserError> {
        let tenant = match row.tenant {
            Some(tenant) => Some(self.tenant(tenant).await?.slug),
            None => None,
        };
        let id = row.id;
        let (has_second_factor, is_of_oidc) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    Ok::<_, StoreError>((r.has_second_factor(id).await?, r.is_of_oidc(id).await?))
                })
            })
            .await?;
        Ok(ListedUser { row, tenant, has_second_factor, signs_in: SignsIn::of(is_of_oidc) })
    }
}

/// Whether the caller may look at this person: whoever sees the same tenant may.
pub(crate) fn sees(by: &Authorized<Administer>, user: &UserRow) -> Result<(), Forbidden> {
    match user.tenant {
        Some(tenant) => by.covers(tenant),
        None => by.covers_all(),
    }
}

fn is_bound_owner(role: Role, tenant: Option<TenantId>) -> bool {
    role == Role::Owner && tenant.is_some()
}

/// Whether this person could make another owner now.
fn is_acting_owner(user: &UserRow) -> bool {
    user.role == Role::Owner
        && user.tenant.is_none()
        && user.disabled_at.is_none()
        && !user.password_hash.is_none()
}

/// Writes a changed person down, ends what they had, and tells every audit that it concerns.
pub(crate) async fn write_down(
    w: &mut Writing<'_>,
    before: &UserRow,
    after: &UserRow,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    w.update_user(after).await?;
    let sessions = w.delete_sessions_of(after.id).await?;
    if after.disabled_at.is_some() {
        w.delete_password_token_of(after.id).await?;
    }
    let chain = chain_of(w, before.tenant).await?;
    let tokens = revoke_all_of(w, after.id, chain.clone(), now, actor.clone()).await?;
    let new_chain = chain_of(w, after.tenant).await?;
    let mut entry = AuditEntry::new(chain.clone(), now, AuditEvent::UserChanged, actor)
        .detail("id", after.id)
        .detail("email", &after.email)
        .detail("sessionsEnded", sessions)
        .detail("apiTokensRevoked", tokens);
    if before.role != after.role {
        entry = entry.detail("role", format!("{} -> {}", before.role, after.role));
    }
    if before.tenant != after.tenant {
        let name = |chain: &Option<Tenant>| chain.as_ref().map_or("all", Tenant::as_str).to_owned();
        entry = entry.detail("tenant", format!("{} -> {}", name(&chain), name(&new_chain)));
    }
    if before.disabled_at.is_some() != after.disabled_at.is_some() {
        entry = entry.detail("standing", if after.disabled_at.is_some() { "disabled" } else { "enabled" });
    }
    w.append_audit(&entry).await?;
    if new_chain != chain {
        w.append_audit(&AuditEntry { tenant: new_chain, ..entry }).await?;
    }
    Ok(())
}
