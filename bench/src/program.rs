//! The program under measurement: the binary as it is shipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Builds `countersign` with a profile; where it is.
pub(crate) fn build(profile: &str) -> anyhow::Result<PathBuf> {
    cargo_build(profile, &["--package", "countersign"], "countersign")
}

/// Builds an example of a crate of the product; where it is.
pub(crate) fn build_example(profile: &str, package: &str, example: &str) -> anyhow::Result<PathBuf> {
    cargo_build(profile, &["--package", package, "--example", example], example)
}

fn cargo_build(profile: &str, what: &[&str], program: &str) -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--message-format", "json-render-diagnostics"])
        .args(what)
        .args(["--profile", profile, "--manifest-path"])
        .arg(manifest)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "{program} does not build");
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    let mut own = executables.filter(|file| file.file_name().is_some_and(|name| name == program));
    own.next().context("cargo built nothing")
}
