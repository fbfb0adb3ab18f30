//! Rotate: a CA is replaced by another one, step by step: prepared, canary, active, retired. No step is
//! taken before what was measured allows it, and until the end each can be taken back.
//!
//! Old and new are trusted side by side from the first step to the last. All state is in the store, and a
//! step is one transaction with its audit entry and an epoch, so that whoever was interrupted goes on
//! where the records are, at any authority.

pub mod adoption;
pub(crate) mod open;
mod prepare;
pub mod refused;

use std::time::Duration;

use countersign_ca::serial_of;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{CaName, CertificateRef, DeviceId};
use countersign_core::rotation::RotationEvent;
pub use countersign_core::rotation::{Canary, RenewalCall, RotationStep};
use countersign_core::time::Timestamp;
use countersign_store::{IssuerRole, IssuerState, RevocationRow, RotationRow, StoreError, Writing};

use crate::authority::Authority;
use crate::authorized::{Authorized, Own};
use crate::issuers::{Ca, Issuers};
use crate::publish::Applied;
use crate::rotation::adoption::Gate;
use crate::rotation::refused::{InUse, Refused, RotationError};

/// What happens to whoever still depends on a CA that is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stragglers {
    /// Nothing: while there are any, the CA stays.
    Kept,
    /// They are refused from then on. Audited.
    DangerStranded,
}

/// A rotation with its two CAs.
pub(crate) struct Pair {
    pub(crate) row: RotationRow,
    pub(crate) old: std::sync::Arc<Ca>,
    pub(crate) new: std::sync::Arc<Ca>,
}

/// A step that is about to be taken.
struct Move {
    from: RotationStep,
    to: RotationRow,
    /// What becomes of the CAs, in this order.
    states: Vec<(std::sync::Arc<Ca>, IssuerState, IssuerState)>,
    /// Who goes first from now on.
    chosen: Vec<DeviceId>,
    entry: AuditEntry,
}

impl Pair {
    /// The row after an event, with a call to renew in the place of the one before.
    fn after(
        &self,
        event: RotationEvent,
        renewal: Option<Duration>,
        now: Timestamp,
    ) -> Result<RotationRow, Refused> {
        let step = self.row.step.apply(event).map_err(Refused::Step)?;
        let over = renewal.map(|over| over.min(RenewalCall::LONGEST));
        let renewal = over.map(|over| RenewalCall { from: now, over });
        Ok(RotationRow { step, canary: None, renewal, ..self.row.clone() })
    }

    fn entry(&self, event: AuditEvent, to: RotationStep, (now, actor): (Timestamp, Actor)) -> AuditEntry {
        AuditEntry::new(None, now, event, actor)
            .detail("rotation", self.row.id)
            .detail("old", self.old.name())
            .detail("oldIssuer", self.row.old)
            .detail("new", self.new.name())
            .detail("newIssuer", self.row.new)
            .detail("step", format!("{} -> {to}", self.row.step))
    }
}

impl Move {
    /// Takes it, within a transaction. Fails closed: if somebody else took a step meanwhile, nothing is
    /// done.
    async fn take(&self, w: &mut Writing<'_>) -> Result<(), RotationError> {
        if !w.move_rotation(&self.to, self.from).await? {
            return Err(Refused::Raced.into());
        }
        w.set_rotation_devices(self.to.id, &self.chosen).await?;
        for (ca, from, to) in &self.states {
            if !w.move_issuer(ca.key_id(), *from, *to).await? {
                return Err(Refused::Raced.into());
            }
            w.issuer_trust_changed(ca.key_id()).await?;
        }
        w.issuer_trust_changed(self.to.new).await?;
        w.append_audit(&self.entry).await?;
        Ok(())
    }
}

