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

/// SQL: what was heard of devices in a state, with what else that changes.
macro_rules! heard {
    ($also:literal, $state:literal) => {
        concat!(
            "UPDATE devices SET ",
            $also,
            " last_seen_at = heard.at,
                 last_ip = coalesce(heard.ip, last_ip),
                 agent_version = coalesce(heard.version, agent_version)
             FROM (SELECT value ->> '$.d' AS device, value ->> '$.t' AS at, value ->> '$.i' AS ip,
                          value ->> '$.v' AS version
                   FROM json_each($1)) AS heard
             WHERE devices.id = heard.device AND devices.",
            $state,
            " AND (devices.last_seen_at IS NULL OR devices.last_seen_at <= heard.at)"
        )
    };
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
    let all = list.len() as u64;
    // An index is written for every column of it that a statement sets, whether or not it changes: those that
    // come online, of which there are few, are a statement of their own.
    let still_there = run(connection, heard!("", "status IN ('online', 'maintenance')"), &json).await?;
    if still_there == all {
        return Ok(all);
    }
    let arrived = run(
        connection,
        heard!(
            "status = 'online', revision = revision + 1, last_seen_floor = heard.at,",
            "status IN ('pending', 'offline')"
        ),
        &json,
    );
    Ok(still_there + arrived.await?)
}

async fn run(connection: &mut SqliteConnection, text: &'static str, json: &str) -> Result<u64, StoreError> {
    sql("devices", text).bind(json).run(&mut Connection::Sqlite(connection)).await
}
