//! Two authorities on one database: what one decides, the doors of the other enforce in under a second.

use std::pin::pin;
use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::brokered::Enrolled;
use countersign_authority::notices::Topic;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::snapshot::{Bar, Standing};
use countersign_store::{CertificateRow, Store};

use crate::on_postgres::house::{House, MINUTE, SECOND, claim, fresh_key, request};
use crate::races::run_until_intended;

/// Another authority on the same database, with a store of its own.
pub(crate) async fn neighbour(house: &House) -> Arc<Authority> {
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
        assert_eq!(neighbour.snapshot().barred.get(&key), Some(Bar::Decommissioned));
        assert_eq!(neighbour.snapshot().version, house.authority.snapshot().version);
    }
    following.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_authority_hears_of_devices_that_enrol_at_another() {
    let house = House::new().await;
    let neighbour = neighbour(&house).await;
    let mut enrolments = neighbour.enrolments().await.unwrap();
    for name in ["pump", "valve"] {
        let device = house.device(name).await;
        let heard = tokio::time::timeout(SECOND * 10, enrolments.heard()).await.unwrap().unwrap();
        assert_eq!(heard, Enrolled::Devices(vec![device.id]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_authority_hears_of_what_another_wrote() {
    let house = House::new().await;
    let neighbour = neighbour(&house).await;
    let mut notices = neighbour.notices(&house.view()).await.unwrap();
    house.device("pump").await;
    let heard = tokio::time::timeout(SECOND * 10, notices.next()).await.unwrap();
    assert_eq!(heard, Some(Topic::ALL.into()));
    let (slug, name) = ("other".parse().unwrap(), "Other".into());
    neighbour.create_tenant(&house.own(), slug, name).await.unwrap();
    assert_eq!(notices.next().await, Some([Topic::Administration, Topic::Audit].into()));
    let told_again = tokio::time::timeout(SECOND * 5, notices.next()).await;
    assert!(told_again.is_err(), "it wrote that itself: {told_again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_authority_hears_of_devices_that_come_to_another() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let neighbour = neighbour(&house).await;
    house.authority.sweep().await.unwrap();
    let mut notices = neighbour.notices(&house.view()).await.unwrap();
    let caller = house.caller(&device).await;
    house.authority.heartbeat(&caller, None, [192, 0, 2, 1].into()).await.unwrap();
    house.authority.sweep().await.unwrap();
    let heard = tokio::time::timeout(SECOND * 10, notices.next()).await.unwrap();
    assert_eq!(heard, Some([Topic::Devices].into()));
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

/// What another authority is about to sign when this one starts is not taken for what a crash left open.
#[tokio::test]
async fn an_authority_that_starts_leaves_what_another_is_about_to_record() {
    let house = House::new().await;
    let enrolment = request(&house.key().await, "pump", Some(&fresh_key()));
    let mut enrolling = pin!(house.enrol(&enrolment));
    assert!(run_until_intended(&house.store, enrolling.as_mut()).await.is_none());
    house.pass(MINUTE * 10);
    let neighbour = neighbour(&house).await;
    let enrolled = enrolling.await.unwrap();
    assert!(enrolled.mtls.is_ok(), "{:?}", enrolled.mtls.err());
    let row = house.in_state(enrolled.device.id, CertificateState::Active).await;
    assert!(!neighbour.snapshot().denied.contains(&row.reference));
    house.check(&[enrolled.device.id]).await;
}

/// The refusing twin: nobody records after so long, whoever notices first.
#[tokio::test]
async fn what_a_crash_left_open_is_abandoned_once_nobody_can_record_it() {
    for sweeps in [true, false] {
        let house = House::new().await;
        let enrolment = request(&house.key().await, "pump", Some(&fresh_key()));
        {
            let mut enrolling = pin!(house.enrol(&enrolment));
            assert!(run_until_intended(&house.store, enrolling.as_mut()).await.is_none());
            // Here its process dies.
        }
        let started = neighbour(&house).await;
        let open = async || house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
        assert_eq!(open().await.len(), 1, "it may still be recorded");
        house.pass(MINUTE * 10 + SECOND);
        let denied = if sweeps {
            started.sweep().await.unwrap();
            started.snapshot().denied.len()
        } else {
            neighbour(&house).await.snapshot().denied.len()
        };
        assert_eq!((open().await.len(), denied), (0, 1));
    }
}
