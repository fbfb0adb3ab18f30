//! A PKCS #11 token in software (SoftHSM2), in a folder of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The label of the token.
pub const TOKEN_LABEL: &str = "countersign test";

/// The PIN of its user.
pub const TOKEN_PIN: &str = "271828";

/// Where Debian and others put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A token with a user, empty. A process sees it when `SOFTHSM2_CONF` names [`Self::configuration`].
#[derive(Debug)]
pub struct SoftToken {
    folder: TempDir,
}

impl SoftToken {
    /// Makes one.
    ///
    /// # Panics
    /// Without SoftHSM2: `scripts/test` installs it.
    #[must_use]
    pub fn new() -> Self {
        let token = Self { folder: tempfile::tempdir().expect("a folder is made") };
        fs_err::create_dir(token.objects()).expect("a folder is made");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            token.objects().display()
        );
        fs_err::write(token.configuration(), text).expect("a file is written");
        fs_err::write(token.pin(), TOKEN_PIN).expect("a file is written");
        let own = std::fs::Permissions::from_mode(0o600);
        fs_err::set_permissions(token.pin(), own).expect("a file is closed");
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                TOKEN_LABEL,
                "--so-pin",
                "314159",
                "--pin",
                TOKEN_PIN,
            ])
            .env("SOFTHSM2_CONF", token.configuration())
            .output()
            .expect("softhsm2-util runs: apt-get install softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        token
    }

    /// Whether SoftHSM2 is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        MODULES.iter().any(|path| Path::new(path).is_file())
    }

    /// The module.
    ///
    /// # Panics
    /// Without SoftHSM2.
    #[must_use]
    pub fn module() -> &'static Path {
        let found = MODULES.iter().map(Path::new).find(|path| path.is_file());
        found.expect("SoftHSM2's module is there: apt-get install softhsm2")
    }

    /// The module's configuration.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// A file with the PIN, 0600.
    #[must_use]
    pub fn pin(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    fn objects(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.folder.path().join("away")
    }

    /// Pulls it out.
    ///
    /// # Panics
    /// When it is out.
    pub fn pull_out(&self) {
        fs_err::rename(self.objects(), self.away()).expect("the token is in");
    }

    /// Puts it in again.
    ///
    /// # Panics
    /// When it is in.
    pub fn put_in(&self) {
        fs_err::rename(self.away(), self.objects()).expect("the token is out");
    }
}

impl Default for SoftToken {
    fn default() -> Self {
        Self::new()
    }
}
