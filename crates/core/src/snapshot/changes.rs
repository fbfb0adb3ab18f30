//! What one snapshot has that another has not: how trust travels to edges elsewhere. A whole snapshot is
//! what it has that an empty one has not.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;

use imbl::{HashMap, HashSet, Vector};

pub use super::edits::Edits;
use super::{
    Bar, Binding, DeviceKey, RuleList, RuleSource, TenantTrust, TrustSnapshot, TrustedIssuer, UnprovedPeriod,
};
use crate::guest::ForeignTrust;
use crate::ids::{CertificateRef, IssuerKeyId, SpkiSha256, Tenant};
use crate::time::Timestamp;

/// Which periods of which issuers are unproved.
pub type Unproved = BTreeMap<IssuerKeyId, Vec<UnprovedPeriod>>;

/// What is different: `None` for a fact means that it is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustChanges {
    /// The device CAs, all of them, if one is different.
    pub device_issuers: Option<Vector<TrustedIssuer>>,
    /// The CAs that make services, all of them, if one is different.
    pub service_issuers: Option<Vector<TrustedIssuer>>,
    /// The CAs of others, all of them, if one is different.
    pub foreign_trusts: Option<Vector<ForeignTrust>>,
    /// The rules, all of them, if one is different.
    pub rules: Option<Arc<[RuleSource]>>,
    /// The lists that rules ask, all of them, if one is different.
    pub lists: Option<Arc<[RuleList]>>,
    /// The unproved periods, all of them, if one is different.
    pub unproved: Option<Unproved>,
    /// The tenants.
    pub tenants: Edits<Tenant, TenantTrust>,
    /// Devices that are refused, or are so no more.
    pub barred: Edits<DeviceKey, Bar>,
    /// Certificates of CAs elsewhere.
    pub bindings: Edits<CertificateRef, Binding>,
    /// Replaced certificates.
    pub superseded: Edits<CertificateRef, Timestamp>,
    /// Revoked certificates.
    pub denied: Edits<CertificateRef, ()>,
    /// Certificates before their first use.
    pub pending: Edits<CertificateRef, ()>,
    /// Certificates of unproved periods that are on record.
    pub proved: Edits<CertificateRef, ()>,
    /// Keys that prove nothing.
    pub denied_keys: Edits<SpkiSha256, ()>,
}

/// What may be different between two snapshots: nothing else is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// These tenants.
    pub tenants: BTreeSet<Tenant>,
    /// Whether these devices are refused.
    pub devices: BTreeSet<DeviceKey>,
    /// These certificates, each with the tenant whose it is; `None`: it is no device's.
    pub certificates: BTreeMap<CertificateRef, Option<Tenant>>,
    /// These keys.
    pub keys: BTreeSet<SpkiSha256>,
}

impl TrustChanges {
    /// Everything that a snapshot has.
    #[must_use]
    pub fn all_of(snapshot: &TrustSnapshot) -> Self {
        let TrustSnapshot {
            version: _,
            made_at: _,
            trust_domain: _,
            device_issuers,
            service_issuers,
            foreign_trusts,
            bindings,
            denied,
            denied_keys,
            barred,
            superseded,
            unproved,
            proved,
            pending,
            tenants,
            rules,
            lists,
        } = snapshot;
        Self {
            device_issuers: Some(device_issuers.clone()),
            service_issuers: Some(service_issuers.clone()),
            foreign_trusts: Some(foreign_trusts.clone()),
            rules: Some(Arc::clone(rules)),
            lists: Some(Arc::clone(lists)),
            unproved: Some(unproved_of(unproved)),
            tenants: every(tenants),
            barred: barred.iter().map(|(device, bar)| (device, Some(bar))).collect(),
            bindings: every(bindings),
            superseded: every(superseded),
            denied: each(denied.iter()),
            pending: each(pending.iter().cloned()),
            proved: each(proved.iter().cloned()),
            denied_keys: each(denied_keys.iter()),
        }
    }

    /// What is different in `new`, among what was touched.
    #[must_use]
    pub fn between(old: &TrustSnapshot, new: &TrustSnapshot, touched: &Touched) -> Self {
        let (both, references) = ([old, new], || touched.certificates.keys());
        Self {
            device_issuers: different(&old.device_issuers, &new.device_issuers),
            service_issuers: different(&old.service_issuers, &new.service_issuers),
            foreign_trusts: different(&old.foreign_trusts, &new.foreign_trusts),
            rules: different(&old.rules, &new.rules),
            lists: different(&old.lists, &new.lists),
            unproved: (old.unproved != new.unproved).then(|| unproved_of(&new.unproved)),
            tenants: edits(both, touched.tenants.iter(), |one, tenant| one.tenants.get(tenant).copied()),
            barred: edits(both, touched.devices.iter(), |one, device| one.barred.get(device)),
            bindings: edits(both, references(), |one, reference| one.bindings.get(reference).cloned()),
            superseded: edits(both, references(), |one, reference| one.superseded.get(reference).copied()),
            denied: edits(both, references(), |one, reference| one.denied.contains(reference).then_some(())),
            pending: edits(both, references(), |one, reference| {
                one.pending.contains(reference).then_some(())
            }),
            proved: edits(both, references(), |one, reference| one.proved.contains(reference).then_some(())),
            denied_keys: edits(both, touched.keys.iter(), |one, key| {
                one.denied_keys.contains(key).then_some(())
            }),
        }
    }

    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of it is these tenants' business: what is about others is left out. Denied keys stay, for they
    /// are denied everywhere, and say nothing of whose they were.
    #[must_use]
    pub fn of_tenants(
        mut self,
        tenants: &BTreeSet<Tenant>,
        is_theirs: impl Fn(&CertificateRef) -> bool,
    ) -> Self {
        self.tenants.retain(|tenant| tenants.contains(tenant));
        self.barred.retain(|(tenant, _device)| tenants.contains(tenant));
        self.bindings.retain(&is_theirs);
        self.superseded.retain(&is_theirs);
        for certificates in [&mut self.denied, &mut self.pending, &mut self.proved] {
            certificates.retain(&is_theirs);
        }
        self
    }

