//! A CA that waits for its certificate reads back, keeps its name for itself, and is taken once.

use countersign_core::ids::IssuerKeyId;
use countersign_store::{CaRequestRow, IssuerRole, KeptKey};

use super::fixture::{Fixture, now, read, write};

/// A CA that waits.
pub(crate) fn request(key: [u8; 32], name: &str) -> CaRequestRow {
    CaRequestRow {
        key_id: key.into(),
        name: name.parse().unwrap(),
        role: IssuerRole::Intermediate,
        environment: Some("staging".parse().unwrap()),
        subject: "CN=Example".to_owned(),
        purposes: "server-auth client-auth".to_owned(),
        path_length: Some(1),
        key: KeptKey::Sealed(vec![7]),
        csr: vec![5],
        created_at: now(),
    }
}

#[tokio::test]
async fn it_reads_back_and_its_key_may_move() {
    let fixture = Fixture::new().await;
    let row = request([1; 32], "web");
    let written = row.clone();
    write!(fixture.store, |w| w.insert_ca_request(&written)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.ca_requests()).unwrap(), std::slice::from_ref(&row));
    for key in [KeptKey::Pkcs11("pkcs11:token=example".to_owned()), KeptKey::Sealed(vec![4])] {
        let kept = key.clone();
        assert!(write!(fixture.store, |w| w.set_ca_request_key([1; 32].into(), &kept)).unwrap());
        let stored = read!(fixture.store, |r| r.ca_requests()).unwrap();
        assert_eq!(stored, [CaRequestRow { key, ..row.clone() }]);
    }
    let without = CaRequestRow { environment: None, path_length: None, ..request([2; 32], "other") };
    let written = without.clone();
    write!(fixture.store, |w| w.insert_ca_request(&written)).unwrap();
    assert!(read!(fixture.store, |r| r.ca_requests()).unwrap().contains(&without));
}

#[tokio::test]
async fn its_name_is_its_own_and_it_is_taken_once() {
    let fixture = Fixture::new().await;
    let row = request([1; 32], "web");
    write!(fixture.store, |w| w.insert_ca_request(&row)).unwrap();
    let namesake = request([2; 32], "web");
    assert!(write!(fixture.store, |w| w.insert_ca_request(&namesake)).is_err());
    let offline = CaRequestRow { key: KeptKey::Offline, ..request([3; 32], "away") };
    assert!(write!(fixture.store, |w| w.insert_ca_request(&offline)).is_err(), "its key is here");
    let root = CaRequestRow { role: IssuerRole::Root, ..request([4; 32], "root") };
    assert!(write!(fixture.store, |w| w.insert_ca_request(&root)).is_err(), "a root asks nobody");

    let id = IssuerKeyId::from([1; 32]);
    assert!(write!(fixture.store, |w| w.delete_ca_request(id)).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_ca_request(id)).unwrap(), "once");
    assert!(read!(fixture.store, |r| r.ca_requests()).unwrap().is_empty());
}
