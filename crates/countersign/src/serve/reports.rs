//! What the doors report, handed to the authority.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_core::ids::CertificateRef;
use countersign_edge::{EdgeReport, RefusedRequest};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use super::observed::{self, Observed};

/// How many reports may wait.
const WAITING: usize = 4096;

/// How many first uses may wait.
const FIRST_USES_WAITING: usize = 4096;
/// How many first uses are recorded at once: the store commits together what comes together.
const FIRST_USES_AT_ONCE: usize = 64;

/// Starts the relay; it ends when every door is gone.
pub(super) fn relay(
    authority: Arc<Authority>,
    refusals: mpsc::Sender<RefusalReport>,
) -> mpsc::Sender<EdgeReport> {
    let observed = observed::record(Arc::clone(&authority));
    let unseen = {
        let authority = Arc::clone(&authority);
        move |count| authority.count_unseen_refusals(count)
    };
    let record = move |certificate| {
        let authority = Arc::clone(&authority);
        async move {
            if let Err(error) = authority.first_use(certificate).await {
                tracing::error!(%error, "first use not recorded");
            }
        }
    };
    relay_to(record, unseen, (refusals, observed))
}

/// Refusals that find no room are counted alone, so that a flood of them holds up no first use: the
/// first request of a renewed certificate waits for its report to be taken.
fn relay_to<F>(
    record: impl Fn(CertificateRef) -> F + Send + 'static,
    unseen: impl Fn(u64) + Send + 'static,
    (refusals, observed): (mpsc::Sender<RefusalReport>, mpsc::Sender<Observed>),
) -> mpsc::Sender<EdgeReport>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, mut reports) = mpsc::channel(WAITING);
    let (first_use, first_uses) = mpsc::channel(FIRST_USES_WAITING);
    tokio::spawn(record_first_uses(record, first_uses));
    tokio::spawn(async move {
        let mut is_dropping = false;
        while let Some(report) = reports.recv().await {
            let refusal = match report {
                EdgeReport::Refused(request) => of_request(*request, Outcome::Refused),
                EdgeReport::Failed(request) => of_request(*request, Outcome::Failed),
                EdgeReport::WouldRefuse(request) => {
                    if let (Some(rule), Some(shown)) = (&request.rule, &request.certificate) {
                        // One that finds no room comes again.
                        let _sent = observed.try_send((shown.reference.clone(), rule.clone()));
                    }
                    of_request(*request, Outcome::WouldRefuse)
                }
                EdgeReport::FirstUse(certificate) => {
                    if first_use.send(certificate).await.is_err() {
                        return;
                    }
                    continue;
                }
                EdgeReport::Missed(count) => {
                    unseen(count);
                    continue;
                }
            };
            let is_dropped = match refusals.try_send(refusal) {
                Ok(()) => false,
                Err(TrySendError::Full(_)) => true,
                Err(TrySendError::Closed(_)) => return,
            };
            if is_dropped {
                unseen(1);
            }
            if is_dropped && !is_dropping {
                tracing::warn!("refusals come faster than they can be written down, some are counted alone");
            }
            is_dropping = is_dropped;
        }
    });
    sender
}

async fn record_first_uses<F>(
    record: impl Fn(CertificateRef) -> F,
    mut first_uses: mpsc::Receiver<CertificateRef>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut recording = JoinSet::new();
    while let Some(certificate) = first_uses.recv().await {
        while recording.try_join_next().is_some() {}
        if recording.len() >= FIRST_USES_AT_ONCE {
            recording.join_next().await;
        }
        recording.spawn(record(certificate));
    }
    recording.join_all().await;
}

/// A refusal as the authority writes it down.
pub(crate) fn of_request(request: RefusedRequest, outcome: Outcome) -> RefusalReport {
    let tenant = request.certificate.as_ref().map(|certificate| certificate.identity.tenant().clone());
    let said = [("method", request.method), ("host", request.host), ("path", request.path)];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    let mut facts: BTreeMap<_, _> = said.map(|(name, text)| (name.to_owned(), text)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::ids::RequestId;
    use countersign_core::time::Timestamp;
    use std::time::Duration;

    fn refused() -> EdgeReport {
        EdgeReport::Refused(Box::new(RefusedRequest {
            request_id: RequestId::random(),
            at: Timestamp::from_secs(1),
            code: "MTLS_REQUIRED".to_owned(),
            address: ([192, 0, 2, 1], 1).into(),
            certificate: None,
            untrusted: None,
            standing: None,
            route: None,
            method: "GET".to_owned(),
            host: "door.test".to_owned(),
            path: "/x".to_owned(),
            rule: None,
        }))
    }

    #[tokio::test]
    async fn neither_refusals_nor_one_another_hold_up_first_uses() {
        let (refusals, _nobody_reads) = mpsc::channel(1);
        let (heard, mut hearing) = mpsc::unbounded_channel();
        let record = move |certificate: CertificateRef| {
            heard.send(certificate.serial).unwrap();
            std::future::pending()
        };
        let (observed, _nobody_notes) = mpsc::channel(1);
        let reports = relay_to(record, |_count| {}, (refusals, observed));
        for number in ["01", "02"] {
            for _ in 0..10 {
                reports.send(refused()).await.unwrap();
            }
            let serial = number.parse().unwrap();
            reports
                .send(EdgeReport::FirstUse(CertificateRef { issuer: [1; 32].into(), serial }))
                .await
                .unwrap();
            let recorded = tokio::time::timeout(Duration::from_secs(20), hearing.recv()).await;
            assert_eq!(recorded.unwrap().unwrap().to_string(), number);
        }
    }
}
