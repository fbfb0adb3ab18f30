//! `[[tcp_door]]`: doors for protocols of any kind.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::SpkiSha256;
use countersign_core::settings::Enforcement;
use countersign_edge::Audience;
use ipnet::IpNet;
use toml::Spanned;

use super::audience::{self, Keys, RawAudience};
use super::environment::Machine;
use super::monitors::{ServerAddress, pin};
use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::RawTcpDoor;
use super::resolve::{address, count, number, one_of, seconds};
use super::resolved::DoorClientAuth;
use super::server_tls::{ServerPlace, ServerTls};
use super::tables::requirement;

const DEFAULT_IDLE: u64 = 3600;
const DEFAULT_CONNECTIONS: u64 = 10_000;
const DEFAULT_CONNECTIONS_PER_IP: u64 = 4096;

/// What says whom it admits.
const KEYS: Keys = Keys {
    admit: "tcp_door.admit",
    allow_tenants: "tcp_door.allow_tenants",
    allow_devices: "tcp_door.allow_devices",
    allow_sans: "tcp_door.allow_sans",
    allow_names: "tcp_door.allow_names",
    require_subject: "tcp_door.require_subject",
    require_identity: "tcp_door.require_identity",
};

/// A TCP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpDoor {
    /// What people call it.
    pub(crate) name: DoorName,
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// What stands behind it.
    pub(crate) upstream: TcpUpstream,
    /// Whether a device certificate in good standing is needed. A fallen one is refused in any case.
    pub(crate) identity: Enforcement,
    /// Whom it admits; `None`: every device, and nobody else.
    pub(crate) audience: Option<Arc<Audience>>,
    /// Whether rules block, are only recorded, or are not run.
    pub(crate) rules: Enforcement,
    /// Whether clients are asked for a certificate.
    pub(crate) client_auth: DoorClientAuth,
    /// What the upstream is told first.
    pub(crate) proxy_header: ProxyHeader,
    /// How many threads serve it.
    pub(crate) workers: NonZeroUsize,
    /// What a client may take.
    pub(crate) limits: TcpDoorLimits,
    /// Who may send a PROXY header, and must.
    pub(crate) proxy_protocol_networks: Vec<IpNet>,
}

/// What a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpDoorLimits {
    /// To finish the TLS handshake.
    pub(crate) handshake: Duration,
    /// For the upstream to be there.
    pub(crate) connect: Duration,
    /// Without a byte either way; `None`: for ever.
    pub(crate) idle: Option<Duration>,
    /// In all; `None`: for ever.
    pub(crate) lifetime: Option<Duration>,
    /// Connections in all.
    pub(crate) connections: NonZeroUsize,
    /// Connections from one address (IPv6: from one /64).
    pub(crate) connections_per_ip: NonZeroUsize,
}

/// What the upstream is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// Nothing.
    None,
    /// A PROXY header, version 2.
    V2,
}

/// What stands behind a TCP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TcpUpstream {
    /// A server in clear.
    Tcp(ServerAddress),
    /// A server over TLS.
    Tls {
        /// Where.
        address: ServerAddress,
        /// How it is recognised, and what it is shown.
        tls: UpstreamTls,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// How an upstream is recognised, and what it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamTls {
    /// The name that its certificate must be for.
    pub(crate) server_name: PublicName,
    /// By what it is recognised.
    pub(crate) trust: UpstreamTrust,
    /// Certificate and key, PEM.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// By what an upstream is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamTrust {
    /// The root of this installation.
    Own,
    /// The CAs that the system trusts.
    System,
    /// A CA in a file, PEM.
    File(PathBuf),
    /// Its key, or its CA's.
    Keys(Vec<SpkiSha256>),
}

/// The name of a door, or of what is granted at one: in logs, in the ports file, as the route of what is refused, at a
/// broker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DoorName(String);

