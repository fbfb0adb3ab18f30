//! Certificate revocation lists: for everyone who is not one of our doors.
//!
//! A list for each shard, which a certificate names, and one of them all. Whatever is revoked leaves a
//! mark on its shard, in the transaction that revokes it; what is marked is signed soon, and what gets old
//! in time. The whole list, which may be long, is signed when somebody wants it and it is behind.

pub(crate) mod ahead;
pub mod ceremony;
pub mod due;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CrlContents, CrlEntry, CrlError};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;
pub use countersign_store::CrlName;
use countersign_store::{CrlMark, CrlRow, RevocationRow, StoreError, Writing};
use thiserror::Error;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, timeout};

use crate::authority::Authority;
use crate::enrol::Chain;
use crate::issuers::Ca;

/// How long a CRL says it is good for: a day; it is signed anew at two thirds of that.
const CRL_LIFE: Duration = Duration::from_secs(86_400);

/// When a CRL is signed anew.
const RENEWED_AFTER: Duration = Duration::from_secs(16 * 3600);

/// How long revocations wait for company before their CRLs are signed.
const GATHER: Duration = Duration::from_millis(500);

/// How long to wait before looking whether a CRL has become old, or another authority left a mark.
const LOOK: Duration = Duration::from_secs(60);

/// How many lists are signed in one go.
const BATCH: usize = 64;

/// Word that CRLs are behind, and the right to sign them.
#[derive(Debug, Default)]
pub(crate) struct CrlWork {
    urgent: Notify,
    /// Held while lists are signed, so that nothing is signed twice.
    signing: Mutex<()>,
    /// When the log last said that an offline key is needed.
    told_at: parking_lot::Mutex<Option<Timestamp>>,
}

impl CrlWork {
    /// Something was revoked that others must hear of.
    pub(crate) fn want_now(&self) {
        self.urgent.notify_one();
    }
}

