//! Many heartbeats as one statement, by PostgreSQL's arrays.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::binding::storable;
use super::time::Time;
use crate::error::StoreError;
use crate::records::presence::Presence;

/// Writes the heartbeats, at most one per device.
pub(crate) async fn record<'p>(
    connection: &mut PgConnection,
    heard: impl Iterator<Item = &'p Presence>,
) -> Result<u64, StoreError> {
    let mut devices: Vec<Uuid> = Vec::new();
    let (mut times, mut addresses, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for presence in heard {
        devices.push(presence.device.uuid());
        times.push(Time(presence.at));
        addresses.push(presence.ip.map(|ip| ip.to_string()));
        versions.push(presence.agent_version.clone().map(storable));
    }
    sqlx::query(
        "UPDATE devices SET
             last_seen_at = heard.at,
             last_ip = coalesce(heard.ip, last_ip),
             agent_version = coalesce(heard.version, agent_version),
             last_seen_floor =
                 CASE WHEN status IN ('pending', 'offline') THEN heard.at ELSE last_seen_floor END,
             revision = revision + CASE WHEN status IN ('pending', 'offline') THEN 1 ELSE 0 END,
             status = CASE WHEN status IN ('pending', 'offline') THEN 'online' ELSE status END
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS heard (device, at, ip, version)
         WHERE devices.id = heard.device
           AND devices.status NOT IN ('quarantined', 'decommissioned')
           AND (devices.last_seen_at IS NULL OR devices.last_seen_at <= heard.at)",
    )
    .bind(devices)
    .bind(times)
    .bind(addresses)
    .bind(versions)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
    .map_err(|source| StoreError::of_statement("devices", source))
}
