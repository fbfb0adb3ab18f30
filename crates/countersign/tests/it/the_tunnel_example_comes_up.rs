//! Proves that seed 003's deployment in examples/tunnel comes up on this machine, passes the seed's checks and
//! ends again.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::program::repository;

/// What was brought up; it ends with this.
struct Deployment(TempDir);

impl Deployment {
    fn script(&self, name: &str) -> Output {
        let mut command = Command::new(repository().join("examples/tunnel").join(name));
        command.arg(self.0.path().join("run")).stdin(Stdio::null()).env_clear();
        command.env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign")).env("PORT", "0");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        // What stays in the background must not hold what is read here.
        let (out, said) = (self.0.path().join("out"), self.0.path().join("said"));
        let file = |path: &Path| fs_err::File::create(path).unwrap().into_file();
        let status = command.stdout(file(&out)).stderr(file(&said)).status().unwrap();
        let read = |path: &Path| fs_err::read(path).unwrap();
        Output { status, stdout: read(&out), stderr: read(&said) }
    }

    fn must(&self, name: &str) -> String {
        let output = self.script(name);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let logs = ["server.log", "api.log"]
            .map(|log| fs_err::read_to_string(self.0.path().join("run").join(log)).unwrap_or_default());
        assert!(
            output.status.success(),
            "{name}: {}{}\n{}",
            text(&output.stdout),
            text(&output.stderr),
            logs.join("\n")
        );
        text(&output.stdout)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let _ended = self.script("down.sh");
    }
}

#[test]
fn it_passes_the_seeds_checks() {
    let deployment = Deployment(tempfile::tempdir().unwrap());
    let said = deployment.must("up.sh");
    assert!(said.contains("door     https://ceneca-agent.enterprise.internal:"), "{said}");
    let checked = deployment.must("check.sh");
    assert_eq!(checked.lines().filter(|line| line.starts_with("ok ")).count(), 8, "{checked}");
    deployment.must("down.sh");
}
