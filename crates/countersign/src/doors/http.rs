//! The HTTP door: how the configuration wants it.

use countersign_core::settings::Enforcement;
use countersign_edge::{DoorConfig, Limits, Route, RouteScreen, Upstream};
use countersign_server::AdminOnDoor;
use countersign_tls::ClientAuth;

use crate::config::{DoorClientAuth, HostSettings, HttpDoor, Resolved};

/// The door's settings.
pub(super) fn settings(config: &Resolved, admin: AdminOnDoor) -> DoorConfig {
    let door: &HttpDoor = &config.http_door;
    let mut routes = Route::control_plane();
    if admin == AdminOnDoor::Exposed {
        routes.push(Route {
            host: None,
            path_prefix: "/api/v1".to_owned(),
            upstream: Upstream::ControlPlane,
            identity: Enforcement::Off,
            audience: None,
            renewal_paths: Vec::new(),
            screen: RouteScreen::default(),
        });
    }
    routes.extend(config.routes.iter().map(|route| Route {
        host: route.host.as_ref().map(ToString::to_string),
        path_prefix: route.path.clone(),
        upstream: route.upstreams.clone().into(),
        identity: route.identity,
        audience: route.audience.clone(),
        renewal_paths: route.renewal_paths.clone(),
        screen: route.screen.clone(),
    }));
    DoorConfig {
        addresses: vec![door.listen],
        workers: door.workers,
        client_auth: client_auth(door.client_auth),
        client_auth_of_hosts: client_auth_of(&config.hosts),
        handshake_timeout: door.limits.handshake_timeout,
        header_timeout: door.limits.header_timeout,
        idle_timeout: door.limits.idle_timeout,
        body_pace: door.limits.body_pace,
        write_timeout: door.limits.write_timeout,
        upstream_timeout: door.limits.upstream_timeout,
        limits: Limits {
            total: door.limits.max_connections.get(),
            per_address: door.limits.max_connections_per_ip.get(),
        },
        rates: door.rates,
        proxy_networks: door.proxy_protocol_networks.clone(),
        hosts: door.hosts.iter().map(ToString::to_string).collect(),
        routes,
        rules: door.rules,
        compat: door.compat,
        ..DoorConfig::default()
    }
}

/// What is asked of clients.
pub(super) const fn client_auth(wanted: DoorClientAuth) -> ClientAuth {
    match wanted {
        DoorClientAuth::None => ClientAuth::None,
        DoorClientAuth::Optional => ClientAuth::Optional,
        DoorClientAuth::Required => ClientAuth::Required,
    }
}

/// The same by the names that clients ask for.
pub(super) fn client_auth_of(hosts: &[HostSettings]) -> Vec<(String, ClientAuth)> {
    let asking = hosts.iter().filter_map(|host| Some((&host.names, client_auth(host.client_auth?))));
    asking.flat_map(|(names, wanted)| names.iter().map(move |name| (name.to_string(), wanted))).collect()
}
