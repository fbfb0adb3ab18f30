//! `countersign audit verify`: recomputes the audit log, also beside a running server.

use anyhow::Context as _;
use countersign_store::{AuditFault, AuditReport, BrokenEntry, ChainReport, Store, StoreError};
use serde_json::{Value, json};

use super::arguments::AuditVerifyArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// Recomputes every chain, and fails at the first entry that is not as it was written.
pub(super) fn run(arguments: AuditVerifyArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    block_on(async {
        let store = Store::open_for_reading(&config.database).await.context("open the database")?;
        let report = store.read(|r| Box::pin(async move { r.verify_audit().await })).await;
        let report = report
            .map_err(|error: StoreError| anyhow::Error::new(error).context("recompute the audit log"))?;
        if arguments.json {
            print_json(&as_json(&report))?
        } else {
            print(&text(&report))?
        }
        report.broken.as_ref().map_or(Ok(()), |broken| Err(failure(broken)))
    })
}

fn failure(broken: &BrokenEntry) -> Failure {
    let message = format!(
        "the audit log is broken: {}, entry {}: {}",
        chain_name(&broken.chain),
        broken.sequence,
        in_words(broken.fault)
    );
    Failure::bad_answer(message)
        .hint("compare with a backup; entries before this one are as they were written")
}

fn text(report: &AuditReport) -> String {
    let line = |chain: &ChainReport| {
        let name = chain_name(chain.tenant.as_ref().map_or("", |tenant| tenant.as_str()));
        format!("{name}: {} entries, intact, head {}\n", chain.entries, hex::encode(chain.head))
    };
    report.chains.iter().map(line).collect()
}

fn chain_name(stored: &str) -> String {
    if stored.is_empty() { "platform".to_owned() } else { format!("tenant {stored}") }
}

const fn in_words(fault: AuditFault) -> &'static str {
    match fault {
        AuditFault::Missing => "it is missing",
        AuditFault::Altered => "its content is not what was hashed",
        AuditFault::BeyondHead => "it comes after the recorded end of its chain",
        AuditFault::HeadAltered => "the recorded end of its chain is not its hash",
    }
}

const fn as_word(fault: AuditFault) -> &'static str {
    match fault {
        AuditFault::Missing => "missing",
        AuditFault::Altered => "altered",
        AuditFault::BeyondHead => "beyond_head",
        AuditFault::HeadAltered => "head_altered",
    }
}

fn as_json(report: &AuditReport) -> Value {
    let chains: Vec<Value> = report
        .chains
        .iter()
        .map(|chain| json!({ "tenant": chain.tenant, "entries": chain.entries, "head": hex::encode(chain.head) }))
        .collect();
    let broken = report.broken.as_ref().map(|broken| {
        json!({ "chain": broken.chain, "sequence": broken.sequence, "fault": as_word(broken.fault) })
    });
    json!({ "intact": report.is_intact(), "chains": chains, "broken": broken })
}
