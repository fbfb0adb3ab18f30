//! Anchor: the ends of all audit chains, signed by a key of their own, for keeping elsewhere.

use std::sync::Arc;
use std::time::Duration;

pub use countersign_ca::{AnchorFileError, PublicKey, SignedAnchor, public_key_from_pem};
use countersign_ca::{KeyAlgorithm, KeyEncryptionKey, KeyError, KeySource, SealedKey, SigningKey};
use countersign_core::anchor::{AnchorStatement, AnchoredHead};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent, ChainHash};
use countersign_core::identity::TrustDomain;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
use countersign_store::{AnchorKeyRow, AnchorRow, IssuerRole, Store, StoreError, Writing};
use sha2::Digest as _;
use thiserror::Error;
use tokio::time::MissedTickBehavior;

use crate::authority::{Authority, OpenError};
use crate::authorized::{Authorized, Forbidden, Operate, View};
use crate::enrol::Chain;
use crate::keys::open_kek;

/// The longest time between two looks whether an anchor is due: clocks can jump.
const LOOK: Duration = Duration::from_secs(15);

/// An anchor could not be made or read.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// The caller is bound to a tenant, and an anchor is about all of them.
    #[error("cannot show anchors")]
    Forbidden(#[from] Forbidden),
    /// None was made yet.
    #[error("there is no such anchor")]
    Unknown,
    /// It could not be signed.
    #[error("cannot sign the anchor")]
    Sign(#[from] KeyError),
    /// One on record is not signed by the key on record.
    #[error("anchor {0} on record is not signed by the anchor key")]
    Altered(u64),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// What signs anchors, and for which installation.
pub(crate) struct Anchors {
    key: SigningKey,
    trust_domain: TrustDomain,
    installation: ChainHash,
}

/// One page of anchors.
#[derive(Debug)]
pub struct AnchorPage {
    /// Newest first.
    pub anchors: Vec<SignedAnchor>,
    /// What the next page begins before; `None` at the end.
    pub next: Option<u64>,
}

impl Anchors {
    /// An anchor on record, if it is one.
    pub(crate) fn signed(&self, row: AnchorRow) -> Result<SignedAnchor, AnchorError> {
        let number = row.statement.number;
        SignedAnchor::verified(row.statement, row.signature, self.key.public_key().clone())
            .map_err(|_not_its| AnchorError::Altered(number))
    }

    /// Opens the key that signs anchors, making it when there is none. It signs nothing else.
    pub(crate) async fn open(
        store: &Store,
        kek: &KeyEncryptionKey,
        (trust_domain, installation): (TrustDomain, ChainHash),
        now: Timestamp,
    ) -> Result<Arc<Self>, OpenError> {
        let known = store.read(|r| Box::pin(async move { r.anchor_key().await })).await?;
        let row = match known {
            Some(row) => row,
            None => create_key(store, kek, now).await?,
        };
        let key = kek.open(&SealedKey::from(row.sealed_key), row.key_id)?;
        Ok(Arc::new(Self { key, trust_domain, installation }))
    }

    /// The next anchor, in the transaction that holds everybody else off, with its audit entry.
    async fn add(
        &self,
        w: &mut Writing<'_>,
        (actor, now): (Actor, Timestamp),
    ) -> Result<SignedAnchor, AnchorError> {
        let last = w.latest_anchor().await?;
        let heads = w.audit_heads().await?;
        let statement = AnchorStatement {
            trust_domain: self.trust_domain.clone(),
            installation: self.installation,
            number: last.as_ref().map_or(0, |last| last.statement.number) + 1,
            at: now,
            previous: last.map(|last| last.statement.hash()).unwrap_or_default(),
            heads,
        };
        let entry = AuditEntry::new(None, now, AuditEvent::AuditAnchored, actor)
            .detail("number", statement.number)
            .detail("chains", statement.heads.len())
            .detail("sha256", hex::encode(statement.hash()));
        let signed = SignedAnchor::sign(statement, &self.key)?;
        w.insert_anchor(&AnchorRow {
            statement: signed.statement().clone(),
            key_id: self.key.public_key().sha256().into(),
            signature: signed.signature().to_vec(),
        })
        .await?;
        w.append_audit(&entry).await?;
        Ok(signed)
    }
}

async fn create_key(
    store: &Store,
    kek: &KeyEncryptionKey,
    now: Timestamp,
) -> Result<AnchorKeyRow, OpenError> {
    let key = SigningKey::generate(KeyAlgorithm::P256)?;
    let public = key.public_key();
    let key_id: IssuerKeyId = public.sha256().into();
    let row = AnchorKeyRow {
        key_id,
        public_key: public.spki_der().to_vec(),
        sealed_key: kek.seal(&key, key_id)?.into(),
        created_at: now,
    };
    let entry = AuditEntry::new(None, now, AuditEvent::AnchorKeyCreated, Actor::System).detail("key", key_id);
    let kept = store
        .write(move |w| {
            Box::pin(async move {
                // Of two authorities that start at once, one makes it.
                if w.insert_anchor_key(&row).await? {
                    w.append_audit(&entry).await?;
                }
                w.anchor_key().await
            })
        })
        .await?;
    Ok(kept.ok_or_else(|| StoreError::raced("anchor key", key_id))?)
}

/// Whether anything was written since an anchor but the entry about it.
fn is_due(last: Option<&AnchorRow>, heads: &[AnchoredHead]) -> bool {
    let entries: u64 = heads.iter().map(|head| head.sequence).sum();
    last.is_none_or(|last| entries != last.statement.entries() + 1)
}

impl Authority {
    /// Anchors regularly, for ever: when `every` has passed since the last anchor and something was
    /// written since.
    pub async fn anchor_regularly(self: Arc<Self>, every: Duration) {
        let mut tick = tokio::time::interval(every.min(LOOK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.anchor_if_older(every).await {
                tracing::error!(error = %Chain(&error), "audit not anchored");
            }
        }
    }

    /// Anchors when something was written since the last anchor and that is as old as `age`; says
    /// whether it did.
    ///
    /// # Errors
    /// See [`AnchorError`].
    pub async fn anchor_if_older(&self, age: Duration) -> Result<Option<SignedAnchor>, AnchorError> {
        let (anchors, now) = (Arc::clone(&self.anchors), self.now());
        let is_young = move |last: &AnchorRow| now < last.statement.at + age && now >= last.statement.at;
        let last = self.store.read(|r| Box::pin(async move { r.latest_anchor().await })).await?;
        if last.as_ref().is_some_and(is_young) {
            return Ok(None);
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    // Read again: another authority may have been here.
                    let last = w.latest_anchor().await?;
                    if last.as_ref().is_some_and(is_young) || !is_due(last.as_ref(), &w.audit_heads().await?)
                    {
                        return Ok(None);
                    }
                    anchors.add(w, (Actor::System, now)).await.map(Some)
                })
            })
            .await
    }

    /// Anchors now, whether something was written or not.
    ///
    /// # Errors
    /// See [`AnchorError`]. Fails closed for whoever is bound to a tenant: an anchor names all of them.
    pub async fn anchor(&self, by: &Authorized<Operate>) -> Result<SignedAnchor, AnchorError> {
        by.covers_all()?;
        let (anchors, actor, now) = (Arc::clone(&self.anchors), by.actor(), self.now());
        self.store.write(move |w| Box::pin(async move { anchors.add(w, (actor, now)).await })).await
    }

    /// Anchors, newest first: those with a number below `before`, if that is given.
    ///
    /// # Errors
    /// See [`AnchorError`]. Fails closed for whoever is bound to a tenant.
    pub async fn anchors(
        &self,
        by: &Authorized<View>,
        (before, limit): (Option<u64>, u32),
    ) -> Result<AnchorPage, AnchorError> {
        by.covers_all()?;
        let rows: Vec<AnchorRow> =
            self.store.read(move |r| Box::pin(async move { r.anchors(before, limit).await })).await?;
        let is_full = rows.len() >= limit as usize;
        let next = rows.last().filter(|_| is_full).map(|row| row.statement.number);
        let anchors = rows.into_iter().map(|row| self.anchors.signed(row)).collect::<Result<_, _>>()?;
        Ok(AnchorPage { anchors, next })
    }

    /// One anchor.
    ///
    /// # Errors
    /// See [`AnchorError`]. Fails closed for whoever is bound to a tenant.
    pub async fn anchor_by_number(
        &self,
        by: &Authorized<View>,
        number: u64,
    ) -> Result<SignedAnchor, AnchorError> {
        by.covers_all()?;
        let before = number.saturating_sub(1);
        let rows = self.store.read(move |r| Box::pin(async move { r.anchors_after(before, 1).await }));
        let rows: Vec<AnchorRow> = rows.await?;
        let row = rows.into_iter().find(|row| row.statement.number == number).ok_or(AnchorError::Unknown)?;
        self.anchors.signed(row)
    }

    /// The newest anchor.
    ///
    /// # Errors
    /// See [`AnchorError`]. Fails closed for whoever is bound to a tenant.
    pub async fn latest_anchor(&self, by: &Authorized<View>) -> Result<SignedAnchor, AnchorError> {
        by.covers_all()?;
        let row: Option<AnchorRow> =
            self.store.read(|r| Box::pin(async move { r.latest_anchor().await })).await?;
        self.anchors.signed(row.ok_or(AnchorError::Unknown)?)
    }
}

