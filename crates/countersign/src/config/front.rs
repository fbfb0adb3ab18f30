//! What doors and routes ask of clients besides an identity, and the listener that leads to the door.

use std::net::SocketAddr;

use countersign_edge::{AccessLogTarget, QueryStrings, Rate, RequestRates, RouteScreen, SecurityHeaders};
use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::{Place, RawRoute};
use super::resolve::address;
use super::settings::{Setting, Shown};

/// `[redirect]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRedirect {
    pub(super) listen: Place<String>,
    pub(super) https_port: Place<u64>,
}

/// The listener for plain HTTP that leads to the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// The door's port as clients see it; the one that the door listens on, when absent.
    pub(crate) https_port: Option<u16>,
}

/// `[access_log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAccessLog {
    pub(super) file: Place<String>,
    pub(super) query_strings: Place<bool>,
}

/// Where requests are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessLogSettings {
    /// The file, or standard output.
    pub(crate) target: AccessLogTarget,
    /// Whether lines hold what follows the `?`.
    pub(crate) queries: QueryStrings,
}

/// Where requests are written down, if anywhere.
pub(super) fn access_log(pick: &mut Picker<'_>, raw: RawAccessLog) -> Option<AccessLogSettings> {
    let wanted = Layers::new("access_log.query_strings", raw.query_strings);
    let queries =
        if super::resolve::switch(pick, wanted) { QueryStrings::Written } else { QueryStrings::LeftOut };
    let file = Layers::new("access_log.file", raw.file);
    let target = match pick.path(file)? {
        path if path.file_name().is_some_and(|name| name == "-") => AccessLogTarget::Stdout,
        path => AccessLogTarget::File(path),
    };
    Some(AccessLogSettings { target, queries })
}

/// How often clients may ask; `keys` are those of the two limits.
pub(super) fn rates(
    pick: &mut Picker<'_>,
    address: Layers<String>,
    identity: Layers<String>,
) -> RequestRates {
    let mut rate =
        |layers: Layers<String>| pick.optional(layers, |text| text.parse::<Rate>()).map(|(rate, _)| rate);
    RequestRates { per_address: rate(address), per_identity: rate(identity) }
}

/// What a route asks besides an identity; its part of `raw` is taken.
pub(super) fn screen(pick: &mut Picker<'_>, raw: &mut RawRoute) -> RouteScreen {
    let per_address = Layers::new("route.rate_limit_per_ip", raw.rate_limit_per_ip.take()).only_in_file();
    let per_identity =
        Layers::new("route.rate_limit_per_identity", raw.rate_limit_per_identity.take()).only_in_file();
    let rates = rates(pick, per_address, per_identity);
    let networks = Layers::new("route.allow_from", raw.allow_from.take()).only_in_file();
    let allow_from = pick.list(networks);
    if let Some((networks, origin)) = &allow_from
        && networks.is_empty()
    {
        pick.refuse(origin, "route.allow_from", "nobody could reach the route; leave it out to let anybody");
    }
    let origins = Layers::new("route.cors_origins", raw.cors_origins.take()).only_in_file();
    let added = Layers::new("route.security_headers", raw.security_headers.take()).only_in_file();
    let security_headers =
        if super::resolve::switch(pick, added) { SecurityHeaders::Added } else { SecurityHeaders::AsSent };
    RouteScreen {
        rates,
        allow_from: allow_from.map(|(networks, _)| networks).unwrap_or_default(),
        cors_origins: pick.list(origins).map(|(origins, _)| origins).unwrap_or_default(),
        security_headers,
    }
}

/// The listener that leads to the door, if one is wanted.
pub(super) fn redirect(pick: &mut Picker<'_>, raw: RawRedirect) -> Option<Redirect> {
    let port = Layers::new("redirect.https_port", raw.https_port);
    let port = pick.optional(port, |port| match u16::try_from(port) {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{port} is not a port")),
    });
    let listen = pick.optional(Layers::new("redirect.listen", raw.listen), |text| address(&text));
    if let (None, Some((_, origin))) = (&listen, &port) {
        pick.refuse(origin, "redirect.https_port", "needs redirect.listen beside it");
    }
    let https_port = port.map(|(port, _)| port);
    listen.map(|(listen, _)| Redirect { listen, https_port })
}

