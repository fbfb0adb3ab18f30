//! The audit shows a refusal at once and how many there were when the minute is over, or the server ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::RequestId;
use countersign_store::{AuditFilter, AuditRecord};
use tokio::sync::{mpsc, oneshot};

use super::house::{House, MINUTE};

fn report(house: &House, outcome: Outcome) -> RefusalReport {
    RefusalReport {
        request: RequestId::random(),
        at: house.now(),
        code: "MTLS_REQUIRED".to_owned(),
        outcome,
        tenant: Some("default".parse().unwrap()),
        address: IpAddr::from([192, 0, 2, 9]),
        facts: BTreeMap::from([("path".to_owned(), "/x".to_owned())]),
    }
}

async fn of(house: &House, event: AuditEvent) -> Vec<AuditRecord> {
    house.audit(AuditFilter { event: Some(event), ..AuditFilter::default() }).await
}

/// Looks until there are so many entries.
async fn until(house: &House, event: AuditEvent, count: usize) -> Vec<AuditRecord> {
    let looking = async {
        loop {
            let found = of(house, event).await;
            if found.len() >= count {
                assert_eq!(found.len(), count);
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.unwrap()
}

#[tokio::test]
async fn the_first_is_written_at_once_the_count_later_and_the_rest_at_the_end() {
    let house = House::new().await;
    let (sender, receiver) = mpsc::channel(64);
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let recording = tokio::spawn(Arc::clone(&house.authority).record_refusals(receiver, stopped));

    let first = report(&house, Outcome::Refused);
    sender.send(first.clone()).await.unwrap();
    let told = until(&house, AuditEvent::Refused, 1).await;
    assert_eq!(told[0].details["requestId"], first.request.to_string());
    for _ in 0..6 {
        sender.send(report(&house, Outcome::Refused)).await.unwrap();
    }
    sender.send(report(&house, Outcome::Failed)).await.unwrap();
    house.pass(MINUTE);
    let counted = until(&house, AuditEvent::RefusalsCounted, 1).await;
    assert_eq!(
        (counted[0].details["count"].as_str(), counted[0].details["of"].as_str()),
        ("7", "access.refused")
    );
    assert_eq!(counted[0].actor, "peer:192.0.2.9");
    let found = AuditFilter { request: Some(first.request), ..AuditFilter::default() };
    assert_eq!(house.audit(found).await.len(), 2, "the entry about it and the count that it begins");

    for _ in 0..3 {
        sender.send(report(&house, Outcome::WouldRefuse)).await.unwrap();
    }
    house.authority.count_unseen_refusals(5);
    stop.send(()).unwrap();
    recording.await.unwrap();
    let counts: Vec<String> = of(&house, AuditEvent::RefusalsCounted)
        .await
        .iter()
        .map(|entry| entry.details["count"].clone())
        .collect();
    assert_eq!(counts, ["5", "3", "7"], "newest first");
    assert_eq!(of(&house, AuditEvent::WouldRefuse).await.len(), 1);
    let explained = first.request;
    let row = house.read(move |r| Box::pin(async move { r.refusal(explained).await })).await.unwrap();
    assert_eq!((row.code.as_str(), &row.facts["outcome"]), ("MTLS_REQUIRED", &serde_json::json!("refused")));
}
