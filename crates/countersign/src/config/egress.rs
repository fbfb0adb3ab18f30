//! `[[egress]]`: what local services reach, and as whom.

use std::convert::Infallible;

use countersign_edge::headers::CfBlobHeader;
use countersign_edge::{EgressAddress, EgressListener, EgressReach, EgressWay, UpstreamAddress};
use serde::Deserialize;
use toml::Spanned;

use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::tables::path_prefix;
use super::upstreams::{self, RawReach};

/// `[[egress]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEgress {
    pub(super) listen: Place<String>,
    pub(super) allowed_uids: Place<Vec<u64>>,
    pub(super) danger_beyond_loopback: Place<bool>,
    pub(super) cf_blob_header: Place<String>,
    pub(super) host: Place<String>,
    pub(super) path: Place<String>,
    pub(super) certificate_id: Place<String>,
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

/// The listeners; tables with one address are ways from one listener.
pub(super) fn egress(pick: &mut Picker<'_>, raw: Vec<Spanned<RawEgress>>) -> Vec<EgressListener> {
    let mut listeners: Vec<EgressListener> = Vec::new();
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some((listener, way)) = one(pick, &origin, entry.into_inner()) else { continue };
        let known = listeners.iter_mut().find(|known| known.address == listener.address);
        let Some(known) = known else {
            listeners.push(EgressListener { ways: vec![way], ..listener });
            continue;
        };
        let said = |listener: &EgressListener| {
            (listener.reach, listener.allowed_uids.clone(), listener.cf_blob.clone())
        };
        if said(known) != said(&listener) {
            let message = "another [[egress]] with this address has other allowed_uids, cf_blob_header or \
                           danger_beyond_loopback: they are the listener's";
            pick.refuse(&origin, "egress.listen", message);
        }
        let is_same = |other: &EgressWay| {
            (&other.host, &other.path_prefix, &other.certificate_id)
                == (&way.host, &way.path_prefix, &way.certificate_id)
        };
        if known.ways.iter().any(is_same) {
            pick.refuse(&origin, "egress.certificate_id", "another [[egress]] leads there with it already");
        }
        known.ways.push(way);
    }
    listeners
}

fn one(pick: &mut Picker<'_>, origin: &Origin, mut raw: RawEgress) -> Option<(EgressListener, EgressWay)> {
    let servers = RawReach::of_egress(&mut raw);
    for (is_missing, key, message) in [
        (raw.listen.is_none(), "egress.listen", "missing: the address that local services connect to"),
        (raw.host.is_none(), "egress.host", "missing: the host that they ask for"),
        (
            servers.upstream.is_none() && servers.upstreams.is_none(),
            "egress.upstream",
            "missing: the URL that requests go to",
        ),
        (
            servers.client_certificate.is_none(),
            "egress.client_certificate",
            "missing: what is shown there; without, nobody needs an egress",
        ),
    ] {
        if is_missing {
            pick.refuse(origin, key, message);
        }
    }
    let danger = Layers::new("egress.danger_beyond_loopback", raw.danger_beyond_loopback).only_in_file();
    let (danger, _) = pick.value(danger, false, Ok::<bool, Infallible>);
    let listen = Layers::new("egress.listen", raw.listen).only_in_file();
    let address = pick.optional(listen, |text| text.parse::<EgressAddress>());
    if let Some((EgressAddress::Tcp(address), at)) = &address
        && !address.ip().to_canonical().is_loopback()
        && !danger
    {
        let message = "whoever reaches this address borrows these identities; if that is meant, set \
                       egress.danger_beyond_loopback = true";
        pick.refuse(at, "egress.listen", message);
    }
    let uids = Layers::new("egress.allowed_uids", raw.allowed_uids).only_in_file();
    let uids = pick.optional(uids, |uids| {
        let narrow = |uid: u64| u32::try_from(uid).map_err(|_wide| format!("{uid} is not a user id"));
        uids.into_iter().map(narrow).collect::<Result<Vec<u32>, String>>()
    });
    if let (Some((_, at)), Some((EgressAddress::Tcp(_), _))) = (&uids, &address) {
        pick.refuse(at, "egress.allowed_uids", "nobody can tell who comes over TCP: listen on unix:/path");
    }
    let blob = Layers::new("egress.cf_blob_header", raw.cf_blob_header).only_in_file();
    let (cf_blob, _) = pick.parsed(blob, CfBlobHeader::default());
    let host = Layers::new("egress.host", raw.host).only_in_file();
    let host = pick.optional(host, |text| text.parse::<PublicName>()).map(|(host, _)| host);
    let path = Layers::new("egress.path", raw.path).only_in_file();
    let path_prefix = pick.value(path, "/".to_owned(), path_prefix).0;
    let id = Layers::new("egress.certificate_id", raw.certificate_id).only_in_file();
    let certificate_id = pick.optional(id, certificate_id).map(|(id, _)| id);
    let upstreams = upstreams::reach(pick, origin, &upstreams::EGRESS, servers)?;
    if !upstreams.addresses.iter().all(|address| matches!(address, UpstreamAddress::Tls(_))) {
        pick.refuse(origin, "egress.upstream", "a certificate is shown over https only");
    }
    let reach = if danger { EgressReach::DangerBeyondLoopback } else { EgressReach::Loopback };
    let allowed_uids = uids.map(|(uids, _)| uids).unwrap_or_default();
    let listener = EgressListener { address: address?.0, reach, allowed_uids, cf_blob, ways: Vec::new() };
    let way = EgressWay { host: host?.in_url(), path_prefix, certificate_id, upstreams };
    Some((listener, way))
}