/// Anchors an installation that no authority is running on, for whoever may use its files.
///
/// # Errors
/// [`OpenError`], also when there is no installation or its key-encryption key is not what `source` gives.
pub async fn anchor_at_rest(
    store: &Store,
    source: &KeySource,
    now: Timestamp,
) -> Result<SignedAnchor, OpenError> {
    let (installation, issuers) = store
        .read(|r| Box::pin(async move { Ok::<_, StoreError>((r.installation().await?, r.issuers().await?)) }))
        .await?;
    let missing = OpenError::MissingCa("root");
    let (Some(installation), Some(root)) =
        (installation, issuers.into_iter().find(|issuer| issuer.role == IssuerRole::Root))
    else {
        return Err(missing);
    };
    let kek = open_kek(store, source).await?;
    let named = (installation.trust_domain, hash_of(&root.certificate));
    let anchors = Anchors::open(store, &kek, named, now).await?;
    let anchored =
        store.write(move |w| Box::pin(async move { anchors.add(w, (Actor::Operator, now)).await })).await;
    anchored.map_err(|error| match error {
        AnchorError::Store(error) => error.into(),
        AnchorError::Sign(error) => error.into(),
        AnchorError::Forbidden(_) | AnchorError::Unknown | AnchorError::Altered(_) => missing,
    })
}

/// The installation that a root is of: SHA-256 of its certificate in DER.
pub(crate) fn installation_of(root: &[u8]) -> ChainHash {
    hash_of(root)
}

pub(crate) fn hash_of(certificate: &[u8]) -> ChainHash {
    sha2::Sha256::digest(certificate).into()
}
