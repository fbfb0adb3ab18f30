//! Anchors are kept in order and never changed, and entries are found by everything that queries ask for.

use countersign_core::anchor::{AnchorStatement, AnchoredHead};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{CertificateId, IssuerKeyId, RequestId, UserId};
use countersign_store::{AnchorKeyRow, AnchorRow, AuditFilter, ChainScope, LogPart};
use sqlx::Executor as _;

use super::database::INDEX_EXISTS;
use super::fixture::{Fixture, now, read, write};

pub(crate) fn key() -> AnchorKeyRow {
    AnchorKeyRow {
        key_id: IssuerKeyId::from([7; 32]),
        public_key: vec![1, 2],
        sealed_key: vec![3, 4],
        created_at: now(),
    }
}

pub(crate) fn anchor(number: u64, heads: Vec<AnchoredHead>) -> AnchorRow {
    let statement = AnchorStatement {
        trust_domain: countersign_core::TrustDomain::default(),
        installation: [1; 32],
        number,
        at: now(),
        previous: [0; 32],
        heads,
    };
    AnchorRow { statement, key_id: key().key_id, signature: vec![5; 70] }
}

async fn append(fixture: &Fixture, entry: AuditEntry) {
    write!(fixture.store, |w| w.append_audit(&entry)).unwrap();
}

fn entry(tenant: Option<&str>, actor: Actor) -> AuditEntry {
    AuditEntry::new(tenant.map(|slug| slug.parse().unwrap()), now(), AuditEvent::LoginSucceeded, actor)
}

#[tokio::test]
async fn there_is_one_anchor_key_and_the_first_stays() {
    let fixture = Fixture::new().await;
    assert_eq!(read!(fixture.store, |r| r.anchor_key()).unwrap(), None);
    assert!(write!(fixture.store, |w| w.insert_anchor_key(&key())).unwrap());
    let other = AnchorKeyRow { key_id: IssuerKeyId::from([8; 32]), ..key() };
    assert!(!write!(fixture.store, |w| w.insert_anchor_key(&other)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.anchor_key()).unwrap(), Some(key()));
    assert!(!format!("{:?}", key()).contains("[3, 4]"));
}

#[tokio::test]
async fn anchors_read_back_in_order_and_never_change() {
    let fixture = Fixture::new().await;
    assert!(write!(fixture.store, |w| w.insert_anchor_key(&key())).unwrap());
    append(&fixture, entry(None, Actor::System)).await;
    append(&fixture, entry(Some("acme"), Actor::System)).await;
    append(&fixture, entry(Some("acme"), Actor::Operator)).await;
    let heads = read!(fixture.store, |r| r.audit_heads()).unwrap();
    let ends: Vec<_> =
        heads.iter().map(|head| (head.tenant.as_ref().map(ToString::to_string), head.sequence)).collect();
    assert_eq!(ends, [(None, 1), (Some("acme".to_owned()), 2)]);

    for number in 1..=3 {
        let row = anchor(number, heads.clone());
        write!(fixture.store, |w| w.insert_anchor(&row)).unwrap();
    }
    let numbers = |rows: Vec<AnchorRow>| rows.iter().map(|row| row.statement.number).collect::<Vec<_>>();
    assert_eq!(numbers(read!(fixture.store, |r| r.anchors(None, 2)).unwrap()), [3, 2]);
    assert_eq!(numbers(read!(fixture.store, |r| r.anchors(Some(2), 2)).unwrap()), [1]);
    assert_eq!(numbers(read!(fixture.store, |r| r.anchors_after(1, 9)).unwrap()), [2, 3]);
    assert_eq!(read!(fixture.store, |r| r.latest_anchor()).unwrap(), Some(anchor(3, heads.clone())));
    let again = anchor(3, Vec::new());
    assert!(write!(fixture.store, |w| w.insert_anchor(&again)).is_err());

    let acme = "acme".parse().unwrap();
    let hash = read!(fixture.store, |r| r.audit_hash(Some(&acme), 2)).unwrap();
    assert_eq!(hash, heads.last().map(|head| head.hash));
    let acme = "acme".parse().unwrap();
    assert_eq!(read!(fixture.store, |r| r.audit_hash(Some(&acme), 3)).unwrap(), None);

    let mut intruder = fixture.intruder().await;
    for change in ["UPDATE audit_anchors SET number = 9 WHERE number = 3", "DELETE FROM audit_anchors"] {
        let refused = intruder.execute(change).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
    }
}

