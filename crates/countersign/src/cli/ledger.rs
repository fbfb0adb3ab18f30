//! What a root has signed while it was offline: a line of JSON for each certificate and each batch of lists,
//! in a file beside the root's, written before anything is handed out.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_core::time::Timestamp;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde::{Deserialize, Serialize};

use super::ca_ceremony_arguments::OfflineRoot;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LedgerLine {
    /// When.
    pub(super) at: Timestamp,
    /// The root's key, by name.
    pub(super) issuer: String,
    /// What.
    #[serde(flatten)]
    pub(super) signed: LedgerEntry,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signed", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum LedgerEntry {
    /// The certificate of a CA.
    Certificate {
        /// Its serial number.
        serial: String,
        /// Its profile.
        profile: String,
        /// Whom it names.
        subject: String,
        /// Its key, by the SHA-256 of its SubjectPublicKeyInfo.
        spki_sha256: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// Revocation lists.
    Crls {
        /// The highest number among them.
        number: u64,
        /// How many.
        lists: usize,
        /// By when the next are due.
        next_update: Timestamp,
    },
}

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Ledger(PathBuf);

impl Ledger {
    /// The one that was named, or the one beside the root's file.
    pub(super) fn of(root: &OfflineRoot) -> Self {
        let beside = || {
            let mut name = root.root_file.as_os_str().to_owned();
            name.push(".ledger");
            PathBuf::from(name)
        };
        Self(root.ledger.clone().unwrap_or_else(beside))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What a root has signed. Fails closed: a line that cannot be read hides what was signed.
    pub(super) fn read(&self, issuer: &str) -> anyhow::Result<Vec<LedgerEntry>> {
        let text = match fs_err::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).context("read the ledger"),
        };
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line: LedgerLine = serde_json::from_str(line)
                .with_context(|| format!("read line {number} of {}", self.0.display()))?;
            if line.issuer == issuer {
                entries.push(line.signed);
            }
        }
        Ok(entries)
    }

    /// Adds a line; it is on disk when this returns.
    pub(super) fn add(&self, line: &LedgerLine) -> anyhow::Result<()> {
        let text = serde_json::to_string(line).context("write the ledger")?;
        let mut options = fs_err::OpenOptions::new();
        let mut file =
            options.create(true).append(true).mode(0o600).open(&self.0).context("open the ledger")?;
        file.write_all(format!("{text}\n").as_bytes()).context("write the ledger")?;
        file.sync_all().context("write the ledger")
    }
}
