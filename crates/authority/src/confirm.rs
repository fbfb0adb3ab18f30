//! Confirm: the device has saved its new certificate, so the old one can go.

use countersign_ca::{KeyError, PublicKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateId, CertificateRef};
use countersign_core::proof::ProofSubject;
use countersign_core::time::Timestamp;
use countersign_store::DeviceRow;
use countersign_store::{CertificateChange, CertificateRow};
use countersign_store::{StoreError, Writing};
use thiserror::Error;

use crate::agent::{AgentCaller, Possession};
use crate::authority::Authority;
use crate::challenge::ProofError;
use crate::issue::summary_of;
use crate::present::key_is_denied;

/// A confirmation was refused.
#[derive(Debug, Error)]
pub enum ConfirmError {
    /// There is no such certificate, or it is another device's.
    #[error("unknown certificate")]
    Unknown,
    /// It is in a state that cannot be confirmed.
    #[error("the certificate is {0}")]
    Conflict(CertificateState),
    /// Its window is over.
    #[error("the time to confirm is over")]
    Gone,
    /// Possession of the new key was not shown.
    #[error("possession of the new key was not proved")]
    ProofNeeded,
    /// The device is quarantined.
    #[error("the device is quarantined")]
    Quarantined,
    /// The recorded certificate has a key that cannot be read.
    #[error("cannot read the certificate's key")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("cannot confirm the certificate")]
    Store(#[from] StoreError),
}

impl From<ProofError> for ConfirmError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Refused => Self::ProofNeeded,
            ProofError::Key(error) => error.into(),
            ProofError::Store(error) => error.into(),
        }
    }
}

impl Authority {
    /// Confirms a renewed certificate over itself, or by a signature with its key. The old one is
    /// superseded by it. Again is no error.
    ///
    /// # Errors
    /// See [`ConfirmError`].
    pub async fn confirm(
        &self,
        agent: &AgentCaller,
        id: CertificateId,
        possession: &Possession,
    ) -> Result<(), ConfirmError> {
        if agent.is_quarantined() {
            return Err(ConfirmError::Quarantined);
        }
        let device = agent.id();
        let row = self
            .store
            .read(move |r| Box::pin(async move { r.certificate(id).await }))
            .await?
            .filter(|row| row.device == device)
            .ok_or(ConfirmError::Unknown)?;
        check_state(&row, self.now())?;
        match possession {
            Possession::Handshake(claim) if claim.reference == row.reference => {}
            Possession::Signature { challenge, signature, beside: _ } => {
                let key = PublicKey::from_certificate_der(&row.der)?;
                self.check_proof(device, ProofSubject::Confirm(id), *challenge, signature, &key).await?;
            }
            // Its first use, of which the edge told before, made it that: nothing is gained by saying so again.
            Possession::Told(claim)
                if claim.reference == row.reference && row.state == CertificateState::Active => {}
            Possession::Handshake(_) | Possession::Told(_) | Possession::None => {
                return Err(ConfirmError::ProofNeeded);
            }
        }
        if row.state == CertificateState::Active {
            return Ok(());
        }
        self.activate(id, Actor::Device(device)).await
    }

    /// Takes the first use of a certificate at a door as its confirmation. What is not pending any
    /// more, or came too late, changes nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_use(&self, reference: CertificateRef) -> Result<(), StoreError> {
        let found = self
            .store
            .read(move |r| Box::pin(async move { r.certificate_by_reference(&reference).await }))
            .await?;
        let Some(row) = found.filter(|row| row.state == CertificateState::PendingActivation) else {
            return Ok(());
        };
        match self.activate(row.id, Actor::Device(row.device)).await {
            Err(ConfirmError::Store(error)) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes a pending certificate the active one, if nothing speaks against it at this moment.
    async fn activate(&self, id: CertificateId, actor: Actor) -> Result<(), ConfirmError> {
        let now = self.now();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.certificate(id).await?.ok_or(ConfirmError::Unknown)?;
                    let device = w.device(row.device).await?.ok_or(ConfirmError::Unknown)?;
                    if device.status.is_barred() {
                        return Err(ConfirmError::Quarantined);
                    }
                    check_state(&row, now)?;
                    if key_is_denied(w, row.spki).await? {
                        return Err(ConfirmError::ProofNeeded);
                    }
                    if row.state == CertificateState::PendingActivation {
                        activate_row(w, device, &row, now, actor).await?;
                        crate::repair::crash_point("confirm");
                    }
                    Ok(())
                })
            })
            .await?;
        crate::repair::crash_point("confirmed");
        self.publish_changes().await?;
        Ok(())
    }
}

/// Whether a certificate can be confirmed, or is confirmed already.
fn check_state(row: &CertificateRow, now: Timestamp) -> Result<(), ConfirmError> {
    // Cleared once it is confirmed.
    let ended = row.confirm_before.filter(|before| now > *before);
    match (row.state, ended) {
        (CertificateState::Active, _) | (CertificateState::PendingActivation, None) => Ok(()),
        (CertificateState::PendingActivation | CertificateState::Expired, Some(_)) => Err(ConfirmError::Gone),
        (CertificateState::Revoked, Some(before)) if row.revoked_at.is_none_or(|at| at > before) => {
            Err(ConfirmError::Gone)
        }
        (state, _) => Err(ConfirmError::Conflict(state)),
    }
}

async fn activate_row(
    w: &mut Writing<'_>,
    mut device: DeviceRow,
    row: &CertificateRow,
    now: Timestamp,
    actor: Actor,
) -> Result<(), StoreError> {
    let entry = |event, certificate: &CertificateRow| {
        AuditEntry::new(Some(device.tenant_slug.clone()), now, event, actor.clone())
            .device(device.id)
            .certificate(certificate.id)
            .detail("serial", &certificate.reference.serial)
    };
    let overlap = match w.tenant_by_id(device.tenant).await? {
        Some(tenant) => tenant.settings.renewal_overlap_hours.duration(),
        None => return Err(StoreError::raced("tenant", device.tenant)),
    };
    // The old one first: a device has at most one active certificate at any moment.
    for old in w.certificates_of(device.id).await? {
        if old.state == CertificateState::Active {
            let change = CertificateChange::Supersede { until: now + overlap };
            if !w.move_certificate(old.id, old.state, change).await? {
                return Err(StoreError::raced("certificate in state", old.state));
            }
            w.append_audit(&entry(AuditEvent::CertificateSuperseded, &old)).await?;
        }
    }
    if !w.move_certificate(row.id, row.state, CertificateChange::Activate).await? {
        return Err(StoreError::raced("certificate in state", row.state));
    }
    w.append_audit(&entry(AuditEvent::CertificateActivated, row)).await?;
    device.grant_until = None;
    device.pending_key = None;
    if !w.update_device(&device).await? {
        return Err(StoreError::raced("device at revision", device.revision));
    }
    w.set_certificate_summary(device.id, &summary_of(row)).await?;
    w.device_trust_changed(device.id).await?;
    Ok(())
}
