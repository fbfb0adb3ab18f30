//! Traefik with one entry point and its file provider.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::prepared;
use crate::site::Site;

/// Beside the bench, where `prepare` puts it, or on the PATH.
pub(super) fn program(path: &str) -> Option<PathBuf> {
    prepared("traefik", path)
}

/// From what `traefik version` says. It is made with Go's TLS library.
pub(super) fn version(said: &str) -> String {
    let version = said.lines().find_map(|line| line.strip_prefix("Version:")).unwrap_or("?");
    format!("{} (Go)", version.trim())
}

/// What stands in its command line.
pub(super) fn words(address: SocketAddr, file: &str) -> Vec<String> {
    [
        format!("--entryPoints.door.address={address}"),
        "--entryPoints.door.transport.respondingTimeouts.idleTimeout=600s".to_owned(),
        "--global.checkNewVersion=false".to_owned(),
        "--global.sendAnonymousUsage=false".to_owned(),
        "--log.level=ERROR".to_owned(),
        "--providers.file.watch=false".to_owned(),
        format!("--providers.file.filename={file}"),
    ]
    .into()
}

/// JSON, which is YAML. In a file of another name than that which Traefik looks for by itself.
pub(super) fn configuration(site: &Site, tcp_upstream: Option<SocketAddr>) -> String {
    let shown = json!({"certFile": site.server_chain(), "keyFile": site.server_key()});
    let mut all = json!({
        "tls": {
            "certificates": [shown],
            "stores": {"default": {"defaultCertificate": shown}},
            "options": {"default": {
                "curvePreferences": ["X25519"],
                "clientAuth": {"caFiles": [site.device_cas()], "clientAuthType": "RequireAndVerifyClientCert"},
            }},
        },
    });
    let (kind, served) = match tcp_upstream {
        None => ("http", http(site)),
        Some(upstream) => ("tcp", tcp(upstream)),
    };
    if let Value::Object(all) = &mut all {
        all.insert(kind.to_owned(), served);
    }
    all.to_string()
}

/// The upstream hears who is there.
fn http(site: &Site) -> Value {
    let upstream = format!("http://{}", site.upstream);
    json!({
        "middlewares": {"told": {"passTLSClientCert": {"pem": true, "info": {"subject": {"commonName": true}}}}},
        "routers": {"app": {
            "entryPoints": ["door"], "rule": "PathPrefix(`/`)", "middlewares": ["told"], "service": "app", "tls": {},
        }},
        "services": {"app": {"loadBalancer": {"servers": [{"url": upstream}]}}},
    })
}

fn tcp(upstream: SocketAddr) -> Value {
    let servers = json!([{"address": upstream.to_string()}]);
    json!({
        "routers": {"bulk": {"entryPoints": ["door"], "rule": "HostSNI(`*`)", "service": "bulk", "tls": {}}},
        "services": {"bulk": {"loadBalancer": {"servers": servers}}},
    })
}
