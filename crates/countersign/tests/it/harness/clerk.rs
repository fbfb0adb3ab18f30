//! Somebody who sees to the certificates of services from the command line, with an API token for just
//! that.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::admin::done;
use super::installation::Installation;
use super::openssl::openssl;
use crate::program::Ran;

/// With whose token, and where the server is.
const SERVER: [&str; 4] = ["--token-file", "token", "--ports-file", "ports.json"];

/// An installation, and a token for its certificates of services.
pub(crate) struct Clerk {
    pub(crate) installation: Installation,
}

impl Clerk {
    pub(crate) async fn at(installation: Installation) -> Self {
        let clerk = Self { installation };
        clerk.token("token", &json!({})).await;
        clerk
    }

    /// Writes an API token with these options to a file.
    pub(crate) async fn token(&self, file: &str, options: &Value) {
        let mut wanted = json!({
            "name": file, "scopes": ["service-certificates:read", "service-certificates:write"],
        });
        wanted.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let made = done(&self.installation.admin().post("/api-tokens", &wanted).await);
        fs_err::write(self.path(file), made["token"].as_str().unwrap()).unwrap();
    }

    /// Runs a command that asks the server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.installation.run(&[arguments, &SERVER].concat())
    }

    /// The same; it must succeed. What it printed.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.must(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command and lets it end at a place, as a power cut would.
    #[track_caller]
    pub(crate) fn crash(&self, place: &str, arguments: &[&str]) {
        let at = self.path("crash-of-the-command");
        fs_err::write(&at, place).unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(arguments)
            .args(SERVER)
            .current_dir(self.installation.folder())
            .env_clear()
            .env("COUNTERSIGN_DATA_DIR", "data")
            .env("CS_TEST_CRASH_AT", at)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), None, "it did not end at {place}");
    }

    /// A path in the folder that it works in.
    pub(crate) fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.installation.folder().join(file)
    }

    /// The same as text.
    pub(crate) fn name(&self, file: impl AsRef<Path>) -> String {
        self.path(file).to_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self, file: impl AsRef<Path>) -> String {
        fs_err::read_to_string(self.path(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, contents: &str) {
        fs_err::write(self.path(file), contents).unwrap();
    }

    pub(crate) fn mode(&self, file: impl AsRef<Path>) -> u32 {
        fs_err::metadata(self.path(file)).unwrap().permissions().mode() & 0o7777
    }

    /// Has a certificate issued into `certs`, for a server that is a client too.
    pub(crate) fn issue(&self, name: &str, days: &str) {
        let dns = format!("{name}.example.com");
        let wanted = ["--profile", "server+client", "--dns", &dns, "--days", days, "--out", "certs"];
        self.must(&[&["cert", "issue", name], &wanted[..]].concat());
    }

    /// Asserts that a certificate below `certs` has its key beside it, and is below the root.
    #[track_caller]
    pub(crate) fn assert_pair(&self, name: &str) {
        let [key, certificate, chain] =
            ["key", "cert", "chain"].map(|what| self.name(format!("certs/{name}/{name}-{what}.pem")));
        let of_key = openssl(&["pkey", "-in", &key, "-pubout"], b"").stdout;
        let of_certificate = openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"], b"").stdout;
        assert!(!of_key.is_empty() && of_key == of_certificate, "{name}: {of_key} {of_certificate}");
        self.write("root.pem", self.installation.root_pem());
        let root = self.name("root.pem");
        for purpose in ["sslserver", "sslclient"] {
            let verify = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &root];
            let verified = openssl(&[&verify[..], &["-untrusted", &chain, &certificate]].concat(), b"");
            assert_eq!(verified.code, 0, "{name}: {}{}", verified.stdout, verified.stderr);
        }
    }
}
