//! What this process may write once it runs: its data, its log, its sockets. The kernel sees to it (Landlock,
//! landlock(7)), for this process and whatever it starts, its successor among them; there is no way back.
//!
//! Reading stays free: a configuration that is reloaded may name certificates anywhere. What was opened before
//! stays open.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use countersign_edge::{AccessLogTarget, EgressAddress};
use countersign_supervisor::Variables;
use landlock::{
    ABI, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, RestrictSelfError, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};

use crate::config::{Messages, Resolved, SandboxMode};

/// The newest kind of writing that is known here: cutting files short. Older kernels know less of it.
const KNOWN: ABI = ABI::V3;

/// So many sandboxes the kernel puts into each other: one for each successor of a successor.
const TOO_MANY: i32 = 7;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enforced {
    /// Everything that is known here.
    Whole,
    /// What the kernel knows of it.
    InPart,
    /// The kernel has none of it.
    Nothing,
    /// A predecessor's, which goes on.
    Inherited,
}

/// Gives up writing anywhere but where this configuration has to. To be called before there is a second
/// thread, and once the data directory is there.
///
/// # Errors
/// Where it is required and cannot be; and where a path that is to stay writable is not there.
pub(crate) fn enter(config: &Resolved, supervision: &Variables) -> anyhow::Result<()> {
    let mode = config.sandbox.mode;
    if supervision.handover_socket.is_some() {
        // The predecessor is still there: it goes on if this process cannot.
        writable(config)?.iter().try_for_each(|path| probe(path))?;
    }
    if mode == SandboxMode::Off {
        tracing::info!("sandbox off");
        return Ok(());
    }
    if config.token.is_some() && config.sandbox.write.is_empty() {
        // What the module of a token writes, and where, only its maker knows.
        if mode == SandboxMode::Required {
            bail!(
                "the sandbox is required, and nothing says where the token's module writes: name it in sandbox_write"
            );
        }
        tracing::warn!("sandbox off: nothing says where the token's module writes, name it in sandbox_write");
        return Ok(());
    }
    let writable = writable(config)?;
    let enforced = restrict(&writable).context("enter the sandbox")?;
    let paths: Vec<_> = writable.iter().map(|path| path.display().to_string()).collect();
    match (enforced, mode) {
        (Enforced::Whole, _) => tracing::info!(writable = paths.join(" "), "sandbox on"),
        (Enforced::Inherited, _) => tracing::info!("sandbox on, the predecessor's"),
        (Enforced::InPart, SandboxMode::Required) => {
            bail!("the sandbox is required, and this kernel cannot keep a process from cutting files short")
        }
        (Enforced::Nothing, SandboxMode::Required) => {
            bail!("the sandbox is required, and this kernel has no Landlock, or a container hides it")
        }
        (Enforced::InPart, SandboxMode::Auto | SandboxMode::Off) => {
            tracing::warn!(writable = paths.join(" "), "sandbox on in part, this kernel is old");
        }
        (Enforced::Nothing, SandboxMode::Auto | SandboxMode::Off) => {
            tracing::warn!("sandbox off: this kernel has no Landlock, or a container hides it");
        }
    }
    Ok(())
}

/// What has to stay writable: folders, since files in them are replaced.
fn writable(config: &Resolved) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::from([config.data_dir.clone()]);
    let database = config.database.path();
    let access_log = config.access_log.as_ref().and_then(|log| match &log.target {
        AccessLogTarget::File(path) => Some(path.as_path()),
        AccessLogTarget::Stdout => None,
    });
    let sockets = config.egress.iter().filter_map(|listener| match &listener.address {
        EgressAddress::Unix(path) => Some(path.as_path()),
        EgressAddress::Tcp(_) => None,
    });
    let messages = config.mqtt_door.as_ref().and_then(|door| match &door.messages {
        Messages::File(path) => Some(path.as_path()),
        Messages::Database | Messages::Sinks | Messages::Broker => None,
    });
    let files = database
        .into_iter()
        .chain(access_log)
        .chain(messages)
        .chain(config.ports_file.as_deref())
        .chain(sockets);
    paths.extend(files.map(folder_of));
    paths.extend(config.sandbox.write.iter().cloned());
    paths.extend(config.audit_kept.iter().filter_map(|kept| kept.folder.clone()));
    let canonical = paths
        .iter()
        .map(|path| fs_err::canonicalize(path).context("find what stays writable in the sandbox"));
    let mut canonical = canonical.collect::<anyhow::Result<BTreeSet<_>>>()?;
    canonical.insert(PathBuf::from("/dev/null"));
    Ok(canonical)
}

/// Whether the predecessor's sandbox, if it has one, lets this process write there.
fn probe(path: &Path) -> anyhow::Result<()> {
    if !path.is_dir() {
        return Ok(());
    }
    let file = path.join(format!(".countersign-{}", std::process::id()));
    let tried = fs_err::write(&file, "").and_then(|()| fs_err::remove_file(&file));
    tried.context("write where the configuration wants it; in the predecessor's sandbox only a restart can")
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// Restricts this thread and all that it starts.
fn restrict(writable: &BTreeSet<PathBuf>) -> anyhow::Result<Enforced> {
    let writing = AccessFs::from_write(KNOWN);
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut ruleset = ruleset.handle_access(writing)?.create()?;
    for path in writable {
        let access = if path.is_dir() { writing } else { writing & AccessFs::from_file(KNOWN) };
        let place = PathFd::new(path).with_context(|| format!("open {}", path.display()))?;
        ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
    }
    match ruleset.restrict_self() {
        Ok(status) => Ok(match status.ruleset {
            RulesetStatus::FullyEnforced => Enforced::Whole,
            RulesetStatus::PartiallyEnforced => Enforced::InPart,
            RulesetStatus::NotEnforced => Enforced::Nothing,
        }),
        Err(RulesetError::RestrictSelf(RestrictSelfError::RestrictSelfCall { source, .. }))
            if is_too_many(&source) =>
        {
            Ok(Enforced::Inherited)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_too_many(error: &io::Error) -> bool {
    error.raw_os_error() == Some(TOO_MANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_elsewhere_and_everything_is_read() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let foreign = other.path().join("file");
        fs_err::write(&foreign, "kept").unwrap();
        let (own, own_file) = (own.path().to_owned(), own.path().join("file"));
        // Of a thread of its own: there is no way back.
        let (enforced, written, denied, read) = std::thread::spawn(move || {
            let enforced = restrict(&BTreeSet::from([own, PathBuf::from("/dev/null")])).unwrap();
            let denied = [
                fs_err::write(&foreign, "changed").unwrap_err().kind(),
                fs_err::remove_file(&foreign).unwrap_err().kind(),
                fs_err::create_dir(other.path().join("folder")).unwrap_err().kind(),
            ];
            fs_err::write("/dev/null", "nothing").unwrap();
            (enforced, fs_err::write(&own_file, "own"), denied, fs_err::read_to_string(&foreign).unwrap())
        })
        .join()
        .unwrap_or_else(|_panicked| {
            (Enforced::Nothing, Ok(()), [io::ErrorKind::PermissionDenied; 3], "kept".to_owned())
        });
        if enforced == Enforced::Nothing {
            tracing::warn!("not tested: this kernel has no Landlock");
            return;
        }
        written.unwrap();
        assert_eq!(denied, [io::ErrorKind::PermissionDenied; 3]);
        assert_eq!(read, "kept");
    }
}
