//! HAProxy in HTTP mode.

use std::net::SocketAddr;

use crate::client::Profile;
use crate::site::Site;

/// Version and TLS library, from what `haproxy -vv` says.
pub(super) fn version(said: &str) -> String {
    let after = |mark| said.lines().find_map(|line| line.strip_prefix(mark)).map(str::trim);
    let version = after("HAProxy version ").and_then(|rest| rest.split_ascii_whitespace().next());
    let library = after("Running on OpenSSL version :").unwrap_or("?");
    let library: Vec<&str> = library.split_ascii_whitespace().take(2).collect();
    format!("{} ({})", version.unwrap_or("?"), library.join(" "))
}

pub(super) fn configuration(site: &Site, profile: Profile, address: SocketAddr) -> String {
    // How many tickets it sends cannot be set.
    let (suites, headers) = match profile {
        Profile::LikeForLike => {
            ("ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384 curves X25519:P-256", HEADERS)
        }
        Profile::AsTheyCome => ("", ""),
    };
    format!(
        "global
    nbthread 1
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-request 60s
frontend door
    bind {address} ssl crt {pem} ca-file {cas} verify required alpn h2,http/1.1 backlog 4096 {suites}
    {headers}
    default_backend app
backend app
    http-reuse safe
    server app {upstream}
",
        pem = site.server_pem().display(),
        cas = site.device_cas().display(),
        upstream = site.upstream,
    )
}

/// In TCP mode.
pub(super) fn tcp_configuration(site: &Site, upstream: &str, address: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    tune.ssl.default-dh-param 2048
defaults
    mode tcp
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend door
    bind {address} ssl crt {pem} ca-file {cas} verify required ciphersuites \
TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384 curves X25519:P-256
    default_backend bulk
backend bulk
    server bulk {upstream}
",
        pem = site.server_pem().display(),
        cas = site.device_cas().display(),
    )
}

/// The upstream hears who is there.
const HEADERS: &str = "option forwardfor
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-SSL-Client-Subject %{+Q}[ssl_c_s_dn]
    http-request set-header X-SSL-Client-Cert %[ssl_c_der,base64]";
