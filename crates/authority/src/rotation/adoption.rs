//! How far a rotation is: measured, not assumed.

use std::fmt;
use std::time::Duration;

use countersign_core::ids::CaName;
use countersign_core::rotation::{Canary, RenewalCall, RotationStep};
use countersign_core::time::Timestamp;
pub use countersign_store::{DependentCursor, DependentDevice, DependentPage, Dependents};
use countersign_store::{IssuerRole, RotationRow, SeenDevice, StoreError};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::publish::Applied;
use crate::rotation::open::OpenRotation;
use crate::rotation::refused::{InUse, RotationError};
use crate::rotation::{Pair, Stragglers};

/// How much must be measured before a CA signs for all.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// How many devices of a hundred must follow.
    pub percent: u8,
    /// Devices that were not seen for longer do not count.
    pub seen_within: Duration,
    /// Whether it goes on without.
    pub stragglers: Stragglers,
}

impl Gate {
    /// How long devices count after they were last seen, unless somebody says otherwise: thirty days.
    pub const SEEN_WITHIN: Duration = Duration::from_secs(30 * 86_400);
}

impl Default for Gate {
    fn default() -> Self {
        Self { percent: 100, seen_within: Self::SEEN_WITHIN, stragglers: Stragglers::Kept }
    }
}

/// What of the devices is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Whether they have reported the CA certificates under which the doors will be.
    TrustBundle,
    /// Whether those that go first use a certificate of the new CA.
    CanaryCertificate,
    /// Nothing: devices need nothing new.
    Nothing,
}

impl Measure {
    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrustBundle => "trust_bundle",
            Self::CanaryCertificate => "canary_certificate",
            Self::Nothing => "nothing",
        }
    }
}

/// Of those that were seen lately, how many follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followers {
    /// What is measured.
    pub measure: Measure,
    /// How many follow.
    pub adopted: u64,
    /// Of how many.
    pub total: u64,
    /// Within which time they were seen.
    pub seen_within: Duration,
}

/// How far the new CA is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Edges that enforce the epoch with the new CA.
    pub edges: Applied,
    /// Which that is.
    pub epoch: u64,
    /// Devices.
    pub devices: Followers,
}

impl Adoption {
    /// What is missing until so many of a hundred devices, and all edges, follow; nothing: it is enough.
    #[must_use]
    pub fn missing(&self, percent: u8) -> Vec<String> {
        let mut missing = edges_missing(self.edges, self.epoch);
        let Followers { measure, adopted, total, seen_within } = self.devices;
        let days = seen_within.as_secs() / 86_400;
        let is_enough = u128::from(adopted) * 100 >= u128::from(total) * u128::from(percent);
        match measure {
            Measure::TrustBundle if !is_enough => missing.push(format!(
                "{adopted} of {total} devices seen in the last {days} days have reported the CA certificates \
                 that they need, and {percent} % must"
            )),
            Measure::CanaryCertificate if total == 0 => {
                missing.push(format!("no device of the canary was seen in the last {days} days"));
            }
            Measure::CanaryCertificate if !is_enough => missing.push(format!(
                "{adopted} of {total} devices of the canary seen in the last {days} days use a certificate of \
                 the new CA, and {percent} % must"
            )),
            Measure::TrustBundle | Measure::CanaryCertificate | Measure::Nothing => {}
        }
        missing
    }
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edges, devices) = (self.edges, self.devices);
        write!(f, "edges {}/{}, ", edges.applied, edges.total)?;
        write!(f, "devices {}/{} ({})", devices.adopted, devices.total, devices.measure.as_str())
    }
}

fn edges_missing(edges: Applied, epoch: u64) -> Vec<String> {
    let Applied { applied, total } = edges;
    if applied >= total {
        return Vec::new();
    }
    vec![format!("{applied} of {total} edges enforce epoch {epoch}, from which on the new CA is trusted")]
}

/// How far a rotation is, and what stands in the way.
#[derive(Clone, Debug)]
pub struct RotationStatus {
    /// The CA that is replaced.
    pub old: CaName,
    /// The one that comes in its place.
    pub new: CaName,
    /// The step.
    pub step: RotationStep,
    /// Who goes first.
    pub canary: Option<Canary>,
    /// When the new CA was made.
    pub prepared_at: Timestamp,
    /// When it began to sign for all.
    pub activated_at: Option<Timestamp>,
    /// When the rotation was over.
    pub ended_at: Option<Timestamp>,
    /// When devices are asked to follow.
    pub renewal: Option<RenewalCall>,
    /// How far the new CA is known.
    pub adoption: Adoption,
    /// What is missing until it may sign for all, by the usual gate.
    pub missing: Vec<String>,
    /// Who depends on the old CA; `None`: nobody.
    pub old_in_use: Option<InUse>,
    /// Who depends on the new CA.
    pub new_in_use: Option<InUse>,
}

