//! Who may do what: a signed-in person becomes evidence for one level of permission.

use std::marker::PhantomData;

use countersign_core::audit::Actor;
use countersign_core::ids::{TenantId, UserId};
use countersign_store::{Role, UserRow};
use thiserror::Error;

/// A signed-in person.
#[derive(Clone, Debug)]
pub struct Caller {
    user: UserRow,
}

/// A level of permission, and the lowest role that has it.
pub trait Permission {
    /// The lowest role.
    const LOWEST: Role;
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
    /// Change settings.
    Administer, Admin
);
permission!(
    /// Make tenants.
    Own, Owner
);

/// Evidence that a person may act at the level `P`, within a scope. Made by [`Caller::authorize`]
/// alone; use cases take it by reference.
#[derive(Clone, Copy, Debug)]
pub struct Authorized<P> {
    user: UserId,
    scope: Option<TenantId>,
    level: PhantomData<P>,
}

/// A person may not do this here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// The role is too low.
    #[error("this needs the role {0} or a higher one")]
    Role(&'static str),
    /// It belongs to a tenant that the person does not see.
    #[error("this belongs to another tenant")]
    OtherTenant,
}

impl Caller {
    pub(crate) const fn new(user: UserRow) -> Self {
        Self { user }
    }

    /// The person.
    #[must_use]
    pub const fn user(&self) -> &UserRow {
        &self.user
    }

    /// Evidence for the level `P`.
    ///
    /// # Errors
    /// Fails closed: [`Forbidden::Role`] when the role is lower than the level asks for.
    pub fn authorize<P: Permission>(&self) -> Result<Authorized<P>, Forbidden> {
        if rank(self.user.role) < rank(P::LOWEST) {
            return Err(Forbidden::Role(P::LOWEST.as_str()));
        }
        Ok(Authorized { user: self.user.id, scope: self.user.tenant, level: PhantomData })
    }
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

    /// The one tenant this person sees; `None`: all.
    #[must_use]
    pub const fn scope(&self) -> Option<TenantId> {
        self.scope
    }

    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// As the audit names the person.
    #[must_use]
    pub const fn actor(&self) -> Actor {
        Actor::User(self.user)
    }
}
