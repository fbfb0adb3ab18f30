//! Both databases hold the same records: the same tables with the same columns and indexes.

use std::collections::BTreeSet;

use sqlx::Row as _;

use crate::{on_postgres, on_sqlite};

/// What PostgreSQL alone has, and why.
const ONLY_THERE: [&str; 5] = [
    // What an adopted row said before.
    "devices.seed_values null",
    // Names that are searched: SQLite has them in a table of its own kind.
    "device_lookup.words",
    "index device_lookup_words_idx",
    // On SQLite the table itself says what is unique.
    "index devices_org_name_idx",
    // Seed 004's question has an index of its own.
    "index issued_certificates_name_idx",
];

#[tokio::test]
async fn tables_columns_and_indexes_are_the_same() {
    let here = on_sqlite::fixture::Fixture::new().await;
    let there = on_postgres::fixture::Fixture::new().await;
    let (mut sqlite, mut postgres) = (here.intruder().await, there.intruder().await);
    let in_sqlite = sqlx::query(
        "SELECT t.name || '.' || c.name
             || CASE WHEN c.\"notnull\" OR c.pk OR t.type = 'view' THEN '' ELSE ' null' END
         FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type IN ('table', 'view')
             AND t.name NOT LIKE 'device_search%'
         UNION SELECT 'index ' || name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    )
    .fetch_all(&mut sqlite)
    .await
    .unwrap();
    let in_postgres = sqlx::query(
        // A view on SQLite does not say what may be missing.
        "SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'YES'
             AND table_name NOT IN ('device_certificates', 'device_lookup') THEN ' null' ELSE '' END
         FROM information_schema.columns WHERE table_schema IN ('countersign', 'public')
             AND table_name NOT LIKE 'telemetry_o%'
         UNION SELECT 'index ' || indexname FROM pg_indexes WHERE schemaname IN ('countersign', 'public')
             AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'
             AND tablename NOT LIKE 'telemetry_o%'",
    )
    .fetch_all(&mut postgres)
    .await
    .unwrap();
    let here: BTreeSet<String> = in_sqlite.iter().map(|row| row.get(0)).collect();
    let there: BTreeSet<String> = in_postgres.iter().map(|row| row.get(0)).collect();
    let only_here: Vec<_> = here.difference(&there).collect();
    assert!(only_here.is_empty(), "not on PostgreSQL: {only_here:?}");
    let only_there: BTreeSet<_> = there.difference(&here).map(String::as_str).collect();
    assert_eq!(only_there, BTreeSet::from(ONLY_THERE));
}
