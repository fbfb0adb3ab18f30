//! Old entries are removed once a day, up to an end that an anchor vouches for, of an audit that is whole, and not before
//! every copy has them.

use std::io::BufReader;

use countersign_authority::anchor_check::{Evidence, check_anchors};
use countersign_authority::audit_export::check_export;
use countersign_authority::audit_retention::CutError;
use countersign_authority::audit_streams::{StreamStart, WantedStream};
use countersign_authority::{Authority, IssuerMode};
use countersign_core::audit::AuditEvent;
use countersign_store::AuditFilter;

use super::house::{DAY, HOUR, House};

/// A day of work, anchored at its end.
async fn day(house: &House, device: &str) {
    house.device(device).await;
    house.pass(DAY - HOUR);
    house.authority.anchor_if_older(HOUR).await.unwrap().unwrap();
    house.pass(HOUR);
}

async fn cut(authority: &Authority) -> bool {
    let Some(cut) = authority.audit_to_cut(DAY * 2).await.unwrap() else { return false };
    authority.cut_audit(cut, None).await.unwrap();
    authority.remove_cut_audit().await.unwrap();
    true
}

#[tokio::test]
async fn what_is_old_goes_and_the_rest_verifies() {
    let house = House::new().await;
    for device in ["ws-01", "ws-02"] {
        day(&house, device).await;
    }
    assert!(house.authority.audit_to_cut(DAY * 2).await.unwrap().is_none(), "nothing is old enough");
    for device in ["ws-03", "ws-04"] {
        day(&house, device).await;
    }
    let all = house.audit(AuditFilter::default()).await;
    let found = house.authority.audit_to_cut(DAY * 2).await.unwrap().unwrap();
    assert_eq!(found.anchor().statement().number, 2);
    let mut text = String::new();
    for mut export in house.authority.export_cut(&found).await.unwrap() {
        while let Some(piece) = export.next_piece().await.unwrap() {
            text.push_str(&piece);
        }
    }
    let kept = check_export(BufReader::new(text.as_bytes()), &[found.anchor().clone()], None).unwrap();
    assert!(kept.broken.is_none() && kept.faults.is_empty() && kept.outside == 0, "{kept:?}");
    house.authority.cut_audit(found, Some("audit-2.jsonl".to_owned())).await.unwrap();
    house.authority.remove_cut_audit().await.unwrap();

    let left = house.audit(AuditFilter::default()).await;
    assert_eq!(left.len() + text.lines().count(), all.len() + 1);
    assert_eq!(left[0].event, AuditEvent::AuditCut);
    assert_eq!(left[0].details["keptIn"], "audit-2.jsonl");
    assert_eq!(house.authority.verify_audit().await.unwrap(), None);
    let standing = house.authority.audit_standing(&house.view()).await.unwrap();
    assert_eq!(standing.verified.unwrap().anchors, 4);
    assert_eq!(standing.cut.unwrap().anchor, 2);
    let first = house.authority.anchor_by_number(&house.view(), 1).await.unwrap();
    let report = check_anchors(&house.store, Evidence { anchors: vec![first], key: None }).await.unwrap();
    assert_eq!(report.faults, [], "of what was removed nothing is known");

    let other = house.reopened(IssuerMode::Embedded).await;
    assert!(!cut(&other).await, "once a day");
    day(&house, "ws-05").await;
    assert!(cut(&other).await);
    assert_eq!(house.authority.verify_audit().await.unwrap(), None);
}

#[tokio::test]
async fn a_copy_that_is_behind_holds_it_up() {
    let house = House::new().await;
    let wanted = WantedStream { name: "siem".to_owned(), from: StreamStart::Beginning };
    house.authority.stream_audit_to(vec![wanted]).await.unwrap();
    for device in ["ws-01", "ws-02", "ws-03"] {
        day(&house, device).await;
    }
    assert!(!cut(&house.authority).await);
    while let Some(batch) = house.authority.audit_to_send("siem").await.unwrap() {
        house.authority.audit_arrived(batch).await.unwrap();
    }
    assert!(cut(&house.authority).await);
}

#[tokio::test]
async fn nothing_goes_from_an_audit_that_is_not_as_it_was_written() {
    let house = House::new().await;
    for device in ["ws-01", "ws-02", "ws-03"] {
        day(&house, device).await;
    }
    let found = house.authority.audit_to_cut(DAY * 2).await.unwrap().unwrap();
    // An anchor that nobody of the house made.
    let latest = house.read(|r| Box::pin(async move { r.latest_anchor().await })).await.unwrap();
    let mut forged = latest.clone();
    forged.statement.number += 1;
    house.write(move |w| Box::pin(async move { w.insert_anchor(&forged).await })).await;
    let refused = house.authority.cut_audit(found, None).await;
    assert!(matches!(refused, Err(CutError::Broken(_))), "{refused:?}");
    assert!(house.authority.audit_standing(&house.view()).await.unwrap().cut.is_none());
}
