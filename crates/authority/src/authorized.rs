//! Who may do what: a signed-in person, or a program with a person's API token, becomes evidence for one
//! level of permission.

use std::marker::PhantomData;

use countersign_core::audit::Actor;
use countersign_core::ids::{ApiTokenId, TenantId, UserId};
use countersign_core::scope::Scope;
use countersign_store::{ApiTokenRow, Role, UserRow};
use thiserror::Error;

/// A signed-in person, or a program that acts in a person's name.
#[derive(Clone, Debug)]
pub struct Caller {
    user: UserRow,
    token: Option<ApiTokenRow>,
    factors: Factors,
}

/// Whether somebody who signed in has shown all that is asked of everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Factors {
    /// They have, or it was shown when an API token was made.
    Complete,
    /// A second factor is asked for, and they have none yet.
    Lacking,
}

/// A level of permission, and the lowest role that has it.
pub trait Permission {
    /// The lowest role.
    const LOWEST: Role;

    /// Whether it is had before a second factor that is asked of everybody is set up.
    const IS_BEFORE_SECOND_FACTOR: bool = false;
}

macro_rules! permission {
    ($(#[$doc:meta])* $name:ident, $role:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Permission for $name {
            const LOWEST: Role = Role::$role;
        }
    };
}

permission!(
    /// See.
    View, Viewer
);
permission!(
    /// Decide about devices and hand out enrolment keys.
    Operate, Operator
);
permission!(
    /// Change settings, manage people and sites.
    Administer, Admin
);
permission!(
    /// Make tenants.
    Own, Owner
);

/// Look after one's own account: what whoever signed in may, also where they have yet to set up the second
/// factor that is asked of everybody.
#[derive(Clone, Copy, Debug)]
pub struct Account;

impl Permission for Account {
    const LOWEST: Role = Role::Viewer;
    const IS_BEFORE_SECOND_FACTOR: bool = true;
}

/// Evidence that somebody may act at the level `P`, within a scope. Made by [`Caller`] alone; use cases
/// take it by reference.
#[derive(Clone, Copy, Debug)]
pub struct Authorized<P> {
    user: UserId,
    token: Option<ApiTokenId>,
    role: Role,
    scope: Option<TenantId>,
    level: PhantomData<P>,
}

/// Somebody may not do this here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// The role is too low.
    #[error("this needs the role {0} or a higher one")]
    Role(&'static str),
    /// It belongs to a tenant that the person does not see.
    #[error("this belongs to another tenant")]
    OtherTenant,
    /// The API token is for other calls.
    #[error("this needs an API token with the scope {0}")]
    Scope(Scope),
    /// No API token will do.
    #[error("this needs a person who signed in, not an API token")]
    Session,
    /// A second factor is asked of everybody, and the person has none.
    #[error("everybody needs a second factor here, and you have yet to set up yours")]
    SecondFactor,
    /// It would give, or take from, somebody a role above the caller's own.
    #[error("this is about a role above your own")]
    AboveOwn,
}

impl Caller {
    /// A person who signed in.
    pub(crate) const fn new(user: UserRow, factors: Factors) -> Self {
        Self { user, token: None, factors }
    }

    /// A program with a person's API token. Fails closed: `None` when the token is for another tenant
    /// than the one that the person is bound to.
    pub(crate) fn with_token(user: UserRow, token: ApiTokenRow) -> Option<Self> {
        let fits = user.tenant.is_none() || token.tenant == user.tenant;
        fits.then_some(Self { user, token: Some(token), factors: Factors::Complete })
    }

    /// The person.
    #[must_use]
    pub const fn user(&self) -> &UserRow {
        &self.user
    }

    /// Whether this person has to set up a second factor before anything else.
    #[must_use]
    pub fn lacks_second_factor(&self) -> bool {
        self.factors == Factors::Lacking
    }

