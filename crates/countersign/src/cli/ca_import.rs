//! `countersign ca import`: a CA that was made elsewhere signs here.

use anyhow::Context as _;
use countersign_authority::import_ca::ImportCaError;

use super::ca_ceremony_arguments::CaImportArguments;
use super::ca_import_signed::{as_json, in_words};
use super::failure::Failure;
use super::installation::with_installation;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::config::Environment;
use crate::own_ca::{CaFiles, ImportedAs, read};

/// Takes it in.
pub(super) fn run(arguments: CaImportArguments) -> Result<(), Failure> {
    let wanted =
        ImportedAs { name: arguments.name, role: arguments.role.into(), environment: arguments.environment };
    let files = CaFiles { certificate: arguments.cert, key: arguments.key };
    let environment = Environment::of_process();
    let passphrase = arguments.key_passphrase_file.map(|path| environment.secret_file(path));
    let import = read(&files, arguments.chain.as_deref(), passphrase.as_ref(), wanted).map_err(|error| {
        Failure::bad_usage(error).hint(
            "it takes certificates in PEM or DER and a key in PKCS #8; `openssl pkcs8 -topk8` converts others",
        )
    })?;
    let config = loaded(arguments.config)?.resolved;
    let taken = block_on(with_installation(&config, async |authority| {
        let taken = authority.import_ca(&import).await.map_err(failure)?;
        authority.refresh_crls().await.context("sign the revocation lists")?;
        Ok(taken)
    }))?;
    if arguments.json {
        return Ok(print_json(&as_json(&taken))?);
    }
    Ok(print(&in_words(&taken))?)
}

fn failure(error: ImportCaError) -> Failure {
    let hint = match &error {
        ImportCaError::Exists(_) | ImportCaError::KeyOnRecord(_) => "`countersign ca tree` shows every CA",
        ImportCaError::Incomplete(_) => "name the certificates of the CAs above it with --chain FILE",
        ImportCaError::KeyMismatch
        | ImportCaError::Certificate(_)
        | ImportCaError::Above(_)
        | ImportCaError::Seal(_)
        | ImportCaError::Store(_) => "nothing was changed",
    };
    Failure::from(anyhow::Error::new(error).context("take in the CA")).hint(hint)
}
