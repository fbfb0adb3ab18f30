//! The `openssl` command of the machine, as an independent judge.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A directory of files to run `openssl` in.
pub(crate) struct Openssl {
    directory: TempDir,
}

/// What a run said.
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Openssl {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &str) -> Said {
        self.run_all(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_all(&self, arguments: &[&str]) -> Said {
        let output =
            Command::new("openssl").current_dir(self.directory.path()).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs what must succeed and gives its output.
    pub(crate) fn must(&self, arguments: &str) -> String {
        let said = self.run(arguments);
        assert!(said.success, "openssl {arguments}: {}", said.text);
        said.text
    }

    /// A signing request made by the real command line tool, in PEM.
    pub(crate) fn request(&self, newkey: &[&str], extra: &[&str]) -> String {
        let fixed = ["req", "-new", "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-newkey"];
        let subject: &[&str] = if extra.contains(&"-subj") { &[] } else { &["-subj", "/CN=anything"] };
        let said = self.run_all(&[&fixed, newkey, subject, extra].concat());
        assert!(said.success, "openssl req {newkey:?}: {}", said.text);
        String::from_utf8(self.read("request.pem")).unwrap()
    }
}
