//! What the doors report, handed to the authority.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_edge::{EdgeReport, RefusedRequest};
use tokio::sync::mpsc;

/// How many reports may wait.
const WAITING: usize = 4096;

/// Starts the relay; it ends when every door is gone.
pub(super) fn relay(
    authority: Arc<Authority>,
    refusals: mpsc::Sender<RefusalReport>,
) -> mpsc::Sender<EdgeReport> {
    let (sender, mut reports) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Some(report) = reports.recv().await {
            let refusal = match report {
                EdgeReport::Refused(request) => of_request(*request, Outcome::Refused),
                EdgeReport::WouldRefuse(request) => of_request(*request, Outcome::WouldRefuse),
                EdgeReport::FirstUse(certificate) => {
                    if let Err(error) = authority.first_use(certificate).await {
                        tracing::error!(%error, "first use not recorded");
                    }
                    continue;
                }
            };
            if refusals.send(refusal).await.is_err() {
                return;
            }
        }
    });
    sender
}

fn of_request(request: RefusedRequest, outcome: Outcome) -> RefusalReport {
    let tenant = request.certificate.as_ref().map(|certificate| certificate.identity.tenant().clone());
    let mut facts = BTreeMap::from([
        ("method".to_owned(), request.method),
        ("host".to_owned(), request.host),
        ("path".to_owned(), request.path),
    ]);
    let mut note = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
        }
    };
    note("route", request.route);
    note("rule", request.rule);
    note("untrusted", request.untrusted.map(ToOwned::to_owned));
    note("standing", request.standing.map(|standing| format!("{standing:?}")));
    if let Some(certificate) = request.certificate {
        note("identity", Some(certificate.identity.uri()));
        note("serial", Some(certificate.reference.serial.to_string()));
        note("issuer", Some(certificate.reference.issuer.to_string()));
        note("notAfter", Some(certificate.not_after.to_string()));
    }
    RefusalReport {
        request: request.request_id,
        at: request.at,
        code: request.code,
        outcome,
        tenant,
        address: request.address.ip(),
        facts,
    }
}
