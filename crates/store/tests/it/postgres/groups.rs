//! Groups on a database where a failed statement spoils the whole transaction and connections get lost.

use countersign_store::{DeviceFilter, DeviceRow, Store, StoreError};
use futures_util::future::join_all;
use sqlx::Executor as _;

use crate::on_postgres::fixture::{Fixture, read, write};

async fn count_devices(store: &Store) -> usize {
    let filter = DeviceFilter { limit: 1000, ..DeviceFilter::default() };
    read!(store, |r| r.list_devices(&filter)).unwrap().devices.len()
}

/// A change that goes on after a statement that failed, and says that all is well.
async fn carry_on_regardless(store: &Store, row: DeviceRow) -> Result<(), StoreError> {
    store
        .write(move |w| {
            Box::pin(async move {
                w.insert_device(&row).await?;
                let same_id = DeviceRow { name: "other".parse().unwrap(), ..row };
                assert!(w.insert_device(&same_id).await.is_err());
                Ok(())
            })
        })
        .await
}

#[tokio::test]
async fn a_change_that_ignores_a_failed_statement_is_undone_alone_and_told_so() {
    let fixture = Fixture::new().await;
    let rows: Vec<_> = (0..9).map(|number| fixture.new_device(&format!("d{number}"))).collect();
    let changes = rows.into_iter().enumerate().map(|(number, row)| {
        let store = fixture.store.clone();
        async move {
            if number == 4 {
                carry_on_regardless(&store, row).await
            } else {
                write!(store, |w| w.insert_device(&row)).map(|_done| ())
            }
        }
    });
    for (number, result) in join_all(changes).await.into_iter().enumerate() {
        let as_expected =
            if number == 4 { matches!(result, Err(StoreError::Commit(_))) } else { result.is_ok() };
        assert!(as_expected, "{number}: {result:?}");
    }
    assert_eq!(count_devices(&fixture.store).await, 8);
}

#[tokio::test]
async fn a_group_that_cannot_be_committed_fails_as_a_whole_and_the_next_one_works() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    let only_at_commit = "
        CREATE FUNCTION no_bad_names() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.name = 'bad' THEN RAISE EXCEPTION 'bad'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER no_bad_names AFTER INSERT ON devices DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION no_bad_names()";
    intruder.execute(sqlx::raw_sql(only_at_commit)).await.unwrap();
    // On one thread all of them are queued before the writer takes the first.
    let group = ["good", "bad", "fine"].map(|name| {
        let (store, row) = (fixture.store.clone(), fixture.new_device(name));
        async move { write!(store, |w| w.insert_device(&row)) }
    });
    for result in join_all(group).await {
        assert!(matches!(result, Err(StoreError::Commit(_))), "{result:?}");
    }
    assert_eq!(count_devices(&fixture.store).await, 0);
    fixture.device("good").await;
}

#[tokio::test]
async fn a_lost_connection_is_replaced_without_anybody_noticing() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    for name in ["d1", "d2", "d3"] {
        let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE application_name = 'countersign' AND datname = current_database()";
        intruder.execute(ended).await.unwrap();
        fixture.device(name).await;
        assert!(read!(fixture.store, |r| r.installation()).unwrap().is_some());
    }
    assert_eq!(count_devices(&fixture.store).await, 3);
}

#[tokio::test]
async fn what_is_acknowledged_is_on_disk_whatever_the_servers_default() {
    let fixture = Fixture::new().await;
    let mut intruder = fixture.intruder().await;
    intruder.execute("ALTER ROLE postgres SET synchronous_commit = off").await.unwrap();
    let store = Store::open(&fixture.url).await.unwrap();
    let watched = "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.hostname := current_setting('synchronous_commit'); RETURN NEW; END $$;
        CREATE TRIGGER note BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION note()";
    intruder.execute(sqlx::raw_sql(watched)).await.unwrap();
    let row = fixture.new_device("d1");
    let id = row.id;
    write!(store, |w| w.insert_device(&row)).unwrap();
    intruder.execute("ALTER ROLE postgres RESET synchronous_commit").await.unwrap();
    assert_eq!(read!(store, |r| r.device(id)).unwrap().unwrap().hostname, "on");
}

#[tokio::test]
async fn a_text_with_a_nul_is_stored_without_it() {
    let fixture = Fixture::new().await;
    let mut row = fixture.new_device("d1");
    row.hostname = "a\0b".into();
    let id = row.id;
    write!(fixture.store, |w| w.insert_device(&row)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.device(id)).unwrap().unwrap().hostname, "a\u{fffd}b");
    assert!(read!(fixture.store, |r| r.user_by_email("a\0b")).unwrap().is_none());
}