/// No CRL could be signed.
#[derive(Debug, Error)]
pub enum SignCrlError {
    /// The CA failed.
    #[error("cannot sign the CRL")]
    Sign(#[from] CrlError),
    /// The signing was cut off.
    #[error("the CRL was not signed to its end")]
    Cut(#[from] tokio::task::JoinError),
    /// The store failed.
    #[error("cannot keep the CRL")]
    Store(#[from] StoreError),
}

/// What a list is to say, and the marks that it answers.
struct Draft {
    list: CrlName,
    contents: CrlContents,
    marks: Vec<CrlMark>,
}

impl Authority {
    /// Signs CRLs for ever: soon after a revocation, and before they get old.
    pub async fn publish_crls(self: Arc<Self>) {
        loop {
            let woken = timeout(LOOK, self.crl.urgent.notified()).await;
            if woken.is_ok() {
                tokio::time::sleep_until(Instant::now() + GATHER).await;
            }
            if let Err(error) = self.refresh_crls().await {
                tracing::error!(error = %Chain(&error), "cannot publish the crls");
            }
            self.tell_of_due_crls().await;
        }
    }

    /// Signs the CRLs that are behind: those of shards in which something was revoked since, those at two
    /// thirds of their life, and the first one of every CA. One CA that fails does not keep the others from
    /// theirs.
    ///
    /// # Errors
    /// The last failure; see [`SignCrlError`].
    pub async fn refresh_crls(&self) -> Result<(), SignCrlError> {
        let _alone = self.crl.signing.lock().await;
        let behind = self.crls_behind().await?;
        let issuers = self.issuers();
        let mut result = Ok(());
        for (issuer, scopes) in behind {
            let Some(ca) = issuers.by_key(issuer) else { continue };
            for batch in scopes.chunks(BATCH) {
                if let Err(error) = self.sign_crls(ca, batch).await {
                    tracing::error!(error = %Chain(&error), %issuer, "cannot sign the crls of a ca");
                    result = Err(error);
                    break;
                }
            }
        }
        result
    }

    async fn crls_behind(&self) -> Result<BTreeMap<IssuerKeyId, Vec<CrlScope>>, StoreError> {
        let before = self.now() - RENEWED_AFTER;
        let lists = self.lists();
        let issuers = self.issuers();
        let (dates, marks) = self
            .store
            .read(|r| {
                Box::pin(async move { Ok::<_, StoreError>((r.crl_dates().await?, r.crl_marks(None).await?)) })
            })
            .await?;
        let old = dates.iter().filter(|date| date.this_update <= before && lists.have(date.list.scope));
        let old = old.map(|date| date.list);
        let wanted = marks.iter().map(|mark| lists.answering(mark));
        let first = issuers.all().map(|ca| CrlName { issuer: ca.key_id(), scope: CrlScope::Whole });
        let first = first.filter(|whole| dates.iter().all(|date| date.list != *whole));
        let mut behind: Vec<_> = old.chain(wanted).chain(first).collect();
        behind.sort_unstable();
        behind.dedup();
        let mut by_issuer: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for CrlName { issuer, scope } in behind {
            by_issuer.entry(issuer).or_default().push(scope);
        }
        Ok(by_issuer)
    }

    /// The CRL of a CA and scope as it is now, signed first when it is behind; `None` when there is no such
    /// CA or list, or the CA's key is kept elsewhere and has left us none.
    ///
    /// # Errors
    /// See [`SignCrlError`].
    pub async fn crl(&self, list: CrlName) -> Result<Option<CrlRow>, SignCrlError> {
        if !self.lists().have(list.scope) {
            return Ok(None);
        }
        if let (Some(row), Behind::No) = self.crl_on_record(list).await? {
            return Ok(Some(row));
        }
        let _alone = self.crl.signing.lock().await;
        let (row, behind) = self.crl_on_record(list).await?;
        let issuers = self.issuers();
        match (issuers.by_key(list.issuer), behind) {
            (Some(ca), Behind::Yes) if ca.issuer().is_ok() => {
                self.sign_crls(ca, &[list.scope]).await?;
                Ok(self.crl_on_record(list).await?.0)
            }
            _ => Ok(row),
        }
    }

    async fn crl_on_record(&self, list: CrlName) -> Result<(Option<CrlRow>, Behind), StoreError> {
        let (row, marks, highest) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let row = r.latest_crl(list).await?;
                    let marks = r.crl_marks(Some(list.issuer)).await?;
                    Ok::<_, StoreError>((row, marks, r.highest_shard_number(list.issuer).await?))
                })
            })
            .await?;
        let is_behind = row.as_ref().is_none_or(|row| {
            let life = Lifetime { issued_at: row.this_update, expires_at: row.next_update };
            let lacks = match list.scope {
                CrlScope::Whole => !marks.is_empty() || highest > row.number,
                CrlScope::Shard(_) => marks.iter().any(|mark| mark.list == list),
            };
            lacks || life.renewal_due(self.now())
        });
        Ok((row, if is_behind { Behind::Yes } else { Behind::No }))
    }

    /// Signs lists of one CA and clears the marks that they answer. Nothing where the key is not at hand:
    /// its lists are signed where that is.
    async fn sign_crls(&self, ca: &Arc<Ca>, scopes: &[CrlScope]) -> Result<(), SignCrlError> {
        if ca.issuer().is_err() {
            return Ok(());
        }
        let drafts = self.draft_crls(ca.key_id(), scopes).await?;
        let signer = Arc::clone(ca);
        // Signing may wait for a token, and takes its time with long lists.
        let signed = tokio::task::spawn_blocking(move || sign_all(&signer, drafts)).await??;
        let entry = crls_entry(ca.key_id(), &signed, self.now());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    record_signed(w, &signed).await?;
                    w.append_audit(&entry).await
                })
            })
            .await?;
        Ok(())
    }

    /// Numbers first: a crash leaves a gap, never a repetition. Marks before entries: what a mark stands for
    /// is among the entries.
    async fn draft_crls(&self, issuer: IssuerKeyId, scopes: &[CrlScope]) -> Result<Vec<Draft>, StoreError> {
        let (now, kept) = (self.now(), self.lists());
        let count = u32::try_from(scopes.len()).unwrap_or(u32::MAX);
        let first = self
            .store
            .write(move |w| Box::pin(async move { w.next_crl_numbers(issuer, count).await }))
            .await?;
        let lists: Vec<_> = scopes.iter().map(|scope| CrlName { issuer, scope: *scope }).collect();
        let (marks, entries) = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let marks = r.crl_marks(Some(issuer)).await?;
                    let mut entries = Vec::with_capacity(lists.len());
                    for list in lists {
                        entries.push((list, r.crl_entries(list, now).await?));
                    }
                    Ok::<_, StoreError>((marks, entries))
                })
            })
            .await?;
        let drafts = (first..).zip(entries).map(|(number, (list, entries))| Draft {
            list,
            contents: self.crl_contents(list, number, now, entries),
            marks: marks.iter().filter(|mark| kept.answering(mark) == list).copied().collect(),
        });
        Ok(drafts.collect())
    }

    fn crl_contents(
        &self,
        list: CrlName,
        number: u64,
        now: Timestamp,
        entries: Vec<RevocationRow>,
    ) -> CrlContents {
        // RFC 5280 section 5.2.5: a list of a part says which, by the place that certificates name.
        let distribution_point = match list.scope {
            CrlScope::Whole => None,
            CrlScope::Shard(_) => self.crl_url(list),
        };
        CrlContents {
            number,
            this_update: now.floor_to_second(),
            next_update: (now + CRL_LIFE).floor_to_second(),
            entries: entries
                .into_iter()
                .map(|row| CrlEntry {
                    serial: row.reference.serial,
                    revoked_at: row.revoked_at,
                    reason: row.reason,
                })
                .collect(),
            distribution_point,
        }
    }

    fn lists(&self) -> Lists {
        if self.config.public_base_url.is_some() { Lists::Sharded } else { Lists::Whole }
    }

    /// Where a list is published, when the installation has a public address.
    pub(crate) fn crl_url(&self, list: CrlName) -> Option<String> {
        let base = self.config.public_base_url.as_deref()?.trim_end_matches('/');
        Some(crl_url_at(base, list))
    }
}

