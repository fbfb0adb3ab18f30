//! `countersign ca crl-request` and `ca sign-crl`: the revocation lists of a root that is offline.

use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::crl::ceremony::{CrlCeremonyError, CrlRequest};
use countersign_ca::crl_pem;
use countersign_core::time::{Clock as _, SystemClock};
use serde_json::json;

use super::ca_ceremony_arguments::{CaCrlRequestArguments, CaSignCrlArguments};
use super::ca_root::{open_root, secret};
use super::failure::Failure;
use super::installation::with_installation;
use super::ledger::{Ledger, LedgerEntry, LedgerLine};
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::plan::{Readers, replace};

const DAY: u64 = 86_400;

/// Writes down what the lists are to say.
pub(super) fn request(arguments: CaCrlRequestArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let name = arguments.name;
    let request = block_on(with_installation(&config, async |authority| {
        authority.crl_request(&name).await.map_err(failure)
    }))?;
    let text = serde_json::to_string_pretty(&request).context("write the request")?;
    let to = arguments.to.as_path();
    replace(to, format!("{text}\n").as_bytes(), Readers::Everybody)
        .with_context(|| format!("write {}", to.display()))?;
    Ok(print(&format!(
        "{}: what the revocation lists of {name} are to say ({}).\n\n\
         Carry it to where the root is, and sign it there:\n\n  \
         countersign ca sign-crl --request FILE --root-file ROOT-FILE --passphrase-file PASSPHRASE-FILE \
         --out {name}.crl.pem\n\n\
         Then carry {name}.crl.pem back, and take it in here:\n\n  \
         countersign ca import-signed {name}.crl.pem\n",
        to.display(),
        request.lists.len()
    ))?)
}

fn failure(error: CrlCeremonyError) -> Failure {
    Failure::from(anyhow::Error::new(error).context("ask for revocation lists"))
        .hint("`countersign ca tree` shows where the key of each CA is")
}

/// Signs them.
pub(super) fn sign(arguments: &CaSignCrlArguments) -> Result<(), Failure> {
    let text = fs_err::read_to_string(&arguments.request).context("read the request")?;
    let request: CrlRequest = serde_json::from_str(&text)
        .with_context(|| format!("read {}", arguments.request.display()))
        .map_err(Failure::bad_usage)?;
    let root = open_root(&arguments.root.root_file, &secret(&arguments.root.passphrase_file)?)?;
    let (issuer, ledger, now) = (root.issuer(), Ledger::of(&arguments.root), SystemClock.now());
    let name = issuer.key_id().to_string();
    let lowest = request.lists.iter().map(|list| list.number).min().unwrap_or_default();
    let highest = ledger.read(&name)?.iter().filter_map(number_of).max();
    if let Some(highest) = highest.filter(|highest| *highest >= lowest) {
        let error = anyhow::anyhow!(
            "the request has the number {lowest}, and lists up to {highest} were signed already"
        );
        return Err(Failure::from(error).hint("ask for new ones: countersign ca crl-request NAME"));
    }
    let life = Duration::from_secs(u64::from(arguments.days) * DAY);
    let next_update = (now + life).min(issuer.not_after());
    let signed =
        LedgerEntry::Crls { number: request.highest_number(), lists: request.lists.len(), next_update };
    let lists = request.sign(issuer, now, life).context("sign the revocation lists")?;
    ledger.add(&LedgerLine { at: now, issuer: name, signed })?;
    let pem: String = lists.iter().map(|list| crl_pem(list)).collect();
    let out = arguments.out.as_path();
    replace(out, pem.as_bytes(), Readers::Everybody).with_context(|| format!("write {}", out.display()))?;
    if arguments.json {
        return Ok(print_json(&json!({
            "file": out, "lists": lists.len(), "nextUpdate": next_update, "ledger": ledger.path(),
        }))?);
    }
    Ok(print(&format!(
        "{}: {} revocation lists of {}, until {next_update}; written down in {}.\n",
        out.display(),
        lists.len(),
        request.ca,
        ledger.path().display()
    ))?)
}

const fn number_of(entry: &LedgerEntry) -> Option<u64> {
    match entry {
        LedgerEntry::Certificate { .. } => None,
        LedgerEntry::Crls { number, .. } => Some(*number),
    }
}