impl FromStr for DoorName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = matches!(text.len(), 1..=63) && text.bytes().all(is_plain) && !text.starts_with('-');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(160).collect();
            Err(format!("not a name of a door, such as postgres (a-z, 0-9 and -): {shown:?}"))
        }
    }
}

impl fmt::Display for DoorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The TCP doors; names are unique.
pub(super) fn tcp_doors(
    pick: &mut Picker<'_>,
    raw: Vec<Spanned<RawTcpDoor>>,
    machine: &Machine,
) -> Vec<TcpDoor> {
    let mut names = BTreeSet::new();
    let mut doors = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some(door) = tcp_door(pick, &origin, entry.into_inner(), machine) else { continue };
        if !names.insert(door.name.clone()) {
            pick.refuse(&origin, "tcp_door.name", format!("{} is the name of another door", door.name));
        }
        doors.push(door);
    }
    doors
}

fn tcp_door(
    pick: &mut Picker<'_>,
    origin: &Origin,
    mut raw: RawTcpDoor,
    machine: &Machine,
) -> Option<TcpDoor> {
    let missing = [
        (raw.name.is_none(), "tcp_door.name", "missing: what people call the door"),
        (raw.listen.is_none(), "tcp_door.listen", "missing: the address to listen on"),
        (raw.upstream.is_none(), "tcp_door.upstream", "missing: what stands behind the door"),
    ];
    for (_, key, message) in missing.into_iter().filter(|(is_missing, ..)| *is_missing) {
        pick.refuse(origin, key, message);
    }
    let name = Layers::new("tcp_door.name", raw.name.take()).only_in_file();
    let name = pick.optional(name, |text| text.parse::<DoorName>()).map(|(name, _)| name);
    let listen = Layers::new("tcp_door.listen", raw.listen.take()).only_in_file();
    let listen = pick.optional(listen, |text| address(&text)).map(|(listen, _)| listen);
    let need = Layers::new("tcp_door.require_identity", raw.require_identity.take()).only_in_file();
    let identity = pick.value(need, Enforcement::Enforce, requirement).0;
    let audience = audience::audience(pick, whom(&mut raw), &KEYS, identity);
    let auth = Layers::new("tcp_door.client_auth", raw.client_auth.take()).only_in_file();
    let known = [("optional", DoorClientAuth::Optional), ("required", DoorClientAuth::Required)];
    let client_auth = pick.value(auth, DoorClientAuth::Optional, |text| one_of(&text, &known)).0;
    let rules = Layers::new("tcp_door.rules", raw.rules.take()).only_in_file();
    let (rules, _) = pick.parsed(rules, Enforcement::Enforce);
    let header = Layers::new("tcp_door.proxy_protocol", raw.proxy_protocol.take()).only_in_file();
    let known = [("none", ProxyHeader::None), ("v2", ProxyHeader::V2)];
    let proxy_header = pick.value(header, ProxyHeader::None, |text| one_of(&text, &known)).0;
    let workers = Layers::new("tcp_door.workers", raw.workers.take()).only_in_file();
    let workers = count(pick, workers, machine.processors.get() as u64);
    let networks = Layers::new("tcp_door.proxy_protocol_networks", raw.proxy_protocol_networks.take());
    let networks = pick.list(networks.only_in_file()).map(|(networks, _)| networks);
    let limits = limits(pick, &mut raw);
    let upstream = upstream(pick, raw);
    Some(TcpDoor {
        name: name?,
        listen: listen?,
        upstream: upstream?,
        identity,
        audience,
        rules,
        client_auth,
        proxy_header,
        workers,
        limits,
        proxy_protocol_networks: networks.unwrap_or_default(),
    })
}

fn whom(raw: &mut RawTcpDoor) -> RawAudience {
    RawAudience {
        admit: raw.admit.take(),
        allow_tenants: raw.allow_tenants.take(),
        allow_devices: raw.allow_devices.take(),
        allow_sans: raw.allow_sans.take(),
        allow_names: raw.allow_names.take(),
        require_subject: raw.require_subject.take(),
    }
}

