//! Whose session it is, judged again with every packet that publishes or subscribes.

use std::sync::Arc;

use countersign_core::snapshot::Standing;
use countersign_core::time::Clock;

use super::party::Credential;
use super::session::End;
use super::wire::Kind;
use crate::trust::Current;

/// Who was admitted, and what judges it from then on.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) credential: Credential,
    pub(super) current: Arc<Current>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Holder {
    /// Where its certificate stands now.
    pub(super) fn standing(&self) -> Standing {
        self.credential.standing(&self.current.load().snapshot, self.clock.now())
    }

    /// Whether it may send a packet of this kind now.
    ///
    /// # Errors
    /// Why its session ends, when it may not go on: a change of the snapshot counts from the next packet on,
    /// not from when the walk over the live connections reaches this one.
    pub(super) fn may_send(&self, kind: Kind) -> Result<(), End> {
        let is_judged = matches!(kind, Kind::Publish | Kind::Subscribe);
        if !is_judged || self.credential.may_go_on(&self.current.load().snapshot, self.clock.now()) {
            return Ok(());
        }
        Err(self.end())
    }

    /// Why a connection ends that was told to.
    pub(super) fn end(&self) -> End {
        match self.standing() {
            Standing::Valid | Standing::Pending => End::Drained,
            Standing::Superseded | Standing::Expired | Standing::NotYetValid => End::Lapsed,
            Standing::Revoked
            | Standing::Quarantined
            | Standing::Decommissioned
            | Standing::TenantSuspended
            | Standing::Unproved
            | Standing::Foreign => End::Cut,
        }
    }
}
