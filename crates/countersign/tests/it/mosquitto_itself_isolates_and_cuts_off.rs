//! Proves that seed 004's own verification passes against a real Mosquitto that serves devices itself, and that it
//! keeps devices apart and ends the session of a revoked one.

use std::process::{Command, Stdio};

use crate::program::repository;

#[test]
fn the_verification_of_seed_004_passes_and_what_it_could_not_do_works() {
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = (folder.path().join("out"), folder.path().join("said"));
    let status = Command::new(repository().join("examples/mosquitto/verify_seed_004.sh"))
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
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{out}");
}