    /// The role to act with: the person's, or that of the API token when that is lower.
    #[must_use]
    pub fn role(&self) -> Role {
        let own = self.user.role;
        self.token.as_ref().map(|token| token.role).filter(|role| !is_at_least(*role, own)).unwrap_or(own)
    }

    /// The only tenant to act on; `None`: all.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        self.user.tenant.or_else(|| self.token.as_ref()?.tenant)
    }

    /// Evidence for the level `P`, for people who signed in alone.
    ///
    /// # Errors
    /// Fails closed: [`Forbidden::Session`] for any API token, [`Forbidden::Role`] when the role is
    /// lower than the level asks for.
    pub fn authorize<P: Permission>(&self) -> Result<Authorized<P>, Forbidden> {
        if self.token.is_some() {
            return Err(Forbidden::Session);
        }
        self.evidence()
    }

    /// Evidence for the level `P`, for people who signed in and for API tokens with this scope.
    ///
    /// # Errors
    /// Fails closed: [`Forbidden::Scope`] for an API token without it, [`Forbidden::Role`] when the role
    /// is lower than the level asks for.
    pub fn authorize_within<P: Permission>(&self, scope: Scope) -> Result<Authorized<P>, Forbidden> {
        let scopes = self.token.as_ref().and_then(|token| token.scopes.as_ref());
        if scopes.is_some_and(|scopes| !scopes.contains(scope)) {
            return Err(Forbidden::Scope(scope));
        }
        self.evidence()
    }

    fn evidence<P: Permission>(&self) -> Result<Authorized<P>, Forbidden> {
        if self.lacks_second_factor() && !P::IS_BEFORE_SECOND_FACTOR {
            return Err(Forbidden::SecondFactor);
        }
        let role = self.role();
        if !is_at_least(role, P::LOWEST) {
            return Err(Forbidden::Role(P::LOWEST.as_str()));
        }
        let (user, token) = (self.user.id, self.token.as_ref().map(|token| token.id));
        Ok(Authorized { user, token, role, scope: self.tenant(), level: PhantomData })
    }
}

/// Whether a role is as high as another one, or higher.
pub(crate) const fn is_at_least(role: Role, other: Role) -> bool {
    rank(role) >= rank(other)
}

const fn rank(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

impl<P> Authorized<P> {
    /// Whether this person may act on what belongs to `tenant`.
    ///
    /// # Errors
    /// Fails closed: [`Forbidden::OtherTenant`] for any tenant but the person's own, if bound to one.
    pub fn covers(&self, tenant: TenantId) -> Result<(), Forbidden> {
        match self.scope {
            Some(own) if own != tenant => Err(Forbidden::OtherTenant),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this person acts for the whole installation.
    ///
    /// # Errors
    /// Fails closed for anyone bound to one tenant.
    pub const fn covers_all(&self) -> Result<(), Forbidden> {
        match self.scope {
            Some(_) => Err(Forbidden::OtherTenant),
            None => Ok(()),
        }
    }

    /// Whether this person may give a role to, or take it from, somebody who sees that tenant, or all.
    ///
    /// # Errors
    /// Fails closed: [`Forbidden::OtherTenant`] for who sees more than this person does,
    /// [`Forbidden::AboveOwn`] for a role above this person's.
    pub fn manages(&self, role: Role, tenant: Option<TenantId>) -> Result<(), Forbidden> {
        match tenant {
            Some(tenant) => self.covers(tenant)?,
            None => self.covers_all()?,
        }
        if is_at_least(self.role, role) { Ok(()) } else { Err(Forbidden::AboveOwn) }
    }

    /// The one tenant this person sees; `None`: all.
    #[must_use]
    pub const fn scope(&self) -> Option<TenantId> {
        self.scope
    }

    /// The role this person acts with.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// As the audit names the person, and the API token if it was used.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        match self.token {
            Some(token) => Actor::ApiToken { user: self.user, token },
            None => Actor::User(self.user),
        }
    }
}
