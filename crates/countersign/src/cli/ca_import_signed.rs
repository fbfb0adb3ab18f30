//! `countersign ca import-signed`: what was signed where the root is, taken in.

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::cas::IssuerState;
use countersign_authority::ceremony::TakenIn;
use countersign_authority::crl::ceremony::TakenCrl;
use countersign_ca::{certificates_from_pem, pem_blocks};
use serde_json::{Value, json};

use super::ca_ceremony_arguments::CaImportSignedArguments;
use super::failure::Failure;
use super::installation::with_installation;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

/// What was in the file, DER.
#[derive(Default)]
struct Found {
    certificates: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
}

/// What became of it.
struct Taken {
    cas: Vec<TakenIn>,
    lists: Vec<TakenCrl>,
}

/// Takes it in.
pub(super) fn run(arguments: CaImportSignedArguments) -> Result<(), Failure> {
    let text = fs_err::read_to_string(&arguments.file).context("read what was signed")?;
    let found = read(&text).with_context(|| format!("read {}", arguments.file.display()));
    let found = found.map_err(Failure::bad_usage)?;
    let config = loaded(arguments.config)?.resolved;
    let taken = block_on(with_installation(&config, async |authority| take_in(authority, &found).await))?;
    if arguments.json {
        let cas: Vec<Value> = taken.cas.iter().map(as_json).collect();
        let lists = taken
            .lists
            .iter()
            .map(|list| json!({ "ca": list.ca, "number": list.number, "until": list.until }));
        return Ok(print_json(&json!({ "cas": cas, "lists": lists.collect::<Vec<_>>() }))?);
    }
    let mut text: String = taken.cas.iter().map(in_words).collect();
    if let (Some(first), count) = (taken.lists.first(), taken.lists.len()) {
        text.push_str(&format!("{count} revocation lists of {}, until {}.\n", first.ca, first.until));
    }
    Ok(print(&text)?)
}

fn read(text: &str) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for block in pem_blocks(text) {
        match block.label {
            "CERTIFICATE" => found.certificates.extend(certificates_from_pem(block.text)?),
            "X509 CRL" => found.lists.extend(countersign_tls::revocation_lists_of(block.text.as_bytes())?),
            other => anyhow::bail!("a {other} in it, and neither a certificate nor a revocation list"),
        }
    }
    if found.certificates.is_empty() && found.lists.is_empty() {
        anyhow::bail!("neither a certificate nor a revocation list in it, PEM");
    }
    Ok(found)
}

async fn take_in(authority: &Authority, found: &Found) -> Result<Taken, Failure> {
    let mut taken = Taken { cas: Vec::new(), lists: Vec::new() };
    for der in &found.certificates {
        let done = authority.take_in_signed(der).await.context("take in the certificate");
        taken.cas.push(done.map_err(|error| Failure::from(error).hint("the CA waits as before"))?);
    }
    for der in &found.lists {
        let done = authority.take_in_crl(der).await.context("take in the revocation list");
        let kept = "the list that was published before still is";
        taken.lists.push(done.map_err(|error| Failure::from(error).hint(kept))?);
    }
    Ok(taken)
}

/// For programs.
pub(super) fn as_json(taken: &TakenIn) -> Value {
    json!({
        "ca": taken.name,
        "role": taken.role.as_str(),
        "parent": taken.parent,
        "state": taken.state.as_str(),
        "notAfter": taken.not_after,
    })
}

/// For people.
pub(super) fn in_words(taken: &TakenIn) -> String {
    let TakenIn { name, role, parent, state, not_after } = taken;
    let below = parent.as_ref().map(|parent| format!(" below {parent}")).unwrap_or_default();
    let next = match state {
        IssuerState::Prepared => format!(
            "Another {role} CA is active. To let this one take its place:\n\n  \
             countersign ca rotate ACTIVE --to {name} --token-file FILE\n"
        ),
        IssuerState::Active | IssuerState::Retiring | IssuerState::Retired => String::new(),
    };
    format!("{name}: {role} CA{below}, {state}, until {not_after}.\n{next}")
}
