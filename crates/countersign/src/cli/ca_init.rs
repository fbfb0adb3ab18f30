//! `countersign ca init`: makes what a plan says and is not there yet.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::cas::CaFacts;
use countersign_authority::plan::{
    Credential, IssuerRole, Outcome, Plan, PlanError, PlannedCa, PlannedCertificate,
};
use countersign_authority::{Authority, OpenWith};
use countersign_core::time::SystemClock;
use countersign_store::Store;
use serde_json::json;

use super::ca_arguments::CaInitArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::plan::{Layout, Readers};
use crate::serve::{authority_config, make_private_directory};

/// What became of one line of the plan.
struct Step {
    what: &'static str,
    name: String,
    made: bool,
}

/// Makes the tree, in the order of the plan.
pub(super) fn run(arguments: CaInitArguments) -> Result<(), Failure> {
    let plan = crate::plan::read(&arguments.plan)?;
    let config = loaded(arguments.config)?.resolved;
    make_private_directory(&config.data_dir)?;
    let steps = block_on(async {
        let opened = Store::open(&config.database).await.context("open the database");
        let store = opened.map_err(|error| {
            Failure::from(error)
                .hint("stop the server first: one process at a time writes an SQLite database")
        })?;
        store.migrate().await.context("bring the database up to date")?;
        let known = store.read(|r| Box::pin(async move { r.installation().await })).await;
        let is_new = known.context("look for an installation")?.is_none();
        let clock = Arc::new(SystemClock);
        let founding = plan.founding();
        let with = OpenWith { founding: &founding, ..OpenWith::default() };
        let authority = Authority::open_with(store, clock, authority_config(&config), with).await;
        let authority = authority.context("open the installation")?;
        let before = if is_new { Vec::new() } else { authority.cas() };
        let done = carry_out(&authority, &plan, &before, &Layout::new(arguments.out.clone())).await;
        authority.close().await.context("close the database")?;
        done
    })?;
    report(&steps, &arguments.out, arguments.json)
}

async fn carry_out(
    authority: &Authority,
    plan: &Plan,
    before: &[CaFacts],
    layout: &Layout,
) -> Result<Vec<Step>, Failure> {
    let failed = |error: PlanError| {
        let contradicts = matches!(error, PlanError::Contradicts(_));
        let failure = anyhow::Error::new(error).context("carry out the plan");
        if contradicts {
            Failure::bad_usage(failure)
                .hint("nothing was changed; change the plan, or give what differs another name")
        } else {
            Failure::from(failure).hint("what was made stays: run the command again")
        }
    };
    authority.check_plan(plan).await.map_err(failed)?;
    let mut steps = Vec::new();
    for planned in &plan.cas {
        let outcome = authority.apply_ca(planned).await.map_err(failed)?;
        // An installation that begins with the plan has some of its CAs already.
        let made = outcome == Outcome::Made || !before.iter().any(|ca| ca.name == planned.name);
        steps.push(Step { what: "CA", name: planned.name.to_string(), made });
    }
    for planned in &plan.cas {
        write_ca(authority, plan, planned, layout)?;
    }
    for planned in &plan.certificates {
        let at_hand = layout.key_of(planned.label.as_str());
        let made = authority.apply_certificate(planned, at_hand).await.map_err(failed)?;
        steps.push(Step { what: "certificate", name: planned.label.to_string(), made: made.is_some() });
        if let Some(credential) = made {
            write_credential(planned, &credential, layout)?;
        }
    }
    authority.refresh_crls().await.context("sign the revocation lists")?;
    Ok(steps)
}

/// A CA's own certificate; a root's file has the CAs below it that sign services too, so that whoever
/// has just this file can verify what they signed. Those that sign devices are not in it.
fn write_ca(authority: &Authority, plan: &Plan, planned: &PlannedCa, layout: &Layout) -> Result<(), Failure> {
    let name = planned.name.as_str();
    let chain = authority.ca_chain(&planned.name).context("find the CA")?;
    let mut pem = chain.first().map(|ca| ca.certificate_pem()).unwrap_or_default();
    if planned.role == IssuerRole::Root {
        layout.write((name, "root"), &pem, Readers::Everybody)?;
        for below in &plan.cas {
            let signs_services = matches!(below.role, IssuerRole::Service | IssuerRole::Intermediate);
            let chain = authority.ca_chain(&below.name).context("find the CA")?;
            let is_ours = chain.last().is_some_and(|root| root.name == planned.name);
            if let Some(ca) = chain.first().filter(|_ca| signs_services && is_ours) {
                pem.push_str(&ca.certificate_pem());
            }
        }
    }
    Ok(layout.write((name, "cert"), &pem, Readers::Everybody)?)
}

/// The key first: a certificate that is there has its key beside it.
fn write_credential(
    planned: &PlannedCertificate,
    credential: &Credential,
    layout: &Layout,
) -> Result<(), Failure> {
    let name = planned.label.as_str();
    let chain = &credential.certificate.chain;
    let leaf = credential.certificate.certificate.pem();
    let (_root, between) = chain.split_last().context("find the root")?;
    layout.write((name, "key"), &credential.key, Readers::Owner)?;
    layout.write((name, "chain"), &chain.concat(), Readers::Everybody)?;
    Ok(layout.write((name, "cert"), &format!("{leaf}{}", between.concat()), Readers::Everybody)?)
}

fn report(steps: &[Step], out: &Path, as_json: bool) -> Result<(), Failure> {
    let word = |step: &Step| if step.made { "made" } else { "exists" };
    if as_json {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| json!({ "kind": step.what, "name": step.name, "outcome": word(step) }))
            .collect();
        return Ok(print_json(&json!({ "out": out, "steps": steps }))?);
    }
    let lines: String =
        steps.iter().map(|step| format!("{:<7} {} {}\n", word(step), step.what, step.name)).collect();
    Ok(print(&lines)?)
}
