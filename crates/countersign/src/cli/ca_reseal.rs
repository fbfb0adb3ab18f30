//! `countersign ca reseal`: another passphrase, or another place for the key-encryption key.

use std::path::PathBuf;

use anyhow::Context as _;
use countersign_authority::reseal::{ResealError, Resealed, reseal};
use countersign_authority::{KeySource, SecretFile};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::Store;
use serde_json::json;

use super::ca_arguments::{CaResealArguments, ResealTarget};
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};
use crate::config::Environment;

/// Seals every key anew, or none.
pub(super) fn run(arguments: CaResealArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let (from, to) = (config.key_encryption_key, target(arguments.to, &Environment::of_process())?);
    if let Some(file) = config.database.path() {
        // Opening it for writing would make one.
        fs_err::metadata(file).context("find the database")?;
    }
    let done = block_on(async {
        let opened = Store::open(&config.database).await.context("open the database");
        let store = opened.map_err(|error| {
            Failure::from(error)
                .hint("stop every server of this installation first: each has the old key in memory")
        })?;
        let done = reseal(&store, (&from, &to), SystemClock.now()).await;
        store.close().await;
        done.map_err(failure)
    })?;
    if arguments.json {
        Ok(print_json(&json!({
            "caKeys": done.cas, "anchorKeys": done.anchor_keys, "serviceKeys": done.service_keys,
            "totpKeys": done.totp_keys,
            "sealedWith": to.kind(), "path": to.path(),
        }))?)
    } else {
        Ok(print(&text(done, &from, &to))?)
    }
}

/// Absolute, so that it means the same in a configuration.
fn target(wanted: ResealTarget, environment: &Environment) -> anyhow::Result<KeySource> {
    let secret = |path: PathBuf| {
        let path = std::path::absolute(&path).with_context(|| format!("find {}", path.display()))?;
        Ok::<_, anyhow::Error>(environment.secret_file(path))
    };
    Ok(match (wanted.to_passphrase_file, wanted.to_file) {
        (Some(path), _) => KeySource::Passphrase(secret(path)?),
        (None, file) => match secret(file.unwrap_or_default())? {
            SecretFile::Own(path) => KeySource::File(path),
            given @ SecretFile::Credential(_) => KeySource::Given(given),
        },
    })
}

fn failure(error: ResealError) -> Failure {
    let hint = match &error {
        ResealError::NoInstallation => "`countersign serve` makes an installation at its first start",
        ResealError::Open(_) => {
            "nothing was changed; the configuration must still name what the keys are sealed with now"
        }
        ResealError::Seal(_) | ResealError::Store(_) => "nothing was changed",
    };
    Failure::from(anyhow::Error::new(error).context("seal the keys anew")).hint(hint)
}

fn text(done: Resealed, from: &KeySource, to: &KeySource) -> String {
    let keys = |count: usize| if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    let (setting, path) = match to {
        KeySource::File(path) => ("key_encryption_key_file", path.as_path()),
        KeySource::Given(file) => ("key_encryption_key_credential", file.path()),
        KeySource::Passphrase(SecretFile::Own(path)) => ("passphrase_file", path.as_path()),
        KeySource::Passphrase(file @ SecretFile::Credential(_)) => ("passphrase_credential", file.path()),
    };
    let value = match to {
        KeySource::Given(_) | KeySource::Passphrase(SecretFile::Credential(_)) => {
            path.file_name().map(Into::into)
        }
        KeySource::File(_) | KeySource::Passphrase(SecretFile::Own(_)) => None,
    };
    let value = value.unwrap_or_else(|| path.to_owned());
    format!(
        "Sealed with {to}: {} of CAs, {} of anchors, {} of services, {} of one-time codes.\n\n\
         Before the next start, configure\n\n  [pki]\n  {setting} = {value:?}\n\n\
         Copies of the database from before still need {from}.\n",
        keys(done.cas),
        keys(done.anchor_keys),
        keys(done.service_keys),
        keys(done.totp_keys),
    )
}
