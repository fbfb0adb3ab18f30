//! Migrating beside others: a table that somebody holds is not waited for without end, and whoever runs on what was
//! migrated needs no right to make tables.

use countersign_store::{Store, StoreError, StoreUrl};
use sqlx::Executor as _;

use super::database::Database;
use crate::on_postgres::fixture::{DAY, Fixture, now, read, write};
use crate::on_postgres::upgrading::earlier;
use crate::on_sqlite::messages::new_telemetry;

/// The database as seen by a role of its own, which owns nothing and may read and write rows.
fn as_runner(database: &Database) -> StoreUrl {
    let role = format!("runner_of_{}", database.psql("SELECT current_database()"));
    database.psql(&format!("CREATE ROLE {role} LOGIN"));
    database.text().replace("user=postgres", &format!("user={role}")).parse().unwrap()
}

#[tokio::test]
async fn a_table_that_somebody_holds_is_waited_for_a_while_and_then_nothing_is_changed() {
    let database = earlier(7).await;
    let mut reader = database.intruder().await;
    reader.execute("BEGIN").await.unwrap();
    reader.execute("SELECT * FROM issuers").await.unwrap();

    let store = Store::open(&database.url()).await.unwrap();
    let refused = store.migrate().await.unwrap_err();
    assert!(matches!(refused, StoreError::Migration(_)), "{refused}");
    let said = refused.to_string();
    assert!(said.contains("0008_issuers") && said.contains("somebody else's transaction"), "{said}");
    assert_eq!(database.psql("SELECT count(*) FROM countersign.schema_migrations"), "7");

    reader.execute("COMMIT").await.unwrap();
    let migrated = store.migrate().await.unwrap();
    assert_eq!(migrated.applied.first(), Some(&"0008_issuers"));
}

#[tokio::test]
async fn a_role_that_makes_no_tables_runs_on_what_was_migrated() {
    let fixture = Fixture::new().await;
    let runner = as_runner(&fixture.database);
    let role = fixture.database.psql("SELECT 'runner_of_' || current_database()");
    for schema in ["countersign", "public"] {
        for grant in [
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"),
            format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"),
        ] {
            fixture.database.psql(&grant);
        }
    }
    let store = Store::open(&runner).await.unwrap();
    assert!(store.migrate().await.unwrap().applied.is_empty());
    let device = fixture.new_device("d1");
    let (row, id) = (device.clone(), device.id);
    write!(store, |w| w.insert_device(&row)).unwrap();
    assert!(read!(store, |r| r.device(id)).unwrap().is_some());

    // Days of telemetry are the owner's to make; what comes is kept all the same, and goes when it is old.
    let new = new_telemetry("{\"of\":\"today\"}");
    write!(store, |w| w.insert_telemetry(&device, &new)).unwrap();
    assert!(!write!(store, |w| w.turn_telemetry_days(now(), now())).unwrap());
    let kept = || fixture.database.psql("SELECT count(*) FROM countersign.telemetry");
    assert_eq!(kept(), "1");
    write!(store, |w| w.prune_messages(now() + DAY)).unwrap();
    assert_eq!(kept(), "0");
}

#[tokio::test]
async fn a_role_that_makes_no_tables_migrates_nothing() {
    let database = Database::new();
    let refused = Store::open(&as_runner(&database)).await.unwrap().migrate().await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    assert_eq!(database.psql("SELECT to_regnamespace('countersign') IS NULL"), "t");
}
