//! Caddy with one server, its reverse proxy, and certificates of ours.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::prepared;
use crate::site::Site;

/// Beside the bench, where `prepare` puts it, or on the PATH.
pub(super) fn program(path: &str) -> Option<PathBuf> {
    prepared("caddy", path)
}

/// From what `caddy version` says: `v2.11.7 h1:…`. It is made with Go's TLS library.
pub(super) fn version(said: &str) -> String {
    let version = said.split_ascii_whitespace().next().unwrap_or("?");
    format!("{} (Go)", version.trim_start_matches('v'))
}

pub(super) fn configuration(site: &Site, folder: &Path, address: SocketAddr) -> String {
    let policy = json!({
        "curves": ["x25519"],
        "client_authentication": {
            "ca": {"provider": "file", "pem_files": [site.device_cas()]},
            "mode": "require_and_verify",
        },
    });
    // The upstream hears who is there.
    let proxy = json!({
        "handler": "reverse_proxy",
        "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 64}},
        "upstreams": [{"dial": site.upstream.to_string()}],
        "headers": {"request": {"set": {
            "X-SSL-Client-Subject": ["{http.request.tls.client.subject}"],
            "X-SSL-Client-Cert": ["{http.request.tls.client.certificate_der_base64}"],
        }}},
    });
    let server = json!({
        "listen": [address.to_string()],
        "protocols": ["h1", "h2"],
        "idle_timeout": "10m",
        "automatic_https": {"disable": true},
        "tls_connection_policies": [policy],
        "routes": [{"handle": [proxy]}],
    });
    let shown = json!({"certificate": site.server_chain(), "key": site.server_key()});
    json!({
        "admin": {"disabled": true},
        "storage": {"module": "file_system", "root": folder},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {
            "http": {"servers": {"door": server}},
            "tls": {"certificates": {"load_files": [shown]}},
        },
    })
    .to_string()
}
