//! Copies of the audit: written page by page, so that any length fits in memory, and checked by
//! themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead};

use countersign_ca::{PublicKey, SignedAnchor};
use countersign_core::audit::{AuditEntry, AuditEvent, CHAIN_START, ChainHash, ChainedEntry};
use countersign_core::ids::{SpkiSha256, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, ChainScope, LinkedRecord, LogPart, Store, StoreError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::anchor_check::{AnchorFault, Became, ChainFault};
use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

/// How many entries are in memory at once.
const PAGE: u32 = 1000;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A JSON object a line; it can be checked by itself.
    JsonLines,
    /// For spreadsheets, RFC 4180; no cell is taken for a formula.
    Csv,
}

/// An export under way.
#[derive(Clone, Debug)]
pub struct AuditExport {
    store: Store,
    filter: AuditFilter,
    part: LogPart,
    format: ExportFormat,
    has_begun: bool,
}

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    chain: String,
    sequence: u64,
    at: Timestamp,
    event: String,
    actor: String,
    device_id: Option<String>,
    certificate_id: Option<String>,
    details: BTreeMap<String, String>,
    previous_hash: String,
    hash: String,
}

/// The columns of the CSV form.
const COLUMNS: [&str; 10] = [
    "chain",
    "sequence",
    "at",
    "event",
    "actor",
    "deviceId",
    "certificateId",
    "details",
    "previousHash",
    "hash",
];