impl Authority {
    /// Lets some devices get certificates of the new CA at their next renewal or enrolment; called again,
    /// others. Before it, every edge must trust the new CA.
    ///
    /// # Errors
    /// See [`RotationError`].
    pub async fn choose_canary(
        &self,
        by: &Authorized<Own>,
        name: &CaName,
        canary: Canary,
        renewal: Option<Duration>,
    ) -> Result<Applied, RotationError> {
        by.covers_all()?;
        let (pair, now) = (self.rotation_pair(name).await?, self.now());
        let mut to = pair.after(RotationEvent::Choose, renewal, now)?;
        if pair.old.role() != IssuerRole::Device {
            return Err(Refused::NoCanary(pair.old.role()).into());
        }
        let missing = self.edges_missing(&pair.row).await?;
        if !missing.is_empty() {
            return Err(Refused::NotAdopted(missing).into());
        }
        let entry = pair
            .entry(AuditEvent::CaRotationCanary, to.step, (now, by.actor()))
            .detail("canary", &canary)
            .detail("renewWithinSeconds", seconds(to.renewal));
        let (old, canary_of) = (pair.row.old, canary.clone());
        to.canary = Some(canary);
        let from = pair.row.step;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let chosen = match canary_of {
                        Canary::Devices(count) => w.devices_to_go_first(old, count).await?,
                        Canary::Tenant(_) | Canary::Percent(_) => Vec::new(),
                    };
                    if matches!(canary_of, Canary::Devices(_)) && chosen.is_empty() {
                        return Err(Refused::NobodyToGoFirst.into());
                    }
                    let entry = entry.detail("chosen", chosen.len());
                    Move { from, to, states: Vec::new(), chosen, entry }.take(w).await
                })
            })
            .await?;
        Ok(self.publish_changes().await?)
    }

    /// Lets the new CA sign for all. The old one stays trusted.
    ///
    /// # Errors
    /// See [`RotationError`]; refused until `gate` allows it.
    pub async fn activate_rotation(
        &self,
        by: &Authorized<Own>,
        name: &CaName,
        gate: Gate,
        renewal: Option<Duration>,
    ) -> Result<Applied, RotationError> {
        by.covers_all()?;
        let (pair, now) = (self.rotation_pair(name).await?, self.now());
        let mut to = pair.after(RotationEvent::Activate, renewal, now)?;
        pair.new.issuer()?;
        let adoption = self.adoption(&pair, gate.seen_within).await?;
        let missing = adoption.missing(gate.percent);
        if !missing.is_empty() && gate.stragglers == Stragglers::Kept {
            return Err(Refused::NotAdopted(missing).into());
        }
        to.activated_at = Some(now);
        let entry = pair
            .entry(AuditEvent::CaRotationActivated, to.step, (now, by.actor()))
            .detail("adoption", adoption)
            .detail("adoptionPercent", gate.percent)
            .detail("dangerSkippedAdoption", !missing.is_empty())
            .detail("renewWithinSeconds", seconds(to.renewal));
        let states = vec![
            (pair.old, IssuerState::Active, IssuerState::Retiring),
            (pair.new, IssuerState::Prepared, IssuerState::Active),
        ];
        let step = Move { from: pair.row.step, to, states, chosen: Vec::new(), entry };
        self.store.write(move |w| Box::pin(async move { step.take(w).await })).await?;
        Ok(self.publish_changes().await?)
    }

    /// Trusts the old CA no more, and revokes its certificate: the end of the rotation.
    ///
    /// # Errors
    /// See [`RotationError`]; refused while anything depends on the old CA.
    pub async fn retire_rotated(
        &self,
        by: &Authorized<Own>,
        name: &CaName,
        stragglers: Stragglers,
    ) -> Result<Applied, RotationError> {
        by.covers_all()?;
        let (pair, now) = (self.rotation_pair(name).await?, self.now());
        let mut to = pair.after(RotationEvent::Retire, None, now)?;
        to.ended_at = Some(now);
        let entry = pair.entry(AuditEvent::CaRotationRetired, to.step, (now, by.actor()));
        let states = vec![(std::sync::Arc::clone(&pair.old), IssuerState::Retiring, IssuerState::Retired)];
        let step = Move { from: pair.row.step, to, states, chosen: Vec::new(), entry };
        self.let_go(&pair.old, step, (stragglers, RevocationReason::Superseded)).await
    }

    /// Takes the last step back: an active rotation or a canary to prepared, where the old CA signs for
    /// all, and a prepared one to its end, where the new CA is trusted no more.
    ///
    /// # Errors
    /// See [`RotationError`]; a retired CA does not come back, and the new one is not withdrawn while
    /// anything depends on it.
    pub async fn roll_back_rotation(
        &self,
        by: &Authorized<Own>,
        name: &CaName,
        renewal: Option<Duration>,
    ) -> Result<Applied, RotationError> {
        by.covers_all()?;
        let (pair, now) = (self.rotation_pair(name).await?, self.now());
        let mut to = pair.after(RotationEvent::GoBack, renewal, now)?;
        let from = pair.row.step;
        to.activated_at = None;
        let entry = pair
            .entry(AuditEvent::CaRotationRolledBack, to.step, (now, by.actor()))
            .detail("renewWithinSeconds", seconds(to.renewal));
        let (old, new) = (pair.old, pair.new);
        if to.step == RotationStep::Withdrawn {
            (to.ended_at, to.renewal) = (Some(now), None);
            let states = vec![(std::sync::Arc::clone(&new), IssuerState::Prepared, IssuerState::Retired)];
            let step = Move { from, to, states, chosen: Vec::new(), entry };
            let ending = (Stragglers::Kept, RevocationReason::CessationOfOperation);
            return self.let_go(&new, step, ending).await;
        }
        let mut states = Vec::new();
        if from == RotationStep::Active {
            old.issuer()?;
            // In this order: of a role one is active.
            states.push((new, IssuerState::Active, IssuerState::Prepared));
            states.push((old, IssuerState::Retiring, IssuerState::Active));
        }
        let step = Move { from, to, states, chosen: Vec::new(), entry };
        self.store.write(move |w| Box::pin(async move { step.take(w).await })).await?;
        Ok(self.publish_changes().await?)
    }

    /// Takes a step with which a CA is trusted no more, unless somebody depends on it.
    async fn let_go(
        &self,
        ca: &std::sync::Arc<Ca>,
        mut step: Move,
        (stragglers, reason): (Stragglers, RevocationReason),
    ) -> Result<Applied, RotationError> {
        let (now, doors) = (self.now(), self.doors_that_show(ca.key_id()).await?);
        let certificate = own_revocation(ca, reason, now)?;
        let (key_id, name) = (ca.key_id(), ca.name().clone());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let in_use = InUse::read(w, (key_id, name), doors, now).await?;
                    if in_use.is_some() && stragglers == Stragglers::Kept {
                        return Err(Refused::InUse(in_use.map(Box::new).unwrap_or_default()).into());
                    }
                    if let Some(stranded) = in_use {
                        step.entry = step.entry.detail("dangerStranded", &stranded);
                    }
                    if let Some(certificate) = certificate {
                        w.insert_revocation(&certificate).await?;
                    }
                    step.take(w).await
                })
            })
            .await?;
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(applied)
    }

    /// The rotation that a CA goes through, as the old or the new one.
    pub(crate) async fn rotation_pair(&self, name: &CaName) -> Result<Pair, RotationError> {
        // The store decides, and what it says of the CAs must be known here too.
        self.catch_up().await?;
        let issuers = self.issuers();
        let key_id = issuers.by_name(name)?.key_id();
        let row = self.store.read(move |r| Box::pin(async move { r.rotation_of(key_id).await })).await?;
        let row = row.ok_or_else(|| RotationError::NotRotating(name.clone()))?;
        Ok(pair_of(&issuers, row)?)
    }
}

fn pair_of(issuers: &Issuers, row: RotationRow) -> Result<Pair, StoreError> {
    let ca = |key_id| issuers.by_key(key_id).cloned().ok_or_else(|| StoreError::raced("ca", key_id));
    Ok(Pair { old: ca(row.old)?, new: ca(row.new)?, row })
}

fn seconds(call: Option<RenewalCall>) -> String {
    call.map(|call| call.over.as_secs().to_string()).unwrap_or_default()
}

/// The entry on the CRL of the CA above; none when that is not on record.
fn own_revocation(
    ca: &Ca,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Option<RevocationRow>, RotationError> {
    let Some(issuer) = ca.parent() else { return Ok(None) };
    let facts = countersign_ca::CertificateFacts::of(ca.certificate_der())
        .map_err(|error| RotationError::Make(Box::new(error)))?;
    let serial = serial_of(ca.certificate_der()).map_err(|error| RotationError::Make(Box::new(error)))?;
    Ok(Some(RevocationRow {
        reference: CertificateRef { issuer, serial },
        spki: None,
        revoked_at: now,
        reason,
        expires_at: facts.not_after,
    }))
}
