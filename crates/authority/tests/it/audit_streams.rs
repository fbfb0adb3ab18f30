//! Copies of the audit: every entry in order, by one authority at a time, again until it has arrived; and somebody hears
//! when none does.

use countersign_authority::alerts::{AlertFilter, AlertsOnly};
use countersign_authority::audit_streams::{StreamBatch, StreamStart, StreamStatus, WantedStream};
use countersign_authority::devices::LookError;
use countersign_authority::{IssuerMode, View};
use countersign_store::{AuditFilter, Role};

use super::house::{House, MINUTE, SECOND};

fn wanted(name: &str, from: StreamStart) -> WantedStream {
    WantedStream { name: name.to_owned(), from }
}

async fn house() -> House {
    let house = House::new().await;
    let both = vec![wanted("all", StreamStart::Beginning), wanted("new", StreamStart::Now)];
    house.authority.stream_audit_to(both).await.unwrap();
    house
}

fn numbers(batch: &StreamBatch) -> Vec<(String, u64)> {
    let read = |entry: &str| {
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(entry).unwrap();
        let of = |name: &str| line.get(name).unwrap();
        (of("chain").as_str().unwrap().to_owned(), of("sequence").as_u64().unwrap())
    };
    batch.entries.iter().map(|entry| read(&entry.json)).collect()
}

async fn status(house: &House, name: &str) -> StreamStatus {
    let all = house.authority.audit_streams(&house.view()).await.unwrap();
    all.into_iter().find(|one| one.row.name == name).unwrap()
}

#[tokio::test]
async fn what_is_on_record_is_sent_first_and_what_comes_next_follows() {
    let house = house().await;
    let filter = AuditFilter { limit: 500, ..AuditFilter::default() };
    let mut on_record = house.audit(filter).await;
    on_record.reverse();
    let first = house.authority.audit_to_send("all").await.unwrap().unwrap();
    assert_eq!(first.entries.len(), on_record.len());
    assert_eq!(first.entries[0].event, on_record[0].event.as_str());
    let name = first.name();
    assert!(house.authority.audit_to_send("new").await.unwrap().is_none(), "it begins now");
    assert!(house.authority.audit_to_send("all").await.unwrap().is_none(), "it is taken");

    let other = house.reopened(IssuerMode::Embedded).await;
    assert!(other.audit_to_send("all").await.unwrap().is_none(), "by somebody else too");
    house.pass(MINUTE);
    let again = other.audit_to_send("all").await.unwrap().unwrap();
    assert_eq!((again.name(), numbers(&again)), (name, numbers(&first)), "whoever had it may be gone");
    other.audit_arrived(again).await.unwrap();
    house.authority.audit_arrived(first).await.unwrap();

    house.device("ws-01").await;
    for stream in ["all", "new"] {
        let next = house.authority.audit_to_send(stream).await.unwrap().unwrap();
        assert!(next.entries.iter().any(|entry| entry.event == "device.enrolled"));
        house.authority.audit_arrived(next).await.unwrap();
        assert!(house.authority.audit_to_send(stream).await.unwrap().is_none(), "that was all");
    }
    let done = status(&house, "all").await;
    assert_eq!((done.behind, done.oldest, done.row.arrived_at), (0, None, Some(house.now())));
}

#[tokio::test]
async fn what_does_not_arrive_is_sent_more_and_more_seldom_and_somebody_hears_of_it() {
    let house = house().await;
    let mut tries = 0;
    for _ in 0..60 {
        if let Some(batch) = house.authority.audit_to_send("all").await.unwrap() {
            tries += 1;
            house.authority.audit_not_arrived(batch, "no route").await.unwrap();
        }
        house.pass(SECOND * 10);
    }
    assert!((6..=9).contains(&tries), "{tries}");
    house.authority.sweep().await.unwrap();
    let filter = AlertFilter { only: AlertsOnly::Open, limit: 100, ..AlertFilter::default() };
    let alerts = house.authority.alerts(&house.view(), filter.clone()).await.unwrap();
    let late = alerts.iter().find(|alert| alert.kind == "audit_late").unwrap();
    assert_eq!(late.subject, "all");
    assert!(late.summary.ends_with(": no route"), "{}", late.summary);
    assert!(status(&house, "all").await.behind > 0);

    house.pass(MINUTE * 10);
    let batch = house.authority.audit_to_send("all").await.unwrap().unwrap();
    house.authority.audit_arrived(batch).await.unwrap();
    house.authority.sweep().await.unwrap();
    let alerts = house.authority.alerts(&house.view(), filter).await.unwrap();
    assert!(alerts.iter().all(|alert| alert.kind != "audit_late"), "{alerts:?}");
}

#[tokio::test]
async fn whoever_is_bound_to_a_tenant_does_not_see_copies() {
    let house = house().await;
    let own = house.own();
    let tenant = house.authority.create_tenant(&own, "acme".parse().unwrap(), "Acme".to_owned());
    let bound = house.person(Role::Owner, Some(tenant.await.unwrap().id)).await;
    let seen = house.authority.audit_streams(&bound.authorize::<View>().unwrap()).await;
    assert!(matches!(seen, Err(LookError::Forbidden(_))), "{seen:?}");
}
