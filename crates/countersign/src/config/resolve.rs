//! From what was written to what it means.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use countersign_store::StoreUrl;

use super::acme;
use super::alert_to;
use super::audit;
use super::audit_to;
use super::cloudflare::{self, CloudflareApi};
use super::device_ca;
use super::edge;
use super::egress;
use super::environment::{CREDENTIALS, Environment, Machine};
use super::file::ConfigFile;
use super::flags::ConfigFlags;
use super::front;
use super::hosts;
use super::http_door;
use super::ingest_sinks;
use super::keys;
use super::lists;
use super::metrics;
use super::monitors;
use super::mosquitto;
use super::mqtt_door;
use super::mqtt_grants;
use super::names::PublicName;
use super::oidc;
use super::pick::{Layers, Picker};
use super::problem::ConfigError;
use super::raw::{Place, Raw, RawAdmin};
use super::resolved::{Admin, AdminOnDoor, Issuer, LogFormat, Resolved};
use super::sandbox;
use super::settings;
use super::tables;
use super::tcp_doors;
use super::traces;
use super::unusual_access;

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
    let raw: Raw = file.parse(&mut problems);
    let mut pick = Picker::new(file, environment, problems);
    let mut notices: Vec<String> = environment
        .unknown(|name| {
            [VARIABLE_OF_FILE, CREDENTIALS].contains(&name)
                || name.starts_with("CLOUDFLARE_")
                || device_ca::is_variable(name)
                || settings::has_variable(name)
        })
        .map(|name| format!("the environment variable {name} names no setting"))
        .collect();
    let resolved = settings_of(&mut pick, raw, flags, machine, &mut notices);
    let problems = pick.into_problems();
    if problems.is_empty() { Ok(Loaded { resolved, notices }) } else { Err(ConfigError::Problems(problems)) }
}

fn settings_of(
    pick: &mut Picker<'_>,
    mut raw: Raw,
    flags: ConfigFlags,
    machine: &Machine,
    notices: &mut Vec<String>,
) -> Resolved {
    let admin_flags = AdminFlags::of(&flags);
    let data_dir = pick
        .path(Layers::new("data_dir", raw.data_dir).flag("--data-dir", flags.data_dir))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let embedded = StoreUrl::sqlite(data_dir.join("countersign.db"));
    let (database, _) = pick.parsed(
        Layers::new("database_url", raw.database_url).flag("--database-url", flags.database_url),
        embedded,
    );
    let (trust_domain, _) = pick.parsed(
        Layers::new("trust_domain", raw.trust_domain).flag("--trust-domain", flags.trust_domain),
        countersign_core::TrustDomain::default(),
    );
    let log_format =
        log_format(pick, Layers::new("log_format", raw.log_format).flag("--log-format", flags.log_format));
    let log_filter =
        log_filter(pick, Layers::new("log_filter", raw.log_filter).flag("--log-filter", flags.log_filter));
    let names =
        Layers::new("public_names", raw.public_names).flag("--public-name", given(flags.public_names));
    let public_names = public_names(pick, names, machine);
    let ports_file =
        pick.path(Layers::new("ports_file", raw.ports_file).flag("--ports-file", flags.ports_file));
    let base =
        Layers::new("public_base_url", raw.public_base_url).flag("--public-base-url", flags.public_base_url);
    let admin = admin(pick, raw.admin, admin_flags, &public_names);
    let http_door = http_door::http_door(pick, raw.http_door, flags.listen_http, machine);
    let hosts = hosts::hosts(pick, raw.host);
    let redirect = front::redirect(pick, raw.redirect);
    let acme = acme::acme(pick, raw.acme, redirect.as_ref(), &hosts);
    let (key_encryption_key, token) = keys::keys(pick, raw.pki, &data_dir);
    let cloudflare = cloudflare::cloudflare(pick, &raw.mtls);
    let issuer = issuer(pick, Layers::new("mtls.issuer", raw.mtls.issuer), &cloudflare, notices);
    let lists = lists::lists(pick, raw.list);
    let rules = tables::rules(pick, raw.rule, &lists);
    notices.extend(tables::doubts(&rules, &lists));
    notices.extend(tables::dangers(&http_door));
    let layout = mqtt_door::layout(pick, &mut raw.mqtt_door);
    let mqtt_door = mqtt_door::mqtt_door(pick, raw.mqtt_door, machine, layout.clone(), raw.ingest_sink.len());
    Resolved {
        data_dir,
        database,
        trust_domain,
        log_format,
        log_filter,
        public_names,
        ports_file,
        public_base_url: pick.optional(base, |text| text.parse()).map(|(url, _)| url),
        drain: seconds(pick, Layers::new("drain_seconds", raw.drain_seconds), 0, 30),
        audit_anchor_interval: anchor_interval(pick, raw.audit_anchor_interval_minutes),
        sandbox: sandbox::sandbox(pick, raw.sandbox, raw.sandbox_write),
        admin,
        http_door,
        acme,
        hosts,
        metrics: metrics::metrics(pick, raw.metrics),
        traces: traces::traces(pick, raw.traces),
        edge: edge::edge(pick, raw.edge),
        redirect,
        access_log: front::access_log(pick, raw.access_log),
        issuer,
        key_encryption_key,
        token,
        device_ca: device_ca::device_ca(pick),
        cloudflare,
        routes: tables::routes(pick, raw.route),
        egress: egress::egress(pick, raw.egress),
        rules,
        lists,
        monitors: monitors::monitors(pick, raw.monitor),
        alert_to: alert_to::alert_to(pick, raw.alert_to),
        unusual_access: unusual_access::unusual_access(pick, raw.unusual_access),
        audit_kept: audit::audit(pick, raw.audit),
        audit_to: audit_to::audit_to(pick, raw.audit_to),
        oidc: oidc::oidc(pick, raw.oidc, raw.oidc_role),
        tcp_doors: tcp_doors::tcp_doors(pick, raw.tcp_door, machine),
        mosquitto: mosquitto::mosquitto(pick, raw.mosquitto, layout),
        mqtt_grants: mqtt_grants::grants(pick, raw.mqtt_grant, mqtt_door.as_ref()),
        mqtt_door,
        ingest: ingest_sinks::ingest(pick, raw.ingest, raw.ingest_sink),
    }
}