fn limits(pick: &mut Picker<'_>, raw: &mut RawTcpDoor) -> TcpDoorLimits {
    let handshake = Layers::new("tcp_door.handshake_timeout_seconds", raw.handshake_timeout_seconds.take());
    let connect = Layers::new("tcp_door.connect_timeout_seconds", raw.connect_timeout_seconds.take());
    let idle = Layers::new("tcp_door.idle_timeout_seconds", raw.idle_timeout_seconds.take());
    let lifetime = Layers::new("tcp_door.lifetime_seconds", raw.lifetime_seconds.take());
    let connections = Layers::new("tcp_door.max_connections", raw.max_connections.take());
    let per_ip = Layers::new("tcp_door.max_connections_per_ip", raw.max_connections_per_ip.take());
    let unless_zero = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    TcpDoorLimits {
        handshake: seconds(pick, handshake.only_in_file(), 1, 5),
        connect: seconds(pick, connect.only_in_file(), 1, 10),
        idle: unless_zero(number(pick, idle.only_in_file(), 0, DEFAULT_IDLE)),
        lifetime: unless_zero(number(pick, lifetime.only_in_file(), 0, 0)),
        connections: count(pick, connections.only_in_file(), DEFAULT_CONNECTIONS),
        connections_per_ip: count(pick, per_ip.only_in_file(), DEFAULT_CONNECTIONS_PER_IP),
    }
}