fn certificate_id(text: String) -> Result<String, String> {
    let is_plain = !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { Ok(text) } else { Err(format!("not 1 to 128 visible characters: {text:?}")) }
}

#[cfg(test)]
mod tests {
    use super::super::environment::{Environment, Machine};
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};

    const USUAL: &str = "listen = \"127.0.0.1:8790\"\nhost = \"api.example.com\"\n\
                         upstream = \"https://10.0.0.5\"\nsystem_roots = true\nclient_certificate = \"door\"\n";

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let machine =
            Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
        let file = ConfigFile::from_text("c.toml", text);
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
    }

    #[test]
    fn tables_with_one_address_are_one_listener() {
        let named = format!("{USUAL}certificate_id = \"one\"\n");
        let text = format!("[[egress]]\n{USUAL}[[egress]]\n{named}");
        let listeners = read(&text).unwrap().resolved.egress;
        let [listener] = listeners.as_slice() else { panic!("{listeners:?}") };
        let ids: Vec<_> = listener.ways.iter().map(|way| way.certificate_id.as_deref()).collect();
        assert_eq!(ids, [None, Some("one")]);
    }

    #[test]
    fn every_mistake_is_reported() {
        let beyond = USUAL.replace("127.0.0.1:8790", "0.0.0.0:8790");
        let unix = USUAL.replace("127.0.0.1:8790", "unix:/run/a.sock");
        assert!(read(&format!("[[egress]]\n{beyond}danger_beyond_loopback = true\n")).is_ok());
        assert!(read(&format!("[[egress]]\n{unix}allowed_uids = [1000]\n")).is_ok());
        for (text, key) in [
            (String::new(), "egress.listen"),
            (beyond, "egress.listen"),
            (USUAL.replace("127.0.0.1:8790", "unix:a"), "egress.listen"),
            (USUAL.replace("https://10.0.0.5", "http://10.0.0.5"), "egress.system_roots"),
            (USUAL.replace("client_certificate = \"door\"\n", ""), "egress.client_certificate"),
            (USUAL.replace("system_roots = true\n", ""), "egress.ca_file"),
            (format!("{USUAL}allowed_uids = [1000]\n"), "egress.allowed_uids"),
            (format!("{unix}allowed_uids = [4294967296]\n"), "egress.allowed_uids"),
            (format!("{USUAL}certificate_id = \"\"\n"), "egress.certificate_id"),
            (format!("{USUAL}path = \"x\"\n"), "egress.path"),
            (format!("{USUAL}[[egress]]\n{USUAL}"), "egress.certificate_id"),
            (format!("{USUAL}[[egress]]\n{USUAL}cf_blob_header = \"MF-CF-Blob\"\n"), "egress.listen"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[[egress]]\n{text}")) else {
                panic!("not refused: {text}")
            };
            assert!(problems.iter().any(|problem| problem.key == key), "{key}: {problems:#?}");
        }
    }
}
