//! Every `NAME/NAME-cert.pem` with its key below a directory.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_ca::{CertificateFacts, KeyAlgorithm, certificates_from_pem, serial_of};
use countersign_core::ids::{SerialNumber, SpkiSha256};
use countersign_core::time::Timestamp;

use super::backup::is_backup;
use super::slot::Slot;

/// Directories below more others than this are not looked into.
const DEPTH: usize = 16;

/// A certificate on disk.
#[derive(Debug)]
pub(crate) struct FoundCertificate {
    /// Where it is.
    pub(crate) slot: Slot,
    /// Its serial number.
    pub(crate) serial: SerialNumber,
    /// Its key.
    pub(crate) spki: SpkiSha256,
    /// What kind of key that is.
    pub(crate) algorithm: KeyAlgorithm,
    /// Until when it is good.
    pub(crate) not_after: Timestamp,
    /// The root that came with it, DER, if there is a chain.
    pub(crate) root: Option<Vec<u8>>,
}

/// Looks for them, by path; what cannot be read is told in its place.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn find(directory: &Path) -> anyhow::Result<Vec<(Slot, anyhow::Result<FoundCertificate>)>> {
    let directory = fs_err::canonicalize(directory).context("find the directory with the certificates")?;
    let mut slots = Vec::new();
    walk(&directory, DEPTH, &mut slots)?;
    slots.sort_by(|one, other| one.directory().cmp(other.directory()));
    let read = |slot: Slot| {
        let found = read(&slot).with_context(|| format!("read {}", slot.file("cert").display()));
        (slot, found)
    };
    Ok(slots.into_iter().map(read).collect())
}

/// Hidden directories are ours, or nobody's; links lead elsewhere; backups are what was.
fn walk(directory: &Path, depth: usize, slots: &mut Vec<Slot>) -> anyhow::Result<()> {
    if is_backup(directory) {
        return Ok(());
    }
    if let Some(slot) = Slot::of(directory)
        && slot.file("cert").is_file()
        && slot.file("key").is_file()
    {
        slots.push(slot);
    }
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    for below in directories(directory)? {
        walk(&below, depth, slots)?;
    }
    Ok(())
}

fn directories(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut below = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.file_type()?.is_dir() {
            below.push(entry.path());
        }
    }
    Ok(below)
}

fn read(slot: &Slot) -> anyhow::Result<FoundCertificate> {
    let leaf = first_of(&slot.file("cert"))?;
    let facts = CertificateFacts::of(&leaf)?;
    let chain = slot.file("chain");
    let root = if chain.is_file() {
        let chain = certificates_from_pem(&fs_err::read_to_string(&chain)?);
        chain.context("read the chain beside it")?.pop()
    } else {
        None
    };
    Ok(FoundCertificate {
        slot: slot.clone(),
        serial: serial_of(&leaf)?,
        spki: facts.key.sha256(),
        algorithm: facts.key.algorithm(),
        not_after: facts.not_after,
        root,
    })
}

fn first_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let certificates = certificates_from_pem(&fs_err::read_to_string(path)?)?;
    certificates.into_iter().next().context("there is no certificate in it")
}
