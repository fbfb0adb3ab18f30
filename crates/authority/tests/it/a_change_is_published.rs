//! A change of trust is at every edge before its call returns, even when others change trust at the
//! same time, and it is published even when its caller went away.

use std::sync::Arc;

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::snapshot::{SnapshotVersion, Standing};
use futures_util::future::join_all;
use tokio::sync::watch;

use super::house::{House, SECOND};

/// An edge that applies every snapshot at once, until the house is gone.
fn attach(house: &House) -> tokio::task::JoinHandle<()> {
    let (applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    let mut snapshots = house.authority.snapshots();
    tokio::spawn(async move {
        while snapshots.changed().await.is_ok() {
            let version = snapshots.borrow_and_update().version;
            applied.send_replace(version);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_finds_its_own_change_in_what_is_published() {
    let house = House::new().await;
    let edge = attach(&house);
    let mut devices = Vec::new();
    for number in 0..24 {
        devices.push(house.device(&format!("pump-{number}")).await);
    }
    let by = house.operate();
    join_all(devices.iter().map(async |device| {
        let row = house.in_state(device.id, CertificateState::Active).await;
        let reason = RevocationReason::Unspecified;
        let revoked = house.authority.revoke_certificate(&by, row.id, reason).await.unwrap();
        assert_eq!((revoked.applied.applied, revoked.applied.total), (1, 1));
        assert_eq!(house.standing(&row).await, Standing::Revoked);
    }))
    .await;
    house.check(&devices.iter().map(|device| device.id).collect::<Vec<_>>()).await;
    edge.abort();
}

#[tokio::test]
async fn an_edge_that_does_not_apply_it_is_counted_as_behind() {
    let house = House::new().await;
    let (_applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    let device = house.device("pump").await;
    let applied = house.authority.deny(&house.operate(), device.id).await.unwrap();
    assert_eq!((applied.applied, applied.total), (0, 1));
}

#[tokio::test]
async fn an_edge_that_went_away_is_not_waited_for() {
    let house = House::new().await;
    let (applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    drop(applied);
    let device = house.device("pump").await;
    let applied = house.authority.deny(&house.operate(), device.id).await.unwrap();
    assert_eq!(applied.total, 0);
}

#[tokio::test]
async fn a_change_whose_caller_went_away_is_published_by_the_next_sweep() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let authority = Arc::clone(&house.authority);
    let by = house.operate();
    // Dropped at its first wait: the change is with the writer by then.
    let call = tokio::time::timeout(
        std::time::Duration::ZERO,
        authority.revoke_certificate(&by, row.id, RevocationReason::KeyCompromise),
    );
    drop(call.await);
    let barrier = house.write(|_| Box::pin(async move { Ok(()) }));
    barrier.await;
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    let revoked = house.certificate(row.id).await.state == CertificateState::Revoked;
    assert_eq!(house.standing(&row).await == Standing::Revoked, revoked);
    assert!(revoked);
    house.check(&[device.id]).await;
}
