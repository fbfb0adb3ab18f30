//! Recomputing the audit log.

use countersign_core::anchor::AnchoredHead;
use countersign_core::audit::{CHAIN_START, ChainHash, ChainedEntry};
use countersign_core::ids::Tenant;

use super::audit::{HEADS, Head, TABLE, hash};
use super::audit_cuts::AuditCutRow;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::Reading;

/// How many entries are in memory at once.
const PAGE: u32 = 2000;

/// What recomputing every chain showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The chains up to the first broken one, the platform's own first, then by slug.
    pub chains: Vec<ChainReport>,
    /// The first entry that is not as it was written; `None`: the whole log is.
    pub broken: Option<BrokenEntry>,
}

impl AuditReport {
    /// Whether every entry is as it was written.
    #[must_use]
    pub const fn is_intact(&self) -> bool {
        self.broken.is_none()
    }
}

/// One intact chain. To compare with a copy kept elsewhere: whoever can write the database can
/// rewrite a whole chain, or cut its end and its head together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Whose; `None`: the platform's own.
    pub tenant: Option<Tenant>,
    /// How many entries it has had.
    pub entries: u64,
    /// Where it was cut: it was recomputed from there.
    pub cut: Option<AuditCutRow>,
    /// Its hash after the last.
    pub head: ChainHash,
}

/// Where the log is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenEntry {
    /// The chain as it is stored: the tenant's slug, or empty.
    pub chain: String,
    /// The number the entry has or should have.
    pub sequence: u64,
    /// What is wrong.
    pub fault: AuditFault,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFault {
    /// An entry is missing.
    Missing,
    /// Its content is not what was hashed.
    Altered,
    /// It comes after the recorded end of the chain, or the chain has no recorded end.
    BeyondHead,
    /// The recorded end's hash is not the last entry's.
    HeadAltered,
    /// The entries up to it were removed, and no anchor on record vouches for what they were.
    CutUnanchored,
}

/// An entry as it is stored, unjudged.
struct Stored {
    chain: String,
    sequence: u64,
    at_millis: i64,
    event: String,
    actor: String,
    device: String,
    certificate: String,
    details: String,
    hash: Option<ChainHash>,
}

impl FromRow for Stored {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        // What is hashed is whole milliseconds: another time is none that was written.
        let millis =
            row.optional_micros("at")?.filter(|micros| micros % 1000 == 0).map(|micros| micros / 1000);
        Ok(Self {
            chain: row.text("chain")?,
            sequence: row.number("sequence")?,
            at_millis: millis.unwrap_or_default(),
            event: row.text("event")?,
            actor: row.text("actor")?,
            device: row.text("device_id")?,
            certificate: row.text("certificate_id")?,
            details: row.text("details")?,
            // An unreadable hash matches none.
            hash: hash(row, "hash").ok().filter(|_hash| millis.is_some()),
        })
    }
}

impl Stored {
    fn chained(&self) -> ChainedEntry<'_> {
        ChainedEntry {
            chain: &self.chain,
            sequence: self.sequence,
            at_millis: self.at_millis,
            event: &self.event,
            actor: &self.actor,
            device: &self.device,
            certificate: &self.certificate,
            details: &self.details,
        }
    }
}

/// A chain's name.
struct ChainName(String);

impl FromRow for ChainName {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        row.text("chain").map(Self)
    }
}

/// How far a chain has been recomputed.
struct Progress {
    sequence: u64,
    hash: ChainHash,
}

impl Reading<'_> {
    /// Recomputes every chain: numbers without gaps, every hash, and that each ends where its head
    /// says. Stops at the first broken entry.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read at all.
    pub async fn verify_audit(&mut self) -> Result<AuditReport, StoreError> {
        let names: Vec<ChainName> = sql(
            TABLE,
            "SELECT chain FROM audit_heads UNION SELECT DISTINCT chain FROM audit_entries ORDER BY chain",
        )
        .all(&mut self.connection)
        .await?;
        let mut chains = Vec::with_capacity(names.len());
        for ChainName(chain) in names {
            match self.verify_chain(&chain).await? {
                Ok(end) => chains.push(ChainReport {
                    tenant: tenant_of(&chain)?,
                    entries: end.sequence,
                    head: end.hash,
                    cut: self.audit_cut(&chain).await?,
                }),
                Err((sequence, fault)) => {
                    let broken = Some(BrokenEntry { chain, sequence, fault });
                    return Ok(AuditReport { chains, broken });
                }
            }
        }
        Ok(AuditReport { chains, broken: None })
    }

    async fn verify_chain(&mut self, chain: &str) -> Result<Result<Progress, (u64, AuditFault)>, StoreError> {
        let head: Option<Head> = sql(HEADS, "SELECT sequence, hash FROM audit_heads WHERE chain = $1")
            .bind(chain)
            .optional(&mut self.connection)
            .await?;
        let mut progress = Progress { sequence: 0, hash: CHAIN_START };
        if let Some(AuditCutRow { end, anchor, .. }) = self.audit_cut(chain).await? {
            if !self.vouches(anchor, &end).await? {
                return Ok(Err((end.sequence, AuditFault::CutUnanchored)));
            }
            progress = Progress { sequence: end.sequence, hash: end.hash };
        }
        loop {
            let page: Vec<Stored> = sql(
                TABLE,
                "SELECT * FROM audit_entries WHERE chain = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            )
            .bind(chain)
            .bind(progress.sequence)
            .bind(PAGE)
            .all(&mut self.connection)
            .await?;
            let is_last = page.len() < PAGE as usize;
            for entry in &page {
                if let Err(fault) = progress.advance(entry, head.as_ref()) {
                    return Ok(Err(fault));
                }
            }
            if is_last {
                return Ok(progress.end(head.as_ref()));
            }
        }
    }
}

impl Reading<'_> {
    /// Whether an anchor on record names this end of a chain. Who signed it is for others to check.
    async fn vouches(&mut self, anchor: u64, end: &AnchoredHead) -> Result<bool, StoreError> {
        let rows = self.anchors_after(anchor.saturating_sub(1), 1).await?;
        let named = rows.iter().find(|row| row.statement.number == anchor);
        Ok(named.is_some_and(|row| row.statement.head(end.tenant.as_ref()) == Some(end)))
    }
}

impl Progress {
    /// Takes one more entry, if it is the right one.
    fn advance(&mut self, entry: &Stored, head: Option<&Head>) -> Result<(), (u64, AuditFault)> {
        let expected = self.sequence + 1;
        if head.is_none_or(|head| head.sequence < expected) {
            return Err((expected, AuditFault::BeyondHead));
        }
        if entry.sequence != expected {
            return Err((expected, AuditFault::Missing));
        }
        let hash = entry.chained().hash(&self.hash);
        if entry.hash != Some(hash) {
            return Err((expected, AuditFault::Altered));
        }
        *self = Self { sequence: expected, hash };
        Ok(())
    }

    /// The end of the chain, if its head agrees.
    fn end(self, head: Option<&Head>) -> Result<Self, (u64, AuditFault)> {
        match head {
            Some(head) if head.sequence > self.sequence => Err((self.sequence + 1, AuditFault::Missing)),
            Some(head) if head.hash != self.hash => Err((self.sequence, AuditFault::HeadAltered)),
            Some(_) => Ok(self),
            None => Err((self.sequence, AuditFault::BeyondHead)),
        }
    }
}

fn tenant_of(chain: &str) -> Result<Option<Tenant>, StoreError> {
    if chain.is_empty() {
        return Ok(None);
    }
    chain.parse().map(Some).map_err(|_not_a_slug| StoreError::corrupt(HEADS, "chain", chain))
}
