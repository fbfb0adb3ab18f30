//! stunnel: TLS in front of whatever there is, which it does not look at.

use std::net::SocketAddr;

use crate::site::Site;

/// Version and TLS library, from what `stunnel -version` says.
pub(super) fn version(said: &str) -> String {
    let after = |mark| said.lines().find_map(|line| line.split_once(mark)).map(|(_, rest)| rest.trim());
    let version = after("stunnel ").and_then(|rest| rest.split_ascii_whitespace().next()).unwrap_or("?");
    let library = after("Running  with ").or_else(|| after("Compiled/running with ")).unwrap_or("?");
    let library: Vec<&str> = library.split_ascii_whitespace().take(2).collect();
    format!("{version} ({})", library.join(" "))
}

pub(super) fn configuration(site: &Site, upstream: SocketAddr, address: SocketAddr) -> String {
    format!(
        "foreground = yes
pid =
syslog = no
debug = err
[door]
accept = {address}
connect = {upstream}
cert = {pem}
CAfile = {cas}
verifyChain = yes
requireCert = yes
sslVersionMin = TLSv1.2
ciphersuites = TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
curves = X25519:P-256
TIMEOUTclose = 0
",
        pem = site.server_pem().display(),
        cas = site.device_cas().display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_the_one_that_it_runs_with() {
        let said = "Initializing inetd mode configuration\nstunnel 5.68 on x86_64-pc-linux-gnu platform\n\
            Compiled with OpenSSL 3.0.15 3 Sep 2024\nRunning  with OpenSSL 3.0.19 27 Jan 2026\n";
        assert_eq!(version(said), "5.68 (OpenSSL 3.0.19)");
        let same = "stunnel 5.68 on x platform\nCompiled/running with OpenSSL 3.0.19 27 Jan 2026\n";
        assert_eq!(version(same), "5.68 (OpenSSL 3.0.19)");
    }
}
