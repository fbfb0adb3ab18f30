//! Unenroll: a device ends its own enrolment.

use countersign_ca::KeyError;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::RevocationReason;
use countersign_core::device::{DeviceEvent, DeviceStatus};
use countersign_core::proof::ProofSubject;
use countersign_store::StoreError;
use thiserror::Error;

use crate::agent::{AgentCaller, Possession};
use crate::authority::Authority;
use crate::challenge::ProofError;
use crate::limits::{Limited, TooMany};
use crate::present::Present;
use crate::publish::Applied;
use crate::quarantine::{change_status, retire};
use crate::revoke::revoke_all;

/// The enrolment goes on.
#[derive(Debug, Error)]
pub enum UnenrolError {
    /// Possession of the device's key was not shown.
    #[error("possession of the device's key was not proved")]
    ProofNeeded,
    /// The device is quarantined: it is an admin's to decide.
    #[error("the device is quarantined")]
    Quarantined,
    /// The device is decommissioned already, or the token was revoked meanwhile.
    #[error("the device is not enrolled")]
    Unauthorized,
    /// Too many attempts without a proof.
    #[error("too many attempts")]
    TooMany(TooMany),
    /// The key on record cannot be read.
    #[error("cannot read the device's key")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("cannot end the enrolment")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Decommissions a device at its own wish: its certificates and its token are revoked, its live
    /// connections cut. Its key is not denied, and its host name not held against a successor. A device
    /// that has a key on record shows that it has it.
    ///
    /// # Errors
    /// See [`UnenrolError`].
    pub async fn unenrol(
        &self,
        agent: &AgentCaller,
        possession: &Possession,
    ) -> Result<Applied, UnenrolError> {
        let (id, now) = (agent.id(), self.now());
        let present = self.store.read(move |r| Box::pin(async move { Present::read(r, id).await })).await?;
        let present = present.ok_or(UnenrolError::Unauthorized)?;
        if needs_proof(&present) {
            self.check_key_to_unenrol(agent, &present, possession).await?;
        }
        let (proved, token) = (present.key_sha256(), agent.device().token);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let present = Present::read(w, id).await?.ok_or(UnenrolError::Unauthorized)?;
                    match present.device.status {
                        DeviceStatus::Quarantined => return Err(UnenrolError::Quarantined),
                        DeviceStatus::Decommissioned => return Err(UnenrolError::Unauthorized),
                        DeviceStatus::Pending
                        | DeviceStatus::Online
                        | DeviceStatus::Offline
                        | DeviceStatus::Maintenance => {}
                    }
                    if present.device.token != token {
                        return Err(UnenrolError::Unauthorized);
                    }
                    // Fails closed: whatever became of the key since it was proved counts.
                    if needs_proof(&present) && !present.still_counts(proved) {
                        return Err(UnenrolError::ProofNeeded);
                    }
                    let (mut device, actor) = (present.device, Actor::Device(id));
                    let reason = RevocationReason::CessationOfOperation;
                    revoke_all(w, &device, reason, now, actor.clone()).await?;
                    retire(&mut device, now);
                    w.drop_staged_token(id).await?;
                    let tenant = Some(device.tenant_slug.clone());
                    let entry = AuditEntry::new(tenant, now, AuditEvent::DeviceUnenrolled, actor);
                    change_status(w, device, DeviceEvent::Decommission, entry).await?;
                    Ok(())
                })
            })
            .await?;
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(applied)
    }

    async fn check_key_to_unenrol(
        &self,
        agent: &AgentCaller,
        present: &Present,
        possession: &Possession,
    ) -> Result<(), UnenrolError> {
        match self.check_key(agent, present, ProofSubject::Unenroll, possession).await {
            Ok(()) => Ok(()),
            Err(ProofError::Refused) => {
                self.limits
                    .take(Limited::UnprovedRenewal(agent.id()), self.now())
                    .map_err(UnenrolError::TooMany)?;
                Err(UnenrolError::ProofNeeded)
            }
            Err(ProofError::Key(error)) => Err(error.into()),
            Err(ProofError::Store(error)) => Err(error.into()),
        }
    }
}

/// A device that has, or ever had, a key here is not sent away by whoever has its token alone.
const fn needs_proof(present: &Present) -> bool {
    present.device.pending_key.is_some() || present.device.ever_had_certificate()
}
