//! Many heartbeats as one statement, by SQLite's JSON functions.

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::records::presence::Presence;
use crate::statement::sql;

/// One heartbeat as the statement reads it.
#[derive(Serialize)]
struct Heard<'a> {
    d: String,
    t: i64,
    i: Option<String>,
    v: Option<&'a str>,
}

/// Writes the heartbeats, at most one per device.
pub(crate) async fn record<'p>(
    connection: &mut SqliteConnection,
    heard: impl Iterator<Item = &'p Presence>,
) -> Result<u64, StoreError> {
    let list: Vec<Heard<'_>> = heard
        .map(|presence| Heard {
            d: presence.device.to_string(),
            t: presence.at.millis(),
            i: presence.ip.map(|ip| ip.to_string()),
            v: presence.agent_version.as_deref(),
        })
        .collect();
    let json = serde_json::to_string(&list)
        .map_err(|error| StoreError::corrupt("devices", "last_seen_at", &error.to_string()))?;
    sql(
        "devices",
        "UPDATE devices SET
             last_seen_at = heard.at,
             last_ip = coalesce(heard.ip, last_ip),
             agent_version = coalesce(heard.version, agent_version),
             revision = revision + (status IN ('pending', 'offline')),
             status = CASE WHEN status IN ('pending', 'offline') THEN 'online' ELSE status END
         FROM (SELECT value ->> '$.d' AS device, value ->> '$.t' AS at, value ->> '$.i' AS ip,
                      value ->> '$.v' AS version
               FROM json_each($1)) AS heard
         WHERE devices.id = heard.device
           AND devices.status NOT IN ('quarantined', 'decommissioned')
           AND (devices.last_seen_at IS NULL OR devices.last_seen_at <= heard.at)",
    )
    .bind(json)
    .run(&mut Connection::Sqlite(connection))
    .await
}
