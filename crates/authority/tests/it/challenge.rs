//! A device gets challenges, a bounded number of them; a quarantined one gets none.

use countersign_authority::challenge::ChallengeError;
use countersign_core::ids::ChallengeId;

use super::house::{Csr, House, fresh_key, refused};

#[tokio::test]
async fn the_oldest_of_nine_is_not_good_any_more() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let csr = Csr::of(&fresh_key());
    let oldest = house.proof(&device, &device.key, csr.subject()).await;
    house.pass(std::time::Duration::from_secs(1));
    let caller = house.caller(&device).await;
    let mut ids: Vec<ChallengeId> = Vec::new();
    for _ in 0..8 {
        ids.push(house.authority.challenge(&caller).await.unwrap().id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    refused(house.authority.renew(&caller, &csr.pem, &oldest).await);
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
}

#[tokio::test]
async fn sixty_a_minute_and_then_no_more() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    for _ in 0..60 {
        house.authority.challenge(&caller).await.unwrap();
    }
    assert!(matches!(house.authority.challenge(&caller).await, Err(ChallengeError::TooMany(_))));
}

#[tokio::test]
async fn a_quarantined_device_gets_none_until_it_is_approved() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let reason = "lost".parse().unwrap();
    house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
    let caller = house.caller(&device).await;
    assert!(matches!(house.authority.challenge(&caller).await, Err(ChallengeError::Quarantined)));
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.authority.challenge(&house.caller(&device).await).await.unwrap();
}
