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

/// SQL: some bytes.
pub(crate) const BYTES: &str = "'\\x3000'";

/// SQL: some time.
pub(crate) const TIME: &str = "'2026-02-11T09:00:00Z'";

/// The migrations that were there before CAs had names.
pub(crate) const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_platform", include_str!("../../../migrations/postgres/0001_platform.sql")),
    ("0002_devices", include_str!("../../../migrations/postgres/0002_devices.sql")),
    ("0003_audit", include_str!("../../../migrations/postgres/0003_audit.sql")),
    ("0004_commands", include_str!("../../../migrations/postgres/0004_commands.sql")),
    ("0005_people", include_str!("../../../migrations/postgres/0005_people.sql")),
    ("0006_fleet", include_str!("../../../migrations/postgres/0006_fleet.sql")),
    ("0007_audit_anchors", include_str!("../../../migrations/postgres/0007_audit_anchors.sql")),
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

    /// Somebody else's connection to the database without a table: with what is there before one.
    pub(crate) async fn empty(&self) -> Intruder {
        let mut intruder = self.intruder().await;
        intruder.execute("CREATE SCHEMA countersign").await.unwrap();
        let statuses = "'online', 'offline', 'maintenance', 'decommissioned', 'quarantined', 'pending'";
        let create = format!("CREATE TYPE public.device_status AS ENUM ({statuses})");
        intruder.execute(AssertSqlSafe(create)).await.unwrap();
        intruder
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
