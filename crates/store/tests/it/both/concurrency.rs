//! Of several at once, exactly as many win as may.

use countersign_core::device::{DeviceEvent, DeviceStatus, QuarantineReason};
use countersign_core::ids::{ChallengeId, DeviceId, EnrollmentKeyId};
use countersign_store::{ChallengeRow, Store, StoreError};
use futures_util::future::join_all;

use super::fixture::{Fixture, HOUR, now, read, write};

async fn consume_at_once(store: &Store, id: EnrollmentKeyId, callers: usize) -> usize {
    let attempts = (0..callers).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { write!(store, |w| w.consume_enrollment_key(id, now())).unwrap() })
    });
    join_all(attempts).await.into_iter().filter(|won| *won.as_ref().unwrap()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_one_use_key_lets_one_of_many_in() {
    let fixture = Fixture::new().await;
    let (once, thrice) = (fixture.enrollment_key(1).await, fixture.enrollment_key(3).await);
    assert_eq!(consume_at_once(&fixture.store, once.id, 40).await, 1);
    assert_eq!(consume_at_once(&fixture.store, thrice.id, 40).await, 3);
    let on_record = read!(fixture.store, |r| r.enrollment_key(thrice.id)).unwrap().unwrap();
    assert_eq!(on_record.uses, 3);
}

#[tokio::test]
async fn a_failed_enrolment_does_not_burn_the_key() {
    let fixture = Fixture::new().await;
    let id = fixture.enrollment_key(1).await.id;
    let failed = fixture.store.write::<(), StoreError, _>(move |w| {
        Box::pin(async move {
            assert!(w.consume_enrollment_key(id, now()).await?);
            Err(StoreError::Closed)
        })
    });
    assert!(failed.await.is_err());
    assert!(write!(fixture.store, |w| w.consume_enrollment_key(id, now())).unwrap());
}

#[tokio::test]
async fn fails_closed_on_keys_that_expired_or_were_revoked() {
    let fixture = Fixture::new().await;
    let key = fixture.enrollment_key(5).await;
    let (id, end) = (key.id, key.expires_at);
    assert!(!write!(fixture.store, |w| w.consume_enrollment_key(id, end)).unwrap());
    assert!(write!(fixture.store, |w| w.revoke_enrollment_key(id, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.revoke_enrollment_key(id, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.consume_enrollment_key(id, now())).unwrap());
    let unknown = EnrollmentKeyId::random();
    assert!(!write!(fixture.store, |w| w.consume_enrollment_key(unknown, now())).unwrap());
}

/// Approves as a use case does that read the device before the write transaction.
async fn approve(store: &Store, id: DeviceId) -> bool {
    let mut device = read!(store, |r| r.device(id)).unwrap().unwrap();
    let Ok(status) = device.status.apply(DeviceEvent::Approve) else { return false };
    device.status = status;
    device.quarantined_at = None;
    device.quarantined_reason = None;
    device.grant_until = Some(now() + HOUR);
    write!(store, |w| w.update_device(&device)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_approvals_one_wins() {
    let fixture = Fixture::new().await;
    let mut device = fixture.new_device("d1");
    device.status = DeviceStatus::Quarantined;
    device.quarantined_at = Some(now());
    device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::EXPIRED));
    let id = device.id;
    write!(fixture.store, |w| w.insert_device(&device)).unwrap();

    let approvals = (0..8).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move { approve(&store, id).await })
    });
    let won = join_all(approvals).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
    assert_eq!(won, 1);
    let device = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
    assert_eq!((device.status, device.revision), (DeviceStatus::Offline, 1));
    assert_eq!(device.grant_until, Some(now() + HOUR));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_taken_once() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await.id;
    let challenge =
        ChallengeRow { id: ChallengeId::random(), device, nonce: "n".into(), expires_at: now() + HOUR };
    let id = challenge.id;
    write!(fixture.store, |w| w.insert_challenge(&challenge, now(), 8)).unwrap();
    let takers = (0..8).map(|_| {
        let store = fixture.store.clone();
        tokio::spawn(async move { write!(store, |w| w.take_challenge(id, device, now())).unwrap().is_some() })
    });
    let taken = join_all(takers).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(taken, 1);
}