#[tokio::test]
async fn entries_are_found_by_actor_certificate_and_request() {
    let fixture = Fixture::new().await;
    let (user, certificate) = (Actor::User(UserId::random()), CertificateId::random());
    let [first, last, only] = [RequestId::random(), RequestId::random(), RequestId::random()];
    append(&fixture, entry(Some("acme"), user.clone())).await;
    append(&fixture, entry(Some("acme"), Actor::System).certificate(certificate)).await;
    append(&fixture, entry(None, Actor::System).detail("requestId", only)).await;
    let counted = entry(Some("acme"), Actor::System);
    append(&fixture, counted.detail("firstRequestId", first).detail("lastRequestId", last)).await;

    let found = |filter: AuditFilter| {
        let store = fixture.store.clone();
        async move {
            let filter = AuditFilter { limit: 10, ..filter };
            let records = read!(store, |r| r.audit_entries(&filter)).unwrap();
            records.iter().map(|record| record.sequence).collect::<Vec<_>>()
        }
    };
    let none = AuditFilter::default;
    assert_eq!(found(AuditFilter { actor: Some(user.to_string()), ..none() }).await, [1]);
    assert_eq!(found(AuditFilter { certificate: Some(certificate), ..none() }).await, [2]);
    assert_eq!(found(AuditFilter { request: Some(first), ..none() }).await, [3]);
    assert_eq!(found(AuditFilter { request: Some(last), ..none() }).await, [3]);
    assert_eq!(found(AuditFilter { request: Some(only), ..none() }).await, [1]);
    let elsewhere = AuditFilter { request: Some(first), scope: ChainScope::Platform, ..none() };
    assert!(found(elsewhere).await.is_empty());
    assert!(found(AuditFilter { request: Some(RequestId::random()), ..none() }).await.is_empty());
}

#[tokio::test]
async fn a_chain_is_read_page_by_page_newest_first() {
    let fixture = Fixture::new().await;
    for _turn in 0..3 {
        append(&fixture, entry(Some("acme"), Actor::System)).await;
        append(&fixture, entry(Some("other"), Actor::System)).await;
    }
    let page = |before: Option<u64>| {
        let store = fixture.store.clone();
        async move {
            let scope = ChainScope::Tenant("acme".parse().unwrap());
            let filter = AuditFilter { scope, before, limit: 2, ..AuditFilter::default() };
            let records = read!(store, |r| r.audit_entries(&filter)).unwrap();
            records.iter().map(|record| (record.sequence, record.id)).collect::<Vec<_>>()
        }
    };
    let first = page(None).await;
    assert_eq!(first.iter().map(|(sequence, _id)| *sequence).collect::<Vec<_>>(), [3, 2]);
    let last = page(first.last().map(|(_sequence, id)| *id)).await;
    assert_eq!(last.iter().map(|(sequence, _id)| *sequence).collect::<Vec<_>>(), [1]);
    assert!(page(last.last().map(|(_sequence, id)| *id)).await.is_empty());
    // A place in another chain, or in none, is one in the whole log.
    let theirs = first.first().map(|(_sequence, id)| id + 1);
    assert_eq!(page(theirs).await, first);
    assert_eq!(page(Some(1_000_000)).await, first);
}

#[tokio::test]
async fn queries_have_their_indexes() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    for index in ["audit_entries_certificate_idx", "audit_entries_actor_idx", "audit_entries_at_idx"] {
        let found = sqlx::query(INDEX_EXISTS).bind(index).fetch_optional(&mut intruder).await.unwrap();
        assert!(found.is_some(), "{index}");
    }
}

#[tokio::test]
async fn the_log_is_read_in_its_order_with_what_each_entry_follows() {
    let fixture = Fixture::new().await;
    for number in 0..4 {
        append(&fixture, entry(Some("acme"), Actor::System).detail("number", number)).await;
        append(&fixture, entry(None, Actor::Operator)).await;
    }
    let last = read!(fixture.store, |r| r.last_audit_id()).unwrap();
    append(&fixture, entry(Some("acme"), Actor::System)).await;
    let mut part = LogPart { after: 0, last };
    let mut found = Vec::new();
    loop {
        let page = read!(fixture.store, |r| r
            .audit_log(&AuditFilter { limit: 3, ..AuditFilter::default() }, part))
        .unwrap();
        let Some(end) = page.last() else { break };
        part.after = end.record.id;
        found.extend(page);
    }
    assert_eq!(found.len(), 8);
    let acme: Vec<_> = found.iter().filter(|linked| linked.record.tenant.is_some()).collect();
    assert_eq!(acme.iter().map(|linked| linked.record.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let mut before = countersign_core::audit::CHAIN_START;
    for linked in acme {
        assert_eq!(linked.previous, before);
        before = linked.record.hash;
    }
}
