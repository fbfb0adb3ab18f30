//! Envoy with one listener, one route and one cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::Profile;
use crate::process::find;
use crate::site::Site;

/// Beside the bench, where `prepare` puts it, or on the PATH.
pub(super) fn program(path: &str) -> Option<PathBuf> {
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/envoy");
    if prepared.is_file() { Some(prepared) } else { find("envoy", path) }
}

/// Version and TLS library, from what `envoy --version` says: `… version: HASH/1.40.0/Clean/RELEASE/BoringSSL`.
pub(super) fn version(said: &str) -> String {
    let (_, said) = said.split_once("version:").unwrap_or_default();
    let mut parts = said.trim().split('/').skip(1);
    let (version, library) = (parts.next().unwrap_or("?"), parts.last().unwrap_or("?"));
    format!("{version} ({library})")
}

pub(super) fn configuration(site: &Site, profile: Profile, address: SocketAddr) -> String {
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "door",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
        "route_config": {"virtual_hosts": [
            {"name": "app", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]},
        ]},
    });
    if profile == Profile::LikeForLike
        && let Value::Object(fields) = &mut manager
    {
        // The upstream hears who is there.
        fields.insert("forward_client_cert_details".to_owned(), "SANITIZE_SET".into());
        fields.insert(
            "set_current_client_cert_details".to_owned(),
            json!({"subject": true, "cert": true, "uri": true}),
        );
        fields.insert("use_remote_address".to_owned(), true.into());
    }
    let listener = json!({
        "name": "door",
        "address": socket_address(address),
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [{
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls(site, profile)},
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
        }],
    });
    let most = json!({"priority": "DEFAULT", "max_connections": 100_000, "max_pending_requests": 100_000,
        "max_requests": 100_000});
    let cluster = json!({
        "name": "app",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": "app", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": socket_address(site.upstream)}}]},
        ]},
    });
    json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}}).to_string()
}

/// With its TCP proxy.
pub(super) fn tcp_configuration(
    site: &Site,
    profile: Profile,
    (upstream, address): (SocketAddr, SocketAddr),
) -> String {
    let proxy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "door",
        "cluster": "bulk",
    });
    let mut tls = tls(site, profile);
    if let Some(context) = tls.get_mut("common_tls_context").and_then(Value::as_object_mut) {
        context.remove("alpn_protocols");
    }
    let listener = json!({
        "name": "door",
        "address": socket_address(address),
        "filter_chains": [{
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
            "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
        }],
    });
    let cluster = json!({
        "name": "bulk",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "bulk", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": socket_address(upstream)}}]},
        ]},
    });
    json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}}).to_string()
}

fn tls(site: &Site, profile: Profile) -> Value {
    let file = |path: PathBuf| json!({"filename": path.display().to_string()});
    let parameters = match profile {
        // The order of TLS 1.3's suites cannot be set; AES-128 is first where the processor has AES.
        Profile::LikeForLike => {
            json!({"tls_maximum_protocol_version": "TLSv1_3", "ecdh_curves": ["X25519", "P-256"]})
        }
        Profile::AsTheyCome => json!({"tls_maximum_protocol_version": "TLSv1_3"}),
    };
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_params": parameters,
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [
                {"certificate_chain": file(site.server_chain()), "private_key": file(site.server_key())},
            ],
            "validation_context": {"trusted_ca": file(site.device_cas())},
        },
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_not_looked_for_in_the_path() {
        let said = "\n/opt/a/envoy  version: 9e558093/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version(said), "1.40.0 (BoringSSL)");
    }
}