/// These settings in words; each stands in the sample with the others of its table.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "http_door.rate_limit_per_ip",
        "",
        "\"100/s burst 200\"",
        Shown::Example,
        "Requests from one address (IPv6: from one /64), a count by s, min or h, and how many at once;\nmore are answered 429. Default: no limit.",
    ),
    Setting::new(
        "http_door.rate_limit_per_identity",
        "",
        "\"600/min\"",
        Shown::Example,
        "Requests with certificates of one identity. Default: no limit.",
    ),
    Setting::new(
        "route.rate_limit_per_ip",
        "",
        "\"20/s\"",
        Shown::Example,
        "The same as http_door.rate_limit_per_ip for this route, besides it. Default: no limit.",
    ),
    Setting::new(
        "route.rate_limit_per_identity",
        "",
        "\"20/s\"",
        Shown::Example,
        "The same as http_door.rate_limit_per_identity for this route. Default: no limit.",
    ),
    Setting::new(
        "route.allow_from",
        "",
        "[\"10.0.0.0/8\", \"2001:db8::/32\"]",
        Shown::Example,
        "Networks whose clients may use the route; others are answered 403. Default: any.",
    ),
    Setting::new(
        "route.cors_origins",
        "",
        "[\"https://app.example.com\"]",
        Shown::Example,
        "Web pages of other origins that may use the route. The door answers browsers' preflight requests\nitself, and refuses pages of any other origin. Default: the upstream deals with origins.",
    ),
    Setting::new(
        "route.security_headers",
        "",
        "false",
        Shown::Default,
        "Add Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options and Referrer-Policy to\nanswers that do not have them.",
    ),
    Setting::new(
        "access_log.file",
        "",
        "\"/var/log/countersign/access.log\"",
        Shown::Example,
        "File with one line of JSON for each request at a door, - for standard output. SIGHUP opens it\nanew, as after logrotate has moved it. Default: none.",
    ),
    Setting::new(
        "access_log.query_strings",
        "",
        "false",
        Shown::Default,
        "Write what follows the ? too, which may hold secrets.",
    ),
    Setting::new(
        "redirect.listen",
        "",
        "\"0.0.0.0:80\"",
        Shown::Example,
        "Address of a listener for plain HTTP that answers 301 to the door, for the hosts that the door\nserves. Default: none.",
    ),
    Setting::new(
        "redirect.https_port",
        "",
        "443",
        Shown::Example,
        "The door's port as clients see it. Default: the one it listens on.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Machine};
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};
    use super::*;

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let machine =
            Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
        let file = ConfigFile::from_text("c.toml", text);
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
    }

    #[test]
    fn a_route_that_asks_for_nothing_has_no_screen() {
        let loaded = read("[[route]]\nupstream = \"http://127.0.0.1:1\"\n").unwrap();
        assert_eq!(loaded.resolved.routes[0].screen, RouteScreen::default());
        assert_eq!(loaded.resolved.http_door.rates, RequestRates::default());
        assert_eq!(loaded.resolved.redirect, None);
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        for (text, said) in [
            (
                "[http_door]\nrate_limit_per_ip = \"often\"",
                "c.toml:2: http_door.rate_limit_per_ip: not a rate",
            ),
            ("[redirect]\nlisten = \":80\"", "c.toml:2: redirect.listen: not an address"),
            ("[redirect]\nhttps_port = 443", "c.toml:2: redirect.https_port: needs redirect.listen"),
            ("[redirect]\nlisten = \"[::]:80\"\nhttps_port = 0", "c.toml:3: redirect.https_port: 0 is not"),
            ("[[route]]\nupstream = \"http://a\"\nallow_from = []", "c.toml:3: route.allow_from: nobody"),
            ("[[route]]\nupstream = \"http://a\"\nallow_from = [\"a\"]", "c.toml:3: route.allow_from: "),
            (
                "[[route]]\nupstream = \"http://a\"\ncors_origins = [\"*\"]",
                "c.toml:3: route.cors_origins: not",
            ),
        ] {
            let Err(ConfigError::Problems(problems)) = read(text) else { panic!("not refused: {text}") };
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
    }
}