/// Where a list is published, below a public address.
pub(crate) fn crl_url_at(base: &str, list: CrlName) -> String {
    match list.scope {
        CrlScope::Whole => format!("{base}/pki/crl/{}.crl", list.issuer),
        CrlScope::Shard(_) => format!("{base}/pki/crl/{}-{}.crl", list.issuer, list.scope),
    }
}

/// Which lists there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    /// One of each shard, besides the whole one.
    Sharded,
    /// The whole one alone: without a public address, nothing in the list of a shard would say that it is
    /// about a part (RFC 5280 section 5.2.5), and no certificate names it.
    Whole,
}

impl Lists {
    /// The list that is signed because of a mark.
    const fn answering(self, mark: &CrlMark) -> CrlName {
        match self {
            Self::Sharded => mark.list,
            Self::Whole => CrlName { issuer: mark.list.issuer, scope: CrlScope::Whole },
        }
    }

    const fn have(self, scope: CrlScope) -> bool {
        matches!((self, scope), (Self::Sharded, _) | (Self::Whole, CrlScope::Whole))
    }
}

/// Whether a list lacks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Yes,
    No,
}

type Signed = (CrlRow, usize, Vec<CrlMark>);

fn sign_all(ca: &Ca, drafts: Vec<Draft>) -> Result<Vec<Signed>, SignCrlError> {
    let Ok(issuer) = ca.issuer() else { return Ok(Vec::new()) };
    drafts
        .into_iter()
        .map(|Draft { list, contents, marks }| {
            let row = CrlRow {
                issuer: list.issuer,
                scope: list.scope,
                number: contents.number,
                this_update: contents.this_update,
                next_update: contents.next_update,
                der: issuer.sign_crl(&contents)?,
            };
            Ok((row, contents.entries.len(), marks))
        })
        .collect()
}

/// Puts lists on record and clears the marks that they answer, within a transaction.
async fn record_signed(w: &mut Writing<'_>, signed: &[Signed]) -> Result<(), StoreError> {
    for (row, _entries, marks) in signed {
        // A later list that is on record may lack what these marks stand for.
        if w.save_crl(row).await? {
            for mark in marks {
                w.clear_crl_mark(mark).await?;
            }
        }
    }
    Ok(())
}

fn crls_entry(issuer: IssuerKeyId, signed: &[Signed], now: Timestamp) -> AuditEntry {
    let numbers = signed.iter().map(|(row, ..)| row.number);
    let entries: usize = signed.iter().map(|(_, entries, _)| entries).sum();
    AuditEntry::new(None, now, AuditEvent::CrlSigned, Actor::System)
        .detail("issuer", issuer)
        .detail("number", numbers.max().unwrap_or_default())
        .detail("lists", signed.len())
        .detail("entries", entries)
}
