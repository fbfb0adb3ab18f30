//! A PostgreSQL database of the test's own, on the server of this test run.

use countersign_store::StoreUrl;
use countersign_testkit::PostgresServer;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// A connection that does not go through the store.
pub(crate) type Intruder = PgConnection;

/// SQL for an audit entry's time, and that it were another.
pub(crate) const LATER: &str = "at = at + interval '1 millisecond'";

/// SQL: a question with one parameter, answered by a row when there is an index of that name.
pub(crate) const INDEX_EXISTS: &str = "SELECT 1 FROM pg_indexes WHERE indexname = $1";

/// Changes after which the device cannot be read, and the column that says so.
pub(crate) const CORRUPTIONS: &[(&str, &str)] = &[
    ("UPDATE devices SET enrolled_at = 'infinity'", "enrolled_at"),
    ("UPDATE devices SET enrolled_at = '20000-01-01'", "enrolled_at"),
    ("UPDATE devices SET enrolled_at = '2026-01-01', agent_id = 'xyz'", "agent_id"),
    ("UPDATE devices SET agent_id = 'AA', name = '../x'", "agent_id"),
    ("UPDATE tenants SET slug = 'Not A Slug'", "tenant_slug"),
];

pub(crate) struct Database {
    url: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { url: PostgresServer::shared().create_database() }
    }

    pub(crate) fn url(&self) -> StoreUrl {
        self.url.parse().unwrap()
    }

    /// The URL as a text that reads back.
    pub(crate) fn text(&self) -> String {
        self.url.clone()
    }

    /// Somebody else's connection, who may do anything.
    pub(crate) async fn intruder(&self) -> Intruder {
        let options: PgConnectOptions = self.url.parse().unwrap();
        let options = options.options([("search_path", "countersign,public")]);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// What `psql` answers, in a session with nothing of ours set.
    pub(crate) fn psql(&self, statement: &str) -> String {
        PostgresServer::shared().query(&self.url, statement)
    }
}

/// Takes away what keeps the audit log from being changed.
pub(crate) async fn drop_audit_triggers(intruder: &mut Intruder) {
    for (trigger, table) in [
        ("audit_entries_no_update", "audit_entries"),
        ("audit_entries_no_delete", "audit_entries"),
        ("audit_heads_no_delete", "audit_heads"),
        ("audit_heads_forward", "audit_heads"),
    ] {
        intruder.execute(AssertSqlSafe(format!("DROP TRIGGER {trigger} ON {table}"))).await.unwrap();
    }
}
