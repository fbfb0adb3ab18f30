//! The lists of tables `[[route]]` and `[[rule]]`.

use std::collections::BTreeSet;
use std::convert::Infallible;

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleList, RuleSource};
use countersign_edge::headers::{CfBlobHeader, IdentityFamily, IdentityHeaders};
use countersign_edge::rules::{DeviceCas, RuleSet};
use countersign_edge::{Compat, UpstreamGroup};
use toml::Spanned;

use super::audience;
use super::front;
use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::{Place, RawRequirement, RawRoute, RawRule};
use super::resolve::one_of;
use super::resolved::{HttpDoor, Route};
use super::upstreams::{self, RawReach};

/// The routes; two for one host and path are refused.
pub(super) fn routes(pick: &mut Picker<'_>, raw: Vec<Spanned<RawRoute>>) -> Vec<Route> {
    let mut seen = BTreeSet::new();
    let mut routes = Vec::with_capacity(raw.len());
    for place in raw {
        let origin = pick.origin(&place.span());
        let Some(route) = route(pick, &origin, place.into_inner()) else { continue };
        if !seen.insert((route.host.clone(), route.path.clone())) {
            pick.refuse(&origin, "route.path", format!("{} has a route already for this host", route.path));
        }
        routes.push(route);
    }
    routes
}

fn route(pick: &mut Picker<'_>, origin: &Origin, mut raw: RawRoute) -> Option<Route> {
    let screen = front::screen(pick, &mut raw);
    let servers = RawReach::of(&mut raw);
    let host = Layers::new("route.host", raw.host.take()).only_in_file();
    let host = pick.optional(host, |text| text.parse::<PublicName>()).map(|(host, _)| host);
    let path = Layers::new("route.path", raw.path.take()).only_in_file();
    let path = pick.value(path, "/".to_owned(), path_prefix).0;
    let need = Layers::new("route.require_identity", raw.require_identity.take()).only_in_file();
    let identity = pick.value(need, Enforcement::Enforce, requirement).0;
    let audience = audience::of_route(pick, &mut raw, identity);
    let paths = Layers::new("route.renewal_paths", raw.renewal_paths).only_in_file();
    let all_paths = |paths: Vec<String>| paths.into_iter().map(path_prefix).collect::<Result<Vec<_>, _>>();
    let renewal_paths = pick.value(paths, Vec::new(), all_paths).0;
    let identity_headers = identity_headers(pick, raw.identity_headers, raw.cf_blob_header);
    if servers.upstream.is_none() && servers.upstreams.is_none() {
        pick.refuse(origin, "route.upstream", "missing: the URL that requests go to");
    }
    let upstreams = upstreams::reach(pick, origin, &upstreams::ROUTE, servers)?;
    let upstreams = UpstreamGroup { identity: identity_headers, ..upstreams };
    Some(Route { host, path, upstreams, identity, audience, renewal_paths, screen })
}

/// The families of identity headers; none is right too.
fn identity_headers(
    pick: &mut Picker<'_>,
    families: Place<Vec<String>>,
    cf_blob: Place<String>,
) -> IdentityHeaders {
    let blob = Layers::new("route.cf_blob_header", cf_blob).only_in_file();
    let (blob, _) = pick.parsed(blob, CfBlobHeader::default());
    let families = Layers::new("route.identity_headers", families).only_in_file();
    match pick.list::<IdentityFamily>(families) {
        Some((families, _)) => IdentityHeaders::new(families, blob),
        None => IdentityHeaders::new([IdentityFamily::Rfc9440], blob),
    }
}

/// `true`, `false` or one of the modes.
pub(super) fn requirement(raw: RawRequirement) -> Result<Enforcement, countersign_core::ids::IdError> {
    match raw {
        RawRequirement::Switch(true) => Ok(Enforcement::Enforce),
        RawRequirement::Switch(false) => Ok(Enforcement::Off),
        RawRequirement::Word(word) => word.parse(),
    }
}

