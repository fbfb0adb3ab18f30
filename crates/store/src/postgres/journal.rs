//! Many audit entries as one statement, by PostgreSQL's arrays.

use futures_util::future;
use sqlx::postgres::PgConnection;

use super::binding::storable;
use super::time::Time;
use crate::error::StoreError;
use crate::records::audit::TABLE;
use crate::records::journal::Linked;

/// How many entries one statement writes at most: what it holds in memory is bounded.
const MOST: usize = 4096;

/// Writes the entries, in their order. Those that come next get their places while the server writes.
pub(crate) async fn write(
    connection: &mut PgConnection,
    mut entries: impl Iterator<Item = Linked>,
) -> Result<(), StoreError> {
    let mut next = some_of(&mut entries);
    while let Some(some) = next {
        let write = write_some(connection, some);
        let (written, following) = future::join(write, async { some_of(&mut entries) }).await;
        written?;
        next = following;
    }
    Ok(())
}

/// As many as one statement writes; none when there are no more.
fn some_of(entries: &mut impl Iterator<Item = Linked>) -> Option<Vec<Linked>> {
    let some: Vec<Linked> = entries.take(MOST).collect();
    (!some.is_empty()).then_some(some)
}

async fn write_some(connection: &mut PgConnection, entries: Vec<Linked>) -> Result<(), StoreError> {
    let (mut chains, mut sequences, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut actors, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut certificates, mut details, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for Linked { entry, sequence, hash } in entries {
        chains.push(entry.chain);
        sequences.push(i64::try_from(sequence).unwrap_or(i64::MAX));
        times.push(Time(entry.at));
        events.push(entry.event);
        actors.push(storable(entry.actor));
        devices.push(entry.device);
        certificates.push(entry.certificate);
        details.push(storable(entry.details));
        hashes.push(hex::encode(hash));
    }
    sqlx::query(
        "INSERT INTO audit_entries
             (chain, sequence, at, event, actor, device_id, certificate_id, details, hash)
         SELECT chain, sequence, at, event, actor, device_id, certificate_id, details, hash
         FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[], $9::text[]) WITH ORDINALITY
             AS new (chain, sequence, at, event, actor, device_id, certificate_id, details, hash, place)
         ORDER BY place",
    )
    .bind(chains)
    .bind(sequences)
    .bind(times)
    .bind(events)
    .bind(actors)
    .bind(devices)
    .bind(certificates)
    .bind(details)
    .bind(hashes)
    .execute(connection)
    .await
    .map(drop)
    .map_err(|source| StoreError::of_statement(TABLE, source))
}
