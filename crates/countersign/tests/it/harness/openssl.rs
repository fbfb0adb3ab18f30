//! What OpenSSL makes of things.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::program::Ran;

/// Runs `openssl` with this on its stdin.
pub(crate) fn openssl(arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut process = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read all of it.
    drop(process.stdin.take().unwrap().write_all(stdin));
    let output = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The serial numbers in a revocation list (DER), lower-case hex.
pub(crate) fn revoked_serials(crl: &[u8]) -> Vec<String> {
    let ran = openssl(&["crl", "-inform", "DER", "-noout", "-text"], crl);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let serials = ran.stdout.lines().filter_map(|line| line.trim().strip_prefix("Serial Number: "));
    serials.map(str::to_lowercase).collect()
}

/// The serial number of a certificate (PEM), lower-case hex.
pub(crate) fn serial_of(certificate_pem: &str) -> String {
    let ran = openssl(&["x509", "-noout", "-serial"], certificate_pem.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.trim().strip_prefix("serial=").unwrap().to_lowercase()
}
