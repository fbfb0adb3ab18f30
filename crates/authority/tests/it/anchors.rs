//! Anchors are made when something was written, hold every chain, and show what was changed since.

use std::time::Duration;

use countersign_authority::anchor_check::{AnchorFault, AnchorReport, Became, Evidence, check_anchors};
use countersign_authority::anchors::{AnchorError, SignedAnchor, anchor_at_rest};
use countersign_authority::{Forbidden, KeySource, OpenError, Operate, View};
use countersign_core::anchor::AnchorStatement;
use countersign_core::audit::AuditEvent;
use countersign_store::{AnchorRow, AuditFilter, Role, Store};

use super::house::{HOUR, House, MINUTE, refused};

async fn check(house: &House, anchors: Vec<SignedAnchor>) -> AnchorReport {
    check_anchors(&house.store, Evidence { anchors, key: None }).await.unwrap()
}

/// Puts a row on record that nobody of the house made.
async fn forge(house: &House, change: impl FnOnce(&mut AnchorRow)) {
    let latest = house.read(|r| Box::pin(async move { r.latest_anchor().await })).await.unwrap();
    let mut row = latest.clone();
    row.statement.number += 1;
    row.statement.previous = latest.statement.hash();
    change(&mut row);
    house.write(move |w| Box::pin(async move { w.insert_anchor(&row).await })).await;
}

#[tokio::test]
async fn one_is_made_when_the_last_is_old_and_something_was_written() {
    let house = House::new().await;
    let authority = &house.authority;
    let first = authority.anchor_if_older(HOUR).await.unwrap().unwrap();
    assert_eq!((first.statement().number, first.statement().previous), (1, [0; 32]));
    house.pass(2 * HOUR);
    assert!(authority.anchor_if_older(HOUR).await.unwrap().is_none(), "its own entry is no news");
    house.device("pump").await;
    let second = authority.anchor_if_older(HOUR).await.unwrap().unwrap();
    assert_eq!((second.statement().number, second.statement().previous), (2, first.statement().hash()));
    assert_eq!(second.statement().heads.len(), 2, "the platform's and the tenant's");
    house.device("valve").await;
    assert!(authority.anchor_if_older(HOUR).await.unwrap().is_none(), "the last one is young");
    assert!(authority.anchor_if_older(Duration::ZERO).await.unwrap().is_some());
    let report = check(&house, vec![first, second]).await;
    assert_eq!((report.on_record, report.given, report.faults), (3, 2, vec![]));
    let told = AuditFilter { event: Some(AuditEvent::AuditAnchored), ..AuditFilter::default() };
    assert_eq!(house.audit(told).await.len(), 3);
}

#[tokio::test]
async fn the_last_one_is_made_when_the_store_is_closed() {
    let house = House::new().await;
    house.device("pump").await;
    house.authority.close().await.unwrap();
    let store = Store::open(house.url()).await.unwrap();
    let faults = check_anchors(&store, Evidence::default()).await.unwrap();
    assert_eq!((faults.on_record, faults.faults), (1, vec![]));
    let next = anchor_at_rest(&store, &house.config().key_encryption_key, house.now()).await.unwrap();
    assert_eq!(next.statement().number, 2);
    let lost = KeySource::File(house.config().key_encryption_key.path().with_extension("lost"));
    let refusal = refused(anchor_at_rest(&store, &lost, house.now()).await);
    assert!(matches!(refusal, OpenError::NoKeyEncryptionKey(_)), "{refusal}");
}

#[tokio::test]
async fn whoever_is_bound_to_a_tenant_makes_and_sees_none() {
    let house = House::new().await;
    let made = house.authority.anchor(&house.operate()).await.unwrap();
    assert_eq!(house.authority.latest_anchor(&house.view()).await.unwrap(), made);
    assert_eq!(house.authority.anchor_by_number(&house.view(), 1).await.unwrap(), made);
    assert!(matches!(house.authority.anchor_by_number(&house.view(), 2).await, Err(AnchorError::Unknown)));
    let tenant = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    let bound = house.person(Role::Owner, Some(tenant)).await;
    let forbidden = |result: Result<SignedAnchor, AnchorError>| {
        assert!(matches!(result, Err(AnchorError::Forbidden(Forbidden::OtherTenant))));
    };
    forbidden(house.authority.anchor(&bound.authorize::<Operate>().unwrap()).await);
    forbidden(house.authority.latest_anchor(&bound.authorize::<View>().unwrap()).await);
    assert!(house.authority.anchors(&bound.authorize::<View>().unwrap(), (None, 1)).await.is_err());
}

#[tokio::test]
async fn an_anchor_of_another_installation_or_key_proves_nothing() {
    let (house, other) = (House::new().await, House::new().await);
    let theirs = other.authority.anchor(&other.operate()).await.unwrap();
    let key = theirs.key().clone();
    let ours = house.authority.anchor(&house.operate()).await.unwrap();
    assert_eq!(check(&house, vec![theirs]).await.faults, [AnchorFault::OtherKey(1)]);
    let evidence = Evidence { anchors: vec![ours], key: Some(key) };
    let faults = check_anchors(&house.store, evidence).await.unwrap().faults;
    assert_eq!(faults, [AnchorFault::KeyReplaced, AnchorFault::NotSigned(1), AnchorFault::OtherKey(1)]);
}

#[tokio::test]
async fn forged_missing_and_replaced_anchors_on_record_are_found() {
    for (change, expected) in [
        (
            (|row| row.statement.at = row.statement.at + MINUTE) as fn(&mut AnchorRow),
            AnchorFault::NotSigned(2),
        ),
        (|row| row.statement.number = 4, AnchorFault::AnchorMissing(2)),
        (|row| row.statement.previous = [9; 32], AnchorFault::AnchorReplaced(1)),
        (|row| row.statement.installation = [9; 32], AnchorFault::OtherInstallation(2)),
    ] {
        let house = House::new().await;
        house.authority.anchor(&house.operate()).await.unwrap();
        forge(&house, change).await;
        let faults = check(&house, vec![]).await.faults;
        assert!(faults.contains(&expected), "{expected:?}: {faults:?}");
    }
}

/// A house whose chains are others than those that were anchored shows where they part.
#[tokio::test]
async fn chains_that_are_not_what_was_anchored_are_found() {
    for (change, became) in [
        ((|s| s.heads[1].sequence += 5) as fn(&mut AnchorStatement), Became::Cut),
        (|s| s.heads[1].hash = [3; 32], Became::Rewritten),
        (|s| s.heads[1].tenant = Some("gone".parse().unwrap()), Became::Gone),
    ] {
        let house = House::new().await;
        house.device("pump").await;
        let anchored = house.authority.anchor(&house.operate()).await.unwrap().statement().heads[1].sequence;
        house.device("valve").await;
        let heads = house.read(|r| Box::pin(async move { r.audit_heads().await })).await;
        let end = heads[1].sequence;
        forge(&house, |row| {
            row.statement.heads = heads;
            change(&mut row.statement);
        })
        .await;
        let faults = check(&house, vec![]).await.faults;
        let of_chain = |fault: &AnchorFault| {
            if let AnchorFault::Chain(fault) = fault { Some(fault.clone()) } else { None }
        };
        let chain = faults.iter().find_map(of_chain);
        let chain = chain.unwrap_or_else(|| panic!("{became:?}: {faults:?}"));
        let from = match became {
            Became::Cut => end + 1,
            Became::Rewritten => anchored + 1,
            Became::Gone => 1,
        };
        assert_eq!((chain.became, chain.from, chain.anchor), (became, from, 2), "{chain:?}");
    }
}
