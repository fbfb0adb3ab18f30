//! Holding the audit log against its anchors, those on record and those that were kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter::Peekable;
use std::vec::IntoIter;

use countersign_ca::{PublicKey, SignedAnchor};
use countersign_core::anchor::{AnchorStatement, AnchoredHead};
use countersign_core::audit::{AuditEvent, ChainHash};
use countersign_core::ids::{IssuerKeyId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{AnchorRow, AuditFilter, ChainScope, IssuerRole, Reading, Store, StoreError};

use crate::anchors::hash_of;

/// How many anchors are in memory at once.
const PAGE: u32 = 100;

/// What to hold the log against besides the anchors on record.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Anchors that were kept elsewhere.
    pub anchors: Vec<SignedAnchor>,
    /// The key that anchors must be signed by; the database's own is believed when absent.
    pub key: Option<PublicKey>,
}

/// What the anchors showed.
#[derive(Debug)]
pub struct AnchorReport {
    /// The anchor key on record.
    pub key: Option<IssuerKeyId>,
    /// How many anchors are on record.
    pub on_record: u64,
    /// How many were kept elsewhere.
    pub given: usize,
    /// What does not fit, in the order of the anchors that show it; none: all is as it was anchored.
    pub faults: Vec<AnchorFault>,
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorFault {
    /// The anchor key on record is not the expected one.
    KeyReplaced,
    /// An anchor kept elsewhere is signed by another key than the one that is expected.
    OtherKey(u64),
    /// An anchor is of another installation.
    OtherInstallation(u64),
    /// An anchor on record is not signed by the key on record.
    NotSigned(u64),
    /// An anchor is not on record any more, although it was made.
    AnchorMissing(u64),
    /// The anchor on record is not the one with its number that was kept elsewhere, or not the one
    /// that the next names as its previous one.
    AnchorReplaced(u64),
    /// A chain is not what it was.
    Chain(ChainFault),
}

/// A chain that is not what it was when it was anchored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// Whose; `None`: the platform's own.
    pub tenant: Option<Tenant>,
    /// The first anchor that shows it.
    pub anchor: u64,
    /// When that was made.
    pub at: Timestamp,
    /// The entry that was the chain's last then.
    pub sequence: u64,
    /// The first entry that is missing, or may have been rewritten.
    pub from: u64,
    /// What became of it.
    pub became: Became,
}

/// What became of anchored entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// The chain has no entry at all.
    Gone,
    /// The entries from `from` on are not there.
    Cut,
    /// The entries are others.
    Rewritten,
}

impl fmt::Display for AnchorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyReplaced => f.write_str("the anchor key on record is not the expected one"),
            Self::OtherKey(number) => {
                write!(
                    f,
                    "anchor {number}, as it was given, is signed by another key than this installation's"
                )
            }
            Self::OtherInstallation(number) => write!(f, "anchor {number} is of another installation"),
            Self::NotSigned(number) => write!(f, "anchor {number} on record is not signed by the anchor key"),
            Self::AnchorMissing(number) => {
                write!(f, "anchor {number} was made and is not on record any more")
            }
            Self::AnchorReplaced(number) => {
                write!(f, "anchor {number} on record is not the one that was made")
            }
            Self::Chain(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anchor, at, sequence, from, .. } = self;
        match &self.tenant {
            Some(tenant) => write!(f, "tenant {tenant}: ")?,
            None => f.write_str("platform: ")?,
        }
        match self.became {
            Became::Gone => f.write_str("the whole chain is gone")?,
            Became::Cut => write!(f, "entries are missing from {from} on")?,
            Became::Rewritten => write!(f, "entries were rewritten, somewhere from {from} to {sequence}")?,
        }
        write!(f, "; anchor {anchor} of {at} vouches for {sequence}")
    }
}

/// Holds the log against the anchors on record and the given ones. Recomputing the chains themselves is
/// [`Reading::verify_audit`]'s: this compares what they hold now with what they held.
///
/// # Errors
/// [`StoreError`], also when an anchor on record cannot be read.
pub async fn check_anchors(store: &Store, evidence: Evidence) -> Result<AnchorReport, StoreError> {
    store.read(move |r| Box::pin(async move { Check::begin(r, evidence).await?.run(r).await })).await
}

/// A check under way.
struct Check {
    key: Option<PublicKey>,
    installation: Option<ChainHash>,
    given: Peekable<IntoIter<SignedAnchor>>,
    ends: BTreeMap<Option<Tenant>, u64>,
    /// The last entry of each chain that was removed.
    cuts: BTreeMap<Option<Tenant>, u64>,
    chains: BTreeMap<Option<Tenant>, Seen>,
    report: AnchorReport,
}

/// What earlier anchors said of a chain.
#[derive(Default)]
struct Seen {
    /// The anchored entries that are as they were.
    matched: BTreeSet<u64>,
    last: Option<(u64, ChainHash)>,
    is_faulty: bool,
}

impl Check {
    async fn begin(r: &mut Reading<'_>, evidence: Evidence) -> Result<Self, StoreError> {
        let row = r.anchor_key().await?;
        let own = row.as_ref().and_then(|row| PublicKey::from_spki_der(&row.public_key).ok());
        let root = r.issuers().await?.into_iter().find(|issuer| issuer.role == IssuerRole::Root);
        let heads = r.audit_heads().await?;
        let mut given = evidence.anchors;
        given.sort_by_key(|anchor| anchor.statement().number);
        let mut report = AnchorReport {
            key: row.map(|row| row.key_id),
            on_record: 0,
            given: given.len(),
            faults: Vec::new(),
        };
        if evidence.key.is_some() && own != evidence.key {
            report.faults.push(AnchorFault::KeyReplaced);
        }
        Ok(Self {
            key: evidence.key.or(own),
            installation: root.map(|root| hash_of(&root.certificate)),
            given: given.into_iter().peekable(),
            cuts: r.audit_cuts().await?.into_iter().map(|cut| (cut.end.tenant, cut.end.sequence)).collect(),
            ends: heads.into_iter().map(|head| (head.tenant, head.sequence)).collect(),
            chains: BTreeMap::new(),
            report,
        })
    }

