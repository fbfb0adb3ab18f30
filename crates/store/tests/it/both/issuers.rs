//! Issuers, CRL numbers that only rise, and who stays on a CRL how long.

use countersign_core::certificate::RevocationReason;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use countersign_store::{
    CrlName, CrlRow, IntentRow, IssuerRole, IssuerRow, IssuerState, KeptKey, RevocationRow, StoreError,
};

use super::fixture::{DAY, Fixture, HOUR, device_ca, issuer, now, read, reference, whole, write};

async fn insert_issuer(fixture: &Fixture) -> IssuerRow {
    let row = device_ca(issuer(), "device");
    let written = row.clone();
    write!(fixture.store, |w| w.insert_issuer(&written)).unwrap();
    row
}

fn crl(number: u64, this_update: Timestamp) -> CrlRow {
    let CrlName { issuer, scope } = whole();
    CrlRow { issuer, scope, number, this_update, next_update: this_update + DAY, der: vec![9] }
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
async fn every_custody_reads_back_and_a_key_may_move() {
    let fixture = Fixture::new().await;
    let row = insert_issuer(&fixture).await;
    let uri = "pkcs11:token=example;object=device".to_owned();
    for key in [KeptKey::Pkcs11(uri), KeptKey::Offline, KeptKey::Sealed(vec![4])] {
        let kept = key.clone();
        assert!(write!(fixture.store, |w| w.set_issuer_key(issuer(), &kept)).unwrap());
        let stored = read!(fixture.store, |r| r.issuers()).unwrap();
        assert_eq!(stored, [IssuerRow { key, ..row.clone() }]);
    }
    let unknown = IssuerKeyId::from([8; 32]);
    assert!(!write!(fixture.store, |w| w.set_issuer_key(unknown, &KeptKey::Offline)).unwrap());
}

#[tokio::test]
async fn one_ca_of_a_role_and_an_environment_is_active() {
    let fixture = Fixture::new().await;
    insert_issuer(&fixture).await;
    let second = device_ca([8; 32].into(), "device-2");
    let active = second.clone();
    assert!(write!(fixture.store, |w| w.insert_issuer(&active)).is_err(), "two are active");
    let other =
        IssuerRow { environment: Some("staging".parse().unwrap()), ..device_ca([9; 32].into(), "staging") };
    write!(fixture.store, |w| w.insert_issuer(&other)).unwrap();
    let prepared = IssuerRow { state: IssuerState::Prepared, ..second };
    let id = prepared.key_id;
    write!(fixture.store, |w| w.insert_issuer(&prepared)).unwrap();
    let namesake = IssuerRow { state: IssuerState::Prepared, ..device_ca([6; 32].into(), "device-2") };
    assert!(write!(fixture.store, |w| w.insert_issuer(&namesake)).is_err(), "a name is unique");

    let (from, to) = (IssuerState::Prepared, IssuerState::Active);
    assert!(write!(fixture.store, |w| w.move_issuer(id, from, to)).is_err(), "two would be active");
    let moved =
        write!(fixture.store, |w| w.move_issuer(issuer(), IssuerState::Active, IssuerState::Retiring));
    assert!(moved.unwrap());
    assert!(write!(fixture.store, |w| w.move_issuer(id, from, to)).unwrap());
    assert!(!write!(fixture.store, |w| w.move_issuer(id, from, to)).unwrap(), "not prepared any more");

    // Intermediates are as many as one likes.
    for (name, key) in [("web", [3; 32]), ("database", [4; 32])] {
        let row = IssuerRow { role: IssuerRole::Intermediate, ..device_ca(key.into(), name) };
        write!(fixture.store, |w| w.insert_issuer(&row)).unwrap();
    }
}

#[tokio::test]
async fn a_changed_ca_is_among_the_changes_of_trust() {
    let fixture = Fixture::new().await;
    insert_issuer(&fixture).await;
    let before = read!(fixture.store, |r| r.snapshot_version()).unwrap().epoch;
    assert!(read!(fixture.store, |r| r.trust_changes_since(before)).unwrap().issuers.is_empty());
    let version = write!(fixture.store, |w| w.issuer_trust_changed(issuer())).unwrap();
    assert_eq!(version.epoch, before + 1);
    assert_eq!(read!(fixture.store, |r| r.trust_changes_since(before)).unwrap().issuers, [issuer()]);
    let epoch = version.epoch;
    assert!(read!(fixture.store, |r| r.trust_changes_since(epoch)).unwrap().issuers.is_empty());
}

#[tokio::test]
async fn crl_numbers_rise_and_the_latest_crl_stays() {
    let fixture = Fixture::new().await;
    insert_issuer(&fixture).await;
    for expected in 1..=3 {
        assert_eq!(write!(fixture.store, |w| w.next_crl_numbers(issuer(), 1)).unwrap(), expected);
    }
    assert_eq!(read!(fixture.store, |r| r.latest_crl(whole())).unwrap(), None);
    for (number, latest) in [(2, 2), (3, 3), (1, 3)] {
        write!(fixture.store, |w| w.save_crl(&crl(number, now()))).unwrap();
        let stored = read!(fixture.store, |r| r.latest_crl(whole())).unwrap().unwrap();
        assert_eq!(stored.number, latest);
    }
    let unknown = IssuerKeyId::from([8; 32]);
    let refused = write!(fixture.store, |w| w.next_crl_numbers(unknown, 1)).unwrap_err();
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
        async move { read!(store, |r| r.crl_entries(whole(), at)).unwrap() }
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
