//! `countersign restore`: a backup becomes the installation.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_authority::anchors::anchor_at_rest;
use countersign_authority::restore::{Ended, RestoreError, RestorePlan, Restored, RevokedSince, restore};
use countersign_ca::ReadCrl;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::{ArchiveError, Store, StoreError};
use serde_json::{Value, json};

use super::backup::{Shown, secret};
use super::backup_arguments::RestoreArguments;
use super::failure::Failure;
use super::output::{note, print, print_json, warn};
use super::run::{block_on, loaded};
use crate::config::Resolved;
use crate::serve::files::make_private_directory;

/// Restores everything, or nothing.
pub(super) fn run(arguments: RestoreArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let passphrase = secret(&arguments.passphrase_file)?;
    let revoked = if arguments.accept_revocation_gap {
        RevokedSince::Unknown
    } else {
        RevokedSince::Lists(lists(&arguments.crls)?)
    };
    if let Some(directory) = config.database.path().and_then(Path::parent) {
        make_private_directory(directory)?;
    }
    note(&format!("checking {}", arguments.from.display()));
    let mut shown = Shown::default();
    let (restored, cannot_sign) = block_on(async {
        let open = || fs_err::File::open(&arguments.from);
        let plan = RestorePlan {
            database: &config.database,
            passphrase: &passphrase,
            revoked,
            now: SystemClock.now(),
        };
        let restored = restore(open, plan, |step| shown.step(step)).await.map_err(failure)?;
        Ok((restored, anchored(&config).await.err()))
    })?;
    if let Some(error) = &cannot_sign {
        warn(&format!("nothing can be signed yet: {error:#}"));
    }
    if arguments.json {
        return Ok(print_json(&as_json(&restored, cannot_sign.as_ref()))?);
    }
    Ok(print(&text(&restored))?)
}

fn lists(paths: &[PathBuf]) -> Result<Vec<ReadCrl>, Failure> {
    let list = |path: &PathBuf| {
        let contents = fs_err::read(path).context("read a revocation list")?;
        ReadCrl::from_file(&contents).with_context(|| format!("read {}", path.display()))
    };
    Ok(paths.iter().map(list).collect::<anyhow::Result<_>>()?)
}

/// Anchors the audit, with the entry about the restoration at its end: shows at the same time whether the
/// key-encryption key is at hand and the right one.
async fn anchored(config: &Resolved) -> anyhow::Result<()> {
    let store = Store::open(&config.database).await.context("open the database")?;
    let anchored = anchor_at_rest(&store, &config.key_encryption_key, SystemClock.now()).await;
    store.close().await;
    anchored.map(drop).context("anchor the audit")
}

fn failure(error: RestoreError) -> Failure {
    let hint = match &error {
        RestoreError::File(_) => "nothing was changed",
        RestoreError::Archive(ArchiveError::NotEmpty { .. }) => {
            "nothing was changed; name another --data-dir or --database-url, or move away what is there"
        }
        RestoreError::Archive(ArchiveError::Newer(_)) => "nothing was changed; use the version that made it",
        RestoreError::Archive(ArchiveError::Store(StoreError::Locked(_))) => {
            "nothing was changed; stop the server that has it open"
        }
        RestoreError::MissingList(_) | RestoreError::OldList { .. } => {
            "nothing was changed; --crl names the last list that anybody has, from /pki/crl, and \
             --accept-revocation-gap does without: then every device waits for approval"
        }
        RestoreError::Archive(_) | RestoreError::Clock { .. } | RestoreError::Store(_) => {
            "nothing was changed"
        }
    };
    Failure::from(anyhow::Error::new(error).context("restore the backup")).hint(hint)
}

fn text(restored: &Restored) -> String {
    let Restored { taken_at, trust_domain, rows, version, lists, ended } = restored;
    let Ended { certificates, devices, enrollment_keys, api_tokens, provisioning_tokens, people } = ended;
    let mut text = format!(
        "Restored {trust_domain} as of {taken_at}: {rows} rows, generation {}.\n",
        version.generation
    );
    for list in lists {
        // Writing to a String cannot fail, here and below.
        let _written = writeln!(
            text,
            "Revoked since, by list {} of the CA {} of {}: what was revoked later is not known.",
            list.number, list.ca, list.this_update
        );
    }
    let _written = write!(
        text,
        "\n  {certificates:>8} certificates revoked\n  {devices:>8} devices wait for approval\n  \
         {enrollment_keys:>8} enrolment keys revoked\n  {api_tokens:>8} API tokens revoked\n  \
         {provisioning_tokens:>8} provisioning tokens ended\n  \
         {people:>8} people disabled; owners sign in and enable them\n\n\
         Certificates that were issued after the backup are refused until their devices prove them.\n"
    );
    text
}

fn as_json(restored: &Restored, cannot_sign: Option<&anyhow::Error>) -> Value {
    let lists: Vec<Value> = restored
        .lists
        .iter()
        .map(|list| {
            json!({ "ca": list.ca, "number": list.number, "thisUpdate": list.this_update, "entries": list.entries })
        })
        .collect();
    let ended = restored.ended;
    json!({
        "takenAt": restored.taken_at,
        "trustDomain": restored.trust_domain,
        "rows": restored.rows,
        "generation": restored.version.generation,
        "epoch": restored.version.epoch,
        "lists": lists,
        "certificatesRevoked": ended.certificates,
        "devicesWaiting": ended.devices,
        "enrollmentKeysRevoked": ended.enrollment_keys,
        "apiTokensRevoked": ended.api_tokens,
        "provisioningTokensEnded": ended.provisioning_tokens,
        "peopleDisabled": ended.people,
        "cannotSign": cannot_sign.map(|error| format!("{error:#}")),
    })
}
