//! Challenges are bounded per device, good for their device alone and for their time alone.

use std::time::Duration;

use countersign_core::ids::{ChallengeId, DeviceId};
use countersign_core::time::Timestamp;
use countersign_store::ChallengeRow;

use super::fixture::{Fixture, now, write};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

fn challenge(device: DeviceId, made_at: Timestamp) -> ChallengeRow {
    ChallengeRow {
        id: ChallengeId::random(),
        device,
        nonce: "abc123".into(),
        expires_at: made_at + FIVE_MINUTES,
    }
}

#[tokio::test]
async fn at_most_eight_are_open_and_the_oldest_makes_room() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    let theirs = challenge(other, now());
    let rows: Vec<_> = (0..10).map(|second| challenge(device, now() + Duration::from_secs(second))).collect();
    for row in std::iter::once(&theirs).chain(&rows) {
        let row = row.clone();
        write!(fixture.store, |w| w.insert_challenge(&row, now(), 8)).unwrap();
    }
    for (number, row) in rows.into_iter().enumerate() {
        let taken = write!(fixture.store, |w| w.take_challenge(row.id, device, now())).unwrap();
        assert_eq!(taken.is_some(), number >= 2, "{number}");
    }
    let taken = write!(fixture.store, |w| w.take_challenge(theirs.id, other, now())).unwrap();
    assert!(taken.is_some());
}

#[tokio::test]
async fn fails_closed_for_another_device_and_after_five_minutes() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    let row = challenge(device, now());
    let kept = row.clone();
    write!(fixture.store, |w| w.insert_challenge(&row, now(), 8)).unwrap();
    let (id, end) = (kept.id, kept.expires_at);
    assert_eq!(write!(fixture.store, |w| w.take_challenge(id, other, now())).unwrap(), None);
    assert_eq!(write!(fixture.store, |w| w.take_challenge(id, device, end)).unwrap(), None);
    let taken = write!(fixture.store, |w| w.take_challenge(id, device, now())).unwrap();
    assert_eq!(taken, Some(kept));
    assert_eq!(write!(fixture.store, |w| w.take_challenge(id, device, now())).unwrap(), None);
}
