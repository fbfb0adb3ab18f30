//! How servers are reached, for every table that names some.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use countersign_core::ids::SpkiSha256;
use countersign_edge::{
    HealthCheck, UpstreamAddress, UpstreamCertificate, UpstreamGroup, UpstreamProtocol, UpstreamRoots,
    UpstreamTimeouts, UpstreamTls,
};

use super::egress::RawEgress;
use super::monitors::pin;
use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::{Place, RawRoute};

/// The word that stands for the door's certificate.
const DOOR: &str = "door";

/// The keys of one table.
pub(super) struct Keys {
    upstream: &'static str,
    upstreams: &'static str,
    http2: &'static str,
    ca_file: &'static str,
    system_roots: &'static str,
    pins: &'static str,
    server_name: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
    health_path: &'static str,
    health_interval_seconds: &'static str,
    well_after: &'static str,
    unwell_after: &'static str,
    connect_timeout_seconds: &'static str,
    answer_timeout_seconds: &'static str,
    idle_timeout_seconds: &'static str,
}

macro_rules! keys {
    ($list:literal) => {
        Keys {
            upstream: concat!($list, ".upstream"),
            upstreams: concat!($list, ".upstreams"),
            http2: concat!($list, ".http2"),
            ca_file: concat!($list, ".ca_file"),
            system_roots: concat!($list, ".system_roots"),
            pins: concat!($list, ".pins"),
            server_name: concat!($list, ".server_name"),
            client_certificate: concat!($list, ".client_certificate"),
            client_key: concat!($list, ".client_key"),
            health_path: concat!($list, ".health_path"),
            health_interval_seconds: concat!($list, ".health_interval_seconds"),
            well_after: concat!($list, ".well_after"),
            unwell_after: concat!($list, ".unwell_after"),
            connect_timeout_seconds: concat!($list, ".connect_timeout_seconds"),
            answer_timeout_seconds: concat!($list, ".answer_timeout_seconds"),
            idle_timeout_seconds: concat!($list, ".idle_timeout_seconds"),
        }
    };
}

/// Those of `[[route]]`.
pub(super) const ROUTE: Keys = keys!("route");

/// Those of `[[egress]]`.
pub(super) const EGRESS: Keys = keys!("egress");

/// What a table says of its servers.
pub(super) struct RawReach {
    pub(super) upstream: Place<String>,
    pub(super) upstreams: Place<Vec<String>>,
    pub(super) http2: Place<bool>,
    pub(super) ca_file: Place<String>,
    pub(super) system_roots: Place<bool>,
    pub(super) pins: Place<Vec<String>>,
    pub(super) server_name: Place<String>,
    pub(super) client_certificate: Place<String>,
    pub(super) client_key: Place<String>,
    pub(super) health_path: Place<String>,
    pub(super) health_interval_seconds: Place<u64>,
    pub(super) well_after: Place<u64>,
    pub(super) unwell_after: Place<u64>,
    pub(super) connect_timeout_seconds: Place<u64>,
    pub(super) answer_timeout_seconds: Place<u64>,
    pub(super) idle_timeout_seconds: Place<u64>,
}

impl RawReach {
    /// What a route says of them.
    pub(super) fn of(raw: &mut RawRoute) -> Self {
        Self {
            upstream: raw.upstream.take(),
            upstreams: raw.upstreams.take(),
            http2: raw.http2.take(),
            ca_file: raw.ca_file.take(),
            system_roots: raw.system_roots.take(),
            pins: raw.pins.take(),
            server_name: raw.server_name.take(),
            client_certificate: raw.client_certificate.take(),
            client_key: raw.client_key.take(),
            health_path: raw.health_path.take(),
            health_interval_seconds: raw.health_interval_seconds.take(),
            well_after: raw.well_after.take(),
            unwell_after: raw.unwell_after.take(),
            connect_timeout_seconds: raw.connect_timeout_seconds.take(),
            answer_timeout_seconds: raw.answer_timeout_seconds.take(),
            idle_timeout_seconds: raw.idle_timeout_seconds.take(),
        }
    }
}

impl RawReach {
    /// What a way out says of them.
    pub(super) fn of_egress(raw: &mut RawEgress) -> Self {
        Self {
            upstream: raw.upstream.take(),
            upstreams: raw.upstreams.take(),
            http2: raw.http2.take(),
            ca_file: raw.ca_file.take(),
            system_roots: raw.system_roots.take(),
            pins: raw.pins.take(),
            server_name: raw.server_name.take(),
            client_certificate: raw.client_certificate.take(),
            client_key: raw.client_key.take(),
            health_path: raw.health_path.take(),
            health_interval_seconds: raw.health_interval_seconds.take(),
            well_after: raw.well_after.take(),
            unwell_after: raw.unwell_after.take(),
            connect_timeout_seconds: raw.connect_timeout_seconds.take(),
            answer_timeout_seconds: raw.answer_timeout_seconds.take(),
            idle_timeout_seconds: raw.idle_timeout_seconds.take(),
        }
    }
}

