//! Old entries go behind a cut alone, a few at a time; what remains verifies from there, for as long as an anchor says
//! what the rest was.

use countersign_core::anchor::AnchoredHead;
use countersign_core::audit::{Actor, AuditEntry, AuditEvent, CHAIN_START};
use countersign_core::ids::RequestId;
use countersign_store::{
    AuditCutRow, AuditFault, AuditFilter, AuditReport, ChainScope, LinkedRecord, LogPart, StoreError,
};
use sqlx::Executor as _;

use super::anchors;
use super::fixture::{Fixture, HOUR, now, read, write};

pub(crate) fn cut(end: AnchoredHead) -> AuditCutRow {
    AuditCutRow { end, anchor: 1, at: now() }
}

/// Two chains of six entries, and what the ends of both were after four.
async fn filled() -> (Fixture, Vec<AnchoredHead>) {
    let fixture = Fixture::new().await;
    append(&fixture, 4).await;
    let heads = read!(fixture.store, |r| r.audit_heads()).unwrap();
    append(&fixture, 2).await;
    (fixture, heads)
}

async fn append(fixture: &Fixture, count: u32) {
    for number in 0..count {
        for chain in [None, Some("acme")] {
            let chain = chain.map(|slug| slug.parse().unwrap());
            let entry = AuditEntry::new(chain, now(), AuditEvent::LoginSucceeded, Actor::System);
            let entry = entry.detail("number", number).detail("requestId", RequestId::random());
            write!(fixture.store, |w| w.append_audit(&entry)).unwrap();
        }
    }
}

async fn anchor(fixture: &Fixture, heads: Vec<AnchoredHead>) {
    let done = write!(fixture.store, |w| async move {
        w.insert_anchor_key(&anchors::key()).await?;
        w.insert_anchor(&anchors::anchor(1, heads)).await
    });
    done.unwrap();
}

async fn remove(fixture: &Fixture, limit: u32) -> u64 {
    let cuts = read!(fixture.store, |r| r.audit_cuts()).unwrap();
    let removed = write!(fixture.store, |w| async move {
        let mut removed = 0;
        for cut in &cuts {
            removed += w.remove_cut_audit(cut, limit).await?;
        }
        Ok::<_, StoreError>(removed)
    });
    removed.unwrap()
}

async fn verify(fixture: &Fixture) -> AuditReport {
    read!(fixture.store, |r| r.verify_audit()).unwrap()
}

async fn log(fixture: &Fixture) -> Vec<LinkedRecord> {
    let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    read!(fixture.store, |r| r.audit_log(&filter, LogPart { after: 0, last: 100 })).unwrap()
}

#[tokio::test]
async fn what_remains_verifies_from_the_cut() {
    let (fixture, heads) = filled().await;
    anchor(&fixture, heads.clone()).await;
    let acme = heads[1].clone();
    let (first, back) = (cut(acme.clone()), cut(AnchoredHead { sequence: 2, ..acme.clone() }));
    let (again, shorter) = (first.clone(), back);
    let moved = write!(fixture.store, |w| async move {
        Ok::<_, StoreError>((
            w.cut_audit(&first).await?,
            w.cut_audit(&again).await?,
            w.cut_audit(&shorter).await?,
        ))
    });
    assert_eq!(moved.unwrap(), (true, false, false));
    for _ in 0..2 {
        let report = verify(&fixture).await;
        assert!(report.is_intact(), "{report:?}");
        assert_eq!((&report.chains[0].cut, &report.chains[1].cut), (&None, &Some(cut(acme.clone()))));
        assert_eq!((report.chains[0].entries, report.chains[1].entries), (6, 6));
        let kept = log(&fixture).await;
        assert_eq!(kept.len(), 8, "also before it is removed");
        let of_acme = kept.iter().find(|linked| linked.record.tenant.is_some()).unwrap();
        assert_eq!((of_acme.record.sequence, of_acme.previous), (5, acme.hash));
        assert_eq!(kept[0].previous, CHAIN_START);
        assert!(remove(&fixture, 3).await <= 3);
    }
    assert_eq!(remove(&fixture, 3).await, 0);
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let whole = all.clone();
    assert_eq!(read!(fixture.store, |r| r.audit_entries(&whole)).unwrap().len(), 8);
    let early = AuditFilter { scope: ChainScope::Platform, up_to: Some(2), ..all };
    assert_eq!(read!(fixture.store, |r| r.audit_entries(&early)).unwrap().len(), 2);
    let tenant = acme.tenant.clone();
    let hash = read!(fixture.store, |r| r.audit_hash(tenant.as_ref(), 4)).unwrap();
    assert_eq!(hash, Some(acme.hash));
    append(&fixture, 1).await;
    assert!(verify(&fixture).await.is_intact());
}

#[tokio::test]
async fn nothing_else_can_be_removed_and_no_cut_is_taken_back() {
    let (fixture, heads) = filled().await;
    anchor(&fixture, heads.clone()).await;
    let here = cut(heads[1].clone());
    assert!(write!(fixture.store, |w| w.cut_audit(&here)).unwrap());
    let mut intruder = fixture.intruder().await;
    for change in [
        "DELETE FROM audit_entries WHERE chain = 'acme' AND sequence = 5",
        "DELETE FROM audit_entries WHERE chain = '' AND sequence = 1",
        "UPDATE audit_entries SET actor = 'nobody' WHERE chain = 'acme' AND sequence = 1",
        "DELETE FROM audit_cuts",
        "UPDATE audit_cuts SET sequence = 3",
    ] {
        let refused = intruder.execute(change).await.unwrap_err().to_string();
        assert!(
            refused.contains("append-only") || refused.contains("never taken back"),
            "{change}: {refused}"
        );
    }
    assert!(verify(&fixture).await.is_intact());
}

#[tokio::test]
async fn a_cut_that_no_anchor_vouches_for_is_found() {
    let (fixture, heads) = filled().await;
    anchor(&fixture, heads.clone()).await;
    let cases = [
        AuditCutRow { anchor: 2, ..cut(heads[1].clone()) },
        cut(AnchoredHead { hash: [9; 32], sequence: 5, ..heads[1].clone() }),
    ];
    for wrong in cases {
        let row = AuditCutRow { at: now() + HOUR, ..wrong.clone() };
        assert!(write!(fixture.store, |w| w.cut_audit(&row)).unwrap());
        let broken = verify(&fixture).await.broken.unwrap();
        assert_eq!(
            (broken.chain.as_str(), broken.sequence, broken.fault),
            ("acme", wrong.end.sequence, AuditFault::CutUnanchored)
        );
    }
}
