//! What the store says about a device's keys at one moment, and what follows for a renewal.

use countersign_ca::{KeyError, PublicKey};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{DeviceId, SpkiSha256};
use countersign_core::renewal::{RenewalDecision, RenewalFacts, decide};
use countersign_core::settings::MtlsSettings;
use countersign_core::time::Timestamp;
use countersign_store::{CertificateRow, DeviceRow, Reading, StoreError};

/// A device with the certificates that count.
pub(crate) struct Present {
    pub(crate) device: DeviceRow,
    /// The active one, or the last that was active if that has expired. One that was revoked leaves
    /// nothing: the key before it must not count again.
    pub(crate) current: Option<CertificateRow>,
    pub(crate) pending: Option<CertificateRow>,
    is_key_denied: bool,
}

impl Present {
    /// Reads it; `None` when there is no such device.
    pub(crate) async fn read(r: &mut Reading<'_>, id: DeviceId) -> Result<Option<Self>, StoreError> {
        let Some(device) = r.device(id).await? else { return Ok(None) };
        let rows = r.certificates_of(id).await?;
        let in_state = |state| rows.iter().find(|row| row.state == state).cloned();
        // What was never confirmed was never in use.
        let last_in_use = rows.iter().find(|row| row.confirm_before.is_none());
        let expired = last_in_use.filter(|row| row.state == CertificateState::Expired).cloned();
        let mut present = Self {
            current: in_state(CertificateState::Active).or(expired),
            pending: in_state(CertificateState::PendingActivation),
            is_key_denied: false,
            device,
        };
        if let Some(key) = present.key_sha256() {
            present.is_key_denied = key_is_denied(r, key).await?;
        }
        Ok(Some(present))
    }

    /// The active certificate.
    pub(crate) fn active(&self) -> Option<&CertificateRow> {
        self.current.as_ref().filter(|row| row.state == CertificateState::Active)
    }

    /// The active certificate, if it is what possession is shown by and has not ended.
    pub(crate) fn usable(&self, now: Timestamp) -> Option<&CertificateRow> {
        self.active().filter(|row| self.device.pending_key.is_none() && !row.lifetime.is_expired(now))
    }

    /// The key that counts for this device: the one kept from an enrolment that got no certificate,
    /// or else that of its current certificate. Fails closed: none, if that is denied.
    pub(crate) fn key(&self) -> Result<Option<PublicKey>, KeyError> {
        if self.is_key_denied {
            return Ok(None);
        }
        match (&self.device.pending_key, &self.current) {
            (Some(der), _) => PublicKey::from_spki_der(der).map(Some),
            (None, Some(current)) => PublicKey::from_certificate_der(&current.der).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Whether the key that counts is still the one that was proved.
    pub(crate) fn still_counts(&self, proved: Option<SpkiSha256>) -> bool {
        !self.is_key_denied && self.key_sha256() == proved
    }

    /// The same key, hashed, denied or not.
    pub(crate) fn key_sha256(&self) -> Option<SpkiSha256> {
        match &self.device.pending_key {
            Some(der) => Some(SpkiSha256::of(der)),
            None => self.current.as_ref().map(|row| row.spki),
        }
    }

    /// Whether the device gets a new certificate, once it has proved that key.
    pub(crate) fn decide(&self, settings: &MtlsSettings, now: Timestamp) -> RenewalDecision {
        let current = self.current.as_ref().filter(|_| self.device.pending_key.is_none());
        let facts = RenewalFacts {
            status: self.device.status,
            current: current.map(|row| row.lifetime),
            grant_until: self.device.grant_until,
        };
        decide(facts, settings, now)
    }
}

/// Whether a key proves nothing: denied, or that of a revoked certificate.
pub(crate) async fn key_is_denied(r: &mut Reading<'_>, key: SpkiSha256) -> Result<bool, StoreError> {
    Ok(r.is_key_denied(key).await? || r.spki_was_revoked(key).await?)
}
