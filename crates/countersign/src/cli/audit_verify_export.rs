//! `countersign audit verify --export`: checks a copy of the audit without the database.

use std::fmt::Write as _;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use countersign_authority::anchor_check::Evidence;
use countersign_authority::audit_export::{ExportReport, check_export};
use serde_json::{Value, json};

use super::anchor_faults::fault_as_json;
use super::audit_verify::chain_name;
use super::failure::Failure;
use super::output::{print, print_json};

/// Recomputes every entry of the export, and holds it against the anchors.
pub(super) fn run(path: &Path, evidence: &Evidence, as_json: bool) -> Result<(), Failure> {
    let file = fs_err::File::open(path).context("open the export")?;
    let report = check_export(BufReader::new(file), &evidence.anchors, evidence.key.as_ref());
    let report = report.with_context(|| format!("check the export {}", path.display()))?;
    if as_json {
        print_json(&json_of(&report))?
    } else {
        print(&text(&report))?
    }
    if let Some((chain, sequence, fault)) = &report.broken {
        let chain = chain_name(chain);
        return Err(Failure::bad_answer(format!("the export is broken: {chain}, entry {sequence}: {fault}")));
    }
    match report.faults.first() {
        Some(fault) => Err(Failure::bad_answer(format!("the export is not what was anchored: {fault}"))),
        None => Ok(()),
    }
}

fn text(report: &ExportReport) -> String {
    let mut text = String::new();
    for chain in &report.chains {
        let (name, head) = (chain_name(&chain.chain), hex::encode(chain.head));
        // Writing to a String cannot fail.
        let _written =
            writeln!(text, "{name}: entries {} to {}, intact, head {head}", chain.first, chain.last);
    }
    if let Some(key) = report.key {
        let (faults, outside) = (report.faults.len(), report.outside);
        let _written = writeln!(text, "anchors: {faults} faults, {outside} ends outside, key {key}");
    }
    for fault in &report.faults {
        let _written = writeln!(text, "  {fault}");
    }
    text
}

fn json_of(report: &ExportReport) -> Value {
    let chains: Vec<Value> = report
        .chains
        .iter()
        .map(|chain| {
            let (name, head) = (&chain.chain, hex::encode(chain.head));
            json!({ "chain": name, "first": chain.first, "last": chain.last, "head": head })
        })
        .collect();
    let broken = report
        .broken
        .as_ref()
        .map(|(chain, sequence, fault)| json!({ "chain": chain, "sequence": sequence, "fault": fault }));
    let faults: Vec<Value> = report.faults.iter().map(fault_as_json).collect();
    json!({
        "intact": report.broken.is_none() && report.faults.is_empty(),
        "chains": chains,
        "broken": broken,
        "anchors": { "keyId": report.key, "faults": faults, "outside": report.outside },
    })
}
