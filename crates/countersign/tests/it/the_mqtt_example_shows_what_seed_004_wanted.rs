//! Proves that examples/mosquitto shows on this machine what it says: a device enrols, publishes, is kept from
//! another's topic, and is cut off when it is revoked.

use std::process::{Command, Stdio};

use crate::program::repository;

#[test]
fn every_step_of_it_is_ok() {
    let folder = tempfile::tempdir().unwrap();
    let (out, said) = (folder.path().join("out"), folder.path().join("said"));
    let status = Command::new(repository().join("examples/mosquitto/test_mtls_device.sh"))
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
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 8, "{out}");
}
