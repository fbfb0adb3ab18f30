//! Offline: the key of a root leaves the installation for a file under a passphrase, and comes back. All
//! else runs on without it.
//!
//! What only the root can sign is signed before it goes: its revocation lists, for long. Its OCSP responder
//! is not: such a certificate cannot be revoked, so it is short-lived, and whoever asks about a CA below an
//! offline root is told that nobody may answer.

use std::time::Duration;

use countersign_ca::{EncryptedKeyError, RootFile, SealError, SealedKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{CaName, IssuerKeyId};
use countersign_core::time::Timestamp;
use countersign_store::{IssuerRole, KeptKey, StoreError, Writing};
use thiserror::Error;

use crate::authority::Authority;
use crate::crl::SignCrlError;
use crate::issuers::{Ca, NoIssuer};
use crate::repair::crash_point;

const NO_ROOT: &str = "it is no root; only a root is taken offline";
const IN_TOKEN: &str = "its key is in a token and cannot leave it; take the token away instead";
const AWAY: &str = "its key is offline already";
const NO_ADDRESS: &str = "revocation lists of it are at the installation's public address, and this configuration \
                          has none: name the configuration of the server";
const HERE: &str = "its key is here already";

/// The root stays where it is.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// There is no such CA.
    #[error("cannot use the CA")]
    Ca(#[from] NoIssuer),
    /// Not this CA, or not now.
    #[error("the CA {0} is left as it is: {1}")]
    Refused(CaName, &'static str),
    /// The file is about another root.
    #[error("the file holds the key {0}, which is none of a root of this installation")]
    OtherRoot(IssuerKeyId),
    /// The sealed key does not open, or the key could not be sealed.
    #[error("cannot open or seal the key")]
    Seal(#[from] SealError),
    /// The key could not be put under the passphrase.
    #[error("cannot put the key under the passphrase")]
    Encrypt(#[from] EncryptedKeyError),
    /// What is to last while the root is away was not signed.
    #[error("cannot sign the revocation lists ahead")]
    Crls(#[from] SignCrlError),
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// A root that is offline now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOffline {
    /// Which one.
    pub name: CaName,
    /// Until when its revocation lists last: before that, its key is needed.
    pub crl_until: Timestamp,
    /// How many there are.
    pub lists: usize,
}

impl Authority {
    /// What the file of a root that is to go offline says: its certificate, and its key under a passphrase.
    /// Nothing is changed.
    ///
    /// # Errors
    /// See [`OfflineError`]; refuses what is no root, and a key that is in a token or away.
    pub async fn root_file(&self, name: &CaName, passphrase: &str) -> Result<String, OfflineError> {
        self.catch_up().await?;
        let issuers = self.issuers();
        let ca = issuers.by_name(name)?;
        let sealed = sealed_root(ca)?;
        self.check_address(ca).await?;
        let key = self.registry.keys.kek.open(&SealedKey::from(sealed.to_vec()), ca.key_id())?;
        Ok(RootFile::write(ca.certificate_der(), &key, passphrase)?)
    }

    /// Signs a root's revocation lists for so long, and removes its key, which must have been opened from
    /// the file that it is kept in from now on.
    ///
    /// # Errors
    /// See [`OfflineError`]. Fails closed: the key stays unless the file gave this very key.
    pub async fn take_offline(
        &self,
        name: &CaName,
        kept: &RootFile,
        life: Duration,
    ) -> Result<TakenOffline, OfflineError> {
        self.catch_up().await?;
        let issuers = self.issuers();
        let ca = issuers.by_name(name)?;
        let sealed = KeptKey::Sealed(sealed_root(ca)?.to_vec());
        if kept.key_id() != ca.key_id() || kept.issuer().certificate_der() != ca.certificate_der() {
            return Err(OfflineError::OtherRoot(kept.key_id()));
        }
        self.check_address(ca).await?;
        let signed = self.sign_crls_ahead(ca, life).await?;
        let (now, lists) = (self.now(), signed.len());
        let crl_until = signed.crl_until().unwrap_or(now);
        let entry = AuditEntry::new(None, now, AuditEvent::CaTakenOffline, Actor::Operator)
            .detail("name", name)
            .detail("issuer", ca.key_id())
            .detail("crlUntil", crl_until);
        let (issuer, wanted) = (ca.key_id(), name.clone());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let rows = w.issuers().await?;
                    if !rows.iter().any(|row| row.key_id == issuer && row.key == sealed) {
                        return Err(OfflineError::Refused(wanted, "its key was changed meanwhile"));
                    }
                    signed.record(w).await?;
                    w.append_audit(&entry).await?;
                    move_key(w, issuer, &KeptKey::Offline).await?;
                    crash_point("take_offline");
                    Ok(())
                })
            })
            .await?;
        self.publish_changes().await?;
        Ok(TakenOffline { name: name.clone(), crl_until, lists })
    }

    async fn check_address(&self, ca: &Ca) -> Result<(), OfflineError> {
        if self.lacks_public_address(ca).await? {
            return Err(OfflineError::Refused(ca.name().clone(), NO_ADDRESS));
        }
        Ok(())
    }

    /// Seals the key of a root that was offline into the store again.
    ///
    /// # Errors
    /// See [`OfflineError`].
    pub async fn bring_back(&self, kept: &RootFile) -> Result<CaName, OfflineError> {
        self.catch_up().await?;
        let issuers = self.issuers();
        let other = || OfflineError::OtherRoot(kept.key_id());
        let ca =
            issuers.by_key(kept.key_id()).filter(|ca| ca.role() == IssuerRole::Root).ok_or_else(other)?;
        let (name, issuer) = (ca.name().clone(), ca.key_id());
        if *ca.kept_key() != KeptKey::Offline {
            return Err(OfflineError::Refused(name, HERE));
        }
        let sealed = KeptKey::Sealed(self.registry.keys.kek.seal(kept.key(), issuer)?.into());
        let entry = AuditEntry::new(None, self.now(), AuditEvent::CaBroughtBack, Actor::Operator)
            .detail("name", &name)
            .detail("issuer", issuer);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.append_audit(&entry).await?;
                    move_key(w, issuer, &sealed).await
                })
            })
            .await?;
        self.publish_changes().await?;
        self.crl.want_now();
        Ok(name)
    }
}

/// The sealed key of a root that can go offline.
fn sealed_root(ca: &Ca) -> Result<&[u8], OfflineError> {
    let refused = |why| Err(OfflineError::Refused(ca.name().clone(), why));
    match (ca.role(), ca.kept_key()) {
        (IssuerRole::Device | IssuerRole::Service | IssuerRole::Intermediate, _) => refused(NO_ROOT),
        (IssuerRole::Root, KeptKey::Pkcs11(_)) => refused(IN_TOKEN),
        (IssuerRole::Root, KeptKey::Offline) => refused(AWAY),
        (IssuerRole::Root, KeptKey::Sealed(sealed)) => Ok(sealed),
    }
}

async fn move_key(w: &mut Writing<'_>, issuer: IssuerKeyId, key: &KeptKey) -> Result<(), StoreError> {
    if !w.set_issuer_key(issuer, key).await? {
        return Err(StoreError::raced("ca", issuer));
    }
    w.issuer_trust_changed(issuer).await.map(drop)
}