    async fn run(mut self, r: &mut Reading<'_>) -> Result<AnchorReport, StoreError> {
        let (mut last, mut previous) = (0, ChainHash::default());
        loop {
            let page = r.anchors_after(last, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for row in page {
                self.missing(last + 1, row.statement.number);
                let is_next = row.statement.number == last + 1;
                if is_next && row.statement.previous != previous {
                    self.fault(AnchorFault::AnchorReplaced(last.max(1)));
                }
                (last, previous) = (row.statement.number, row.statement.hash());
                self.on_record(r, row).await?;
            }
            if is_last {
                break;
            }
        }
        let made = anchors_made(r).await?;
        self.missing(last + 1, made + 1);
        while let Some(anchor) = self.given.next() {
            if self.is_ours(&anchor) {
                if anchor.statement().number > made.max(last) {
                    self.fault(AnchorFault::AnchorMissing(anchor.statement().number));
                }
                self.compare(r, anchor.statement()).await?;
            }
        }
        Ok(self.report)
    }

    /// Anchors from `first` to before `next` are missing; the first of them is told.
    fn missing(&mut self, first: u64, next: u64) {
        if first < next {
            self.fault(AnchorFault::AnchorMissing(first));
        }
    }

    async fn on_record(&mut self, r: &mut Reading<'_>, row: AnchorRow) -> Result<(), StoreError> {
        self.report.on_record += 1;
        let statement = &row.statement;
        let is_signed = self.key.as_ref().is_some_and(|key| {
            SignedAnchor::verified(statement.clone(), row.signature.clone(), key.clone()).is_ok()
        });
        if !is_signed {
            self.fault(AnchorFault::NotSigned(statement.number));
        }
        while let Some(anchor) = self.given.next_if(|anchor| anchor.statement().number <= statement.number) {
            if self.is_ours(&anchor) {
                if anchor.statement().number == statement.number && anchor.statement() != statement {
                    self.fault(AnchorFault::AnchorReplaced(statement.number));
                }
                self.compare(r, anchor.statement()).await?;
            }
        }
        self.compare(r, statement).await
    }

    /// Whatever an anchor of another key says, nobody of this installation said it.
    fn is_ours(&mut self, anchor: &SignedAnchor) -> bool {
        let is_ours = self.key.as_ref() == Some(anchor.key());
        if !is_ours {
            self.fault(AnchorFault::OtherKey(anchor.statement().number));
        }
        is_ours
    }

    async fn compare(&mut self, r: &mut Reading<'_>, statement: &AnchorStatement) -> Result<(), StoreError> {
        if self.installation != Some(statement.installation) {
            self.fault(AnchorFault::OtherInstallation(statement.number));
            return Ok(());
        }
        for head in &statement.heads {
            self.compare_head(r, statement, head).await?;
        }
        Ok(())
    }

    async fn compare_head(
        &mut self,
        r: &mut Reading<'_>,
        statement: &AnchorStatement,
        head: &AnchoredHead,
    ) -> Result<(), StoreError> {
        let seen = self.chains.entry(head.tenant.clone()).or_default();
        // A chain that stood still is in many anchors, and one fault in all later ones.
        if seen.is_faulty || seen.last.replace((head.sequence, head.hash)) == Some((head.sequence, head.hash))
        {
            return Ok(());
        }
        let is_removed = self.cuts.get(&head.tenant).is_some_and(|cut| head.sequence < *cut);
        let stored = r.audit_hash(head.tenant.as_ref(), head.sequence).await?;
        // Of what was removed nothing is known any more.
        if stored == Some(head.hash) || (is_removed && stored.is_none()) {
            seen.matched.insert(head.sequence);
            return Ok(());
        }
        seen.is_faulty = true;
        // Anchors made after the chain was rewritten fit what it is now.
        let matched = seen.matched.range(..head.sequence).next_back().copied().unwrap_or_default();
        let end = self.ends.get(&head.tenant).copied().unwrap_or_default();
        let (from, became) = match stored {
            Some(_) => (matched + 1, Became::Rewritten),
            None if end == 0 => (1, Became::Gone),
            None => ((end + 1).min(head.sequence), Became::Cut),
        };
        let (tenant, anchor) = (head.tenant.clone(), statement.number);
        let fault = ChainFault { tenant, anchor, at: statement.at, sequence: head.sequence, from, became };
        self.fault(AnchorFault::Chain(fault));
        Ok(())
    }

    fn fault(&mut self, fault: AnchorFault) {
        if !self.report.faults.contains(&fault) {
            self.report.faults.push(fault);
        }
    }
}

/// How many anchors were made, as the platform's own chain tells.
async fn anchors_made(r: &mut Reading<'_>) -> Result<u64, StoreError> {
    let newest = AuditFilter {
        scope: ChainScope::Platform,
        event: Some(AuditEvent::AuditAnchored),
        limit: 1,
        ..AuditFilter::default()
    };
    let entries = r.audit_entries(&newest).await?;
    let number = entries.first().and_then(|entry| entry.details.get("number")?.parse().ok());
    Ok(number.unwrap_or_default())
}
