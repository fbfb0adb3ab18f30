//! Entries of the audit in a file, which appears when it is whole.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use countersign_authority::audit_export::AuditExport;
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// Writes these, one after the other.
pub(crate) async fn write(exports: Vec<AuditExport>, path: &Path) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs_err::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&beside).context("create a file")?;
    for mut export in exports {
        while let Some(piece) = export.next_piece().await.context("read the audit")? {
            file.write_all(piece.as_bytes()).context("write the export")?;
        }
    }
    file.sync_all().context("write the export")?;
    fs_err::rename(&beside, path).context("put the export in place")
}
