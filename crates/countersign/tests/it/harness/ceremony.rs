//! A root that goes offline, and what is done where it is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::installation::Installation;
use crate::program::{Ran, run};

/// The passphrase of roots in tests.
pub(crate) const PASSPHRASE: &str = "a root sleeps well in a drawer";

/// A machine without a database, with the root's file.
pub(crate) struct OfflineMachine {
    folder: tempfile::TempDir,
}

/// A file with a secret on one line.
pub(crate) fn secret_file(folder: &Path, name: &str, secret: &str) -> String {
    let path = folder.join(name);
    fs_err::write(&path, secret).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a command printed as JSON.
#[track_caller]
pub(crate) fn printed(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// A command that was refused, with this in its words.
#[track_caller]
pub(crate) fn refused(ran: &Ran, expected: &str) {
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stderr.contains(expected), "{expected:?} in {}", ran.stderr);
}

impl OfflineMachine {
    /// Takes the root of an installation that does not run to a machine of its own.
    pub(crate) fn with_root_of(installation: &Installation) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let passphrase = secret_file(machine.folder(), "passphrase", PASSPHRASE);
        let root = machine.root_file();
        let root = root.to_str().unwrap();
        let export = ["ca", "root", "export", "--to", root, "--passphrase-file", &passphrase, "--json"];
        let ran = installation.run(&[&export, &["--config", "countersign.toml"][..]].concat());
        assert_eq!(printed(&ran)["ca"], "root");
        machine
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        self.folder().join("root.pem")
    }

    /// The lines of its ledger.
    pub(crate) fn ledger(&self) -> Vec<Value> {
        let text = fs_err::read_to_string(self.folder().join("root.pem.ledger")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command there that uses the root.
    pub(crate) fn with_root(&self, arguments: &[&str]) -> Ran {
        let root = ["--root-file", "root.pem", "--passphrase-file", "passphrase"];
        run(self.folder(), &[], &[arguments, &root].concat())
    }

    /// Carries a file there from an installation, or back.
    pub(crate) fn carry(&self, installation: &Installation, name: &str) {
        let (here, there) = (installation.folder().join(name), self.folder().join(name));
        if here.exists() {
            fs_err::copy(here, there).unwrap();
        } else {
            fs_err::copy(there, here).unwrap();
        }
    }
}
