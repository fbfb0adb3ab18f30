//! A staged token opens nothing but its device's confirmation, and only while it replaces the present one.

use std::time::Duration;

use countersign_core::ids::SecretHash;
use countersign_store::StagedTokenRow;

use super::fixture::{DAY, Fixture, now, random, read, write};

#[tokio::test]
async fn a_staged_token_leads_to_its_device_until_it_expires() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let (token, replaces) = (SecretHash::from(random()), device.token.unwrap());
    let staged = StagedTokenRow { device: device.id, token, replaces, expires_at: now() + DAY };
    let row = staged.clone();
    write!(fixture.store, |w| w.stage_token(&row)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.staged_token_of(device.id)).unwrap(), Some(staged));
    let last = now() + DAY - Duration::from_millis(1);
    let found = read!(fixture.store, |r| r.device_by_staged_token(&token, last)).unwrap();
    assert_eq!(found.unwrap().id, device.id);
    assert!(read!(fixture.store, |r| r.device_by_staged_token(&token, now() + DAY)).unwrap().is_none());
    assert!(read!(fixture.store, |r| r.device_by_token(&token)).unwrap().is_none());
    assert_eq!(write!(fixture.store, |w| w.prune_staged_tokens(last)).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_staged_tokens(now() + DAY)).unwrap(), 1);
    assert!(!write!(fixture.store, |w| w.drop_staged_token(device.id)).unwrap());
}

#[tokio::test]
async fn the_next_one_takes_its_place_and_a_replaced_present_one_voids_it() {
    let fixture = Fixture::new().await;
    let mut device = fixture.device("d1").await;
    let (first, second) = (SecretHash::from(random()), SecretHash::from(random()));
    for token in [first, second] {
        let replaces = device.token.unwrap();
        let row = StagedTokenRow { device: device.id, token, replaces, expires_at: now() + DAY };
        write!(fixture.store, |w| w.stage_token(&row)).unwrap();
    }
    assert!(read!(fixture.store, |r| r.device_by_staged_token(&first, now())).unwrap().is_none());
    assert!(read!(fixture.store, |r| r.device_by_staged_token(&second, now())).unwrap().is_some());
    for other in [Some(SecretHash::from(random())), None] {
        device.token = other;
        let row = device.clone();
        assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());
        device.revision += 1;
        assert!(read!(fixture.store, |r| r.device_by_staged_token(&second, now())).unwrap().is_none());
    }
    assert!(write!(fixture.store, |w| w.drop_staged_token(device.id)).unwrap());
}
