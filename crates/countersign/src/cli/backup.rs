//! `countersign backup`: every record in one encrypted file, beside a running server.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_authority::SecretFile;
use countersign_authority::backup::backup;
use countersign_ca::random_bytes;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::{ArchiveFacts, CopyProgress};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde_json::json;

use super::backup_arguments::BackupArguments;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::run::{block_on, loaded};
use crate::config::Environment;

/// Writes it beside its place and puts it there when it is whole.
pub(super) fn run(arguments: BackupArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let passphrase = secret(&arguments.passphrase_file)?;
    let draft = Draft::beside(&arguments.to)?;
    let mut shown = Shown::default();
    let facts = block_on(async {
        let file = std::io::BufWriter::new(draft.create()?);
        let now = SystemClock.now();
        let done = backup(&config.database, &passphrase, file, now, |step| shown.step(step)).await;
        let (file, facts) = done.context("back up")?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).context("write the backup")?;
        Ok(facts)
    })?;
    draft.put_in_place(&arguments.to)?;
    let key = config.key_encryption_key.to_string();
    if arguments.json {
        return Ok(print_json(&json!({
            "file": arguments.to, "takenAt": facts.taken_at(), "trustDomain": facts.trust_domain,
            "rows": facts.rows(), "keyEncryptionKey": key,
        }))?);
    }
    Ok(print(&text(&facts, &arguments.to, &key))?)
}

fn text(facts: &ArchiveFacts, file: &Path, key: &str) -> String {
    format!(
        "Backup of {} as of {}: {} rows in {}.\n\n\
         {key} is not in it, and without that nobody signs with what is: keep it, and the passphrase of \
         the backup, apart from the backup and from each other.\n",
        facts.trust_domain,
        facts.taken_at(),
        facts.rows(),
        file.display(),
    )
}

/// The secret in a file, which systemd may have laid down.
pub(super) fn secret(path: &Path) -> anyhow::Result<SecretFile> {
    let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
    Ok(Environment::of_process().secret_file(path))
}

/// Says on stderr how far it is: a line for each tenth of the whole.
#[derive(Default)]
pub(super) struct Shown {
    tenths: Option<u64>,
}

impl Shown {
    pub(super) fn step(&mut self, CopyProgress { table, done, total }: CopyProgress<'_>) {
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(10);
        if self.tenths != Some(tenths) {
            self.tenths = Some(tenths);
            note(&format!("{table}: {done} of {total} rows done"));
        }
    }
}

/// A file that is not in its place yet; what is left of one that never comes there is removed.
struct Draft {
    path: PathBuf,
    directory: PathBuf,
}

impl Draft {
    fn beside(path: &Path) -> anyhow::Result<Self> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        let name = path.file_name().context("name the file of the backup")?.to_string_lossy();
        let random = hex::encode(random_bytes::<8>().context("make a name")?);
        Ok(Self { path: directory.join(format!(".{name}.{random}")), directory })
    }

    /// Mode 0600 from the first instant.
    fn create(&self) -> anyhow::Result<fs_err::File> {
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&self.path).context("create the backup")
    }

    fn put_in_place(&self, path: &Path) -> anyhow::Result<()> {
        fs_err::rename(&self.path, path).context("put the backup in place")?;
        fs_err::File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .context("put the backup in place")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there any more once it is in its place.
        let _gone = fs_err::remove_file(&self.path);
    }
}
