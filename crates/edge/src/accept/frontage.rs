//! What every kind of door can change about getting in while it is open.

use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::guest::GuestOf;
use countersign_tls::{DoorTls, HostPolicies};

use super::entrance::EntryTerms;
use super::limits::{Limits, Slots};
use crate::named_trusts::NamedTrusts;

/// What a door goes by before a connection is one.
#[derive(Clone, Debug)]
pub(crate) struct FrontageTerms {
    /// What is asked of clients in the handshake.
    pub(crate) policies: HostPolicies,
    /// The guests that get through one which requires a certificate.
    pub(crate) guests: Vec<GuestOf>,
    pub(crate) entry: EntryTerms,
    pub(crate) limits: Limits,
}

/// The side of a door that connections come to.
#[derive(Clone, Debug)]
pub(crate) struct Frontage {
    pub(crate) tls: DoorTls,
    pub(crate) terms: Arc<ArcSwap<EntryTerms>>,
    pub(crate) slots: Slots,
    /// The trusts among the guests.
    pub(crate) trusts: Arc<NamedTrusts>,
}

impl Frontage {
    pub(crate) fn new(tls: DoorTls, terms: FrontageTerms) -> Self {
        let frontage = Self {
            tls,
            terms: Arc::new(ArcSwap::from_pointee(terms.entry.clone())),
            slots: Slots::new(terms.limits),
            trusts: Arc::default(),
        };
        frontage.go_by(terms);
        frontage
    }

    /// Goes by other terms from the next connection on.
    pub(crate) fn go_by(&self, terms: FrontageTerms) {
        let FrontageTerms { policies, guests, entry, limits } = terms;
        self.trusts.name(&guests);
        self.tls.admit_guests(guests);
        self.tls.go_by(policies);
        self.slots.go_by(limits);
        self.terms.store(Arc::new(entry));
    }
}
