//! An archive holds everything, whichever database it comes from or goes to, or is not restored.

use std::io::{self, Read};

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::CertificateState;
use countersign_store::{
    ArchiveError, ArchiveFacts, Restoring, Store, StoreError, StoreUrl, archive, inspect_archive,
};

use super::copying::{everything, filled};
use crate::on_sqlite::fixture::{Fixture, now, write};
use crate::{postgres, sqlite};

async fn archived(from: &StoreUrl) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut steps = Vec::new();
    let facts = archive(from, &mut bytes, now(), |step| steps.push((step.done, step.total))).await.unwrap();
    assert_eq!(inspect_archive(&mut bytes.as_slice()).unwrap(), facts);
    assert_eq!(facts.taken_at(), now());
    assert!(steps.is_sorted(), "{steps:?}");
    bytes
}

async fn restored(mut bytes: &[u8], to: &StoreUrl) -> Result<ArchiveFacts, ArchiveError> {
    let mut restoring = Restoring::begin(to).await?;
    let facts = restoring.fill(&mut bytes, |_step| ()).await?;
    restoring.commit().await?;
    Ok(facts)
}

#[tokio::test]
async fn everything_comes_back_on_either_database() {
    let fixture = filled().await;
    let before = everything(&fixture.store).await;
    let bytes = archived(&fixture.url).await;
    fixture.store.close().await;

    let (server, file) = (postgres::database::Database::new(), sqlite::database::Database::new());
    let facts = restored(&bytes, &server.url()).await.unwrap();
    assert!(facts.tables.iter().all(|table| table.rows > 0), "no table is empty: {:?}", facts.tables);
    let store = Store::open(&server.url()).await.unwrap();
    assert_eq!(everything(&store).await, before);
    assert!(store.migrate().await.unwrap().applied.is_empty());
    let entry = AuditEntry::new(None, now(), AuditEvent::LoginFailed, Actor::System);
    write!(store, |w| w.append_audit(&entry)).unwrap();
    store.close().await;

    let again = archived(&server.url()).await;
    let facts = restored(&again, &file.url()).await.unwrap();
    assert_eq!(facts.tables.iter().find(|table| table.name == "audit_heads").unwrap().rows, 2);
    let store = Store::open(&file.url()).await.unwrap();
    assert_eq!(everything(&store).await.len(), before.len());
    store.close().await;
}

#[tokio::test]
async fn an_archive_is_made_beside_a_writer_and_is_of_one_moment() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    for _certificate in 0..50 {
        fixture.certificate(&device, CertificateState::Expired).await;
    }
    let store = fixture.store.clone();
    let writing = tokio::spawn(async move {
        for _entry in 0..200 {
            let entry = AuditEntry::new(None, now(), AuditEvent::LoginFailed, Actor::System);
            write!(store, |w| w.append_audit(&entry)).unwrap();
        }
    });
    let bytes = archived(&fixture.url).await;
    writing.await.unwrap();
    // Every chain in it ends where its head says: commit recomputes them.
    restored(&bytes, &sqlite::database::Database::new().url()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_empty_is_left_alone() {
    let (from, to) = (Fixture::new().await, Fixture::new().await);
    let bytes = archived(&from.url).await;
    let locked = restored(&bytes, &to.url).await.unwrap_err();
    assert!(matches!(locked, ArchiveError::Store(StoreError::Locked(_))), "{locked}");
    let before = everything(&to.store).await;
    to.store.close().await;
    let refused = restored(&bytes, &to.url).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::NotEmpty { .. }), "{refused}");
    assert_eq!(everything(&Store::open(&to.url).await.unwrap()).await, before);
}

/// Fails after so many octets.
struct Failing<'b>(&'b [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("the disk is on fire")),
            count => Ok(count),
        }
    }
}

#[tokio::test]
async fn what_ends_in_the_middle_leaves_nothing() {
    let fixture = filled().await;
    let bytes = archived(&fixture.url).await;
    let half = &bytes[..bytes.len() - 100];
    let (server, file) = (postgres::database::Database::new(), sqlite::database::Database::new());
    for to in [server.url(), file.url()] {
        let cut = restored(half, &to).await.unwrap_err();
        assert!(matches!(cut, ArchiveError::Format(_)), "{cut}");
        let mut restoring = Restoring::begin(&to).await.unwrap();
        let failed = restoring.fill(&mut Failing(half), |_step| ()).await.unwrap_err();
        assert!(matches!(failed, ArchiveError::Stream(_)), "{failed}");
        drop(restoring);
        restored(&bytes, &to).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_newer_version_made_is_refused() {
    let fixture = Fixture::new().await;
    let bytes = archived(&fixture.url).await;
    let name = "0001_platform";
    let place = bytes.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
    let mut newer = bytes.clone();
    newer[place] = b'9';
    let to = sqlite::database::Database::new();
    let refused = restored(&newer, &to.url()).await.unwrap_err();
    assert!(matches!(&refused, ArchiveError::Newer(what) if what == "9001_platform"), "{refused}");
}

#[tokio::test]
async fn a_database_without_an_installation_has_nothing_to_archive() {
    let database = sqlite::database::Database::new();
    let store = Store::open(&database.url()).await.unwrap();
    let unmigrated = archive(&database.url(), &mut Vec::new(), now(), |_step| ()).await;
    assert!(matches!(unmigrated, Err(ArchiveError::Store(_))));
    store.migrate().await.unwrap();
    let empty = archive(&database.url(), &mut Vec::new(), now(), |_step| ()).await;
    assert!(matches!(empty, Err(ArchiveError::NoInstallation)));
}
