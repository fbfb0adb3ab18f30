//! Backup: every record, sealed keys among them, in one encrypted file; never the key-encryption key.

use std::io::Write;

use countersign_ca::{BackupFileError, BackupWriter, SecretFile};
use countersign_core::time::Timestamp;
use countersign_store::{ArchiveError, ArchiveFacts, CopyProgress, StoreUrl, archive};
use thiserror::Error;

/// There is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file cannot be written.
    #[error("cannot write the backup")]
    File(#[from] BackupFileError),
    /// The records cannot be read.
    #[error("cannot read the records")]
    Archive(#[from] ArchiveError),
}

/// Writes every record of a database as it is at one moment, encrypted with a key from a passphrase, while
/// servers go on writing it. `now` is the present moment.
///
/// # Errors
/// See [`BackupError`]; what was written until then does not open.
pub async fn backup<W: Write + Send>(
    database: &StoreUrl,
    passphrase: &SecretFile,
    to: W,
    now: Timestamp,
    progress: impl FnMut(CopyProgress<'_>) + Send,
) -> Result<(W, ArchiveFacts), BackupError> {
    let mut writer = BackupWriter::begin(to, passphrase)?;
    let facts = archive(database, &mut writer, now, progress).await?;
    Ok((writer.finish()?, facts))
}
