//! A database of an earlier version keeps what it has when it is migrated.

use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::IssuerKeyId;
use countersign_store::{CrlName, IssuerRole, IssuerState, KeptKey, Origin, Store};
use sqlx::{AssertSqlSafe, Executor as _};

use super::database::{BYTES, Database, MIGRATIONS, TIME};
use super::fixture::{read, write};

/// A database with the first `count` migrations.
pub(crate) async fn earlier(count: usize) -> Database {
    let database = Database::new();
    // As on its first start: makes the file, or the schema.
    Store::open(&database.url()).await.unwrap().close().await;
    let mut intruder = database.empty().await;
    intruder
        .execute("CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        .await
        .unwrap();
    for (place, (name, script)) in MIGRATIONS.iter().take(count).enumerate() {
        intruder.execute(sqlx::raw_sql(*script)).await.unwrap();
        let insert = format!("INSERT INTO schema_migrations VALUES ({}, '{name}')", place + 1);
        intruder.execute(AssertSqlSafe(insert)).await.unwrap();
    }
    database
}

#[tokio::test]
async fn the_first_three_cas_get_names_and_keep_their_crls() {
    let database = earlier(7).await;
    let mut intruder = database.intruder().await;
    let cas = [(IssuerRole::Service, 1_u8), (IssuerRole::Root, 2), (IssuerRole::Device, 3)];
    for (role, byte) in cas {
        let id = IssuerKeyId::from([byte; 32]);
        let ca = format!("INSERT INTO issuers VALUES ('{id}', '{role}', {BYTES}, {BYTES}, {TIME}, {byte})");
        intruder.execute(AssertSqlSafe(ca)).await.unwrap();
        let crl = format!("INSERT INTO crls VALUES ('{id}', {byte}, {TIME}, {TIME}, {BYTES})");
        intruder.execute(AssertSqlSafe(crl)).await.unwrap();
    }
    drop(intruder);

    let store = Store::open(&database.url()).await.unwrap();
    store.migrate().await.unwrap();
    let rows = read!(store, |r| r.issuers()).unwrap();
    assert_eq!(rows.len(), 3);
    for ((role, byte), row) in cas.into_iter().zip(rows) {
        assert_eq!((row.role, row.name.as_str()), (role, role.as_str()));
        let parent = (role != IssuerRole::Root).then(|| IssuerKeyId::from([2; 32]));
        assert_eq!((row.parent, row.environment), (parent, None));
        assert_eq!((row.state, row.origin), (IssuerState::Active, Origin::Made));
        assert_eq!(row.key, KeptKey::Sealed(row.certificate));
        let id = row.key_id;
        let whole = CrlName { issuer: id, scope: CrlScope::Whole };
        assert_eq!(read!(store, |r| r.latest_crl(whole)).unwrap().unwrap().number, u64::from(byte));
        assert_eq!(write!(store, |w| w.next_crl_numbers(id, 1)).unwrap(), u64::from(byte) + 1);
    }
}
