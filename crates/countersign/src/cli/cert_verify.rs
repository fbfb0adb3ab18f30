//! `countersign cert verify`: the verdict of doors and clients on a chain in a file.

use std::path::Path;

use anyhow::Context as _;
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_tls::{AcceptedChain, ChainCheck, certificates_of, revocation_lists_of};
use serde_json::{Value, json};

use super::cert_arguments::{CertVerifyArguments, Purpose};
use super::failure::Failure;
use super::output::{print, print_json};

/// Judges the chain; refused is exit code 1, what cannot be read 2.
pub(super) fn run(arguments: &CertVerifyArguments) -> Result<(), Failure> {
    let at = arguments.at.unwrap_or_else(|| SystemClock.now());
    let check = check_of(arguments, at)?;
    let chain = read(&arguments.chain)?;
    // Whoever shows something that is no certificate is refused by doors as well.
    let verdict = match certificates_of(&chain) {
        Ok(chain) => check.judge(&chain).map_err(|refused| (refused.code(), refused.to_string())),
        Err(unreadable) => Err(("CERTIFICATE_MALFORMED", format!("the chain: {unreadable}"))),
    };
    if arguments.json {
        print_json(&as_json(&verdict, arguments.purpose, at))?;
    } else if let Ok(accepted) = &verdict {
        print(&text(accepted, arguments.purpose, at))?;
    }
    verdict.map(drop).map_err(|(code, reason)| Failure::from(anyhow::anyhow!("refused, {code}: {reason}")))
}

fn check_of(arguments: &CertVerifyArguments, at: Timestamp) -> Result<ChainCheck, Failure> {
    let trust = certificates_of(&read(&arguments.trust)?);
    let trust = trust.with_context(|| format!("read {}", arguments.trust.display()));
    let check = ChainCheck::new(&trust.map_err(Failure::bad_usage)?, arguments.purpose.into(), at);
    let mut check =
        check.with_context(|| format!("trust {}", arguments.trust.display())).map_err(Failure::bad_usage)?;
    let mut lists = Vec::new();
    for path in &arguments.crls {
        let found = revocation_lists_of(&read(path)?).with_context(|| format!("read {}", path.display()));
        lists.extend(found.map_err(Failure::bad_usage)?);
    }
    check = check.with_revocation_lists(lists);
    if let Some(host) = &arguments.host {
        check = check.with_host(host).context("read --host").map_err(Failure::bad_usage)?;
    }
    Ok(check)
}

/// A file of the command line.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs_err::read(path).context("read a file of the command line").map_err(Failure::bad_usage)
}

fn text(accepted: &AcceptedChain, purpose: Purpose, at: Timestamp) -> String {
    let device =
        accepted.identity.as_ref().map(|identity| format!("device  {identity}\n")).unwrap_or_default();
    let path = accepted.path.join("\n        ");
    format!("accepted as {} at {at}\n{device}path    {path}\n", purpose.as_str())
}

type Outcome = Result<AcceptedChain, (&'static str, String)>;

fn as_json(verdict: &Outcome, purpose: Purpose, at: Timestamp) -> Value {
    let accepted = verdict.as_ref().ok();
    let refused = verdict.as_ref().err();
    let device = accepted.and_then(|accepted| accepted.identity.as_ref());
    json!({
        "accepted": verdict.is_ok(),
        "purpose": purpose.as_str(),
        "at": at,
        "code": refused.map(|(code, _)| code),
        "reason": refused.map(|(_, reason)| reason),
        "device": device.map(|identity| json!({
            "tenant": identity.tenant(), "device": identity.device(), "uri": identity.uri(),
        })),
        "path": accepted.map(|accepted| &accepted.path),
    })
}
