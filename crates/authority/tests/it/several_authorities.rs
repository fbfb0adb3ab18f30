//! Two authorities on one database: what one decides, the doors of the other enforce in under a second.

use std::sync::Arc;

use countersign_authority::Authority;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::snapshot::{Bar, Standing};
use countersign_store::{CertificateRow, Store};

use crate::on_postgres::house::{House, SECOND, claim};

/// Another authority on the same database, with a store of its own.
async fn neighbour(house: &House) -> Arc<Authority> {
    let store = Store::open(house.url()).await.unwrap();
    Authority::open(store, house.clock.clone(), house.config()).await.unwrap()
}

/// Waits until the doors of `authority` think of a certificate as `wanted`, for a second.
async fn until(authority: &Authority, row: &CertificateRow, wanted: Standing) {
    let mut snapshots = authority.snapshots();
    let now = authority.now();
    let heard = snapshots.wait_for(|snapshot| snapshot.standing(&claim(row), now) == wanted);
    tokio::time::timeout(SECOND, heard).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_device_is_cut_by_the_other_authority_in_under_a_second() {
    let house = House::new().await;
    let neighbour = neighbour(&house).await;
    let following = tokio::spawn(Arc::clone(&neighbour).follow_changes());
    for name in ["pump", "valve"] {
        let device = house.device(name).await;
        let row = house.in_state(device.id, CertificateState::Active).await;
        until(&neighbour, &row, Standing::Valid).await;
        house.authority.deny(&house.operate(), device.id).await.unwrap();
        until(&neighbour, &row, Standing::Revoked).await;
        let key = (row.tenant.clone(), row.device_name.clone());
        assert_eq!(neighbour.snapshot().barred.get(&key), Some(&Bar::Decommissioned));
        assert_eq!(neighbour.snapshot().version, house.authority.snapshot().version);
    }
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_nobody_listened_is_found_when_listening_begins() {
    let house = House::new().await;
    let neighbour = neighbour(&house).await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let by = house.operate();
    house.authority.revoke_certificate(&by, row.id, RevocationReason::KeyCompromise).await.unwrap();
    let following = tokio::spawn(Arc::clone(&neighbour).follow_changes());
    until(&neighbour, &row, Standing::Revoked).await;
    following.abort();
}

/// A token is looked up each time: nothing that was decided elsewhere is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_authority_revoked_opens_nothing_at_the_other() {
    let house = House::new().await;
    let neighbour = neighbour(&house).await;
    let device = house.device("pump").await;
    assert!(neighbour.authenticate_agent(&device.token).await.is_ok());
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    assert!(neighbour.authenticate_agent(&device.token).await.is_err());
}
