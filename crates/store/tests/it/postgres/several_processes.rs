//! Two processes on one database, as two stores: what one decides, the other finds decided.

use std::collections::BTreeSet;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::device::{DeviceEvent, DeviceStatus};
use countersign_core::ids::{DeviceId, IssuerKeyId};
use countersign_store::{AuditFilter, Inserted, Store, StoreError};
use futures_util::future::join_all;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::on_postgres::fixture::{Fixture, device_ca, issuer, now, read, write};

async fn two() -> (Fixture, [Store; 2]) {
    let fixture = Fixture::new().await;
    let second = Store::open(&fixture.url).await.unwrap();
    let stores = [fixture.store.clone(), second];
    (fixture, stores)
}

/// Runs a change 40 times, half of them in each process, side by side.
async fn in_both<T: Send + 'static, W: Future<Output = T> + Send + 'static>(
    stores: &[Store; 2],
    change: impl Fn(Store, usize) -> W,
) -> Vec<T> {
    let turns = stores.iter().cycle().take(40).enumerate();
    let tasks = turns.map(|(number, store)| tokio::spawn(change(store.clone(), number)));
    join_all(tasks).await.into_iter().map(|done| done.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_three_uses_lets_three_in() {
    let (fixture, stores) = two().await;
    let id = fixture.enrollment_key(3).await.id;
    let used = in_both(&stores, move |store, _number| async move {
        write!(store, |w| w.consume_enrollment_key(id, now())).unwrap()
    });
    assert_eq!(used.await.into_iter().filter(|used| *used).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_decisions_on_one_revision_one_wins() {
    let (fixture, stores) = two().await;
    let mut device = fixture.device("d1").await;
    device.status = DeviceStatus::Quarantined;
    let won = in_both(&stores, move |store, _number| {
        let row = device.clone();
        async move { write!(store, |w| w.update_device(&row)).unwrap() }
    });
    assert_eq!(won.await.into_iter().filter(|won| *won).count(), 1);
}

/// What is read in a write transaction is still true when it is committed: nobody else writes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_on_what_was_read_in_the_same_transaction_holds() {
    let (fixture, stores) = two().await;
    let id = fixture.device("d1").await.id;
    let changes = in_both(&stores, move |store, _number| async move {
        let changed = store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let mut device = w.device(id).await?.unwrap();
                device.hostname.push('x');
                device.status = device.status.apply(DeviceEvent::Seen).unwrap();
                w.update_device(&device).await
            })
        });
        changed.await.unwrap()
    });
    assert!(changes.await.into_iter().all(|changed| changed), "no change was lost");
    let device = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
    assert_eq!((device.revision, device.hostname.len()), (40, "d1.example".len() + 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_and_crl_numbers_are_given_out_once() {
    let (fixture, stores) = two().await;
    let row = device_ca(issuer(), "device");
    write!(fixture.store, |w| w.insert_issuer(&row)).unwrap();
    let key: IssuerKeyId = issuer();
    let tenant = fixture.tenant.id;
    let taken = in_both(&stores, move |store, _number| async move {
        let taken = store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                Ok((w.tenant_trust_changed(tenant).await?.epoch, w.next_crl_numbers(key, 1).await?))
            })
        });
        taken.await.unwrap()
    });
    let (epochs, numbers): (BTreeSet<u64>, BTreeSet<u64>) = taken.await.into_iter().unzip();
    assert_eq!(numbers, (1..=40).collect());
    assert_eq!(epochs.len(), 40);
}

