//! Opening, migrating and closing.

use countersign_core::ids::DeviceId;
use countersign_store::{Store, StoreError};
use sqlx::Executor as _;

use super::fixture::{Fixture, read, write};

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let fixture = Fixture::new().await;
    let again = fixture.store.migrate().await.unwrap();
    assert!(again.applied.is_empty(), "{again:?}");
    assert!(read!(fixture.store, |r| r.installation()).unwrap().is_some());
}

#[tokio::test]
async fn a_database_of_another_version_is_left_alone() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    intruder
        .execute("INSERT INTO schema_migrations (version, name) VALUES (99, '0099_future')")
        .await
        .unwrap();
    let refused = fixture.store.migrate().await.unwrap_err();
    assert!(matches!(refused, StoreError::Migration(_)), "{refused}");
    assert!(refused.to_string().contains("0099_future"), "{refused}");
}

#[tokio::test]
async fn after_close_everything_queued_is_there_and_nothing_more_is_accepted() {
    let fixture = Fixture::new().await;
    let row = fixture.new_device("d1");
    let (store, id) = (fixture.store.clone(), row.id);
    let queued = tokio::spawn(async move { write!(store, |w| w.insert_device(&row)) });
    queued.await.unwrap().unwrap();
    fixture.store.close().await;

    let refused = write!(fixture.store, |w| w.device_trust_changed(id)).unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused}");
    let store = Store::open(&fixture.url).await.unwrap();
    assert!(read!(store, |r| r.device(id)).unwrap().is_some());
}

#[tokio::test]
async fn beside_a_writer_it_opens_for_reading_only() {
    let fixture = Fixture::new().await;
    let beside = Store::open_for_reading(&fixture.url).await.unwrap();
    assert!(read!(beside, |r| r.installation()).unwrap().is_some());
    let refused = write!(beside, |w| w.device_trust_changed(DeviceId::random())).unwrap_err();
    assert!(matches!(refused, StoreError::Closed), "{refused}");
}
