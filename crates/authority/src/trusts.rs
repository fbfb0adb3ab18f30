//! Foreign trusts: CAs of somebody else's, by name, on whose word doors admit guests where a route asks for
//! it. They verify and nothing more: they make no devices, and the control plane does not know them.

use countersign_ca::{CertificateFacts, ForeignCa, ForeignCaError, certificates_from_pem};
use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::{CaName, SpkiSha256, TrustName};
use countersign_core::time::Timestamp;
use countersign_store::{ForeignTrustRow, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::publish::Applied;

/// So many others nobody trusts: a door tries each with every certificate that it does not know.
const MOST: usize = 32;

/// CAs of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// What people call them.
    pub name: TrustName,
    /// Since when they are trusted.
    pub added_at: Timestamp,
    /// Each.
    pub cas: Vec<TrustedCa>,
}

/// A CA of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCa {
    /// Its subject.
    pub subject: String,
    /// First valid moment.
    pub not_before: Timestamp,
    /// Last valid moment.
    pub not_after: Timestamp,
    /// Its key.
    pub spki: SpkiSha256,
}

impl From<&CertificateFacts> for TrustedCa {
    fn from(facts: &CertificateFacts) -> Self {
        Self {
            subject: facts.subject.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
            spki: facts.key.sha256(),
        }
    }
}

/// CAs were not added.
#[derive(Debug, Error)]
pub enum AddTrustError {
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// They cannot be trusted.
    #[error("the certificates are refused")]
    Certificates(#[from] ForeignCaError),
    /// One of them is ours.
    #[error("certificate of {subject}: it has the key of the CA {ca} of this installation")]
    Own {
        /// Whom it names.
        subject: String,
        /// Ours.
        ca: CaName,
    },
    /// The name is taken.
    #[error("the name {0} is taken")]
    Taken(TrustName),
    /// There are too many.
    #[error("{MOST} foreign trusts are the most that there may be")]
    TooMany,
    /// The store failed.
    #[error("cannot record the trust")]
    Store(#[from] StoreError),
}

/// CAs were not removed.
#[derive(Debug, Error)]
pub enum RemoveTrustError {
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// None of this name are trusted.
    #[error("unknown trust")]
    Unknown,
    /// The store failed.
    #[error("cannot record that the trust is gone")]
    Store(#[from] StoreError),
}

/// Foreign trusts could not be listed.
#[derive(Debug, Error)]
pub enum ListTrustsError {
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error("cannot read the trusts")]
    Store(#[from] StoreError),
}

impl Authority {
    /// The foreign trusts, by name. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`ListTrustsError`].
    pub async fn trusts(&self, by: &Authorized<View>) -> Result<Vec<Trust>, ListTrustsError> {
        by.covers_all()?;
        let rows = self.store.read(|r| Box::pin(async move { r.foreign_trusts().await })).await?;
        Ok(rows.into_iter().map(trust).collect())
    }

    /// Lets doors trust these CAs where a route asks for this name. Every certificate of the text is a CA at
    /// which a path may end. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`AddTrustError`]; then nothing was recorded. Fails closed: a CA of this installation is none of
    /// somebody else's.
    pub async fn add_trust(
        &self,
        by: &Authorized<Administer>,
        name: TrustName,
        certificates_pem: &str,
    ) -> Result<(Trust, Applied), AddTrustError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        let cas = ForeignCa::read_all(certificates_pem, now)?;
        let issuers = self.issuers();
        for ca in &cas {
            if let Some(own) = issuers.by_key(ca.key_id()) {
                let subject = ca.facts().subject.clone();
                return Err(AddTrustError::Own { subject, ca: own.name().clone() });
            }
        }
        let row =
            ForeignTrustRow { name, certificates: cas.iter().map(ForeignCa::pem).collect(), added_at: now };
        let added = row.clone();
        self.store
            .write(move |w| {
                Box::pin(async move {
                    if w.foreign_trusts().await?.len() >= MOST {
                        return Err(AddTrustError::TooMany);
                    }
                    if w.add_foreign_trust(&row).await?.is_none() {
                        return Err(AddTrustError::Taken(row.name));
                    }
                    let mut entry = AuditEntry::new(None, now, AuditEvent::TrustAdded, actor)
                        .detail("name", &row.name)
                        .detail("certificates", cas.len());
                    for (at, ca) in (1..).zip(&cas) {
                        entry = entry
                            .detail(&format!("subject{at}"), &ca.facts().subject)
                            .detail(&format!("spkiSha256{at}"), ca.spki());
                    }
                    w.append_audit(&entry).await?;
                    Ok(())
                })
            })
            .await?;
        let applied = self.publish_changes().await?;
        Ok((trust(added), applied))
    }

    /// Lets no door trust these CAs any more; live connections of their guests are cut. Not for whoever is
    /// bound to a tenant.
    ///
    /// # Errors
    /// See [`RemoveTrustError`]; of two calls at once one wins.
    pub async fn remove_trust(
        &self,
        by: &Authorized<Administer>,
        name: TrustName,
    ) -> Result<Applied, RemoveTrustError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.remove_foreign_trust(&name, now).await?.ok_or(RemoveTrustError::Unknown)?;
                    let entry =
                        AuditEntry::new(None, now, AuditEvent::TrustRemoved, actor).detail("name", &name);
                    w.append_audit(&entry).await?;
                    Ok::<_, RemoveTrustError>(())
                })
            })
            .await?;
        Ok(self.publish_changes().await?)
    }
}

/// What there is to say of a trust on record, of those of its CAs that can be read.
fn trust(row: ForeignTrustRow) -> Trust {
    let ders = certificates_from_pem(&row.certificates).unwrap_or_default();
    let facts = ders.iter().filter_map(|der| CertificateFacts::of(der).ok());
    Trust {
        name: row.name,
        added_at: row.added_at,
        cas: facts.map(|facts| TrustedCa::from(&facts)).collect(),
    }
}
