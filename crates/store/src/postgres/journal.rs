//! Many audit entries at once: a few as one statement, by PostgreSQL's arrays, and more as a copy, which takes
//! the server half the time.

use sqlx::postgres::PgConnection;

use super::binding::storable;
use super::time::Time;
use crate::error::StoreError;
use crate::records::audit::TABLE;
use crate::records::journal::Linked;

/// From how many on they are copied: that is one exchange with the server more.
const MANY: usize = 1024;

/// How much of a copy is handed over at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// What a copy in the binary format begins with: the signature, no flags, no extension (PostgreSQL's
/// documentation of `COPY`, "Binary Format").
const COPY_START: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with: a row of -1 fields.
const COPY_END: &[u8] = &(-1_i16).to_be_bytes();

/// Writes the entries, in their order.
pub(crate) async fn write(
    connection: &mut PgConnection,
    entries: impl ExactSizeIterator<Item = Linked>,
) -> Result<(), StoreError> {
    let written = if entries.len() < MANY {
        insert(connection, entries).await
    } else {
        copy(connection, entries).await
    };
    written.map_err(|source| StoreError::of_statement(TABLE, source))
}

/// The entries get their places while the server writes those before them.
async fn copy(
    connection: &mut PgConnection,
    entries: impl Iterator<Item = Linked>,
) -> Result<(), sqlx::Error> {
    let text = "COPY audit_entries
                    (chain, sequence, at, event, actor, device_id, certificate_id, details, hash)
                FROM STDIN (FORMAT binary)";
    let mut copying = connection.copy_in_raw(text).await?;
    let mut piece = Vec::with_capacity(2 * PIECE);
    piece.extend_from_slice(COPY_START);
    for entry in entries {
        add_row(&mut piece, entry);
        if piece.len() >= PIECE {
            copying.send(piece.as_slice()).await?;
            piece.clear();
        }
    }
    piece.extend_from_slice(COPY_END);
    copying.send(piece.as_slice()).await?;
    copying.finish().await.map(drop)
}

fn add_row(piece: &mut Vec<u8>, Linked { entry, sequence, hash }: Linked) {
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX).to_be_bytes();
    let (actor, details, hash) = (storable(entry.actor), storable(entry.details), hex::encode(hash));
    let fields: [&[u8]; 9] = [
        entry.chain.as_bytes(),
        &sequence,
        &Time(entry.at).stored().to_be_bytes(),
        entry.event.as_bytes(),
        actor.as_bytes(),
        entry.device.as_bytes(),
        entry.certificate.as_bytes(),
        details.as_bytes(),
        hash.as_bytes(),
    ];
    piece.extend_from_slice(&9_i16.to_be_bytes());
    for field in fields {
        // Texts of an entry are far shorter than the 1 GiB that a field may have.
        piece.extend_from_slice(&i32::try_from(field.len()).unwrap_or(i32::MAX).to_be_bytes());
        piece.extend_from_slice(field);
    }
}

async fn insert(
    connection: &mut PgConnection,
    entries: impl Iterator<Item = Linked>,
) -> Result<(), sqlx::Error> {
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
}
