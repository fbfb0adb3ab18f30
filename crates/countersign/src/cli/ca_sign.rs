//! `countersign ca sign`: a root in its file signs a new CA, on a machine without a database.

use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::plan::Profile;
use countersign_authority::publication_at;
use countersign_ca::{CertificateRequest, VerifiedCsr, random_serial};
use countersign_core::time::{Clock as _, SystemClock};
use serde_json::json;

use super::ca_ceremony_arguments::{CaSignArguments, RoleFlag, WantedCa};
use super::ca_csr::refuse_limits;
use super::ca_root::{open_root, secret};
use super::failure::Failure;
use super::ledger::{Ledger, LedgerEntry, LedgerLine};
use super::output::{print, print_json, warn};
use crate::plan::{Readers, replace};

const DAY: u64 = 86_400;

/// The first octet of the serial numbers that are made here; behind it are 136 random bits.
const NODE: u8 = 0x7f;

/// Signs, by the same profile and lints as a server.
pub(super) fn run(arguments: &CaSignArguments) -> Result<(), Failure> {
    refuse_limits(&arguments.wanted)?;
    let csr = fs_err::read_to_string(&arguments.csr).context("read the signing request")?;
    let csr = VerifiedCsr::from_pem(&csr)
        .with_context(|| format!("read {}", arguments.csr.display()))
        .map_err(Failure::bad_usage)?;
    let root = open_root(&arguments.root.root_file, &secret(&arguments.root.passphrase_file)?)?;
    let (issuer, ledger, now) = (root.issuer(), Ledger::of(&arguments.root), SystemClock.now());
    let name = issuer.key_id().to_string();
    let spki = csr.public_key().sha256().to_string();
    if let Some(before) = signed_before(&ledger.read(&name)?, &spki) {
        warn(&format!("this key was certified before, with the serial number {before}"));
    }
    let serial = random_serial(NODE).context("draw a serial number")?;
    let publication = publication_at(arguments.public_base_url.as_deref(), issuer.key_id(), &serial);
    let profile = profile_of(&arguments.wanted);
    let (word, subject) = (profile.as_str(), profile.subject_text());
    let prepared = issuer
        .prepare(CertificateRequest {
            profile,
            public_key: csr.public_key(),
            serial,
            issued_at: now,
            lifetime: Duration::from_secs(u64::from(arguments.lifetime_days) * DAY),
            publication,
        })
        .context("prepare the certificate")?;
    let (serial, not_after) = (prepared.reference().serial.to_string(), prepared.lifetime().expires_at);
    let entry = LedgerEntry::Certificate {
        serial: serial.clone(),
        profile: word.to_owned(),
        subject: subject.clone(),
        spki_sha256: spki,
        not_after,
    };
    ledger.add(&LedgerLine { at: now, issuer: name, signed: entry })?;
    let certificate = issuer.sign(prepared).context("sign the certificate")?;
    let out = arguments.out.as_path();
    replace(out, certificate.pem().as_bytes(), Readers::Everybody)
        .with_context(|| format!("write {}", out.display()))?;
    if arguments.json {
        return Ok(print_json(&json!({
            "certificate": out, "serial": serial, "subject": subject, "profile": word, "notAfter": not_after,
            "ledger": ledger.path(),
        }))?);
    }
    Ok(print(&format!(
        "{}: {subject}, {word}, until {not_after}, serial number {serial}; written down in {}.\n\
         Carry it back, and take it in there:\n\n  countersign ca import-signed FILE\n",
        out.display(),
        ledger.path().display()
    ))?)
}

fn signed_before(entries: &[LedgerEntry], spki: &str) -> Option<String> {
    entries.iter().find_map(|entry| match entry {
        LedgerEntry::Certificate { serial, spki_sha256, .. } if spki_sha256 == spki => Some(serial.clone()),
        LedgerEntry::Certificate { .. } | LedgerEntry::Crls { .. } => None,
    })
}

fn profile_of(wanted: &WantedCa) -> Profile {
    let subject = wanted.subject.clone();
    match wanted.role {
        RoleFlag::Device => Profile::IssuingDevice { subject },
        RoleFlag::Service => Profile::IssuingService { subject },
        RoleFlag::Intermediate => Profile::Intermediate {
            subject,
            purposes: wanted.purposes.iter().map(|purpose| (*purpose).into()).collect(),
            path_length: wanted.path_length,
        },
    }
}
