//! The kinds of questions that callers ask together.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use countersign_core::ids::{SecretHash, TenantId};
use countersign_store::{DeviceRow, EnrollmentKeyRow, Presence, Reading, Store, StoreError, TenantRow};

use crate::enrol::facts::{Applicant, Facts, look_up};
use crate::enrol::newcomers::{Newcomer, Recorded, record_newcomers};
use crate::issue::{Intended, record_intents};
use crate::presence::record_arrivals;
use crate::together::{Answers, Together};

/// Where each kind comes together.
#[derive(Debug)]
pub(crate) struct Questions {
    /// Whose bearer token is this?
    pub(crate) agents: Together<SecretHash, Option<(DeviceRow, TenantRow)>>,
    /// Which enrolment key is this?
    pub(crate) enrollment_keys: Together<SecretHash, Option<(EnrollmentKeyRow, TenantRow)>>,
    /// What do the records say about who wants to enrol?
    pub(crate) applicants: Together<Applicant, Facts>,
    /// Reserve this serial.
    pub(crate) intents: Together<Intended, ()>,
    /// Record this new device.
    pub(crate) newcomers: Together<Newcomer, Recorded>,
    /// Record that this device came online.
    pub(crate) arrivals: Together<Presence, ()>,
}

impl Questions {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            agents: Together::new(store.clone(), find_agents),
            enrollment_keys: Together::new(store.clone(), find_enrollment_keys),
            applicants: Together::new(store.clone(), look_up),
            intents: Together::new(store.clone(), record_intents),
            newcomers: Together::new(store.clone(), record_newcomers),
            arrivals: Together::new(store.clone(), record_arrivals),
        }
    }
}

/// Each once.
pub(crate) fn distinct<T: Eq + Hash>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<HashSet<T>>().into_iter().collect()
}

/// What was found, with its tenant.
type Found<T> = HashMap<SecretHash, (T, TenantRow)>;

fn find_agents(store: Store, tokens: Vec<Arc<SecretHash>>) -> Answers<Option<(DeviceRow, TenantRow)>> {
    Box::pin(async move {
        let hashes = distinct(tokens.iter().map(|token| **token));
        let found: Found<DeviceRow> = store
            .read(move |r| {
                Box::pin(async move {
                    let devices = r.devices_by_token(&hashes).await?;
                    let named = devices.into_iter().filter_map(|device| Some((device.token?, device)));
                    with_tenants(r, named.collect(), |device| device.tenant).await
                })
            })
            .await?;
        Ok(tokens.iter().map(|token| found.get(token).cloned()).collect())
    })
}

fn find_enrollment_keys(
    store: Store,
    keys: Vec<Arc<SecretHash>>,
) -> Answers<Option<(EnrollmentKeyRow, TenantRow)>> {
    Box::pin(async move {
        let hashes = distinct(keys.iter().map(|key| **key));
        let found: Found<EnrollmentKeyRow> = store
            .read(move |r| {
                Box::pin(async move {
                    let rows = r.enrollment_keys_by_hash(&hashes).await?;
                    let named = rows.into_iter().map(|row| (row.key, row));
                    with_tenants(r, named.collect(), |row| row.tenant).await
                })
            })
            .await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    })
}

/// Each record with its tenant, by the hash of its secret; those without one are left out.
async fn with_tenants<T>(
    r: &mut Reading<'_>,
    records: Vec<(SecretHash, T)>,
    tenant_of: fn(&T) -> TenantId,
) -> Result<Found<T>, StoreError> {
    let ids = distinct(records.iter().map(|(_hash, record)| tenant_of(record)));
    let tenants: HashMap<TenantId, TenantRow> =
        r.tenants_by_id(&ids).await?.into_iter().map(|tenant| (tenant.id, tenant)).collect();
    let with_tenant = |(hash, record)| {
        let tenant = tenants.get(&tenant_of(&record))?.clone();
        Some((hash, (record, tenant)))
    };
    Ok(records.into_iter().filter_map(with_tenant).collect())
}
