//! From what was written to what it means.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::{Environment, Machine};
use super::file::ConfigFile;
use super::flags::ConfigFlags;
use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::ConfigError;
use super::raw::{Raw, RawAdmin, RawHttpDoor};
use super::resolved::{
    Admin, AdminOnDoor, DoorCertificate, DoorClientAuth, DoorLimits, HttpDoor, Issuer, LogFormat, Resolved,
};
use super::settings;
use super::tables;

/// Where keys, tokens and the embedded database live unless told otherwise.
pub(super) const DEFAULT_DATA_DIR: &str = "countersign-data";

const VARIABLE_OF_FILE: &str = "COUNTERSIGN_CONFIG";

/// A configuration that can be used, and what its reader should be told about it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) resolved: Resolved,
    /// Sentences worth a warning.
    pub(crate) notices: Vec<String>,
}

/// Reads the configuration: flag, then environment, then file, then default.
///
/// # Errors
/// Fails closed: one wrong, unknown or missing value refuses the whole; all of them are reported.
pub(crate) fn load(
    flags: ConfigFlags,
    environment: &Environment,
    machine: &Machine,
) -> Result<Loaded, ConfigError> {
    let path = flags.config.clone().or_else(|| environment.variable(VARIABLE_OF_FILE).map(PathBuf::from));
    let file = path.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
    resolve(flags, environment, machine, &file)
}

/// The same with the file already read.
pub(super) fn resolve(
    flags: ConfigFlags,
    environment: &Environment,
    machine: &Machine,
    file: &ConfigFile,
) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let raw = file.parse(&mut problems);
    let mut pick = Picker::new(file, environment, problems);
    let mut notices: Vec<String> = environment
        .unknown(|name| {
            name == VARIABLE_OF_FILE || name.starts_with("CLOUDFLARE_") || settings::has_variable(name)
        })
        .map(|name| format!("the environment variable {name} names no setting"))
        .collect();
    let resolved = settings_of(&mut pick, raw, flags, machine, &mut notices);
    let problems = pick.into_problems();
    if problems.is_empty() { Ok(Loaded { resolved, notices }) } else { Err(ConfigError::Problems(problems)) }
}

