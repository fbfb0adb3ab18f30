//! Reseal: every sealed key gets another key-encryption key, all of them or none.

use countersign_ca::{KeyEncryptionKey, KeySource, SealError, SealedKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use countersign_store::{KeptKey, Store, StoreError, Writing};
use thiserror::Error;

use crate::authority::OpenError;
use crate::keys::{on_a_thread, open_kek};
use crate::repair::crash_point;
use crate::second_factor::codes::sealed_name;

/// The keys were not sealed anew; all are as they were.
#[derive(Debug, Error)]
pub enum ResealError {
    /// There is nothing that could be sealed.
    #[error("the database holds no installation")]
    NoInstallation,
    /// The key-encryption key of now is not at hand.
    #[error("cannot open the keys as they are sealed now")]
    Open(#[source] OpenError),
    /// The new one is not at hand.
    #[error("cannot seal the keys anew")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// What was sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// How many keys of CAs, those that wait for their certificates included.
    pub cas: usize,
    /// How many keys that sign anchors.
    pub anchor_keys: usize,
    /// How many keys of services.
    pub service_keys: usize,
    /// How many keys of people's one-time codes.
    pub totp_keys: usize,
}

/// Opens every sealed key in an installation that no authority is running on with what `from` gives, and
/// seals it with what `to` gives, in one transaction. Keys in tokens and keys that are away stay as they
/// are.
///
/// # Errors
/// See [`ResealError`]. Fails closed: one key that does not open, and none is changed.
pub async fn reseal(
    store: &Store,
    (from, to): (&KeySource, &KeySource),
    now: Timestamp,
) -> Result<Resealed, ResealError> {
    let installation = store.read(|r| Box::pin(async move { r.installation().await })).await?;
    if installation.is_none() {
        return Err(ResealError::NoInstallation);
    }
    let old = open_kek(store, from).await.map_err(ResealError::Open)?;
    let source = to.clone();
    let new = on_a_thread(move || source.open(None)).await?;
    let entry = AuditEntry::new(None, now, AuditEvent::KeysResealed, Actor::Operator)
        .detail("from", from.kind())
        .detail("to", to.kind());
    let resealed = store
        .write(move |w| {
            Box::pin(async move {
                let done = reseal_all(w, &old, &new).await?;
                let entry = entry.detail("cas", done.cas).detail("anchorKeys", done.anchor_keys);
                let entry = entry.detail("serviceKeys", done.service_keys).detail("totpKeys", done.totp_keys);
                w.append_audit(&entry).await?;
                crash_point("reseal");
                Ok::<_, ResealError>(done)
            })
        })
        .await?;
    crash_point("resealed");
    Ok(resealed)
}

async fn reseal_all(
    w: &mut Writing<'_>,
    old: &KeyEncryptionKey,
    new: &KeyEncryptionKey,
) -> Result<Resealed, ResealError> {
    let again = |sealed: Vec<u8>, id: IssuerKeyId| -> Result<Vec<u8>, SealError> {
        let key = old.open(&SealedKey::from(sealed), id)?;
        new.seal(&key, id).map(Vec::from)
    };
    let mut done = Resealed { cas: 0, anchor_keys: 0, service_keys: 0, totp_keys: 0 };
    for row in w.issuers().await? {
        let KeptKey::Sealed(sealed) = row.key else { continue };
        w.set_issuer_key(row.key_id, &KeptKey::Sealed(again(sealed, row.key_id)?)).await?;
        done.cas += 1;
    }
    for row in w.ca_requests().await? {
        let KeptKey::Sealed(sealed) = row.key else { continue };
        w.set_ca_request_key(row.key_id, &KeptKey::Sealed(again(sealed, row.key_id)?)).await?;
        done.cas += 1;
    }
    if let Some(row) = w.anchor_key().await? {
        w.set_sealed_anchor_key(row.key_id, &again(row.sealed_key, row.key_id)?).await?;
        done.anchor_keys += 1;
    }
    if let Some(row) = w.snapshot_key().await? {
        w.set_sealed_snapshot_key(row.key_id, &again(row.sealed_key, row.key_id)?).await?;
    }
    for mut key in w.sealed_service_keys().await? {
        key.sealed_key = again(key.sealed_key, key.spki.into())?;
        if !w.keep_service_key(&key).await? {
            return Err(StoreError::raced("certificate of a service", key.id).into());
        }
        done.service_keys += 1;
    }
    for row in w.totp_keys().await? {
        let name = sealed_name(row.user);
        let secret = old.open_secret(&SealedKey::from(row.sealed_key), &name)?;
        w.set_sealed_totp_key(row.user, new.seal_secret(&secret, &name)?.as_bytes()).await?;
        done.totp_keys += 1;
    }
    Ok(done)
}