/// The servers of a table, told of clients in the usual way.
pub(super) fn reach(
    pick: &mut Picker<'_>,
    origin: &Origin,
    keys: &Keys,
    raw: RawReach,
) -> Option<UpstreamGroup> {
    let one = Layers::new(keys.upstream, raw.upstream).only_in_file();
    let one = pick.optional(one, |text| text.parse::<UpstreamAddress>());
    let several = Layers::new(keys.upstreams, raw.upstreams).only_in_file();
    let several = pick.list::<UpstreamAddress>(several);
    let addresses = match (one, several) {
        (Some((_, at)), Some(_)) => {
            pick.refuse(&at, keys.upstream, format!("{} is set too: one of them", keys.upstreams));
            return None;
        }
        (Some((address, _)), None) => vec![address],
        (None, Some((addresses, _))) => addresses,
        (None, None) => Vec::new(),
    };
    let http2 = Layers::new(keys.http2, raw.http2).only_in_file();
    let (http2, _) = pick.value(http2, false, Ok::<bool, Infallible>);
    let has_tls = addresses.iter().any(|address| matches!(address, UpstreamAddress::Tls(_)));
    let tls_keys = RawTls {
        ca_file: raw.ca_file,
        system_roots: raw.system_roots,
        pins: raw.pins,
        server_name: raw.server_name,
        client_certificate: raw.client_certificate,
        client_key: raw.client_key,
    };
    let tls = tls(pick, keys, tls_keys, has_tls);
    if has_tls && tls.roots.is_none() && tls.pins.is_empty() {
        let message = "missing: the CA that vouches for the https upstream, or pins, or system_roots = true";
        pick.refuse(origin, keys.ca_file, message);
    }
    let checks = (raw.health_path, raw.health_interval_seconds, raw.well_after, raw.unwell_after);
    let health = health(pick, keys, checks);
    let connect = Layers::new(keys.connect_timeout_seconds, raw.connect_timeout_seconds).only_in_file();
    let answer = Layers::new(keys.answer_timeout_seconds, raw.answer_timeout_seconds).only_in_file();
    let idle = Layers::new(keys.idle_timeout_seconds, raw.idle_timeout_seconds).only_in_file();
    let usual = UpstreamTimeouts::default();
    let timeouts = UpstreamTimeouts {
        connect: pick.value(connect, usual.connect, positive).0,
        head: pick.optional(answer, positive).map(|(head, _)| head),
        idle: pick.value(idle, usual.idle, |seconds| Ok::<_, String>(positive(seconds).ok())).0,
    };
    let protocol = if http2 { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 };
    let group = UpstreamGroup { protocol, tls, health, timeouts, ..UpstreamGroup::new(addresses) };
    (!group.addresses.is_empty()).then_some(group)
}

fn positive(seconds: u64) -> Result<Duration, String> {
    if seconds == 0 { Err("must be at least 1".to_owned()) } else { Ok(Duration::from_secs(seconds)) }
}

/// What is said of TLS.
struct RawTls {
    ca_file: Place<String>,
    system_roots: Place<bool>,
    pins: Place<Vec<String>>,
    server_name: Place<String>,
    client_certificate: Place<String>,
    client_key: Place<String>,
}

