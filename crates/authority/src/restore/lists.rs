//! The last revocation lists: which of them count, and what they revoke.

use std::time::Duration;

use countersign_ca::{CertificateFacts, CrlEntry, ReadCrl};
use countersign_core::audit::Actor;
use countersign_core::certificate::{CertificateEvent, RevocationReason};
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CertificateRef, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{CrlName, IssuerRole, IssuerRow, IssuerState, RevocationRow, StoreError, Writing};

use super::RestoreError;
use crate::revoke::{revoke_row, revoke_with_company};

/// The longest life of a device's certificate.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 86_400);

/// A list that told what was revoked after the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUsed {
    /// Whose.
    pub ca: String,
    /// Its number.
    pub number: u64,
    /// What was revoked after this is not on it.
    pub this_update: Timestamp,
    /// How many certificates it names.
    pub entries: u64,
}

/// A list that a CA on record signed.
pub(super) struct Believed {
    pub(super) used: ListUsed,
    issuer: IssuerKeyId,
    entries: Vec<CrlEntry>,
    /// When the last certificate ends that may be on it.
    last_end: Timestamp,
}

/// The lists that CAs on record signed; one of a CA that is not on record says nothing about what is.
/// Fails closed: of every CA that signs devices or services the whole list is there, and none is older
/// than the one that the backup has.
pub(super) async fn checked(w: &mut Writing<'_>, lists: Vec<ReadCrl>) -> Result<Vec<Believed>, RestoreError> {
    let issuers = w.issuers().await?;
    let mut believed = Vec::with_capacity(lists.len());
    let mut covered = Vec::with_capacity(lists.len());
    for list in lists {
        let Some(issuer) = issuers.iter().find(|issuer| list.is_signed_by(&issuer.certificate)) else {
            tracing::warn!(
                number = list.number,
                "revocation list of a ca that is not in the backup left out"
            );
            continue;
        };
        if list.is_whole {
            not_older(w, issuer, list.number).await?;
            covered.push(issuer.key_id);
        }
        believed.push(believe(issuer, list));
    }
    let missing = |issuer: &&IssuerRow| {
        matches!(issuer.role, IssuerRole::Device | IssuerRole::Service)
            && matches!(issuer.state, IssuerState::Active | IssuerState::Retiring)
            && !covered.contains(&issuer.key_id)
    };
    match issuers.iter().find(missing) {
        Some(issuer) => Err(RestoreError::MissingList(issuer.name.to_string())),
        None => Ok(believed),
    }
}

async fn not_older(w: &mut Writing<'_>, issuer: &IssuerRow, number: u64) -> Result<(), RestoreError> {
    let on_record = w.latest_crl(CrlName { issuer: issuer.key_id, scope: CrlScope::Whole }).await?;
    match on_record.map(|crl| crl.number) {
        Some(on_record) if number < on_record => {
            Err(RestoreError::OldList { ca: issuer.name.to_string(), number, on_record })
        }
        Some(_) | None => Ok(()),
    }
}

fn believe(issuer: &IssuerRow, list: ReadCrl) -> Believed {
    let longest = list.this_update + LONGEST_LIFE;
    let end = CertificateFacts::of(&issuer.certificate).map_or(longest, |facts| facts.not_after);
    let last_end = match issuer.role {
        IssuerRole::Device => end.min(longest),
        IssuerRole::Service | IssuerRole::Root | IssuerRole::Intermediate => end,
    };
    let used = ListUsed {
        ca: issuer.name.to_string(),
        number: list.number,
        this_update: list.this_update,
        entries: list.entries.len() as u64,
    };
    Believed { used, issuer: issuer.key_id, entries: list.entries, last_end }
}

impl Believed {
    /// Revokes what is on the list and was not revoked at the backup; says how many.
    pub(super) async fn apply(&self, w: &mut Writing<'_>, now: Timestamp) -> Result<u64, StoreError> {
        let mut revoked = 0;
        for entry in &self.entries {
            let reference = CertificateRef { issuer: self.issuer, serial: entry.serial.clone() };
            revoked += u64::from(self.revoke(w, reference, entry, now).await?);
        }
        Ok(revoked)
    }

    async fn revoke(
        &self,
        w: &mut Writing<'_>,
        reference: CertificateRef,
        entry: &CrlEntry,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let at = entry.revoked_at.min(now);
        let Some(row) = w.certificate_by_reference(&reference).await? else {
            let row = RevocationRow {
                reference,
                spki: None,
                revoked_at: at,
                reason: entry.reason,
                expires_at: self.last_end,
            };
            let of_a_service = w.revoke_service_certificate(&row).await?.is_some();
            return Ok(of_a_service || w.insert_revocation(&row).await?);
        };
        let Some(device) = w.device(row.device).await? else { return Ok(false) };
        if row.state.apply(CertificateEvent::Revoke).is_err() {
            return Ok(false);
        }
        if entry.reason == RevocationReason::Superseded {
            // Replaced by a renewal: the device has a newer one, and that has to be proved.
            revoke_row(w, &device, &row, entry.reason, at, Actor::Operator).await?;
            w.device_trust_changed(device.id).await?;
        } else {
            revoke_with_company(w, device, &row, entry.reason, (at, Actor::Operator)).await?;
        }
        Ok(true)
    }
}
