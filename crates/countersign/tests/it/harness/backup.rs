//! Backups, and what an operator keeps beside them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use countersign_ca::ReadCrl;
use serde_json::Value;

use super::installation::Installation;
use crate::program::Ran;

/// The passphrase of the tests' backups.
pub(crate) const PASSPHRASE: &str = "an old stone bridge";

/// A file that only its owner can read.
pub(crate) fn private(path: &Path, contents: &[u8]) {
    fs_err::write(path, contents).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The CAs whose lists a restoration needs.
pub(crate) const CAS: [&str; 2] = ["device", "service"];

impl Installation {
    /// Makes `countersign.backup` in its folder, which must work.
    pub(crate) async fn back_up(&self) -> Value {
        self.keep_passphrase();
        let arguments = ["backup", "--to", "countersign.backup", "--passphrase-file", "passphrase", "--json"];
        let ran = self.run_meanwhile(&arguments).await.unwrap();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Puts the passphrase into its folder.
    pub(crate) fn keep_passphrase(&self) {
        private(&self.folder().join("passphrase"), PASSPHRASE.as_bytes());
    }

    /// Fetches the revocation lists as whoever relies on them does, into `NAME.crl`.
    pub(crate) async fn fetch_lists(&self) {
        for ca in CAS {
            let shown = self.run(&["ca", "show", ca, "--json"]);
            let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
            let path = format!("/pki/crl/{}.crl", shown["keyId"].as_str().unwrap());
            let answer = self.get_plain(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            fs_err::write(self.folder().join(format!("{ca}.crl")), &answer.body).unwrap();
        }
    }

    /// The number of a list that was fetched.
    pub(crate) fn list_number(&self, ca: &str) -> u64 {
        let contents = fs_err::read(self.folder().join(format!("{ca}.crl"))).unwrap();
        ReadCrl::from_file(&contents).unwrap().number
    }

    /// A machine that has what an operator keeps: the key-encryption key, the backup and its passphrase,
    /// and the lists if they were fetched.
    pub(crate) fn successor(&self) -> Self {
        let other = self.empty_successor();
        other.keep_passphrase();
        for name in ["countersign.backup", "device.crl", "service.crl"] {
            if self.folder().join(name).exists() {
                fs_err::copy(self.folder().join(name), other.folder().join(name)).unwrap();
            }
        }
        other
    }

    /// `restore` with the lists.
    pub(crate) fn restore(&self) -> Ran {
        self.run(&RESTORE)
    }
}

/// The arguments that restore with the lists.
pub(crate) const RESTORE: [&str; 10] = [
    "restore",
    "--from",
    "countersign.backup",
    "--passphrase-file",
    "passphrase",
    "--crl",
    "device.crl",
    "--crl",
    "service.crl",
    "--json",
];

/// The arguments that restore without them.
pub(crate) const RESTORE_WITHOUT_LISTS: [&str; 7] = [
    "restore",
    "--from",
    "countersign.backup",
    "--passphrase-file",
    "passphrase",
    "--accept-revocation-gap",
    "--json",
];
