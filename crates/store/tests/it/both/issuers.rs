//! Issuers, CRL numbers that only rise, and who stays on a CRL how long.

use countersign_core::certificate::RevocationReason;
use countersign_core::time::Timestamp;
use countersign_store::{CrlRow, IntentRow, IssuerRole, IssuerRow, RevocationRow, StoreError};

use super::fixture::{DAY, Fixture, HOUR, issuer, now, read, reference, write};

async fn insert_issuer(fixture: &Fixture) -> IssuerRow {
    let row = IssuerRow {
        key_id: issuer(),
        role: IssuerRole::Device,
        certificate: vec![0x30, 1, 0],
        sealed_key: vec![1, 2, 3],
        created_at: now(),
    };
    let written = row.clone();
    write!(fixture.store, |w| w.insert_issuer(&written)).unwrap();
    row
}

fn crl(number: u64, this_update: Timestamp) -> CrlRow {
    CrlRow { issuer: issuer(), number, this_update, next_update: this_update + DAY, der: vec![9] }
}

#[tokio::test]
async fn an_issuer_reads_back_and_prints_without_its_key() {
    let fixture = Fixture::new().await;
    let row = insert_issuer(&fixture).await;
    assert_eq!(read!(fixture.store, |r| r.issuers()).unwrap(), std::slice::from_ref(&row));
    assert!(format!("{row:?}").contains("[redacted]"));
    assert!(!format!("{row:?}").contains("1, 2, 3"));
    assert!(write!(fixture.store, |w| w.insert_issuer(&row)).is_err(), "once");
}

#[tokio::test]
async fn crl_numbers_rise_and_the_latest_crl_stays() {
    let fixture = Fixture::new().await;
    insert_issuer(&fixture).await;
    for expected in 1..=3 {
        assert_eq!(write!(fixture.store, |w| w.next_crl_number(issuer())).unwrap(), expected);
    }
    assert_eq!(read!(fixture.store, |r| r.latest_crl(issuer())).unwrap(), None);
    for (number, latest) in [(2, 2), (3, 3), (1, 3)] {
        write!(fixture.store, |w| w.save_crl(&crl(number, now()))).unwrap();
        let stored = read!(fixture.store, |r| r.latest_crl(issuer())).unwrap().unwrap();
        assert_eq!(stored.number, latest);
    }
    let unknown = countersign_core::ids::IssuerKeyId::from([8; 32]);
    let refused = write!(fixture.store, |w| w.next_crl_number(unknown)).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { table: "issuers", .. }), "{refused}");
}

#[tokio::test]
async fn an_entry_leaves_the_crl_only_after_one_issued_past_its_end() {
    let fixture = Fixture::new().await;
    insert_issuer(&fixture).await;
    let revocation = RevocationRow {
        reference: reference(),
        spki: None,
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        expires_at: now() + HOUR * 10,
    };
    let row = revocation.clone();
    assert!(write!(fixture.store, |w| w.insert_revocation(&row)).unwrap());
    let again = RevocationRow { reason: RevocationReason::Superseded, ..revocation.clone() };
    assert!(!write!(fixture.store, |w| w.insert_revocation(&again)).unwrap(), "the first counts");

    let listed = |at: Timestamp| {
        let store = fixture.store.clone();
        async move { read!(store, |r| r.crl_entries(issuer(), at)).unwrap() }
    };
    assert_eq!(listed(now()).await, std::slice::from_ref(&revocation));
    write!(fixture.store, |w| w.save_crl(&crl(1, now() + HOUR * 9))).unwrap();
    assert_eq!(listed(now() + HOUR * 20).await.len(), 1, "not yet on a CRL past its end");
    write!(fixture.store, |w| w.save_crl(&crl(2, now() + HOUR * 20))).unwrap();
    assert!(listed(now() + HOUR * 30).await.is_empty());

    let abandoned = RevocationRow { reference: reference(), revoked_at: now() + HOUR * 25, ..revocation };
    write!(fixture.store, |w| w.insert_revocation(&abandoned)).unwrap();
    assert_eq!(listed(now() + HOUR * 30).await.len(), 1, "revoked after its end, listed once");
}

#[tokio::test]
async fn an_intent_is_reserved_once_and_settled_once() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await.id;
    let intent = IntentRow {
        reference: reference(),
        device: Some(device),
        profile: "device".into(),
        at: now(),
        expires_at: now() + DAY,
    };
    let (row, again, reference) = (intent.clone(), intent.clone(), intent.reference.clone());
    write!(fixture.store, |w| w.insert_intent(&row)).unwrap();
    assert!(write!(fixture.store, |w| w.insert_intent(&again)).is_err());
    assert_eq!(read!(fixture.store, |r| r.unfinished_intents()).unwrap(), [intent]);
    let same = reference.clone();
    let (wanted, settled) = (reference.clone(), reference.clone());
    assert!(read!(fixture.store, |r| r.intent(&wanted)).unwrap().is_some());
    assert!(write!(fixture.store, |w| w.finish_intent(&reference)).unwrap());
    assert!(!write!(fixture.store, |w| w.finish_intent(&same)).unwrap());
    assert!(read!(fixture.store, |r| r.intent(&settled)).unwrap().is_none());
    assert!(read!(fixture.store, |r| r.unfinished_intents()).unwrap().is_empty());
}
