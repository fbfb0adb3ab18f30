//! What services are granted: whole filters of topics, from the top, for those whom a list admits.

use std::sync::Arc;

use countersign_core::guest::GuestOf;
use countersign_core::settings::Enforcement;

use super::rights::Rights;
use crate::admit::{Floor, Requirement};
use crate::audience::{Audience, Devices};

/// A grant. Whoever it fits and is no device of ours may write and read what it says.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(super) name: Arc<str>,
    pub(super) requirement: Requirement,
    pub(super) rights: Rights,
}

impl Grant {
    /// For those whom `audience` admits; devices have rights of their own, and are never among them. The name
    /// is theirs at the broker.
    #[must_use]
    pub fn new(name: &str, audience: Audience, rights: Rights) -> Self {
        let audience = Audience { devices: Devices::Refused, ..audience };
        let requirement = Requirement::upstream(Enforcement::Enforce, Floor::Kept);
        Self { name: name.into(), requirement: requirement.admitting(Some(Arc::new(audience))), rights }
    }

    /// Whose CAs vouch for those whom it may fit.
    pub(super) fn guests(&self) -> impl Iterator<Item = GuestOf> + '_ {
        self.requirement.audience.iter().flat_map(|audience| audience.guests.iter().cloned())
    }
}