fn settings_of(
    pick: &mut Picker<'_>,
    raw: Raw,
    flags: ConfigFlags,
    machine: &Machine,
    notices: &mut Vec<String>,
) -> Resolved {
    let data_dir = pick
        .path(Layers::new("data_dir", raw.data_dir).flag("--data-dir", flags.data_dir))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let embedded = super::names::DatabaseUrl::sqlite(&data_dir.join("countersign.db"));
    let (database, _) = pick.parsed(
        Layers::new("database_url", raw.database_url).flag("--database-url", flags.database_url),
        embedded,
    );
    let (trust_domain, _) = pick.parsed(
        Layers::new("trust_domain", raw.trust_domain).flag("--trust-domain", flags.trust_domain),
        countersign_core::TrustDomain::default(),
    );
    let (log_format, _) = pick.value(
        Layers::new("log_format", raw.log_format).flag("--log-format", flags.log_format),
        LogFormat::Text,
        |text| one_of(&text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    );
    let (log_filter, _) = pick.value(
        Layers::new("log_filter", raw.log_filter).flag("--log-filter", flags.log_filter),
        "info".to_owned(),
        crate::logging::checked_filter,
    );
    let names =
        Layers::new("public_names", raw.public_names).flag("--public-name", given(flags.public_names));
    let public_names = public_names(pick, names, machine);
    let ports_file =
        pick.path(Layers::new("ports_file", raw.ports_file).flag("--ports-file", flags.ports_file));
    let base =
        Layers::new("public_base_url", raw.public_base_url).flag("--public-base-url", flags.public_base_url);
    let public_base_url = pick.optional(base, |text| text.parse()).map(|(url, _)| url);
    let drain = seconds(pick, Layers::new("drain_seconds", raw.drain_seconds), 0, 30);
    let from_flags = AdminFlags {
        listen: flags.listen_admin,
        danger_plain: flags.danger_plain_admin.then_some(true),
        allowed_hosts: given(flags.allowed_hosts),
        expose: flags.expose_admin_on_door.then_some(true),
    };
    let admin = admin(pick, raw.admin, from_flags, &public_names);
    let http_door = http_door(pick, raw.http_door, flags.listen_http, machine);
    let issuer = issuer(pick, Layers::new("mtls.issuer", raw.mtls.issuer), notices);
    let routes = tables::routes(pick, raw.route);
    let rules = tables::rules(pick, raw.rule);
    Resolved {
        data_dir,
        database,
        trust_domain,
        log_format,
        log_filter,
        public_names,
        ports_file,
        public_base_url,
        drain,
        admin,
        http_door,
        issuer,
        routes,
        rules,
    }
}

fn given(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn public_names(pick: &mut Picker<'_>, layers: Layers<Vec<String>>, machine: &Machine) -> Vec<PublicName> {
    match pick.list(layers) {
        None => machine.names.clone(),
        Some((names, origin)) => {
            if names.is_empty() {
                pick.refuse(&origin, "public_names", "at least one name is needed");
            }
            names
        }
    }
}

struct AdminFlags {
    listen: Option<String>,
    danger_plain: Option<bool>,
    allowed_hosts: Option<Vec<String>>,
    expose: Option<bool>,
}

fn admin(pick: &mut Picker<'_>, raw: RawAdmin, flags: AdminFlags, public_names: &[PublicName]) -> Admin {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let (listen, origin) = pick.value(
        Layers::new("admin.listen", raw.listen).flag("--listen-admin", flags.listen),
        default,
        |text| address(&text),
    );
    let danger = Layers::new("admin.danger_plain_admin", raw.danger_plain_admin)
        .flag("--danger-plain-admin", flags.danger_plain);
    let plain_allowed = switch(pick, danger);
    if !listen.ip().is_loopback() && !plain_allowed {
        let message = format!(
            "{listen} is not a loopback address and the admin listener is plain HTTP; listen on 127.0.0.1, or say \
             --danger-plain-admin (admin.danger_plain_admin) where the network in between is trusted"
        );
        pick.refuse(&origin, "admin.listen", message);
    }
    let hosts =
        Layers::new("admin.allowed_hosts", raw.allowed_hosts).flag("--allowed-host", flags.allowed_hosts);
    let more: Vec<PublicName> = pick.list(hosts).map(|(names, _)| names).unwrap_or_default();
    let expose = Layers::new("admin.expose_admin_on_door", raw.expose_admin_on_door)
        .flag("--expose-admin-on-door", flags.expose);
    let on_door = if switch(pick, expose) { AdminOnDoor::Exposed } else { AdminOnDoor::Hidden };
    let hours = number(pick, Layers::new("admin.session_hours", raw.session_hours), 1, 12);
    Admin {
        listen,
        allowed_hosts: allowed_hosts(listen.ip(), public_names, more),
        on_door,
        session: Duration::from_secs(hours.saturating_mul(3600)),
    }
}

/// The listener's own names, those of the doors, and what was asked for, each once.
fn allowed_hosts(listen: IpAddr, public_names: &[PublicName], more: Vec<PublicName>) -> Vec<PublicName> {
    let own = ["localhost", "127.0.0.1", "::1"].into_iter().filter_map(|name| name.parse().ok());
    let listening = (!listen.is_unspecified()).then_some(PublicName::Ip(listen));
    let mut all: Vec<PublicName> =
        own.chain(listening).chain(public_names.iter().cloned()).chain(more).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    all
}

fn http_door(pick: &mut Picker<'_>, raw: RawHttpDoor, listen: Option<String>, machine: &Machine) -> HttpDoor {
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443));
    let layers = Layers::new("http_door.listen", raw.listen).flag("--listen-http", listen);
    let (listen, _) = pick.value(layers, default, |text| address(&text));
    let known = [
        ("none", DoorClientAuth::None),
        ("optional", DoorClientAuth::Optional),
        ("required", DoorClientAuth::Required),
    ];
    let auth = Layers::new("http_door.client_auth", raw.client_auth);
    let (client_auth, _) = pick.value(auth, DoorClientAuth::Optional, |text| one_of(&text, &known));
    let chain = Layers::new("http_door.certificate", raw.certificate);
    let key = Layers::new("http_door.key", raw.key);
    let certificate = door_certificate(pick, chain, key);
    let processors = machine.processors.get() as u64;
    let workers = count(pick, Layers::new("http_door.workers", raw.workers), processors);
    let handshake = Layers::new("http_door.handshake_timeout_seconds", raw.handshake_timeout_seconds);
    let header = Layers::new("http_door.header_timeout_seconds", raw.header_timeout_seconds);
    let limits = DoorLimits {
        handshake_timeout: seconds(pick, handshake, 1, 5),
        header_timeout: seconds(pick, header, 1, 10),
        max_connections: count(pick, Layers::new("http_door.max_connections", raw.max_connections), 50_000),
        max_connections_per_ip: count(
            pick,
            Layers::new("http_door.max_connections_per_ip", raw.max_connections_per_ip),
            10_000,
        ),
    };
    let networks = Layers::new("http_door.proxy_protocol_networks", raw.proxy_protocol_networks);
    let proxy_protocol_networks = pick.list(networks).map(|(networks, _)| networks).unwrap_or_default();
    HttpDoor { listen, client_auth, certificate, workers, limits, proxy_protocol_networks }
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

