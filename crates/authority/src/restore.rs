//! Restore: a backup becomes the installation, and nothing in it is trusted that may have fallen since.
//!
//! What happened between the backup and the loss is not on record. So versions are raised above any that
//! doors and others have seen; certificates that were issued since are denied until they are proved; what
//! was revoked since comes from the last revocation lists, and a device that no list can tell about waits
//! for an admin; and whatever gives access without a certificate ends.

use std::io::{self, BufReader, Read};
use std::time::Duration;

use countersign_ca::{BackupFileError, BackupReader, ReadCrl, SecretFile};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::device::QuarantineReason;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::{SnapshotVersion, UnprovedPeriod};
use countersign_core::time::Timestamp;
use countersign_store::{
    ArchiveError, ArchiveFacts, CopyProgress, IssuerRole, IssuerState, Restoring, StoreError, StoreUrl,
    UnprovedPeriodRow, Writing, inspect_archive,
};
use thiserror::Error;

use crate::issue::abandon_intent;
use crate::quarantine::quarantine;

mod lists;

pub use lists::ListUsed;

/// By how much notBefore may lie before the moment of issuance, and clocks of several machines apart.
const MARGIN: Duration = Duration::from_secs(900);

/// By how much more it lies before that in the certificates of services.
const SERVICE_BACKDATING: Duration = Duration::from_secs(86_400);

/// What is known of revocations since the backup.
#[derive(Debug)]
pub enum RevokedSince {
    /// The last revocation lists: of every CA that signs devices or services its whole one.
    Lists(Vec<ReadCrl>),
    /// Nothing: every device waits for an admin.
    Unknown,
}

/// What is to be restored, and where.
#[derive(Debug)]
pub struct RestorePlan<'a> {
    /// An empty database, or one that is not there yet.
    pub database: &'a StoreUrl,
    /// The passphrase of the backup.
    pub passphrase: &'a SecretFile,
    /// What is known of revocations since.
    pub revoked: RevokedSince,
    /// The present moment.
    pub now: Timestamp,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The moment of the backup.
    pub taken_at: Timestamp,
    /// The installation's trust domain.
    pub trust_domain: String,
    /// How many rows it has.
    pub rows: u64,
    /// The version of its trust snapshot.
    pub version: SnapshotVersion,
    /// The lists that told what was revoked since.
    pub lists: Vec<ListUsed>,
    /// What was ended.
    pub ended: Ended,
}

/// What was ended because nobody knows what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Certificates that lists revoked.
    pub certificates: u64,
    /// Devices that wait for an admin.
    pub devices: u64,
    /// Enrolment keys.
    pub enrollment_keys: u64,
    /// API tokens.
    pub api_tokens: u64,
    /// Provisioning tokens.
    pub provisioning_tokens: u64,
    /// People.
    pub people: u64,
}

