//! The key that signs what edges elsewhere are told. It signs nothing else.

use countersign_ca::{KeyAlgorithm, KeyEncryptionKey, KeyError, SealedKey, SigningKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::IssuerKeyId;
use countersign_core::snapshot::wire::{SIGNED_PREFIX, TrustMessage};
use countersign_core::time::Timestamp;
use countersign_store::{SnapshotKeyRow, Store, StoreError};

use crate::authority::OpenError;

/// A message with its signature, as it travels and as an edge keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    /// What is signed.
    pub message: Vec<u8>,
    /// ECDSA with P-256 and SHA-256, DER.
    pub signature: Vec<u8>,
}

/// What signs.
pub(crate) struct SnapshotSigner(SigningKey);

impl SnapshotSigner {
    /// Opens the key, making it when there is none.
    pub(crate) async fn open(
        store: &Store,
        kek: &KeyEncryptionKey,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let known = store.read(|r| Box::pin(async move { r.snapshot_key().await })).await?;
        let row = match known {
            Some(row) => row,
            None => create(store, kek, now).await?,
        };
        Ok(Self(kek.open(&SealedKey::from(row.sealed_key), row.key_id)?))
    }

    /// The public key, SubjectPublicKeyInfo in DER.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.0.public_key().spki_der()
    }

    pub(crate) fn sign(&self, message: &TrustMessage) -> Result<SignedMessage, KeyError> {
        let message = message.encode();
        let signature = self.0.sign(&[SIGNED_PREFIX, &message].concat())?;
        Ok(SignedMessage { message, signature })
    }
}

async fn create(store: &Store, kek: &KeyEncryptionKey, now: Timestamp) -> Result<SnapshotKeyRow, OpenError> {
    let key = SigningKey::generate(KeyAlgorithm::P256)?;
    let public = key.public_key();
    let key_id: IssuerKeyId = public.sha256().into();
    let row = SnapshotKeyRow {
        key_id,
        public_key: public.spki_der().to_vec(),
        sealed_key: kek.seal(&key, key_id)?.into(),
        created_at: now,
    };
    let entry =
        AuditEntry::new(None, now, AuditEvent::SnapshotKeyCreated, Actor::System).detail("key", key_id);
    let kept = store
        .write(move |w| {
            Box::pin(async move {
                // Of two authorities that start at once, one makes it.
                if w.insert_snapshot_key(&row).await? {
                    w.append_audit(&entry).await?;
                }
                w.snapshot_key().await
            })
        })
        .await?;
    Ok(kept.ok_or_else(|| StoreError::raced("snapshot key", key_id))?)
}
