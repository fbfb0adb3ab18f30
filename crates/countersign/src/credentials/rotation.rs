//! Rotation: certificates that end soon are renewed, one after the other, each backed up before and swapped
//! at once; then whoever uses them is told.
//!
//! Whatever interrupts it, each certificate has its key beside it, and the next run does the rest: what was
//! not renewed is renewed then, and who was not told is told then.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::crash_point;
use countersign_core::time::Timestamp;

use super::backup::Backup;
use super::find::{FoundCertificate, find};
use super::slot::{Slot, Written};
use crate::plan::{Readers, replace};

/// One rotation of a directory at a time.
const LOCK: &str = ".countersign-rotate.lock";

/// Whoever uses the certificates that this file names is still to be told.
const PENDING: &str = ".countersign-reload-pending";

/// Where backups go by themselves.
const BACKUP: &str = ".backup";

/// What is to be done.
pub(crate) struct Rotation<'a> {
    /// Where to look.
    pub(crate) directory: &'a Path,
    /// What ends within this time is renewed.
    pub(crate) grace: Duration,
    /// Where copies of the old files go; in the directory itself when absent.
    pub(crate) backup: Option<&'a Path>,
    /// What to run once when anything was renewed.
    pub(crate) reload: Option<&'a str>,
    /// The present moment.
    pub(crate) now: Timestamp,
}

/// Gets the successor of a certificate, with a fresh key.
pub(crate) type Renewal<'a> = dyn FnMut(&FoundCertificate) -> anyhow::Result<(Written, Timestamp)> + 'a;

/// What became of a certificate.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is good for longer.
    Kept(Timestamp),
    /// It would be renewed.
    Due(Timestamp),
    /// It was renewed.
    Renewed {
        /// When the old one ends.
        from: Timestamp,
        /// When the new one ends.
        to: Timestamp,
    },
    /// It was not renewed, and is as it was.
    Failed(anyhow::Error),
}

/// What a rotation did.
#[derive(Debug)]
pub(crate) struct Rotated {
    /// Every certificate that was found.
    pub(crate) certificates: Vec<(Slot, Outcome)>,
    /// Where the old files are.
    pub(crate) backup: Option<PathBuf>,
    /// How telling went, if anybody was to be told.
    pub(crate) reload: Option<anyhow::Result<()>>,
}

/// Says what would be renewed, or with `renew` does it.
///
/// # Errors
/// When nothing could be looked at, or another rotation is at work.
pub(crate) fn rotate(rotation: &Rotation<'_>, renew: Option<&mut Renewal<'_>>) -> anyhow::Result<Rotated> {
    let base =
        fs_err::canonicalize(rotation.directory).context("find the directory with the certificates")?;
    let Some(renew) = renew else {
        return Ok(Rotated { certificates: planned(rotation)?, backup: None, reload: None });
    };
    let _held = lock(&base)?;
    let mut work = Work { rotation, base: &base, backup: None, told: Told::read(rotation, &base)? };
    let mut certificates = Vec::new();
    for (slot, found) in find(&base)? {
        let outcome = match found {
            Ok(found) if is_due(&found, rotation) => work.renew(&found, renew),
            Ok(found) => Outcome::Kept(found.not_after),
            Err(error) => Outcome::Failed(error),
        };
        certificates.push((slot, outcome));
    }
    let reload = work.told.tell(rotation.reload);
    Ok(Rotated { certificates, backup: work.backup.map(|backup| backup.path().to_owned()), reload })
}

fn planned(rotation: &Rotation<'_>) -> anyhow::Result<Vec<(Slot, Outcome)>> {
    let outcome = |found: anyhow::Result<FoundCertificate>| match found {
        Ok(found) if is_due(&found, rotation) => Outcome::Due(found.not_after),
        Ok(found) => Outcome::Kept(found.not_after),
        Err(error) => Outcome::Failed(error),
    };
    Ok(find(rotation.directory)?.into_iter().map(|(slot, found)| (slot, outcome(found))).collect())
}

fn is_due(found: &FoundCertificate, rotation: &Rotation<'_>) -> bool {
    found.not_after <= rotation.now + rotation.grace
}

/// Held until it is dropped.
fn lock(base: &Path) -> anyhow::Result<fs_err::File> {
    let path = base.join(LOCK);
    let file = fs_err::OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    file.file()
        .try_lock()
        .with_context(|| format!("lock {}: another rotation of this directory is at work", path.display()))?;
    Ok(file)
}

/// A rotation that is at work.
struct Work<'a> {
    rotation: &'a Rotation<'a>,
    base: &'a Path,
    backup: Option<Backup>,
    told: Told,
}

impl Work<'_> {
    fn renew(&mut self, found: &FoundCertificate, renew: &mut Renewal<'_>) -> Outcome {
        match self.try_renew(found, renew) {
            Ok(to) => Outcome::Renewed { from: found.not_after, to },
            Err(error) => Outcome::Failed(error),
        }
    }

    /// All that can fail by itself comes before the server is asked.
    fn try_renew(&mut self, found: &FoundCertificate, renew: &mut Renewal<'_>) -> anyhow::Result<Timestamp> {
        self.keep(&found.slot).context("back the old files up")?;
        crash_point("backed-up");
        found.slot.settle().context("prepare the swap")?;
        let (new, not_after) = renew(found)?;
        crash_point("renewed");
        self.told.note(found.slot.name()).context("note who is to be told")?;
        found.slot.swap(&new).context("swap the files")?;
        Ok(not_after)
    }

    fn keep(&mut self, slot: &Slot) -> anyhow::Result<()> {
        let own = self.base.join(BACKUP);
        let backup = match self.backup.take() {
            Some(backup) => backup,
            None => Backup::make(self.rotation.backup.unwrap_or(&own), self.rotation.now)?,
        };
        self.backup.insert(backup).keep(slot, self.base)
    }
}

/// Who is still to be told, also after a run that did not get that far.
struct Told {
    file: PathBuf,
    names: Vec<String>,
    /// Nobody is told: nothing is noted.
    is_wanted: bool,
}

impl Told {
    fn read(rotation: &Rotation<'_>, base: &Path) -> anyhow::Result<Self> {
        let file = base.join(PENDING);
        let names = match fs_err::read_to_string(&file) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, names, is_wanted: rotation.reload.is_some() })
    }

    fn note(&mut self, name: &str) -> anyhow::Result<()> {
        if !self.is_wanted {
            return Ok(());
        }
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        let lines: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        replace(&self.file, lines.as_bytes(), Readers::Owner)
    }

    /// Runs the command, with the names in its environment. What it prints goes to stderr: stdout is ours.
    fn tell(&self, command: Option<&str>) -> Option<anyhow::Result<()>> {
        let command = command.filter(|_command| !self.names.is_empty())?;
        crash_point("reload");
        Some(self.run(command))
    }

    fn run(&self, command: &str) -> anyhow::Result<()> {
        let status = Command::new("/bin/sh")
            .args(["-c", command])
            .env("COUNTERSIGN_RENEWED", self.names.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()))
            .status()
            .context("run the reload command")?;
        anyhow::ensure!(status.success(), "the reload command failed: {status}");
        Ok(fs_err::remove_file(&self.file)?)
    }
}
