//! Changes are committed in groups, and one that fails takes no other with it.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_store::{AuditFilter, DeviceFilter, StoreError};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::fixture::{Fixture, now, read};

/// A use case's own error.
#[derive(Debug)]
enum UseCaseError {
    Refused,
    Store(StoreError),
}

impl From<StoreError> for UseCaseError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Succeeds,
    Errs,
    Panics,
}

fn ending(number: usize) -> Ending {
    match number % 10 {
        3 => Ending::Errs,
        7 => Ending::Panics,
        _ => Ending::Succeeds,
    }
}

#[tokio::test]
async fn changes_that_fail_among_many_leave_the_others_intact() {
    let fixture = Fixture::new().await;
    let changes = (0..300).map(|number| {
        let row = fixture.new_device(&format!("d{number}"));
        fixture.store.write(move |w| {
            Box::pin(async move {
                w.insert_device(&row).await?;
                let entry = AuditEntry::new(
                    Some(row.tenant_slug.clone()),
                    now(),
                    AuditEvent::DeviceEnrolled,
                    Actor::System,
                );
                w.append_audit(&entry.device(row.id)).await?;
                match ending(number) {
                    Ending::Succeeds => Ok(row.id),
                    Ending::Errs => Err(UseCaseError::Refused),
                    Ending::Panics => panic!("a use case with a bug"),
                }
            })
        })
    });
    let results = join_all(changes).await;

    for (number, result) in results.iter().enumerate() {
        let as_expected = match ending(number) {
            Ending::Succeeds => result.is_ok(),
            Ending::Errs => matches!(result, Err(UseCaseError::Refused)),
            Ending::Panics => matches!(result, Err(UseCaseError::Store(StoreError::Panicked))),
        };
        assert!(as_expected, "{number}: {result:?}");
    }
    let filter = DeviceFilter { limit: 1000, ..DeviceFilter::default() };
    let page = read!(fixture.store, |r| r.list_devices(&filter)).unwrap();
    assert_eq!(page.devices.len(), 240);
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let entries = read!(fixture.store, |r| r.audit_entries(&filter)).unwrap();
    assert_eq!(entries.len(), 240, "an entry for each change, none for what was undone");
    assert!(read!(fixture.store, |r| r.verify_audit()).unwrap().is_intact());
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_is_committed_all_the_same() {
    let fixture = Fixture::new().await;
    let row = fixture.new_device("d1");
    let id = row.id;
    let change = fixture
        .store
        .write::<_, StoreError, _>(move |w| Box::pin(async move { w.insert_device(&row).await }));
    // Handed over, not answered, dropped.
    assert!(change.now_or_never().is_none());
    fixture.store.migrate().await.unwrap();
    assert!(read!(fixture.store, |r| r.device(id)).unwrap().is_some());
}

#[tokio::test]
async fn a_change_reads_what_it_wrote_and_a_reader_only_what_is_committed() {
    let fixture = Fixture::new().await;
    let row = fixture.new_device("d1");
    let (id, store) = (row.id, fixture.store.clone());
    let seen = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_device(&row).await?;
            let inside = w.device(id).await?.is_some();
            let outside = read!(store, |r| r.device(id))?.is_some();
            Ok((inside, outside))
        })
    });
    assert_eq!(seen.await.unwrap(), (true, false));
}