/// A path prefix in normalised form: `/`, or `/…` without `//`, dot segments or a trailing slash.
pub(super) fn path_prefix(text: String) -> Result<String, String> {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_graphic() && !b"?#%\\".contains(&b))
    };
    let segments = text.strip_prefix('/');
    let normalised = text == "/" || segments.is_some_and(|rest| rest.split('/').all(plain));
    if normalised {
        Ok(text)
    } else {
        Err(format!("not a path such as / or /app, in normalised form: {text:?}"))
    }
}

/// The enabled rules, in order; names are unique among all.
pub(super) fn rules(
    pick: &mut Picker<'_>,
    raw: Vec<Spanned<RawRule>>,
    lists: &[RuleList],
) -> Vec<RuleSource> {
    let mut names = BTreeSet::new();
    let mut rules = Vec::with_capacity(raw.len());
    for place in raw {
        let origin = pick.origin(&place.span());
        let (enabled, Some(rule)) = rule(pick, &origin, place.into_inner(), lists) else { continue };
        if !names.insert(rule.name.clone()) {
            pick.refuse(&origin, "rule.name", format!("{:?} is the name of another rule", rule.name));
        }
        if enabled {
            rules.push(rule);
        }
    }
    rules
}

/// The words of `rule.action`.
#[derive(Clone, Copy)]
enum Action {
    Block,
    Log,
    Skip,
}

fn rule(
    pick: &mut Picker<'_>,
    origin: &Origin,
    raw: RawRule,
    lists: &[RuleList],
) -> (bool, Option<RuleSource>) {
    let enabled = Layers::new("rule.enabled", raw.enabled).only_in_file();
    let enabled = pick.value(enabled, true, Ok::<bool, Infallible>).0;
    if raw.name.is_none() {
        pick.refuse(origin, "rule.name", "missing: what people call the rule");
    }
    if raw.expression.is_none() {
        pick.refuse(origin, "rule.expression", "missing: when the rule matches");
    }
    let status = Layers::new("rule.status", raw.status).only_in_file();
    let status = pick.value(status, 403, |status| match u16::try_from(status) {
        Ok(status @ 400..=599) => Ok(status),
        _ => Err(format!("{status} is not between 400 and 599")),
    });
    let content_type = Layers::new("rule.content_type", raw.content_type).only_in_file();
    let content_type =
        pick.value(content_type, "text/plain; charset=utf-8".to_owned(), Ok::<String, Infallible>).0;
    let body =
        pick.given(Layers::new("rule.body", raw.body).only_in_file()).map(|(body, _)| (body, content_type));
    let block = RuleAction::Block(BlockResponse { status: status.0, body });
    let known = [("block", Action::Block), ("log", Action::Log), ("skip", Action::Skip)];
    let action = Layers::new("rule.action", raw.action).only_in_file();
    let action = match pick.value(action, Action::Block, |text| one_of(&text, &known)).0 {
        Action::Block => block,
        Action::Log => RuleAction::Log,
        Action::Skip => RuleAction::Skip,
    };
    let name = pick.given(Layers::new("rule.name", raw.name).only_in_file());
    let expression = Layers::new("rule.expression", raw.expression).only_in_file();
    let expression = pick.given(expression);
    let rule = name.zip(expression).map(|((name, _), (expression, origin))| {
        let rule = RuleSource { name, expression, action };
        for error in RuleSet::compile(std::slice::from_ref(&rule), lists).err().unwrap_or_default() {
            pick.refuse(&origin, "rule.expression", error.render());
        }
        rule
    });
    (enabled, rule)
}

/// Doubts about the rules, a sentence each. How many CAs there are, the configuration does not know.
pub(super) fn doubts(rules: &[RuleSource], lists: &[RuleList]) -> Vec<String> {
    let lints = RuleSet::compile(rules, lists).map(|rules| rules.lints(DeviceCas::One)).unwrap_or_default();
    lints.iter().map(ToString::to_string).collect()
}

/// What the configuration turns off that keeps people safe, a sentence each.
pub(super) fn dangers(door: &HttpDoor) -> Option<String> {
    match door.compat {
        Compat::None => None,
        Compat::DangerCloudflare => Some(
            "danger: http_door.compat = \"cloudflare\" turns the safety floor off: a revoked, quarantined or \
             decommissioned identity reaches every route that requires none, unless a rule refuses it"
                .to_owned(),
        ),
    }
}
