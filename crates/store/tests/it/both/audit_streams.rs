//! How far a copy of the audit is reads back whole, moves once what was sent has arrived, and is one sender's at a time.

use countersign_store::{AuditStreamRow, StoreError, StreamFailure};

use super::fixture::{Fixture, HOUR, now, read, write};

pub(crate) fn failure() -> StreamFailure {
    StreamFailure { attempts: 3, since: now(), problem: "ünreachable".to_owned() }
}

async fn begun() -> Fixture {
    let fixture = Fixture::new().await;
    let begun = write!(fixture.store, |w| async move {
        w.begin_audit_stream("siem", 7, now()).await?;
        w.begin_audit_stream("siem", 1, now() + HOUR).await?;
        w.begin_audit_stream("chat", 0, now()).await
    });
    begun.unwrap();
    fixture
}

async fn streams(fixture: &Fixture) -> Vec<AuditStreamRow> {
    read!(fixture.store, |r| r.audit_streams()).unwrap()
}

fn row(name: &str, position: u64) -> AuditStreamRow {
    AuditStreamRow { name: name.to_owned(), position, due_at: now(), failure: None, arrived_at: None }
}

#[tokio::test]
async fn a_stream_begins_once() {
    let fixture = begun().await;
    assert_eq!(streams(&fixture).await, [row("chat", 0), row("siem", 7)]);
    assert_eq!(read!(fixture.store, |r| r.audit_stream("siem")).unwrap(), Some(row("siem", 7)));
    assert_eq!(read!(fixture.store, |r| r.audit_stream("other")).unwrap(), None);
}

#[tokio::test]
async fn who_takes_has_it_alone_until_it_arrives_or_its_time_is_over() {
    let fixture = begun().await;
    let taken = write!(fixture.store, |w| async move {
        let first = w.take_audit_stream("siem", (now(), now() + HOUR)).await?;
        let second = w.take_audit_stream("siem", (now(), now() + HOUR)).await?;
        Ok::<_, StoreError>((first, second))
    });
    let (first, second) = taken.unwrap();
    let first = first.unwrap();
    assert_eq!((first.position, first.due_at, second), (7, now() + HOUR, None));

    let late = first.clone();
    let moved = write!(fixture.store, |w| async move {
        let other = w.take_audit_stream("siem", (now() + HOUR, now() + HOUR * 2)).await?.unwrap();
        let late = w.move_audit_stream(&late, 9, now()).await?;
        let put_off = w.put_off_audit_stream(&first, &failure(), now()).await?;
        Ok::<_, StoreError>((late, put_off, w.move_audit_stream(&other, 12, now() + HOUR).await?))
    });
    assert_eq!(moved.unwrap(), (false, false, true));
    let wanted = AuditStreamRow { due_at: now() + HOUR, arrived_at: Some(now() + HOUR), ..row("siem", 12) };
    assert_eq!(streams(&fixture).await.pop(), Some(wanted));
}

#[tokio::test]
async fn what_failed_is_remembered_until_something_arrives() {
    let fixture = begun().await;
    let done = write!(fixture.store, |w| async move {
        let taken = w.take_audit_stream("siem", (now(), now() + HOUR)).await?.unwrap();
        w.put_off_audit_stream(&taken, &failure(), now() + HOUR).await
    });
    assert!(done.unwrap());
    let failed = streams(&fixture).await.pop().unwrap();
    assert_eq!((failed.failure, failed.position, failed.due_at), (Some(failure()), 7, now() + HOUR));
    let done = write!(fixture.store, |w| async move {
        let taken = w.take_audit_stream("siem", (now() + HOUR, now() + HOUR * 2)).await?.unwrap();
        w.move_audit_stream(&taken, 8, now() + HOUR).await
    });
    assert!(done.unwrap());
    assert_eq!(streams(&fixture).await.pop().unwrap().failure, None);
}
