//! Runs the binary and compares what it says with what is on file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What a finished run left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary in a folder, with nothing of ours in the environment but these variables.
pub(crate) fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(folder.to_str().unwrap(), "[FOLDER]");
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A run as people would see it.
pub(crate) fn transcript(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let ran = run(folder, variables, arguments);
    let set: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let ended = if ran.code == 0 { String::new() } else { format!("[exit {}]\n", ran.code) };
    format!("$ {set}countersign {}\n{}{}{ended}", arguments.join(" "), ran.stdout, ran.stderr)
}

/// Compares a text with the file that holds it; with `UPDATE_SNAPSHOTS=1` writes the file instead.
#[track_caller]
pub(crate) fn assert_on_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs_err::write(path, text).unwrap();
        return;
    }
    let on_file = fs_err::read_to_string(path).unwrap_or_default();
    assert!(
        on_file == text,
        "{} is not what the program says now; look at the difference, then run the tests with UPDATE_SNAPSHOTS=1\n\
         --- on file\n{on_file}\n--- now\n{text}",
        path.display()
    );
}

/// The same for a transcript of this test crate.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    assert_on_file(&path, text);
}

/// Runs a script of `examples/`, which must succeed, and says how many of its steps were ok.
pub(crate) fn steps_of_example(script: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = (folder.path().join("out"), folder.path().join("said"));
    let status = Command::new(repository().join("examples").join(script))
        .stdin(Stdio::null())
        .env_clear()
        .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"))
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdout(fs_err::File::create(&out).unwrap().into_file())
        .stderr(fs_err::File::create(&said).unwrap().into_file())
        .status()
        .unwrap();
    let (out, said) = (fs_err::read_to_string(&out).unwrap(), fs_err::read_to_string(&said).unwrap());
    assert!(status.success(), "{out}{said}");
    out.lines().filter(|line| line.starts_with("ok ")).count()
}