/// What was asked for as an issuer.
#[derive(Clone, Copy)]
enum Asked {
    Embedded,
    Cloudflare,
    None,
}

fn issuer(pick: &mut Picker<'_>, layers: Layers<String>, notices: &mut Vec<String>) -> Issuer {
    let known = [("embedded", Asked::Embedded), ("cloudflare", Asked::Cloudflare), ("none", Asked::None)];
    let (asked, origin) = pick.value(layers, Asked::Embedded, |text| one_of(&text, &known));
    match asked {
        Asked::Embedded => Issuer::Embedded,
        Asked::None => Issuer::None,
        Asked::Cloudflare if pick.has_variables(&["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ZONE_ID"]) => {
            let message = "issuing through Cloudflare is not in this version; use embedded or none";
            pick.refuse(&origin, "mtls.issuer", message);
            Issuer::None
        }
        Asked::Cloudflare => {
            notices.push(
                "mtls.issuer is cloudflare but CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID are not both set: it \
                 behaves as none, devices enrol without a certificate"
                    .to_owned(),
            );
            Issuer::None
        }
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| format!("{text:?} is not one of: {}", words.join(", ")))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_invalid| format!("not an address and port, such as 127.0.0.1:8080: {text:?}"))
}

/// A switch that is off unless turned on.
pub(super) fn switch(pick: &mut Picker<'_>, layers: Layers<bool>) -> bool {
    pick.value(layers, false, Ok::<bool, Infallible>).0
}

fn number(pick: &mut Picker<'_>, layers: Layers<u64>, least: u64, default: u64) -> u64 {
    let most = 1_000_000_000;
    let in_bounds = |number: u64| {
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(format!("{number} is not between {least} and {most}"))
        }
    };
    pick.value(layers, default, in_bounds).0
}

fn seconds(pick: &mut Picker<'_>, layers: Layers<u64>, least: u64, default: u64) -> Duration {
    Duration::from_secs(number(pick, layers, least, default))
}

fn count(pick: &mut Picker<'_>, layers: Layers<u64>, default: u64) -> NonZeroUsize {
    let number = number(pick, layers, 1, default);
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}