fn upstream(pick: &mut Picker<'_>, raw: RawTcpDoor) -> Option<TcpUpstream> {
    let text = Layers::new("tcp_door.upstream", raw.upstream).only_in_file();
    let text = pick.optional(text, |text| text.parse::<ServerPlace>()).map(|(text, _)| text);
    let given = ServerTls {
        name: Layers::new("tcp_door.upstream_server_name", raw.upstream_server_name).only_in_file(),
        ca: Layers::new("tcp_door.upstream_ca", raw.upstream_ca).only_in_file(),
        certificate: Layers::new("tcp_door.upstream_certificate", raw.upstream_certificate).only_in_file(),
        key: Layers::new("tcp_door.upstream_key", raw.upstream_key).only_in_file(),
    };
    let given = given.pick(pick);
    let pins = Layers::new("tcp_door.upstream_pins", raw.upstream_pins).only_in_file();
    let read = |texts: Vec<String>| texts.iter().map(|text| pin(text)).collect::<Result<Vec<_>, _>>();
    let pins = pick.optional(pins, read);
    let address = match text? {
        ServerPlace::Tls(address) => address,
        plain @ (ServerPlace::Tcp(_) | ServerPlace::Unix(_)) => {
            let without = "the upstream is not a tls:// one";
            if let Some((_, at)) = pins {
                pick.refuse(&at, "tcp_door.upstream_pins", without);
            }
            return Some(given.server(pick, plain, without));
        }
    };
    let usual = match pins {
        None => UpstreamTrust::Own,
        Some((pins, _)) if !pins.is_empty() && given.ca.is_none() => UpstreamTrust::Keys(pins),
        Some((_, at)) => {
            let message = "name at least one key, and no tcp_door.upstream_ca beside them";
            pick.refuse(&at, "tcp_door.upstream_pins", message);
            return None;
        }
    };
    Some(given.of(address, usual))
}

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};
    use super::*;

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let names = vec!["here".parse().unwrap()];
        let machine = Machine { names, processors: NonZeroUsize::MIN };
        let file = ConfigFile::from_text("/etc/cs/c.toml", text);
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
    }

    fn door(text: &str) -> TcpDoor {
        let text = format!("[[tcp_door]]\nname = \"pg\"\nlisten = \"0.0.0.0:6432\"\n{text}\n");
        read(&text).unwrap().resolved.tcp_doors.remove(0)
    }

    fn wrong(text: &str) -> Vec<String> {
        match read(&format!("[[tcp_door]]\n{text}\n")) {
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn three_lines_are_enough_and_the_rest_is_safe() {
        let door = door("upstream = \"tcp://db.example.com:5432\"");
        let expected = ServerAddress { host: "db.example.com".parse().unwrap(), port: 5432 };
        assert_eq!(door.upstream, TcpUpstream::Tcp(expected));
        assert_eq!((door.identity, door.client_auth), (Enforcement::Enforce, DoorClientAuth::Optional));
        assert_eq!((door.limits.idle, door.limits.lifetime), (Some(Duration::from_secs(3600)), None));
    }

    #[test]
    fn an_upstream_is_reached_in_clear_over_tls_or_at_a_socket() {
        let socket = door("upstream = \"unix:/run/pg/.s.PGSQL.5432\"\nidle_timeout_seconds = 0");
        assert_eq!(socket.upstream, TcpUpstream::Unix("/run/pg/.s.PGSQL.5432".into()));
        assert_eq!(socket.limits.idle, None);
        let TcpUpstream::Tls { tls, .. } = door("upstream = \"tls://db.example.com:5432\"").upstream else {
            panic!("not over TLS");
        };
        assert_eq!((tls.server_name.to_string().as_str(), tls.trust), ("db.example.com", UpstreamTrust::Own));
        let key = "f54ef9edf09e7e7eb0b7b4d6b3fb2a6f0d6a3ba0bd1d2ac0ee0d5a0d4f1cf3b1";
        let pinned = format!("upstream = \"tls://10.0.0.7:5432\"\nupstream_pins = [\"{key}\"]");
        let TcpUpstream::Tls { tls, .. } = door(&pinned).upstream else { panic!("not over TLS") };
        assert_eq!(tls.trust, UpstreamTrust::Keys(vec![key.parse().unwrap()]));
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let base = "name = \"pg\"\nlisten = \"0.0.0.0:1\"\n";
        for (text, said) in [
            ("", "/etc/cs/c.toml:1: tcp_door.name: missing"),
            ("", "/etc/cs/c.toml:1: tcp_door.listen: missing"),
            ("", "/etc/cs/c.toml:1: tcp_door.upstream: missing"),
            ("name = \"P G\"", "/etc/cs/c.toml:2: tcp_door.name: not a name"),
            ("upstream = \"db:5432\"", "/etc/cs/c.toml:2: tcp_door.upstream: not tcp://"),
            ("upstream = \"unix:relative\"", "/etc/cs/c.toml:2: tcp_door.upstream: not tcp://"),
            ("client_auth = \"none\"", "/etc/cs/c.toml:2: tcp_door.client_auth: \"none\" is not"),
            ("proxy_protocol = \"v1\"", "/etc/cs/c.toml:2: tcp_door.proxy_protocol: \"v1\" is not"),
        ] {
            let problems = wrong(text);
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
        for (text, said) in [
            ("upstream = \"tcp://a:1\"\nupstream_pins = [\"00\"]", "tcp_door.upstream_pins: not the SHA-256"),
            (
                "upstream = \"tcp://a:1\"\nupstream_server_name = \"b\"",
                "upstream_server_name: the upstream is",
            ),
            ("upstream = \"tls://a:1\"\nupstream_pins = []", "tcp_door.upstream_pins: name at least one"),
            ("upstream = \"tls://a:1\"\nupstream_ca = \"/nonexistent\"", "tcp_door.upstream_ca: there is no"),
        ] {
            let problems = wrong(&format!("{base}{text}"));
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:#?}");
        }
        let twice = format!("{base}upstream = \"tcp://a:1\"\n[[tcp_door]]\n{base}upstream = \"tcp://a:1\"");
        assert!(wrong(&twice).iter().any(|problem| problem.contains("pg is the name of another door")));
    }
}
