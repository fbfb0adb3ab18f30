//! An SQLite database in a directory of its own.

use countersign_store::StoreUrl;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

/// A connection that does not go through the store.
pub(crate) type Intruder = SqliteConnection;

/// SQL for an audit entry's time, and that it were another.
pub(crate) const LATER: &str = "at = at + 1";

/// SQL: a question with one parameter, answered by a row when there is an index of that name.
pub(crate) const INDEX_EXISTS: &str = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = $1";

/// Changes after which the device cannot be read, and the column that says so.
pub(crate) const CORRUPTIONS: &[(&str, &str)] = &[
    ("UPDATE devices SET status = 'fine'", "status"),
    ("UPDATE devices SET status = 'online', enrolled_at = 9223372036854775807", "enrolled_at"),
    ("UPDATE devices SET enrolled_at = 0, agent_id = 'xyz'", "agent_id"),
    ("UPDATE devices SET agent_id = 'AA', name = '../x'", "agent_id"),
    ("UPDATE tenants SET slug = 'Not A Slug'", "tenant_slug"),
];

/// SQL: some bytes.
pub(crate) const BYTES: &str = "x'3000'";

/// SQL: some time.
pub(crate) const TIME: &str = "1770800400000";

/// The migrations that were there before CAs had names.
pub(crate) const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_platform", include_str!("../../../migrations/sqlite/0001_platform.sql")),
    ("0002_devices", include_str!("../../../migrations/sqlite/0002_devices.sql")),
    ("0003_audit", include_str!("../../../migrations/sqlite/0003_audit.sql")),
    ("0004_commands", include_str!("../../../migrations/sqlite/0004_commands.sql")),
    ("0005_people", include_str!("../../../migrations/sqlite/0005_people.sql")),
    ("0006_fleet", include_str!("../../../migrations/sqlite/0006_fleet.sql")),
    ("0007_audit_anchors", include_str!("../../../migrations/sqlite/0007_audit_anchors.sql")),
];

pub(crate) struct Database {
    pub(crate) directory: TempDir,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> StoreUrl {
        StoreUrl::sqlite(self.directory.path().join("countersign.db"))
    }

    /// The URL as a text that reads back.
    pub(crate) fn text(&self) -> String {
        self.url().to_string()
    }

    /// Somebody else's connection to the database without a table.
    pub(crate) async fn empty(&self) -> Intruder {
        self.intruder().await
    }

    /// Somebody else's connection, who may do anything.
    pub(crate) async fn intruder(&self) -> Intruder {
        let url = self.url();
        let options = SqliteConnectOptions::new().filename(url.path().unwrap()).foreign_keys(false);
        let mut intruder = SqliteConnection::connect_with(&options).await.unwrap();
        intruder.execute("PRAGMA ignore_check_constraints = ON").await.unwrap();
        intruder
    }
}

/// Takes away what keeps the audit log from being changed.
pub(crate) async fn drop_audit_triggers(intruder: &mut Intruder) {
    for trigger in
        ["audit_entries_no_update", "audit_entries_no_delete", "audit_heads_no_delete", "audit_heads_forward"]
    {
        intruder.execute(AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).await.unwrap();
    }
}
