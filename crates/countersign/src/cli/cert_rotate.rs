//! `countersign cert rotate`: renews what ends soon below a directory, by the running server.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use countersign_api::wire::service_certificates::{RenewServiceCertificateRequest, ServiceCertificateDetail};
use countersign_ca::{SigningKey, certificates_from_pem};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use http::Method;
use serde_json::{Value, json};

use super::admin_server::AdminServer;
use super::cert_issue::{Files, request_of};
use super::cert_revoke::the_one;
use super::failure::Failure;
use super::output::{print, print_json};
use super::service_arguments::CertRotateArguments;
use crate::credentials::{FoundCertificate, Outcome, Renewal, Rotated, Rotation, Slot, Written, rotate};

/// Renews them, or says which.
pub(super) fn run(arguments: &CertRotateArguments) -> Result<(), Failure> {
    let rotation = Rotation {
        directory: &arguments.dir,
        grace: Duration::from_secs(arguments.grace),
        backup: arguments.backup.as_deref(),
        reload: arguments.reload.as_deref(),
        now: SystemClock.now(),
    };
    // Whoever has nothing to renew needs no server, and no token that works.
    let mut server = None;
    let mut by_server = |found: &FoundCertificate| {
        let server = match &mut server {
            Some(server) => server,
            none @ None => none.insert(connected(arguments)?),
        };
        renewed(server, found)
    };
    let renew: Option<&mut Renewal<'_>> = if arguments.dry_run { None } else { Some(&mut by_server) };
    let rotated = rotate(&rotation, renew).context("rotate the certificates")?;
    if arguments.server.json {
        print_json(&as_json(arguments, &rotated))?;
    } else {
        print(&text(arguments, &rotated))?;
    }
    verdict(&rotated)
}

fn connected(arguments: &CertRotateArguments) -> anyhow::Result<AdminServer> {
    AdminServer::of(&arguments.server).map_err(Failure::into_error)
}

/// The successor of a certificate, for a fresh key of the same kind, below the same root.
fn renewed(server: &AdminServer, found: &FoundCertificate) -> anyhow::Result<(Written, Timestamp)> {
    let record = the_one(server, &found.serial, Some(found.spki)).map_err(Failure::into_error)?;
    let key = SigningKey::generate(found.algorithm).context("make a key")?;
    let body = RenewServiceCertificateRequest { csr: request_of(&key)?, lifetime_days: None };
    let path = format!("/service-certificates/{}/renew", record.id);
    let issued: ServiceCertificateDetail =
        server.ask(Method::POST, &path, &json!(body).to_string()).map_err(Failure::into_error)?;
    let files = Files::of(&issued)?;
    let root = certificates_from_pem(&files.chain).context("read the server's answer")?.pop();
    anyhow::ensure!(
        found.root.is_none() || found.root == root,
        "the server has another root than the chain beside the certificate: whoever trusts the old one \
         would refuse the new certificate"
    );
    let written = Written { certificate: files.certificate, chain: files.chain, key: key.pkcs8_pem() };
    Ok((written, issued.record.expires_at))
}

/// Fails closed: what was not renewed, and who was not told, ends the command with a failure.
fn verdict(rotated: &Rotated) -> Result<(), Failure> {
    let failed: Vec<&str> = rotated
        .certificates
        .iter()
        .filter(|(_slot, outcome)| matches!(outcome, Outcome::Failed(_)))
        .map(|(slot, _outcome)| slot.name())
        .collect();
    if let Some(Err(error)) = &rotated.reload {
        let error = anyhow::anyhow!("{error:#}");
        let hint = "what was renewed is in place; the next run with --reload runs the command again";
        return Err(Failure::from(error.context("tell whoever uses the certificates")).hint(hint));
    }
    if failed.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!("not renewed: {}", failed.join(", "));
    Err(Failure::from(error).hint("each is as it was, with its key; the next run tries again"))
}

fn text(arguments: &CertRotateArguments, rotated: &Rotated) -> String {
    let mut text = String::new();
    let mut kept = 0_u32;
    for (slot, outcome) in &rotated.certificates {
        // Writing to a String cannot fail.
        let _written = match outcome {
            Outcome::Kept(until) => {
                kept += 1;
                writeln!(text, "kept     {} until {until}", slot.name())
            }
            Outcome::Due(until) => writeln!(text, "due      {} until {until}", slot.name()),
            Outcome::Renewed { from, to } => {
                writeln!(text, "renewed  {} until {to}, was until {from}", slot.name())
            }
            Outcome::Failed(error) => writeln!(text, "failed   {}: {error:#}", slot.name()),
        };
    }
    let all = rotated.certificates.len();
    if all == 0 {
        let _written = writeln!(text, "no certificate with its key below {}", arguments.dir.display());
    } else if usize::try_from(kept).is_ok_and(|kept| kept == all) {
        let days = arguments.grace / 86_400;
        let _written = writeln!(text, "nothing to renew: all {all} are good for more than {days} days");
    }
    if let Some(backup) = &rotated.backup {
        let _written = writeln!(text, "backup   {}", backup.display());
    }
    if let Some(Ok(())) = &rotated.reload {
        text.push_str("reloaded\n");
    }
    text
}

fn as_json(arguments: &CertRotateArguments, rotated: &Rotated) -> Value {
    let reload = rotated.reload.as_ref().map(|told| {
        json!({ "done": told.is_ok(), "error": told.as_ref().err().map(|error| format!("{error:#}")) })
    });
    json!({
        "dir": arguments.dir,
        "graceSeconds": arguments.grace,
        "dryRun": arguments.dry_run,
        "certificates": rotated.certificates.iter().map(one_as_json).collect::<Vec<_>>(),
        "backup": rotated.backup,
        "reload": reload,
    })
}

fn one_as_json((slot, outcome): &(Slot, Outcome)) -> Value {
    let (word, expires_at, renewed_until, error) = match outcome {
        Outcome::Kept(until) => ("kept", Some(until), None, None),
        Outcome::Due(until) => ("due", Some(until), None, None),
        Outcome::Renewed { from, to } => ("renewed", Some(from), Some(to), None),
        Outcome::Failed(error) => ("failed", None, None, Some(format!("{error:#}"))),
    };
    json!({
        "name": slot.name(), "certificate": slot.file("cert"), "outcome": word, "expiresAt": expires_at,
        "renewedUntil": renewed_until, "error": error,
    })
}