/// Each change writes to two chains, half of them in the other order, which is how locks taken one by one
/// end in a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_chains_stay_whole() {
    let (fixture, stores) = two().await;
    let written = in_both(&stores, |store, number| async move {
        let done = store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let mut chains = [None, Some("acme".parse().unwrap())];
                chains.rotate_left(number / 2 % 2);
                for chain in chains {
                    let entry = AuditEntry::new(chain, now(), AuditEvent::LoginSucceeded, Actor::System);
                    w.append_audit(&entry.detail("number", number)).await?;
                }
                Ok(())
            })
        });
        done.await
    });
    for done in written.await {
        done.unwrap();
    }
    let report = read!(stores[1], |r| r.verify_audit()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.chains.iter().map(|chain| chain.entries).collect::<Vec<_>>(), [40, 40]);
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    assert_eq!(read!(fixture.store, |r| r.audit_entries(&filter)).unwrap().len(), 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_given_once() {
    let (fixture, stores) = two().await;
    let rows: Vec<_> = (0..40).map(|_| fixture.new_device("d1")).collect();
    let inserted = in_both(&stores, move |store, number| {
        let row = rows[number].clone();
        async move { write!(store, |w| w.insert_device(&row)).unwrap() }
    });
    assert_eq!(inserted.await.into_iter().filter(|done| *done == Inserted::Done).count(), 1);
}

#[tokio::test]
async fn migrating_from_both_at_once_applies_everything_once() {
    let database = crate::postgres::database::Database::new();
    let url = database.url();
    let (first, second) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
    let (first, second) = tokio::join!(first.migrate(), second.migrate());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.version, second.version);
    assert_eq!(first.applied.len() + second.applied.len(), usize::try_from(first.version).unwrap());
}

#[tokio::test]
async fn a_change_whose_turn_does_not_come_is_withdrawn_and_never_done() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.intruder().await;
    stranger.execute("SELECT pg_advisory_lock(7163002041987)").await.unwrap();
    let rows = ["d1", "d2"].map(|name| fixture.new_device(name));
    let [withdrawn, waiting] = rows.clone();
    let refused = write!(fixture.store, |w| w.insert_device(&withdrawn)).unwrap_err();
    assert!(matches!(refused, StoreError::Commit(_)) && refused.is_outage(), "{refused}");
    let store = fixture.store.clone();
    let waiting = tokio::spawn(async move { write!(store, |w| w.insert_device(&waiting)) });
    stranger.execute("SELECT pg_advisory_unlock(7163002041987)").await.unwrap();
    waiting.await.unwrap().unwrap();
    let [withdrawn, done] = rows.map(|row| row.id);
    assert!(read!(fixture.store, |r| r.device(withdrawn)).unwrap().is_none());
    assert!(read!(fixture.store, |r| r.device(done)).unwrap().is_some());
}

/// Two that each hold what the other waits for: the server ends one of them, here ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_loses_to_a_stranger_is_raced() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.device("d1").await, fixture.device("d2").await);
    let mut stranger = fixture.intruder().await;
    stranger.execute("SET deadlock_timeout = '1h'").await.unwrap();
    stranger.execute("BEGIN").await.unwrap();
    assert!(lock(&mut stranger, "FOR UPDATE", two.id).await);

    let (store, first, second) = (fixture.store.clone(), one.clone(), two.clone());
    let change = tokio::spawn(async move {
        store
            .write::<_, StoreError, _>(move |w| {
                Box::pin(async move { Ok(w.update_device(&first).await? && w.update_device(&second).await?) })
            })
            .await
    });
    let mut watcher = fixture.intruder().await;
    while lock(&mut watcher, "FOR UPDATE SKIP LOCKED", one.id).await {}
    assert!(lock(&mut stranger, "FOR UPDATE", one.id).await);
    stranger.execute("COMMIT").await.unwrap();

    let lost = change.await.unwrap();
    assert!(matches!(lost, Err(StoreError::Raced { .. })), "{lost:?}");
    assert!(write!(fixture.store, |w| w.update_device(&one)).unwrap(), "the next group works");
}

/// Locks a device's row; whether it was got.
async fn lock(connection: &mut PgConnection, how: &'static str, device: DeviceId) -> bool {
    let text = format!("SELECT 1 FROM devices WHERE id = $1 {how}");
    let locked = sqlx::query(AssertSqlSafe(text)).bind(device.uuid()).fetch_optional(connection).await;
    locked.unwrap().is_some()
}
