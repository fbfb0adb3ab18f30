//! An SQLite database belongs to one process and its owner's eyes.

use std::os::unix::fs::PermissionsExt as _;

use countersign_store::{Store, StoreError, StoreUrl};

use crate::on_sqlite::fixture::{Fixture, now, read, write};

#[tokio::test]
async fn fails_closed_when_another_writer_has_it_open() {
    let fixture = Fixture::new().await;
    let second = Store::open(&fixture.url).await.unwrap_err();
    assert!(matches!(second, StoreError::Locked(_)), "{second}");

    fixture.store.close().await;
    let third = Store::open(&fixture.url).await.unwrap();
    assert!(read!(third, |r| r.installation()).unwrap().is_some());
}

#[tokio::test]
async fn opening_for_reading_makes_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let url = StoreUrl::sqlite(directory.path().join("none.db"));
    assert!(matches!(Store::open_for_reading(&url).await, Err(StoreError::Open { .. })));
    assert!(!url.path().unwrap().exists());
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    let fixture = Fixture::new().await;
    write!(fixture.store, |w| w.prune_sessions(now())).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture.database.directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen += 1;
    }
    assert!(seen >= 3, "database, journal and lock");
}
