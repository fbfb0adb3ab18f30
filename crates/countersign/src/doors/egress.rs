//! Where local services reach upstreams.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_core::time::SystemClock;
use countersign_edge::{EdgeReport, Egress, EgressAddress, EgressInputs, EgressSocket};
use countersign_supervisor::Sockets;
use countersign_tls::ServerCredentials;
use tokio::sync::mpsc;

use super::listening::EGRESS;
use crate::config::Resolved;

/// Opens the listeners; `None` where none is wanted.
///
/// # Errors
/// Fails closed: with one that cannot be as the configuration wants it, none is open.
pub(super) fn open(
    config: &Resolved,
    credentials: &Arc<ServerCredentials>,
    reports: &mpsc::Sender<EdgeReport>,
    sockets: &mut Sockets,
) -> anyhow::Result<Option<Egress>> {
    if config.egress.is_empty() {
        return Ok(None);
    }
    let inputs = EgressInputs {
        credentials: Some(Arc::clone(credentials)),
        reports: reports.clone(),
        clock: Arc::new(SystemClock),
    };
    let handed = |address: &EgressAddress| match address {
        EgressAddress::Tcp(address) => sockets.take_one(EGRESS, *address).map(EgressSocket::Tcp),
        EgressAddress::Unix(path) => sockets.take_at(path).map(EgressSocket::Unix),
    };
    Egress::start_on(&config.egress, inputs, handed).context("open the egress").map(Some)
}
