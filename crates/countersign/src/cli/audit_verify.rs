//! `countersign audit verify`: recomputes the audit log, also beside a running server, and holds it
//! against anchors.

use std::path::Path;

use anyhow::Context as _;
use countersign_authority::anchor_check::{AnchorReport, Evidence, check_anchors};
use countersign_authority::anchors::{PublicKey, SignedAnchor, public_key_from_pem};
use countersign_store::{AuditFault, AuditReport, BrokenEntry, ChainReport, Store, StoreError};
use serde_json::{Value, json};

use super::anchor_faults::fault_as_json;
use super::arguments::AuditVerifyArguments;
use super::audit_verify_export;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// Recomputes every chain and compares it with every anchor; fails when an entry is not as it was
/// written or a chain not what it was anchored as.
pub(super) fn run(arguments: AuditVerifyArguments) -> Result<(), Failure> {
    let evidence = Evidence {
        anchors: arguments.anchors.iter().map(|path| read_anchor(path)).collect::<Result<_, _>>()?,
        key: arguments.anchor_key.as_deref().map(read_key).transpose()?,
    };
    if let Some(export) = &arguments.export {
        return audit_verify_export::run(export, &evidence, arguments.json);
    }
    let config = loaded(arguments.config)?.resolved;
    block_on(async {
        let store = Store::open_for_reading(&config.database).await.context("open the database")?;
        let report = store.read(|r| Box::pin(async move { r.verify_audit().await })).await;
        let report = report
            .map_err(|error: StoreError| anyhow::Error::new(error).context("recompute the audit log"))?;
        let anchors = check_anchors(&store, evidence).await.context("read the anchors")?;
        if arguments.json {
            print_json(&as_json(&report, &anchors))?
        } else {
            print(&text(&report, &anchors))?
        }
        verdict(&report, &anchors)
    })
}

/// Reads an anchor that was kept elsewhere.
pub(super) fn read_anchor(path: &Path) -> anyhow::Result<SignedAnchor> {
    let text = fs_err::read_to_string(path).context("read an anchor")?;
    SignedAnchor::from_file(&text).with_context(|| format!("read the anchor {}", path.display()))
}

/// Reads the key that anchors must be signed by.
pub(super) fn read_key(path: &Path) -> anyhow::Result<PublicKey> {
    let text = fs_err::read_to_string(path).context("read the anchor key")?;
    public_key_from_pem(&text).with_context(|| format!("read the anchor key {}", path.display()))
}

fn verdict(report: &AuditReport, anchors: &AnchorReport) -> Result<(), Failure> {
    if let Some(broken) = &report.broken {
        return Err(failure(broken));
    }
    let Some(first) = anchors.faults.first() else { return Ok(()) };
    let more = match anchors.faults.len() {
        1 => String::new(),
        faults => format!(" (and {} more, see above)", faults - 1),
    };
    let message = format!("the audit log is not what was anchored: {first}{more}");
    Err(Failure::bad_answer(message)
        .hint("compare with a backup from before; what anchors confirm is told above"))
}

fn failure(broken: &BrokenEntry) -> Failure {
    let message = format!(
        "the audit log is broken: {}, entry {}: {}",
        chain_name(&broken.chain),
        broken.sequence,
        fault_in_words(broken.fault)
    );
    Failure::bad_answer(message)
        .hint("compare with a backup; entries before this one are as they were written")
}

fn text(report: &AuditReport, anchors: &AnchorReport) -> String {
    let line = |chain: &ChainReport| {
        let name = chain_name(chain.tenant.as_ref().map_or("", |tenant| tenant.as_str()));
        let begins = chain.cut.as_ref().map(|cut| {
            format!(" from {} on, before that removed up to anchor {}", cut.end.sequence + 1, cut.anchor)
        });
        let begins = begins.unwrap_or_default();
        format!("{name}: {} entries, intact{begins}, head {}\n", chain.entries, hex::encode(chain.head))
    };
    let mut text: String = report.chains.iter().map(line).collect();
    let faults = match anchors.faults.len() {
        0 => "all fit".to_owned(),
        1 => "1 fault".to_owned(),
        faults => format!("{faults} faults"),
    };
    let key = anchors.key.map_or_else(|| "none".to_owned(), |key| key.to_string());
    let (on_record, given) = (anchors.on_record, anchors.given);
    text.push_str(&format!("anchors: {on_record} on record, {given} given, {faults}, key {key}\n"));
    for fault in &anchors.faults {
        text.push_str(&format!("  {fault}\n"));
    }
    text
}

pub(super) fn chain_name(stored: &str) -> String {
    if stored.is_empty() { "platform".to_owned() } else { format!("tenant {stored}") }
}

const fn fault_in_words(fault: AuditFault) -> &'static str {
    match fault {
        AuditFault::Missing => "it is missing",
        AuditFault::Altered => "its content is not what was hashed",
        AuditFault::BeyondHead => "it comes after the recorded end of its chain",
        AuditFault::HeadAltered => "the recorded end of its chain is not its hash",
        AuditFault::CutUnanchored => "the entries up to it were removed, and no anchor vouches for them",
    }
}

const fn as_word(fault: AuditFault) -> &'static str {
    match fault {
        AuditFault::Missing => "missing",
        AuditFault::Altered => "altered",
        AuditFault::BeyondHead => "beyond_head",
        AuditFault::HeadAltered => "head_altered",
        AuditFault::CutUnanchored => "cut_unanchored",
    }
}

fn as_json(report: &AuditReport, anchors: &AnchorReport) -> Value {
    let chains: Vec<Value> = report
        .chains
        .iter()
        .map(|chain| {
            let (from, anchor) = chain.cut.as_ref().map_or((1, None), |cut| (cut.end.sequence + 1, Some(cut.anchor)));
            let head = hex::encode(chain.head);
            json!({ "tenant": chain.tenant, "entries": chain.entries, "from": from, "cutBy": anchor, "head": head })
        })
        .collect();
    let broken = report.broken.as_ref().map(|broken| {
        json!({ "chain": broken.chain, "sequence": broken.sequence, "fault": as_word(broken.fault) })
    });
    let faults: Vec<Value> = anchors.faults.iter().map(fault_as_json).collect();
    json!({
        "intact": report.is_intact() && anchors.faults.is_empty(),
        "chains": chains,
        "broken": broken,
        "anchors": {
            "keyId": anchors.key, "onRecord": anchors.on_record, "given": anchors.given, "faults": faults,
        },
    })
}