    /// Makes a snapshot what it is after these changes; its version is the caller's to set.
    pub fn apply_to(self, snapshot: &mut TrustSnapshot) {
        if let Some(issuers) = self.device_issuers {
            snapshot.device_issuers = issuers;
        }
        if let Some(issuers) = self.service_issuers {
            snapshot.service_issuers = issuers;
        }
        if let Some(trusts) = self.foreign_trusts {
            snapshot.foreign_trusts = trusts;
        }
        if let Some(rules) = self.rules {
            snapshot.rules = rules;
        }
        if let Some(lists) = self.lists {
            snapshot.lists = lists;
        }
        if let Some(unproved) = self.unproved {
            snapshot.unproved =
                unproved.into_iter().map(|(issuer, periods)| (issuer, periods.into())).collect();
        }
        edit_map(&mut snapshot.tenants, self.tenants);
        snapshot.barred.edit(&self.barred);
        edit_map(&mut snapshot.bindings, self.bindings);
        edit_map(&mut snapshot.superseded, self.superseded);
        snapshot.denied.edit(&self.denied);
        edit_set(&mut snapshot.pending, self.pending);
        edit_set(&mut snapshot.proved, self.proved);
        snapshot.denied_keys.edit(&self.denied_keys);
        snapshot.settle();
    }
}

fn different<T: Clone + PartialEq>(old: &T, new: &T) -> Option<T> {
    (old != new).then(|| new.clone())
}

fn unproved_of(unproved: &HashMap<IssuerKeyId, Vector<UnprovedPeriod>>) -> Unproved {
    unproved.iter().map(|(issuer, periods)| (*issuer, periods.iter().copied().collect())).collect()
}

fn every<K: Ord + Hash + Clone, V: Clone>(map: &HashMap<K, V>) -> Edits<K, V> {
    map.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
}

fn each<K: Ord>(members: impl Iterator<Item = K>) -> Edits<K, ()> {
    members.map(|member| (member, Some(()))).collect()
}

/// What is said of each of these now, where it was something else before.
fn edits<'a, K: Ord + Clone + 'a, V: PartialEq>(
    both: [&TrustSnapshot; 2],
    touched: impl Iterator<Item = &'a K>,
    said: impl Fn(&TrustSnapshot, &K) -> Option<V>,
) -> Edits<K, V> {
    let different = touched.filter_map(|key| {
        let [before, now] = both.map(|snapshot| said(snapshot, key));
        (before != now).then(|| (key.clone(), now))
    });
    different.collect()
}

fn edit_map<K: Ord + Hash + Clone, V: Clone>(map: &mut HashMap<K, V>, edits: Edits<K, V>) {
    for (key, value) in edits {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

fn edit_set<K: Ord + Hash + Clone>(set: &mut HashSet<K>, edits: Edits<K, ()>) {
    for (key, presence) in edits {
        match presence {
            Some(()) => set.insert(key),
            None => set.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TrustDomain;
    use crate::settings::Enforcement;
    use crate::snapshot::TenantService;

    fn reference(number: u8) -> CertificateRef {
        CertificateRef { issuer: [1; 32].into(), serial: format!("{number:02x}").parse().unwrap() }
    }

    fn snapshot() -> TrustSnapshot {
        let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        let trust = TenantTrust { enforcement: Enforcement::Enforce, service: TenantService::Running };
        for tenant in ["acme", "other"] {
            snapshot.tenants.insert(tenant.parse().unwrap(), trust);
        }
        snapshot.denied.insert(reference(1));
        snapshot.denied_keys.insert([7; 32].into());
        snapshot.barred.insert(("other".parse().unwrap(), "d".parse().unwrap()), Bar::Quarantined);
        snapshot
    }

    #[test]
    fn what_is_different_makes_the_one_the_other() {
        let old = snapshot();
        let mut new = old.clone();
        new.denied.remove(&reference(1));
        new.denied.insert(reference(2));
        new.denied.insert(reference(3));
        new.superseded.insert(reference(1), Timestamp::from_secs(9));
        let certificates = (1..=4).map(|number| (reference(number), None)).collect();
        let touched = Touched { certificates, ..Touched::default() };
        let changes = TrustChanges::between(&old, &new, &touched);
        assert_eq!((changes.denied.len(), changes.superseded.len(), changes.rules.is_none()), (3, 1, true));
        let mut again = old.clone();
        changes.apply_to(&mut again);
        assert_eq!(TrustChanges::all_of(&again), TrustChanges::all_of(&new));
        assert!(TrustChanges::between(&new, &again, &touched).is_empty());
    }

    #[test]
    fn others_are_left_out_of_what_is_for_some_tenants() {
        let acme = BTreeSet::from(["acme".parse().unwrap()]);
        let changes = TrustChanges::all_of(&snapshot());
        let theirs = changes.of_tenants(&acme, |one| *one != reference(1));
        let mut told = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(0));
        theirs.apply_to(&mut told);
        assert_eq!(told.tenants.keys().map(Tenant::as_str).collect::<Vec<_>>(), ["acme"]);
        assert!(told.denied.is_empty() && told.barred.is_empty());
        assert_eq!(told.denied_keys.len(), 1, "denied everywhere");
    }
}
