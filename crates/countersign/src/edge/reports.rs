//! What the doors report, on its way to the authority.

use countersign_api::edge::frame::{Report, ReportOutcome};
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_edge::EdgeReport;
use countersign_edge::attach::ReportQueue;
use tokio::sync::mpsc;

use crate::serve::of_request;

/// How many reports may wait to be queued.
const WAITING: usize = 4096;

/// Starts the relay; it ends when every door is gone.
pub(super) fn relay(queue: ReportQueue) -> mpsc::Sender<EdgeReport> {
    let (sender, mut reports) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Some(report) = reports.recv().await {
            queue.add(wire(report));
        }
    });
    sender
}

fn wire(report: EdgeReport) -> Report {
    let mut certificate = None;
    let refusal = match report {
        EdgeReport::Refused(request) => of_request(*request, Outcome::Refused),
        EdgeReport::Failed(request) => of_request(*request, Outcome::Failed),
        EdgeReport::WouldRefuse(request) => {
            // For the rollout list: which device a rule would have blocked.
            let shown = request.certificate.as_ref().map(|shown| shown.reference.clone());
            certificate = shown.filter(|_shown| request.rule.is_some());
            of_request(*request, Outcome::WouldRefuse)
        }
        EdgeReport::FirstUse(certificate) => return Report::FirstUse { certificate },
        EdgeReport::Missed(count) => return Report::Unseen { count },
    };
    let RefusalReport { request, at, code, outcome, tenant, address, facts } = refusal;
    let outcome = match outcome {
        Outcome::Refused => ReportOutcome::Refused,
        Outcome::WouldRefuse => ReportOutcome::WouldRefuse,
        Outcome::Failed => ReportOutcome::Failed,
    };
    Report::Refusal { request, at, code, outcome, tenant, address, facts, certificate }
}