fn tls(pick: &mut Picker<'_>, keys: &Keys, raw: RawTls, has_tls: bool) -> UpstreamTls {
    let file = pick.file(Layers::new(keys.ca_file, raw.ca_file).only_in_file());
    let system = Layers::new(keys.system_roots, raw.system_roots).only_in_file();
    let system = pick.optional(system, Ok::<bool, Infallible>).filter(|(is_so, _)| *is_so);
    let pins = Layers::new(keys.pins, raw.pins).only_in_file();
    let read = |pins: Vec<String>| pins.iter().map(|text| pin(text)).collect::<Result<Vec<SpkiSha256>, _>>();
    let pins = pick.optional(pins, read);
    let name = Layers::new(keys.server_name, raw.server_name).only_in_file();
    let name = pick.optional(name, |text| text.parse::<PublicName>());
    let certificate = certificate(pick, keys, (raw.client_certificate, raw.client_key));
    let said = [
        (keys.ca_file, file.as_ref().map(|(_, at)| at)),
        (keys.system_roots, system.as_ref().map(|(_, at)| at)),
        (keys.pins, pins.as_ref().map(|(_, at)| at)),
        (keys.server_name, name.as_ref().map(|(_, at)| at)),
        (keys.client_certificate, certificate.as_ref().map(|(_, at)| at)),
    ];
    for (key, at) in said.into_iter().filter_map(|(key, at)| Some((key, at?.clone()))) {
        if !has_tls {
            pick.refuse(&at, key, "only an https upstream has TLS");
        }
    }
    let roots = match (file, system) {
        (Some(_), Some((_, at))) => {
            pick.refuse(&at, keys.system_roots, format!("{} is set too: one of them", keys.ca_file));
            None
        }
        (Some((path, _)), None) => Some(UpstreamRoots::File(path)),
        (None, Some(_)) => Some(UpstreamRoots::System),
        (None, None) => None,
    };
    UpstreamTls {
        roots,
        pins: pins.map(|(pins, _)| pins).unwrap_or_default(),
        server_name: name.map(|(name, _)| name.to_string()),
        certificate: certificate.map(|(certificate, _)| certificate),
    }
}

/// `door`, a directory, or a file with its key beside it.
fn certificate(
    pick: &mut Picker<'_>,
    keys: &Keys,
    (certificate, key): (Place<String>, Place<String>),
) -> Option<(UpstreamCertificate, Origin)> {
    let is_door = certificate.as_ref().is_some_and(|place| place.get_ref() == DOOR);
    let layers = Layers::new(keys.client_certificate, certificate).only_in_file();
    let certificate = pick.placed(layers);
    let key = pick.file(Layers::new(keys.client_key, key).only_in_file());
    let (path, at) = match (certificate, &key) {
        (Some(placed), _) => placed,
        (None, Some((_, at))) => {
            pick.refuse(at, keys.client_key, format!("needs {} beside it", keys.client_certificate));
            return None;
        }
        (None, None) => return None,
    };
    if is_door || path.is_dir() {
        if let Some((_, at)) = key {
            pick.refuse(&at, keys.client_key, "belongs to a file: a directory, or door, has its own key");
        }
        let found =
            if is_door { Some(UpstreamCertificate::Door) } else { UpstreamCertificate::in_directory(&path) };
        return match found.filter(is_there) {
            Some(certificate) => Some((certificate, at)),
            None => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let message =
                    format!("there is no {name}-cert.pem with {name}-key.pem in {}", path.display());
                pick.refuse(&at, keys.client_certificate, message);
                None
            }
        };
    }
    if !path.is_file() {
        pick.refuse(
            &at,
            keys.client_certificate,
            format!("there is no file or directory {}", path.display()),
        );
        return None;
    }
    match key {
        Some((key, _)) => Some((UpstreamCertificate::Files { chain: path, key }, at)),
        None => {
            pick.refuse(&at, keys.client_certificate, format!("needs {} beside it", keys.client_key));
            None
        }
    }
}

fn is_there(certificate: &UpstreamCertificate) -> bool {
    match certificate {
        UpstreamCertificate::Files { chain, key } => {
            [chain, key].iter().all(|path: &&PathBuf| path.is_file())
        }
        UpstreamCertificate::Door => true,
    }
}

type RawHealth = (Place<String>, Place<u64>, Place<u64>, Place<u64>);

fn health(
    pick: &mut Picker<'_>,
    keys: &Keys,
    (path, interval, well, unwell): RawHealth,
) -> Option<HealthCheck> {
    let path = Layers::new(keys.health_path, path).only_in_file();
    let path = pick.optional(path, |text| {
        let is_path =
            text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if is_path { Ok(text) } else { Err(format!("not a path such as /health: {text:?}")) }
    });
    let (interval, at) = pick.value(
        Layers::new(keys.health_interval_seconds, interval).only_in_file(),
        Duration::from_secs(10),
        positive,
    );
    let times = |pick: &mut Picker<'_>, key, place, usual: u32| {
        let in_bounds = |times: u64| match u32::try_from(times) {
            Ok(times @ 1..=100) => Ok(times),
            _ => Err(format!("{times} is not between 1 and 100")),
        };
        pick.value(Layers::new(key, place).only_in_file(), usual, in_bounds).0
    };
    let well_after = times(pick, keys.well_after, well, 2);
    let unwell_after = times(pick, keys.unwell_after, unwell, 3);
    if path.is_none() && at != Origin::Default {
        pick.refuse(&at, keys.health_interval_seconds, format!("needs {} beside it", keys.health_path));
    }
    path.map(|(path, _)| HealthCheck { path, interval, well_after, unwell_after })
}
