//! Confirm: the device has saved its new certificate, so the old one can go.

use countersign_ca::{KeyError, PublicKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateId, CertificateRef, DeviceId};
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
        match row.state {
            CertificateState::PendingActivation | CertificateState::Active => {}
            CertificateState::Superseded | CertificateState::Revoked | CertificateState::Expired => {
                return Err(ConfirmError::Conflict(row.state));
            }
        }
        match possession {
            Possession::Handshake(claim) if claim.reference == row.reference => {}
            Possession::Signature { challenge, signature } => {
                let key = PublicKey::from_certificate_der(&row.der)?;
                self.check_proof(device, ProofSubject::Confirm(id), *challenge, signature, &key).await?;
            }
            Possession::Handshake(_) | Possession::None => return Err(ConfirmError::ProofNeeded),
        }
        if row.state == CertificateState::Active {
            return Ok(());
        }
        if row.confirm_before.is_some_and(|before| self.now() > before) {
            return Err(ConfirmError::Gone);
        }
        self.activate(id, Actor::Device(device)).await?;
        Ok(())
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
        let now = self.now();
        match found {
            Some(row)
                if row.state == CertificateState::PendingActivation
                    && row.confirm_before.is_none_or(|before| now <= before) =>
            {
                self.activate(row.id, Actor::Device(row.device)).await
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn activate(&self, id: CertificateId, actor: Actor) -> Result<(), StoreError> {
        let now = self.now();
        let changed: Option<DeviceId> = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let Some(row) = w.certificate(id).await? else { return Ok(None) };
                    let Some(device) = w.device(row.device).await? else { return Ok(None) };
                    if row.state != CertificateState::PendingActivation || device.status.is_barred() {
                        return Ok(None);
                    }
                    activate_row(w, device, &row, now, actor).await?;
                    crate::repair::crash_point("confirm");
                    Ok::<_, StoreError>(Some(row.device))
                })
            })
            .await?;
        crate::repair::crash_point("confirmed");
        if let Some(device) = changed {
            self.publish_devices(&[device]).await?;
        }
        Ok(())
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
    w.raise_epoch().await?;
    Ok(())
}
