//! Whom rules that are only observed would have blocked, for the rollout report.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_core::ids::CertificateRef;
use tokio::sync::mpsc;

/// How many may wait. One that finds no room is noted the next time that it comes.
const WAITING: usize = 1024;

/// A certificate and the rule that would have blocked its holder.
pub(super) type Observed = (CertificateRef, String);

/// Starts the task that notes them; it ends when nobody can report any more.
pub(super) fn record(authority: Arc<Authority>) -> mpsc::Sender<Observed> {
    let (sender, mut observed) = mpsc::channel::<Observed>(WAITING);
    tokio::spawn(async move {
        while let Some((certificate, rule)) = observed.recv().await {
            if let Err(error) = authority.note_rule_would_block_holder(certificate, &rule).await {
                tracing::error!(%error, rule, "observed rule not noted for the rollout report");
            }
        }
    });
    sender
}