impl Authority {
    /// How far the rotation is that a CA goes through, as the old or the new one.
    ///
    /// # Errors
    /// See [`RotationError`]; not for whoever is bound to a tenant.
    pub async fn rotation_status<P>(
        &self,
        by: &Authorized<P>,
        name: &CaName,
    ) -> Result<RotationStatus, RotationError> {
        by.covers_all()?;
        let pair = self.rotation_pair(name).await?;
        let gate = Gate::default();
        let adoption = self.adoption(&pair, gate.seen_within).await?;
        let Pair { row, old, new } = pair;
        let (old_in_use, new_in_use) = (self.in_use(&old).await?, self.in_use(&new).await?);
        Ok(RotationStatus {
            old: old.name().clone(),
            new: new.name().clone(),
            step: row.step,
            canary: row.canary,
            prepared_at: row.prepared_at,
            activated_at: row.activated_at,
            ended_at: row.ended_at,
            renewal: row.renewal,
            missing: adoption.missing(gate.percent),
            adoption,
            old_in_use,
            new_in_use,
        })
    }

    /// A page of the devices that have a live certificate of a CA, those first that enrolled last: for the
    /// old CA of a rotation, who has not moved.
    ///
    /// # Errors
    /// See [`RotationError`]; not for whoever is bound to a tenant.
    pub async fn devices_of_ca(
        &self,
        by: &Authorized<View>,
        name: &CaName,
        (after, limit): (Option<DependentCursor>, u32),
    ) -> Result<DependentPage, RotationError> {
        by.covers_all()?;
        let (issuer, now) = (self.issuers().by_name(name)?.key_id(), self.now());
        let page = self.store.read(move |r| {
            Box::pin(async move { r.dependent_devices((issuer, None), now, after, limit).await })
        });
        Ok(page.await?)
    }

    async fn in_use(&self, ca: &crate::issuers::Ca) -> Result<Option<InUse>, StoreError> {
        let (key_id, name, now) = (ca.key_id(), ca.name().clone(), self.now());
        let doors = self.doors_that_show(key_id).await?;
        self.store
            .read(move |r| Box::pin(async move { InUse::read(r, (key_id, name), doors, now).await }))
            .await
    }

    /// What is missing until every edge trusts the new CA.
    pub(crate) async fn edges_missing(&self, row: &RotationRow) -> Result<Vec<String>, StoreError> {
        Ok(edges_missing(self.edges_at(row.prepared_epoch).await?, row.prepared_epoch))
    }

    /// Measures.
    pub(crate) async fn adoption(&self, pair: &Pair, seen_within: Duration) -> Result<Adoption, StoreError> {
        let row = &pair.row;
        let edges = self.edges_at(row.prepared_epoch).await?;
        let since = self.now() - seen_within;
        self.flush_presence().await?;
        let measure = match (pair.old.role(), &row.canary) {
            (IssuerRole::Service, _) => Measure::TrustBundle,
            (IssuerRole::Device, Some(_)) => Measure::CanaryCertificate,
            (IssuerRole::Device | IssuerRole::Intermediate | IssuerRole::Root, _) => Measure::Nothing,
        };
        let bundle = self.issuers().trust_bundle();
        let (seen, reported) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let seen = r.seen_devices(since).await?;
                    Ok::<_, StoreError>((seen, r.devices_with_bundle(bundle, since).await?))
                })
            })
            .await?;
        let (adopted, total) = match (measure, self.open_rotation(row)) {
            (Measure::CanaryCertificate, Some(open)) => followers(&open, &seen),
            (Measure::TrustBundle, _) => (reported, seen.len() as u64),
            (Measure::Nothing | Measure::CanaryCertificate, _) => {
                let moved = seen.iter().filter(|device| device.issuer == Some(row.new)).count();
                (moved as u64, seen.len() as u64)
            }
        };
        let devices = Followers { measure, adopted, total, seen_within };
        Ok(Adoption { edges, epoch: row.prepared_epoch, devices })
    }

    fn open_rotation(&self, row: &RotationRow) -> Option<OpenRotation> {
        self.issuers().rotations().iter().find(|open| open.row.id == row.id).cloned()
    }
}

/// Of the devices that go first, how many use a certificate of the new CA.
fn followers(open: &OpenRotation, seen: &[SeenDevice]) -> (u64, u64) {
    let Some(canary) = &open.row.canary else { return (0, 0) };
    let first = seen.iter().filter(|device| open.goes_first(canary, &device.tenant, device.id));
    first.fold((0, 0), |(adopted, total), device| {
        (adopted + u64::from(device.issuer == Some(open.row.new)), total + 1)
    })
}