impl AuditExport {
    /// An export of what matches and is on record now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(store: Store, filter: AuditFilter, format: ExportFormat) -> Result<Self, StoreError> {
        let last = store.read(|r| Box::pin(async move { r.last_audit_id().await })).await?;
        let filter = AuditFilter { limit: PAGE, ..filter };
        Ok(Self { store, filter, part: LogPart { after: 0, last }, format, has_begun: false })
    }

    /// How it is written.
    #[must_use]
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`]; then what was written so far is not whole.
    pub async fn next_piece(&mut self) -> Result<Option<String>, StoreError> {
        let mut piece = String::new();
        if !std::mem::replace(&mut self.has_begun, true) && self.format == ExportFormat::Csv {
            piece = format!("{}\r\n", COLUMNS.join(","));
        }
        let (filter, part) = (self.filter.clone(), self.part);
        let page: Vec<LinkedRecord> =
            self.store.read(move |r| Box::pin(async move { r.audit_log(&filter, part).await })).await?;
        if let Some(last) = page.last() {
            self.part.after = last.record.id;
        }
        for record in page {
            self.write(&mut piece, &Line::from(record));
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn write(&self, piece: &mut String, line: &Line) {
        match self.format {
            ExportFormat::JsonLines => piece.push_str(&line.json()),
            ExportFormat::Csv => {
                let details = serde_json::to_string(&line.details).unwrap_or_default();
                let (sequence, at) = (line.sequence.to_string(), line.at.to_string());
                let cells: [&str; 10] = [
                    &line.chain,
                    &sequence,
                    &at,
                    &line.event,
                    &line.actor,
                    line.device_id.as_deref().unwrap_or_default(),
                    line.certificate_id.as_deref().unwrap_or_default(),
                    &details,
                    &line.previous_hash,
                    &line.hash,
                ];
                for (place, cell) in cells.into_iter().enumerate() {
                    // Writing to a String cannot fail.
                    let _written = write!(piece, "{}{}", if place == 0 { "" } else { "," }, csv_cell(cell));
                }
                piece.push('\r');
            }
        }
        piece.push('\n');
    }
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection): what could begin one is
/// preceded by an apostrophe.
fn csv_cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

impl From<LinkedRecord> for Line {
    fn from(LinkedRecord { record, previous }: LinkedRecord) -> Self {
        Self {
            chain: record.tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
            sequence: record.sequence,
            at: record.at,
            event: record.event.as_str().to_owned(),
            actor: record.actor,
            device_id: record.device.map(|id| id.to_string()),
            certificate_id: record.certificate.map(|id| id.to_string()),
            details: record.details,
            previous_hash: hex::encode(previous),
            hash: hex::encode(record.hash),
        }
    }
}

impl Authority {
    /// Begins an export; a caller bound to a tenant gets that tenant's chain alone. That it was made is
    /// itself an entry.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn export_audit(
        &self,
        by: &Authorized<View>,
        (mut filter, format): (AuditFilter, ExportFormat),
    ) -> Result<AuditExport, LookError> {
        if let Some(own) = by.scope() {
            filter.scope = ChainScope::Tenant(self.tenant(own).await?.slug);
        }
        let export = AuditExport::begin(self.store.clone(), filter, format).await?;
        let (tenant, scope) = match &export.filter.scope {
            ChainScope::Tenant(tenant) => (Some(tenant.clone()), tenant.to_string()),
            ChainScope::Platform => (None, "platform".to_owned()),
            ChainScope::All => (None, "all".to_owned()),
        };
        let mut entry = AuditEntry::new(tenant, self.now(), AuditEvent::AuditExported, by.actor())
            .detail("chains", scope);
        for (name, moment) in [("from", export.filter.since), ("to", export.filter.until)] {
            if let Some(moment) = moment {
                entry = entry.detail(name, moment);
            }
        }
        let written: Result<(), StoreError> =
            self.store.write(move |w| Box::pin(async move { w.append_audit(&entry).await })).await;
        written?;
        Ok(export)
    }
}

/// What checking an export showed.
#[derive(Debug)]
pub struct ExportReport {
    /// Every chain that is in it.
    pub chains: Vec<ExportedChain>,
    /// The first entry that is not as it was written: its chain, its number and what is wrong.
    pub broken: Option<(String, u64, &'static str)>,
    /// The key that the anchors are signed by, if there are any.
    pub key: Option<SpkiSha256>,
    /// What the anchors show.
    pub faults: Vec<AnchorFault>,
    /// How many anchored ends are not within the export.
    pub outside: usize,
}

/// A chain in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedChain {
    /// The tenant's slug; empty for the platform's own.
    pub chain: String,
    /// Its first entry in the export.
    pub first: u64,
    /// Its last.
    pub last: u64,
    /// The chain's hash after that.
    pub head: ChainHash,
}

/// An export could not be read.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The file.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// A line that is none of an export.
    #[error("line {0} is not an entry of an export in JSON lines")]
    Line(u64, #[source] serde_json::Error),
}

/// Checks an export in JSON lines by itself and against anchors, without any database. An anchored end
/// that lies before what was exported of its chain, or in a chain that was not, says nothing.
///
/// # Errors
/// [`ExportError`].
pub fn check_export(
    export: impl BufRead,
    anchors: &[SignedAnchor],
    key: Option<&PublicKey>,
) -> Result<ExportReport, ExportError> {
    let mut check = ExportCheck::new(anchors, key);
    for (number, line) in (1..).zip(export.lines()) {
        let line = line.map_err(ExportError::Read)?;
        let line: Line = serde_json::from_str(&line).map_err(|error| ExportError::Line(number, error))?;
        if let Err(fault) = check.take(&line) {
            check.report.broken = Some((line.chain, line.sequence, fault));
            break;
        }
    }
    Ok(check.end())
}

/// What is looked for: in which chain, at which entry, which hash, according to which anchor.
struct Wanted {
    chain: String,
    fault: ChainFault,
    hash: ChainHash,
    found: Option<ChainHash>,
}

struct ExportCheck {
    wanted: Vec<Wanted>,
    chains: BTreeMap<String, ExportedChain>,
    report: ExportReport,
}

impl ExportCheck {
    fn new(anchors: &[SignedAnchor], key: Option<&PublicKey>) -> Self {
        let key = key.or_else(|| anchors.first().map(SignedAnchor::key));
        let mut report = ExportReport {
            chains: Vec::new(),
            broken: None,
            key: key.map(PublicKey::sha256),
            faults: Vec::new(),
            outside: 0,
        };
        let mut wanted = Vec::new();
        for anchor in anchors {
            let statement = anchor.statement();
            if Some(anchor.key()) != key {
                report.faults.push(AnchorFault::OtherKey(statement.number));
                continue;
            }
            wanted.extend(statement.heads.iter().map(|head| Wanted {
                chain: head.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
                hash: head.hash,
                found: None,
                fault: ChainFault {
                    tenant: head.tenant.clone(),
                    anchor: statement.number,
                    at: statement.at,
                    sequence: head.sequence,
                    from: 1,
                    became: Became::Rewritten,
                },
            }));
        }
        Self { wanted, chains: BTreeMap::new(), report }
    }

    fn take(&mut self, line: &Line) -> Result<(), &'static str> {
        let previous = read_hash(&line.previous_hash).ok_or("its previousHash is no hash")?;
        let hash = read_hash(&line.hash).ok_or("its hash is none")?;
        if line.sequence == 1 && previous != CHAIN_START {
            return Err("it is the first of its chain and does not begin one");
        }
        if line.hashed(&previous) != Some(hash) {
            return Err("its content is not what was hashed");
        }
        if let Some(known) = self.chains.get_mut(&line.chain) {
            if line.sequence != known.last + 1 {
                return Err("the entry before it is missing");
            }
            if previous != known.head {
                return Err("it does not follow the entry before it");
            }
            (known.last, known.head) = (line.sequence, hash);
        } else {
            let (chain, first) = (line.chain.clone(), line.sequence);
            let begun = ExportedChain { chain: chain.clone(), first, last: first, head: hash };
            self.chains.insert(chain, begun);
        }
        for wanted in &mut self.wanted {
            if wanted.chain == line.chain && wanted.fault.sequence == line.sequence {
                wanted.found = Some(hash);
            }
        }
        Ok(())
    }

    fn end(mut self) -> ExportReport {
        for Wanted { chain, mut fault, hash, found } in self.wanted {
            let Some(known) = self.chains.get(&chain).filter(|known| fault.sequence >= known.first) else {
                self.report.outside += 1;
                continue;
            };
            match found {
                Some(found) if found == hash => continue,
                Some(_) => fault.from = known.first,
                // After a broken entry nothing was read.
                None if self.report.broken.is_some() => continue,
                None => (fault.from, fault.became) = (known.last + 1, Became::Cut),
            }
            self.report.faults.push(AnchorFault::Chain(fault));
        }
        self.report.chains = self.chains.into_values().collect();
        self.report
    }
}

impl Line {
    /// As it is exported.
    pub(crate) fn json(&self) -> String {
        // Texts and numbers: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The chain's hash after this entry, if it can be an entry.
    fn hashed(&self, previous: &ChainHash) -> Option<ChainHash> {
        if !self.chain.is_empty() {
            let _slug: Tenant = self.chain.parse().ok()?;
        }
        let entry = ChainedEntry {
            chain: &self.chain,
            sequence: self.sequence,
            at_millis: self.at.millis(),
            event: &self.event,
            actor: &self.actor,
            device: self.device_id.as_deref().unwrap_or_default(),
            certificate: self.certificate_id.as_deref().unwrap_or_default(),
            details: &serde_json::to_string(&self.details).ok()?,
        };
        Some(entry.hash(previous))
    }
}

fn read_hash(text: &str) -> Option<ChainHash> {
    let mut bytes = CHAIN_START;
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, cell) in [
            ("plain", "\"plain\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("say \"hi\",\r\nthere", "\"say \"\"hi\"\",\r\nthere\""),
            ("", "\"\""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
