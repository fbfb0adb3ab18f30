//! `[http_door]`.

use std::net::{Ipv4Addr, SocketAddr};

use countersign_core::settings::Enforcement;
use countersign_edge::{BodyPace, Compat};

use super::environment::Machine;
use super::front;
use super::pick::{Layers, Picker};
use super::raw::RawHttpDoor;
use super::resolve::{address, count, number, one_of, seconds};
use super::resolved::{DoorCertificate, DoorClientAuth, DoorLimits, HttpDoor};

/// How the HTTP door behaves; `listen` is the flag's.
pub(super) fn http_door(
    pick: &mut Picker<'_>,
    raw: RawHttpDoor,
    listen: Option<String>,
    machine: &Machine,
) -> HttpDoor {
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443));
    let layers = Layers::new("http_door.listen", raw.listen).flag("--listen-http", listen);
    let (listen, _) = pick.value(layers, default, |text| address(&text));
    let known = [
        ("none", DoorClientAuth::None),
        ("optional", DoorClientAuth::Optional),
        ("required", DoorClientAuth::Required),
    ];
    let hosts =
        pick.list(Layers::new("http_door.hosts", raw.hosts)).map(|(hosts, _)| hosts).unwrap_or_default();
    let (rules, _) = pick.parsed(Layers::new("http_door.rules", raw.rules), Enforcement::Enforce);
    let ways = [("none", Compat::None), ("cloudflare", Compat::DangerCloudflare)];
    let compat = Layers::new("http_door.compat", raw.compat);
    let (compat, _) = pick.value(compat, Compat::None, |text| one_of(&text, &ways));
    let auth = Layers::new("http_door.client_auth", raw.client_auth);
    let (client_auth, _) = pick.value(auth, DoorClientAuth::Optional, |text| one_of(&text, &known));
    let chain = Layers::new("http_door.certificate", raw.certificate);
    let key = Layers::new("http_door.key", raw.key);
    let certificate = door_certificate(pick, chain, key);
    let processors = machine.processors.get() as u64;
    let workers = count(pick, Layers::new("http_door.workers", raw.workers), processors);
    let handshake = Layers::new("http_door.handshake_timeout_seconds", raw.handshake_timeout_seconds);
    let header = Layers::new("http_door.header_timeout_seconds", raw.header_timeout_seconds);
    let idle = Layers::new("http_door.idle_timeout_seconds", raw.idle_timeout_seconds);
    let upstream = Layers::new("http_door.upstream_timeout_seconds", raw.upstream_timeout_seconds);
    let body = Layers::new("http_door.body_timeout_seconds", raw.body_timeout_seconds);
    let rate = Layers::new("http_door.body_min_bytes_per_second", raw.body_min_bytes_per_second);
    let write = Layers::new("http_door.write_timeout_seconds", raw.write_timeout_seconds);
    let ping = Layers::new("http_door.websocket_ping_seconds", raw.websocket_ping_seconds);
    let limits = DoorLimits {
        handshake_timeout: seconds(pick, handshake, 1, 5),
        header_timeout: seconds(pick, header, 1, 10),
        idle_timeout: seconds(pick, idle, 1, 180),
        body_pace: BodyPace {
            silence: seconds(pick, body, 1, 30),
            bytes_per_second: number(pick, rate, 0, 240),
        },
        write_timeout: seconds(pick, write, 1, 60),
        upstream_timeout: seconds(pick, upstream, 1, 60),
        websocket_ping: seconds(pick, ping, 1, 30),
        max_connections: count(pick, Layers::new("http_door.max_connections", raw.max_connections), 100_000),
        max_connections_per_ip: count(
            pick,
            Layers::new("http_door.max_connections_per_ip", raw.max_connections_per_ip),
            4096,
        ),
    };
    let networks = Layers::new("http_door.proxy_protocol_networks", raw.proxy_protocol_networks);
    let proxy_protocol_networks = pick.list(networks).map(|(networks, _)| networks).unwrap_or_default();
    let per_address = Layers::new("http_door.rate_limit_per_ip", raw.rate_limit_per_ip);
    let per_identity = Layers::new("http_door.rate_limit_per_identity", raw.rate_limit_per_identity);
    let rates = front::rates(pick, per_address, per_identity);
    HttpDoor {
        listen,
        hosts,
        rules,
        compat,
        client_auth,
        certificate,
        workers,
        limits,
        rates,
        proxy_protocol_networks,
    }
}

fn door_certificate(pick: &mut Picker<'_>, chain: Layers<String>, key: Layers<String>) -> DoorCertificate {
    let chain = pick.file(chain);
    let key = pick.file(key);
    match (chain, key) {
        (None, None) => DoorCertificate::Issued,
        (Some((chain, _)), Some((key, _))) => DoorCertificate::Files { chain, key },
        (Some((_, origin)), None) => {
            pick.refuse(&origin, "http_door.certificate", "needs http_door.key beside it");
            DoorCertificate::Issued
        }
        (None, Some((_, origin))) => {
            pick.refuse(&origin, "http_door.key", "needs http_door.certificate beside it");
            DoorCertificate::Issued
        }
    }
}