/// Nothing was restored; the database is as it was.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The file cannot be read.
    #[error("cannot read the backup")]
    File(#[from] BackupFileError),
    /// What is in it cannot be restored.
    #[error("cannot restore the records")]
    Archive(#[from] ArchiveError),
    /// The clock is wrong.
    #[error("the backup is of {taken_at}, and the clock says {now}: set it right, numbers are taken from it")]
    Clock {
        /// The moment of the backup.
        taken_at: Timestamp,
        /// The present one, as it seems.
        now: Timestamp,
    },
    /// A list is missing.
    #[error("no revocation list of the CA {0} is given: its whole one is needed")]
    MissingList(String),
    /// A list is from before the backup.
    #[error("the revocation list of the CA {ca} has number {number}, and the backup has {on_record} already")]
    OldList {
        /// Whose.
        ca: String,
        /// Its number.
        number: u64,
        /// That of the list in the backup.
        on_record: u64,
    },
    /// The store failed.
    #[error("cannot write the records")]
    Store(#[from] StoreError),
}

/// Restores a backup onto an empty database: `open` opens its file, which is read twice, the first time
/// before the database is touched.
///
/// # Errors
/// See [`RestoreError`]. All of it is one transaction: when it fails, or is killed, nothing is there.
pub async fn restore<R: Read + Send>(
    open: impl Fn() -> io::Result<R>,
    plan: RestorePlan<'_>,
    progress: impl FnMut(CopyProgress<'_>) + Send,
) -> Result<Restored, RestoreError> {
    let RestorePlan { database, passphrase, revoked, now } = plan;
    let contents = || {
        let file = open().map_err(BackupFileError::File)?;
        BackupReader::begin(BufReader::new(file), passphrase)
    };
    let facts = inspect_archive(&mut contents()?)?;
    if now < facts.taken_at() {
        return Err(RestoreError::Clock { taken_at: facts.taken_at(), now });
    }
    let mut restoring = Restoring::begin(database).await?;
    crate::repair::crash_point("restore-begun");
    let again = restoring.fill(&mut contents()?, progress).await?;
    if again != facts {
        let said = "it changed while it was read".to_owned();
        return Err(ArchiveError::Format(said).into());
    }
    let restored =
        restoring.change(move |w| Box::pin(async move { settle(w, &facts, revoked, now).await })).await?;
    crate::repair::crash_point("restore");
    restoring.commit().await?;
    Ok(restored)
}

/// Everything that is not as it was at the backup.
async fn settle(
    w: &mut Writing<'_>,
    facts: &ArchiveFacts,
    revoked: RevokedSince,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let taken_at = facts.taken_at();
    // Milliseconds since 1970: more than any installation has changes of trust or signs lists.
    w.raise_versions(u64::try_from(now.millis()).unwrap_or_default()).await?;
    w.want_every_crl().await?;
    deny_unproved(w, taken_at, now).await?;
    w.end_what_was_open().await?;
    abandon_what_was_begun(w, now).await?;
    let mut ended = Ended {
        enrollment_keys: w.revoke_enrollment_keys(now).await?,
        api_tokens: w.revoke_api_tokens(now).await?,
        provisioning_tokens: w.end_provisioning_tokens(now).await?,
        people: w.disable_people(now).await?,
        ..Ended::default()
    };
    let mut entry = AuditEntry::new(None, now, AuditEvent::InstallationRestored, Actor::Operator)
        .detail("backupOf", taken_at);
    let lists = match revoked {
        RevokedSince::Unknown => {
            let everybody = w.devices_not_barred().await?;
            ended.devices = wait_for_an_admin(w, everybody, now).await?;
            Vec::new()
        }
        RevokedSince::Lists(lists) => {
            // Before the lists: a device whose certificate was replaced since shows the newer one.
            let beyond = w.devices_beyond_lists(now).await?;
            ended.devices = wait_for_an_admin(w, beyond, now).await?;
            let used = lists::checked(w, lists).await?;
            let mut described = Vec::with_capacity(used.len());
            for list in used {
                ended.certificates += list.apply(w, now).await?;
                entry = entry.detail(&format!("crlNumber.{}", list.used.ca), list.used.number);
                described.push(list.used);
            }
            described
        }
    };
    let version = w.snapshot_version().await?;
    entry = entry
        .detail("generation", version.generation)
        .detail("certificatesRevoked", ended.certificates)
        .detail("devicesQuarantined", ended.devices)
        .detail("enrollmentKeysRevoked", ended.enrollment_keys)
        .detail("apiTokensRevoked", ended.api_tokens)
        .detail("provisioningTokensEnded", ended.provisioning_tokens)
        .detail("peopleDisabled", ended.people);
    w.append_audit(&entry).await?;
    let (trust_domain, rows) = (facts.trust_domain.clone(), facts.rows());
    Ok(Restored { taken_at, trust_domain, rows, version, lists, ended })
}

/// Denies, per issuer of devices and of services, what was issued after the backup and is not on record.
/// What services get is dated back by a day.
async fn deny_unproved(w: &mut Writing<'_>, taken_at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    for issuer in w.issuers().await? {
        let backdating = match issuer.role {
            _ if issuer.state == IssuerState::Retired => continue,
            IssuerRole::Device => Duration::ZERO,
            IssuerRole::Service | IssuerRole::Intermediate => SERVICE_BACKDATING,
            IssuerRole::Root => continue,
        };
        let period = UnprovedPeriod { from: taken_at - MARGIN - backdating, until: now + MARGIN };
        w.insert_unproved_period(UnprovedPeriodRow { issuer: issuer.key_id, period }, now).await?;
    }
    Ok(())
}

/// What was being signed at the moment of the backup is revoked, as after a crash.
async fn abandon_what_was_begun(w: &mut Writing<'_>, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let begun = w.unfinished_intents().await?;
        if begun.is_empty() {
            return Ok(());
        }
        for intent in &begun {
            abandon_intent(w, intent, now).await?;
        }
    }
}

async fn wait_for_an_admin(
    w: &mut Writing<'_>,
    devices: Vec<DeviceId>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut waiting = 0;
    for id in devices {
        let Some(device) = w.device(id).await? else { continue };
        let reason = QuarantineReason::known(QuarantineReason::RESTORED);
        waiting += u64::from(quarantine(w, device, reason, now, Actor::Operator).await?);
    }
    Ok(waiting)
}
