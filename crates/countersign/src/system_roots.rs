//! The system's roots.

use std::path::Path;

use anyhow::Context as _;

/// Where distributions keep the roots that they trust, PEM.
const PLACES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The roots in a file, or the system's, PEM.
/// `key` is the setting that names such a file.
pub(crate) fn roots(file: Option<&Path>, key: &str) -> anyhow::Result<String> {
    let system = || PLACES.iter().map(Path::new).find(|path| path.is_file());
    let path = file.or_else(system).with_context(|| {
        format!("find the system's roots: none of {} exists; name a file in {key}", PLACES.join(", "))
    })?;
    fs_err::read_to_string(path).context("read the roots that a server is trusted by")
}