fn anchor_interval(pick: &mut Picker<'_>, minutes: Place<u64>) -> Duration {
    let minutes = number(pick, Layers::new("audit_anchor_interval_minutes", minutes), 1, 60);
    Duration::from_secs(minutes.saturating_mul(60))
}

fn log_format(pick: &mut Picker<'_>, layers: Layers<String>) -> LogFormat {
    let known = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    pick.value(layers, LogFormat::Text, |text| one_of(&text, &known)).0
}

fn log_filter(pick: &mut Picker<'_>, layers: Layers<String>) -> String {
    pick.value(layers, "info".to_owned(), crate::logging::checked_filter).0
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

impl AdminFlags {
    fn of(flags: &ConfigFlags) -> Self {
        Self {
            listen: flags.listen_admin.clone(),
            danger_plain: flags.danger_plain_admin.then_some(true),
            allowed_hosts: given(flags.allowed_hosts.clone()),
            expose: flags.expose_admin_on_door.then_some(true),
        }
    }
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
    let console = Layers::new("admin.console_url", raw.console_url);
    let console_url = pick.optional(console, |text: String| oidc::console_url(&text)).map(|(url, _)| url);
    Admin {
        listen,
        allowed_hosts: allowed_hosts(listen.ip(), public_names, more),
        on_door,
        session: Duration::from_secs(hours.saturating_mul(3600)),
        console_url,
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

/// What was asked for as an issuer.
#[derive(Clone, Copy)]
enum Asked {
    Embedded,
    Cloudflare,
    None,
}

fn issuer(
    pick: &mut Picker<'_>,
    layers: Layers<String>,
    api: &CloudflareApi,
    notices: &mut Vec<String>,
) -> Issuer {
    let known = [("embedded", Asked::Embedded), ("cloudflare", Asked::Cloudflare), ("none", Asked::None)];
    let (asked, _) = pick.value(layers, Asked::Embedded, |text| one_of(&text, &known));
    match asked {
        Asked::Embedded => Issuer::Embedded,
        Asked::None => Issuer::None,
        Asked::Cloudflare if api.is_given() => {
            cloudflare::check_zone(pick, api);
            Issuer::Cloudflare
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

/// An address and port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_invalid| format!("not an address and port, such as 127.0.0.1:8080: {text:?}"))
}

/// A switch that is off unless turned on.
pub(super) fn switch(pick: &mut Picker<'_>, layers: Layers<bool>) -> bool {
    pick.value(layers, false, Ok::<bool, Infallible>).0
}

pub(super) fn number(pick: &mut Picker<'_>, layers: Layers<u64>, least: u64, default: u64) -> u64 {
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

pub(super) fn seconds(pick: &mut Picker<'_>, layers: Layers<u64>, least: u64, default: u64) -> Duration {
    Duration::from_secs(number(pick, layers, least, default))
}

pub(super) fn count(pick: &mut Picker<'_>, layers: Layers<u64>, default: u64) -> NonZeroUsize {
    let number = number(pick, layers, 1, default);
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Problem;
    use crate::config::resolved::DoorCertificate;
    use countersign_core::settings::Enforcement;

    fn machine() -> Machine {
        let names = ["box", "localhost", "192.0.2.1"].iter().map(|name| name.parse().unwrap()).collect();
        Machine { names, processors: NonZeroUsize::new(3).unwrap() }
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(flags: ConfigFlags, variables: &[(&str, &str)], text: &str) -> Result<Loaded, ConfigError> {
        resolve(flags, &environment(variables), &machine(), &ConfigFile::from_text("/etc/cs/c.toml", text))
    }

    fn right(text: &str) -> Resolved {
        read(ConfigFlags::default(), &[], text).unwrap().resolved
    }

    fn problems(variables: &[(&str, &str)], text: &str) -> Vec<Problem> {
        match read(ConfigFlags::default(), variables, text) {
            Err(ConfigError::Problems(problems)) => problems,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn no_file_is_needed() {
        let config = right("");
        assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.http_door.listen.to_string(), "0.0.0.0:8443");
        assert_eq!(config.public_names, machine().names);
        assert_eq!(config.http_door.workers.get(), 3);
        assert_eq!(config.issuer, Issuer::Embedded);
    }

    #[test]
    fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
        let file = "[admin]\nlisten = \"127.0.0.1:1\"\n";
        let variables = [("COUNTERSIGN_ADMIN_LISTEN", "127.0.0.1:2")];
        let flags = ConfigFlags { listen_admin: Some("127.0.0.1:3".to_owned()), ..ConfigFlags::default() };
        let port =
            |flags, variables: &[_], file| read(flags, variables, file).unwrap().resolved.admin.listen.port();
        assert_eq!(port(ConfigFlags::default(), &[], file), 1);
        assert_eq!(port(ConfigFlags::default(), &variables, file), 2);
        assert_eq!(port(flags, &variables, file), 3);
    }

    #[test]
    fn a_list_in_a_variable_is_separated_by_commas() {
        let variables = [("COUNTERSIGN_PUBLIC_NAMES", "a.example, 192.0.2.9")];
        let config = read(ConfigFlags::default(), &variables, "").unwrap().resolved;
        let names: Vec<String> = config.public_names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.example", "192.0.2.9"]);
    }

    #[test]
    fn paths_in_the_file_start_from_its_folder_and_others_do_not() {
        assert_eq!(right("data_dir = \"data\"").data_dir, PathBuf::from("/etc/cs/data"));
        assert_eq!(right("data_dir = \"/srv\"").data_dir, PathBuf::from("/srv"));
        let flags = ConfigFlags { data_dir: Some("data".to_owned()), ..ConfigFlags::default() };
        assert_eq!(read(flags, &[], "").unwrap().resolved.data_dir, PathBuf::from("data"));
    }

    #[test]
    fn every_problem_of_every_layer_is_reported_at_once() {
        let found = problems(
            &[("COUNTERSIGN_DRAIN_SECONDS", "soon"), ("COUNTERSIGN_PUBLIC_NAMES", "ok.example,not ok")],
            "trust_domain = \"single\"\n[admin]\nlisten = \"localhost\"\nsession_hours = 0\n[http_door]\n\
             client_auth = \"maybe\"\nport = 1\n[mtls]\nissuer = \"acme\"\n",
        );
        let mut keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "admin.listen",
                "admin.session_hours",
                "drain_seconds",
                "http_door.client_auth",
                "http_door.port",
                "mtls.issuer",
                "public_names",
                "trust_domain",
            ]
        );
        assert!(
            found
                .iter()
                .any(|problem| problem.to_string().starts_with("/etc/cs/c.toml:4: admin.session_hours: "))
        );
        assert!(found.iter().any(|problem| problem.to_string().starts_with("COUNTERSIGN_DRAIN_SECONDS: ")));
    }

    #[test]
    fn a_plain_admin_listener_beyond_loopback_needs_the_danger_flag() {
        let file = "[admin]\nlisten = \"0.0.0.0:8080\"\n";
        assert_eq!(problems(&[], file)[0].key, "admin.listen");
        let allowed = format!("{file}danger_plain_admin = true\n");
        assert_eq!(right(&allowed).admin.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(right("[admin]\nlisten = \"[::1]:0\"\n").admin.listen.to_string(), "[::1]:0");
    }

    #[test]
    fn the_console_is_at_a_place_that_browsers_trust() {
        assert_eq!(right("").admin.console_url, None);
        let at = |url: &str| format!("[admin]\nconsole_url = \"{url}\"\n");
        let named = right(&at("https://console.example.com"));
        assert_eq!(named.admin.console_url.as_deref(), Some("https://console.example.com"));
        for bad in
            ["http://console.example.com", "https://console.example.com/console", "console.example.com"]
        {
            assert_eq!(problems(&[], &at(bad))[0].key, "admin.console_url", "{bad}");
        }
    }

    #[test]
    fn the_admin_listener_answers_to_its_own_names_and_to_no_wildcard() {
        let config = right(
            "[admin]\nlisten = \"192.0.2.1:80\"\ndanger_plain_admin = true\nallowed_hosts = [\"a.example\"]\n",
        );
        let hosts: Vec<String> = config.admin.allowed_hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["localhost", "127.0.0.1", "::1", "192.0.2.1", "box", "a.example"]);
    }

    #[test]
    fn cloudflare_behaves_as_none_without_its_variables_and_needs_a_right_zone_with_them() {
        let file = "[mtls]\nissuer = \"cloudflare\"\n";
        let loaded = read(ConfigFlags::default(), &[("CLOUDFLARE_ZONE_ID", "z")], file).unwrap();
        assert_eq!(loaded.resolved.issuer, Issuer::None);
        assert_eq!(loaded.notices.len(), 1);
        let both = |zone| [("CLOUDFLARE_ZONE_ID", zone), ("CLOUDFLARE_API_TOKEN", "secret")];
        assert!(problems(&both("z"), file)[0].to_string().starts_with("CLOUDFLARE_ZONE_ID: not a zone id"));
        assert_eq!(read(ConfigFlags::default(), &both("z"), "").unwrap().resolved.issuer, Issuer::Embedded);
        let zone = "023e105f4ecef8ad9ca31a8372d0c353";
        let given = read(ConfigFlags::default(), &both(zone), file).unwrap();
        assert_eq!((given.resolved.issuer, given.notices.len()), (Issuer::Cloudflare, 0));
        assert!(!format!("{:?}", given.resolved).contains("secret"));
    }

    #[test]
    fn the_token_goes_nowhere_in_the_clear() {
        for (url, right) in [
            ("http://127.0.0.1:1/client/v4", true),
            ("https://api.example.com", true),
            ("http://api.example.com", false),
            ("ftp://api.example.com", false),
        ] {
            let file = format!("[mtls]\ncloudflare_api_url = \"{url}\"\n");
            assert_eq!(read(ConfigFlags::default(), &[], &file).is_ok(), right, "{url}");
        }
    }

    #[test]
    fn a_variable_that_names_no_setting_is_a_notice() {
        let loaded = read(ConfigFlags::default(), &[("COUNTERSIGN_DATADIR", "x")], "").unwrap();
        assert!(loaded.notices[0].contains("COUNTERSIGN_DATADIR"));
        let known = read(ConfigFlags::default(), &[("COUNTERSIGN_DATA_DIR", "x")], "").unwrap();
        assert!(known.notices.is_empty());
    }

    #[test]
    fn a_door_certificate_comes_with_its_key_and_both_exist() {
        assert_eq!(problems(&[], "[http_door]\nkey = \"/dev/no\"\n").len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("a.pem");
        fs_err::write(&pem, "x").unwrap();
        let text = format!("[http_door]\ncertificate = {pem:?}\nkey = {pem:?}\n");
        assert_eq!(
            right(&text).http_door.certificate,
            DoorCertificate::Files { chain: pem.clone(), key: pem }
        );
    }

    #[test]
    fn routes_need_an_upstream_and_require_an_identity_unless_told_otherwise() {
        let route = |more: &str| {
            right(&format!("[[route]]\nupstream = \"http://127.0.0.1:9000\"\n{more}")).routes.remove(0)
        };
        assert_eq!(route("").path, "/");
        for (text, identity) in [
            ("", Enforcement::Enforce),
            ("require_identity = true", Enforcement::Enforce),
            ("require_identity = \"observe\"", Enforcement::Observe),
            ("require_identity = false", Enforcement::Off),
        ] {
            assert_eq!(route(text).identity, identity, "{text}");
        }
        for (text, key) in [
            ("path = \"/a\"", "route.upstream"),
            ("upstream = \"https://a\"", "route.ca_file"),
            ("upstream = \"http://a\"\nca_file = \"missing\"", "route.ca_file"),
            ("upstream = \"http://a\"\nserver_name = \"a\"", "route.server_name"),
            ("upstream = \"https://a\"\npins = [\"x\"]", "route.pins"),
            ("upstream = \"http://a\"\nupstreams = [\"http://b\"]", "route.upstream"),
            ("upstreams = [\"http://a\", \"b\"]", "route.upstreams"),
            ("upstream = \"http://a\"\nhealth_path = \"x\"", "route.health_path"),
            ("upstream = \"http://a\"\nhealth_interval_seconds = 3", "route.health_interval_seconds"),
            (
                "upstream = \"https://a\"\nsystem_roots = true\nclient_certificate = \"nowhere\"",
                "route.client_certificate",
            ),
            ("upstream = \"https://a\"\nsystem_roots = true\nclient_key = \"nowhere\"", "route.client_key"),
            ("upstream = \"http://a\"\nidentity_headers = [\"x\"]", "route.identity_headers"),
            ("upstream = \"http://a\"\ncf_blob_header = \"x-blob\"", "route.cf_blob_header"),
            ("upstream = \"http://a/base\"", "route.upstream"),
            ("upstream = \"http://a\"\npath = \"/a/../b\"", "route.path"),
            ("upstream = \"http://a\"\npath = \"a\"", "route.path"),
            ("upstream = \"http://a\"\n[[route]]\nupstream = \"http://b\"", "route.path"),
            ("upstream = \"http://a\"\nrequire_identity = \"sometimes\"", "route.require_identity"),
            ("upstream = \"http://a\"\nrequire_identity = 1", "route.require_identity"),
            ("upstream = \"http://a\"\nrenewal_paths = [\"x\"]", "route.renewal_paths"),
        ] {
            let problems = problems(&[], &format!("[[route]]\n{text}\n"));
            assert!(problems.iter().any(|problem| problem.key == key), "{text}: {problems:?}");
        }
    }

    #[test]
    fn the_rules_of_the_guides_are_taken_as_they_stand() {
        let config = right(
            "[[rule]]\nname = \"a\"\nexpression = '''(http.request.uri.path contains \"/api/\") and not \
             cf.tls_client_auth.cert_verified'''\n[[rule]]\nname = \"b\"\nexpression = \"ssl\"\nenabled = false\n",
        );
        assert_eq!(config.rules.len(), 1);
        let broken = problems(
            &[],
            "\n[[rule]]\nname = \"a\"\nexpression = 'ssl and http.hosst eq \"a\"'\nenabled = false\n",
        );
        let said = broken[0].to_string();
        assert!(said.starts_with("/etc/cs/c.toml:4: rule.expression: ") && said.contains("^^^"), "{said}");
        for (text, key) in [
            ("expression = \"ssl\"", "rule.name"),
            ("name = \"a\"", "rule.expression"),
            ("name = \"a\"\nexpression = \"\"", "rule.expression"),
            ("name = \"a\"\nexpression = \"ssl\"\nstatus = 200", "rule.status"),
            ("name = \"a\"\nexpression = \"ssl\"\naction = \"allow\"", "rule.action"),
            ("name = \"a\"\nexpression = \"ssl\"\n[[rule]]\nname = \"a\"\nexpression = \"ssl\"", "rule.name"),
        ] {
            assert_eq!(problems(&[], &format!("[[rule]]\n{text}\n"))[0].key, key, "{text}");
        }
    }
}
