//! `[[host]]`: what doors show and ask for under a name.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::resolve::one_of;
use super::resolved::DoorClientAuth;
use super::settings::{Setting, Shown};

/// `[[host]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHost {
    pub(super) names: Place<Vec<String>>,
    pub(super) certificate: Place<String>,
    pub(super) key: Place<String>,
    pub(super) client_auth: Place<String>,
}

/// What doors show and ask for under these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostSettings {
    /// Which, never empty.
    pub(crate) names: Vec<HostPattern>,
    /// Certificate chain and key, PEM; what the doors show to everybody, when absent.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// Whether clients are asked for a certificate; as the door says, when absent.
    pub(crate) client_auth: Option<DoorClientAuth>,
}

/// A DNS name, or `*.` and one: any name with one label more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPattern(String);

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            let shown: String = text.chars().take(160).collect();
            format!("not a DNS name such as shop.example.com or *.example.com: {shown:?}")
        };
        let (star, name) = match text.strip_prefix("*.") {
            Some(parent) => ("*.", parent),
            None => ("", text),
        };
        match name.parse() {
            Ok(PublicName::Dns(name)) => Ok(Self(format!("{star}{name}"))),
            // Nobody asks for an address by name.
            Ok(PublicName::Ip(_)) | Err(_) => Err(refused()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What doors show and ask for under names; each name once.
pub(super) fn hosts(pick: &mut Picker<'_>, raw: Vec<Spanned<RawHost>>) -> Vec<HostSettings> {
    let mut seen = BTreeSet::new();
    let mut hosts = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let host = host(pick, &origin, entry.into_inner());
        for name in &host.names {
            if !seen.insert(name.clone()) {
                pick.refuse(&origin, "host.names", format!("{name} has an entry already"));
            }
        }
        hosts.push(host);
    }
    hosts
}

fn host(pick: &mut Picker<'_>, origin: &Origin, raw: RawHost) -> HostSettings {
    let names = Layers::new("host.names", raw.names).only_in_file();
    let names: Vec<HostPattern> = pick.list(names).map(|(names, _)| names).unwrap_or_default();
    if names.is_empty() {
        pick.refuse(origin, "host.names", "missing: the names that clients ask for");
    }
    let chain = pick.file(Layers::new("host.certificate", raw.certificate).only_in_file());
    let key = pick.file(Layers::new("host.key", raw.key).only_in_file());
    let known = [
        ("none", DoorClientAuth::None),
        ("optional", DoorClientAuth::Optional),
        ("required", DoorClientAuth::Required),
    ];
    let client_auth = Layers::new("host.client_auth", raw.client_auth).only_in_file();
    let client_auth = pick.optional(client_auth, |text| one_of(&text, &known)).map(|(auth, _)| auth);
    match (&chain, &key) {
        (Some((_, at)), None) => pick.refuse(at, "host.certificate", "needs host.key beside it"),
        (None, Some((_, at))) => pick.refuse(at, "host.key", "needs host.certificate beside it"),
        (None, None) if client_auth.is_none() => {
            pick.refuse(
                origin,
                "host.certificate",
                "missing, and host.client_auth too: the entry says nothing",
            );
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    let certificate = chain.zip(key).map(|((chain, _), (key, _))| (chain, key));
    HostSettings { names, certificate, client_auth }
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "host.names",
        "",
        "[\"shop.example.com\", \"*.shop.example.com\"]",
        Shown::Example,
        "DNS names that clients ask for (SNI), at the HTTP door and the TCP doors; * stands for one label.",
    ),
    Setting::new(
        "host.certificate",
        "",
        "\"shop.pem\"",
        Shown::Example,
        "Certificate chain to show under these names, PEM, leaf first, EC or RSA, with host.key beside it.\nDefault: what the doors show to everybody.",
    ),
    Setting::new("host.key", "", "\"shop.key\"", Shown::Example, "Private key of host.certificate, PEM."),
    Setting::new(
        "host.client_auth",
        "",
        "\"required\"",
        Shown::Example,
        "none, optional or required, under these names; TCP doors go by it only where it asks for more than\nthey do. A request over a connection that was asked for less is answered 421. Default: as the door says.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    #[test]
    fn a_name_is_a_dns_name_or_one_label_more() {
        let right =
            read("[[host]]\nnames = [\"Shop.example\", \"*.shop.example\"]\nclient_auth = \"none\"\n");
        let [host] = &right.unwrap().resolved.hosts[..] else { panic!("one") };
        let names: Vec<_> = host.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["shop.example", "*.shop.example"]);
        assert_eq!((host.client_auth, &host.certificate), (Some(DoorClientAuth::None), &None));
        for text in ["", "*", "*.", "a.*.example", "192.0.2.1", "**.example", "a b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        for (text, said) in [
            ("client_auth = \"none\"", "/etc/cs/c.toml:1: host.names: missing"),
            ("names = [\"a.example\"]", "/etc/cs/c.toml:1: host.certificate: missing"),
            ("names = [\"1.2.3.4\"]\nclient_auth = \"none\"", "/etc/cs/c.toml:2: host.names: not a DNS name"),
            ("names = [\"a\"]\nclient_auth = \"maybe\"", "/etc/cs/c.toml:3: host.client_auth: \"maybe\""),
            ("names = [\"a\"]\nkey = \"/no\"", "/etc/cs/c.toml:3: host.key: there is no file"),
            ("names = [\"a\"]\nkey = \"/no\"", "/etc/cs/c.toml:3: host.key: needs host.certificate"),
            (
                "names = [\"a\", \"A\"]\nclient_auth = \"none\"",
                "/etc/cs/c.toml:1: host.names: a has an entry already",
            ),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[[host]]\n{text}\n")) else {
                panic!("not refused: {text}")
            };
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
    }
}
