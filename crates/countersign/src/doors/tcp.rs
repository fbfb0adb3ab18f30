//! The TCP doors: how the configuration wants them.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::{Limits, ProxyHeader, TcpDoorConfig, TcpUpstream};
use countersign_tls::tunnel::{SpliceLimits, TlsMaterial, TlsSource};
use countersign_tls::{ClientIdentity, ServerTrust};

use super::http;
use crate::config::{self, HostSettings, TcpDoor, UpstreamTls, UpstreamTrust};
use crate::system_roots;

/// A door's settings; `roots` are this installation's, PEM.
///
/// # Errors
/// When what the upstream is reached with cannot be read or used.
pub(super) fn settings(door: &TcpDoor, hosts: &[HostSettings], roots: &str) -> anyhow::Result<TcpDoorConfig> {
    let upstream = upstream(&door.upstream, roots)?;
    Ok(TcpDoorConfig {
        workers: door.workers,
        client_auth: http::client_auth(door.client_auth),
        client_auth_of_hosts: http::client_auth_of(hosts),
        identity: door.identity,
        audience: door.audience.clone(),
        rules: door.rules,
        proxy_header: match door.proxy_header {
            config::ProxyHeader::None => ProxyHeader::None,
            config::ProxyHeader::V2 => ProxyHeader::V2,
        },
        handshake_timeout: door.limits.handshake,
        connect_timeout: door.limits.connect,
        session: SpliceLimits { idle: door.limits.idle, lifetime: door.limits.lifetime },
        limits: Limits {
            total: door.limits.connections.get(),
            per_address: door.limits.connections_per_ip.get(),
        },
        proxy_networks: door.proxy_protocol_networks.clone(),
        ..TcpDoorConfig::new(door.name.to_string(), door.listen, upstream)
    })
}

/// A server as the configuration has it; `roots` are this installation's, PEM.
///
/// # Errors
/// When what it is reached with cannot be read or used.
pub(crate) fn upstream(wanted: &config::TcpUpstream, roots: &str) -> anyhow::Result<TcpUpstream> {
    Ok(match wanted {
        config::TcpUpstream::Tcp(address) => {
            TcpUpstream::Tcp { host: address.host.to_string(), port: address.port }
        }
        config::TcpUpstream::Tls { address, tls: wanted } => TcpUpstream::Tls {
            host: address.host.to_string(),
            port: address.port,
            server_name: wanted.server_name.to_string(),
            tls: source(wanted, roots)?,
        },
        config::TcpUpstream::Unix(path) => TcpUpstream::Unix(path.clone()),
    })
}

/// What is in the files counts at each connection: whoever renews them need tell nobody.
fn source(wanted: &UpstreamTls, roots: &str) -> anyhow::Result<Arc<TlsSource>> {
    let (wanted, roots) = (wanted.clone(), roots.to_owned());
    let source = TlsSource::new(move || Ok(material(&wanted, &roots)?));
    source.current().context("prepare TLS with the upstream")?;
    Ok(Arc::new(source))
}

fn material(wanted: &UpstreamTls, roots: &str) -> anyhow::Result<TlsMaterial> {
    let text = |path: &Path| fs_err::read_to_string(path);
    let trust = match &wanted.trust {
        UpstreamTrust::Own => ServerTrust::Roots(roots.to_owned()),
        UpstreamTrust::System => ServerTrust::Roots(system_roots::roots(None, "the setting for its CA")?),
        UpstreamTrust::File(path) => ServerTrust::Roots(text(path)?),
        UpstreamTrust::Keys(keys) => ServerTrust::Keys(keys.clone()),
    };
    let identity = match &wanted.identity {
        None => None,
        Some((certificate, key)) => Some(ClientIdentity::from_pem(text(certificate)?, text(key)?)),
    };
    Ok(TlsMaterial { trust, identity })
}
