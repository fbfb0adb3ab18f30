//! What the records say about those who want to enrol.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use countersign_core::ids::{DeviceName, SpkiSha256, TenantId};
use countersign_store::{Reading, Store, StoreError, Traits};

use crate::questions::distinct;
use crate::together::Answers;

/// Who wants to enrol.
pub(crate) struct Applicant {
    /// The key it wants a certificate for.
    pub(super) spki: Option<SpkiSha256>,
    /// The name it wants, if that is one it may have.
    pub(super) name: Option<DeviceName>,
    /// The tenant, and by what it may resemble a denied device.
    pub(super) traits: Traits,
}

/// What the records say.
pub(crate) struct Facts {
    pub(super) is_key_denied: bool,
    pub(super) is_name_taken: bool,
    pub(super) resembles_denied: bool,
}

/// Looks all of them up in one view of the records.
pub(crate) fn look_up(store: Store, applicants: Vec<Arc<Applicant>>) -> Answers<Facts> {
    Box::pin(async move {
        store
            .read(move |r| {
                Box::pin(async move {
                    let denied = denied_keys(r, applicants.iter().map(|one| one.spki)).await?;
                    let names = applicants.iter().map(|one| (one.traits.tenant, one.name.as_ref()));
                    let taken = taken_names(r, names).await?;
                    let machines: Vec<Traits> = applicants.iter().map(|one| one.traits.clone()).collect();
                    let resembling = r.resembling_denied(&machines).await?;
                    let facts = |(one, resembles_denied): (&Arc<Applicant>, bool)| Facts {
                        is_key_denied: one.spki.is_some_and(|spki| denied.contains(&spki)),
                        is_name_taken: one.name.as_ref().is_some_and(|name| {
                            taken.get(&one.traits.tenant).is_some_and(|names| names.contains(name))
                        }),
                        resembles_denied,
                    };
                    Ok(applicants.iter().zip(resembling).map(facts).collect())
                })
            })
            .await
    })
}

/// Those of the keys that prove nothing: denied, or those of revoked certificates.
pub(super) async fn denied_keys(
    r: &mut Reading<'_>,
    keys: impl Iterator<Item = Option<SpkiSha256>>,
) -> Result<HashSet<SpkiSha256>, StoreError> {
    let keys = distinct(keys.flatten());
    let mut denied = r.denied_among(&keys).await?;
    denied.extend(r.revoked_among(&keys).await?);
    Ok(denied)
}

/// Those of the names that are taken in their tenants.
pub(super) async fn taken_names(
    r: &mut Reading<'_>,
    names: impl Iterator<Item = (TenantId, Option<&DeviceName>)>,
) -> Result<HashMap<TenantId, HashSet<DeviceName>>, StoreError> {
    let mut wanted: HashMap<TenantId, HashSet<DeviceName>> = HashMap::new();
    for (tenant, name) in names {
        wanted.entry(tenant).or_default().extend(name.cloned());
    }
    let mut taken = HashMap::with_capacity(wanted.len());
    for (tenant, names) in wanted {
        let names: Vec<DeviceName> = names.into_iter().collect();
        taken.insert(tenant, r.taken_among(tenant, &names).await?);
    }
    Ok(taken)
}
