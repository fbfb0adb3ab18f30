//! `countersign ca root export` and `import`: the root's key goes to a file, and comes back.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::cas::{IssuerRole, IssuerState, Origin};
use countersign_authority::offline::{OfflineError, TakenOffline};
use countersign_ca::RootFile;
use countersign_core::ids::CaName;
use serde_json::json;
use zeroize::Zeroizing;

use super::ca_ceremony_arguments::{CaRootCommand, CaRootExportArguments, CaRootImportArguments};
use super::failure::Failure;
use super::installation::with_installation;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::config::Environment;
use crate::plan::{Readers, replace};

const DAY: u64 = 86_400;

/// Does what was asked for.
pub(super) fn run(command: CaRootCommand) -> Result<(), Failure> {
    match command {
        CaRootCommand::Export(arguments) => export(*arguments),
        CaRootCommand::Import(arguments) => import(*arguments),
    }
}

/// The file first: nothing is removed here before it was opened again.
fn export(arguments: CaRootExportArguments) -> Result<(), Failure> {
    let passphrase = secret(&arguments.passphrase_file)?;
    let config = loaded(arguments.config)?.resolved;
    let life = Duration::from_secs(u64::from(arguments.crl_days) * DAY);
    let to = arguments.to.as_path();
    let taken = block_on(with_installation(&config, async |authority| {
        let name = match arguments.name {
            Some(name) => name,
            None => only_root(authority)?,
        };
        if !to.try_exists().with_context(|| format!("look for {}", to.display()))? {
            let text = Zeroizing::new(authority.root_file(&name, &passphrase).await.map_err(stays)?);
            replace(to, text.as_bytes(), Readers::Owner)
                .with_context(|| format!("write {}", to.display()))?;
        }
        let kept = open_root(to, &passphrase)?;
        authority.take_offline(&name, &kept, life).await.map_err(stays)
    }))?;
    let TakenOffline { name, crl_until, lists } = taken;
    if arguments.json {
        return Ok(print_json(&json!({ "ca": name, "file": to, "crlUntil": crl_until, "lists": lists }))?);
    }
    Ok(print(&format!(
        "The key of {name} is in {} and nowhere else in this installation; the file was opened again.\n\
         Its revocation lists ({lists}) last until {crl_until}: bring them up to date before that.\n\n\
         Older copies of the database still hold the key, sealed. Seal the others anew, and destroy what \
         seals them now:\n\n  countersign ca reseal --to-file NEW\n",
        to.display()
    ))?)
}

fn import(arguments: CaRootImportArguments) -> Result<(), Failure> {
    let passphrase = secret(&arguments.passphrase_file)?;
    let config = loaded(arguments.config)?.resolved;
    let kept = open_root(&arguments.from, &passphrase)?;
    let name = block_on(with_installation(&config, async |authority| {
        let name = authority.bring_back(&kept).await.map_err(stays)?;
        authority.refresh_crls().await.context("sign the revocation lists")?;
        Ok(name)
    }))?;
    if arguments.json {
        return Ok(print_json(&json!({ "ca": name }))?);
    }
    Ok(print(&format!(
        "The key of {name} is here again. {} still holds it too.\n",
        arguments.from.display()
    ))?)
}

/// The passphrase in a file.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = Environment::of_process().secret_file(file.to_owned());
    Ok(file.passphrase().context("read the passphrase")?)
}

/// Opens the file of a root.
pub(super) fn open_root(path: &Path, passphrase: &str) -> Result<RootFile, Failure> {
    let text = fs_err::read_to_string(path).context("read the root's file")?;
    let text = Zeroizing::new(text);
    Ok(RootFile::open(&text, passphrase).with_context(|| format!("open {}", path.display()))?)
}

fn only_root(authority: &Authority) -> Result<CaName, Failure> {
    let is_root = |role, state, origin| {
        role == IssuerRole::Root && state != IssuerState::Retired && origin == Origin::Made
    };
    let cas = authority.cas();
    let roots: Vec<_> = cas.iter().filter(|ca| is_root(ca.role, ca.state, ca.origin)).collect();
    match roots.as_slice() {
        [only] => Ok(only.name.clone()),
        several => {
            let names: Vec<_> = several.iter().map(|ca| ca.name.as_str()).collect();
            let error = anyhow::anyhow!("there are {} roots: {}", names.len(), names.join(", "));
            Err(Failure::bad_usage(error)
                .hint("name the one that is to go: countersign ca root export NAME …"))
        }
    }
}

fn stays(error: OfflineError) -> Failure {
    Failure::from(anyhow::Error::new(error).context("move the root's key")).hint("nothing was changed here")
}
