//! Removes old entries of the audit, once they are in the folder where they are to be kept, if there is one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::audit_retention::AuditCut;
use tokio::time::MissedTickBehavior;

use crate::audit_file;
use crate::config::AuditKept;
use crate::serve::files::write_private;

/// How often is looked for what is old enough.
const LOOK: Duration = Duration::from_secs(10);

/// Looks, for ever.
pub(crate) async fn keep(authority: Arc<Authority>, kept: AuditKept) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    if let Err(error) = authority.remove_cut_audit().await {
        tracing::error!(%error, "what was left of old audit entries not removed");
    }
    loop {
        tick.tick().await;
        if let Err(error) = look(&authority, &kept).await {
            tracing::error!(error = format!("{error:#}"), "old audit entries not removed");
        }
    }
}

async fn look(authority: &Authority, kept: &AuditKept) -> anyhow::Result<()> {
    let Some(cut) = authority.audit_to_cut(kept.age).await? else { return Ok(()) };
    let number = cut.anchor().statement().number;
    let kept_in = match &kept.folder {
        Some(folder) => Some(put_aside(authority, &cut, folder).await.context("keep what goes")?),
        None => None,
    };
    authority.cut_audit(cut, kept_in).await?;
    authority.remove_cut_audit().await?;
    tracing::info!(anchor = number, "old audit entries removed");
    Ok(())
}

/// What goes, and the anchor that vouches for it: the file's name.
async fn put_aside(authority: &Authority, cut: &AuditCut, folder: &Path) -> anyhow::Result<String> {
    let name = format!("audit-{}.jsonl", cut.anchor().statement().number);
    audit_file::write(authority.export_cut(cut).await?, &folder.join(&name)).await?;
    let anchor = folder.join(&name).with_extension("anchor.json");
    write_private(&anchor, cut.anchor().to_file().as_bytes())?;
    // Both names are on the disk before anything goes.
    fs_err::File::open(folder).and_then(|folder| folder.sync_all()).context("keep the names of the files")?;
    Ok(name)
}
