//! `countersign ca csr`: a new CA gets its key here; its certificate is signed where the root is.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::ceremony::CeremonyError;
use countersign_authority::plan::{Outcome, PlannedCa};
use countersign_ca::csr_pem;
use serde_json::json;

use super::ca_ceremony_arguments::{CaCsrArguments, CaCsrWithdrawArguments, PurposeFlag, RoleFlag, WantedCa};
use super::failure::Failure;
use super::installation::with_installation;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::plan::{Readers, replace};

/// Makes the key and writes the request.
pub(super) fn run(arguments: CaCsrArguments) -> Result<(), Failure> {
    refuse_limits(&arguments.wanted)?;
    let config = loaded(arguments.config)?.resolved;
    let wanted = &arguments.wanted;
    let planned = PlannedCa {
        name: arguments.name,
        role: wanted.role.into(),
        parent: None,
        subject: wanted.subject.clone(),
        algorithm: arguments.key_algorithm,
        // Whoever signs it says for how long.
        lifetime: Duration::ZERO,
        purposes: wanted.purposes.iter().map(|purpose| (*purpose).into()).collect::<BTreeSet<_>>(),
        path_length: wanted.path_length,
        environment: arguments.environment,
    };
    let pending = block_on(with_installation(&config, async |authority| {
        authority.request_ca(&planned).await.map_err(failure)
    }))?;
    let out = arguments.out.as_path();
    replace(out, csr_pem(&pending.csr).as_bytes(), Readers::Everybody)
        .with_context(|| format!("write {}", out.display()))?;
    let name = planned.name.as_str();
    if arguments.json {
        let is_new = pending.outcome == Outcome::Made;
        return Ok(print_json(&json!({ "ca": name, "csr": out, "newKey": is_new }))?);
    }
    let base = config.public_base_url.as_ref().map(|url| format!(" --public-base-url {}", url.uri()));
    let said = flags(wanted);
    Ok(print(&format!(
        "{}: the signing request of {name}, which waits for its certificate.\n\n\
         Carry it to where the root is, and sign it there:\n\n  \
         countersign ca sign --csr {name}.csr --root-file ROOT-FILE --passphrase-file PASSPHRASE-FILE{said}{} \
         --out {name}.pem\n\n\
         Then carry {name}.pem back, and take it in here:\n\n  countersign ca import-signed {name}.pem\n",
        out.display(),
        base.unwrap_or_default()
    ))?)
}

/// What must be said again where it is signed.
fn flags(wanted: &WantedCa) -> String {
    let role = match wanted.role {
        RoleFlag::Device => "device",
        RoleFlag::Service => "service",
        RoleFlag::Intermediate => "intermediate",
    };
    let mut flags = format!(" --role {role} --subject {:?}", wanted.subject.to_string());
    for purpose in &wanted.purposes {
        flags.push_str(match purpose {
            PurposeFlag::ServerAuth => " --purpose serverAuth",
            PurposeFlag::ClientAuth => " --purpose clientAuth",
        });
    }
    if let Some(length) = wanted.path_length {
        flags.push_str(&format!(" --path-length {length}"));
    }
    flags
}

/// Purposes and path length of device and service CAs are fixed.
pub(super) fn refuse_limits(wanted: &WantedCa) -> Result<(), Failure> {
    let is_limited = !wanted.purposes.is_empty() || wanted.path_length.is_some();
    if is_limited && wanted.role != RoleFlag::Intermediate {
        let error = anyhow::anyhow!("purposes and path length of a device or service CA are fixed");
        return Err(Failure::bad_usage(error).hint("leave out --purpose and --path-length"));
    }
    Ok(())
}

/// Gives up a CA that waits.
pub(super) fn withdraw(arguments: CaCsrWithdrawArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let name = arguments.name;
    block_on(with_installation(&config, async |authority| {
        authority.withdraw_ca_request(&name).await.map_err(failure)
    }))?;
    Ok(print(&format!("{name} waits no more; a certificate that is signed for it is refused.\n"))?)
}

fn failure(error: CeremonyError) -> Failure {
    let hint = match &error {
        CeremonyError::Exists(_) => "`countersign ca tree` shows every CA; choose another name",
        CeremonyError::Differs(..) => {
            "ask for the same, or give it up first: countersign ca csr-withdraw NAME"
        }
        CeremonyError::Unknown(_)
        | CeremonyError::NotAsked
        | CeremonyError::NoParent(_)
        | CeremonyError::Certificate(_)
        | CeremonyError::Make(_)
        | CeremonyError::Store(_) => "nothing was changed",
    };
    Failure::from(anyhow::Error::new(error).context("prepare the CA")).hint(hint)
}
