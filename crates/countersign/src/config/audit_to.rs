//! `[[audit_to]]`: where copies of the audit go as it is written.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use countersign_authority::audit_streams::StreamStart;
use serde::Deserialize;
use toml::Spanned;

use super::monitors::ServerAddress;
use super::names::{HttpUrl, PublicName};
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::resolve::one_of;
use super::settings::{Setting, Shown};

/// `[[audit_to]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuditTo {
    pub(super) name: Place<String>,
    pub(super) url: Place<String>,
    pub(super) from: Place<String>,
    pub(super) secret_file: Place<String>,
    pub(super) ca_file: Place<String>,
    pub(super) certificate: Place<String>,
    pub(super) key: Place<String>,
    pub(super) danger_plain: Place<bool>,
}

/// A copy of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditTo {
    /// What it is called; how far it is, is kept under this name.
    pub(crate) name: String,
    /// Which entries are the first.
    pub(crate) from: StreamStart,
    /// Where it goes.
    pub(crate) place: AuditPlace,
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuditPlace {
    /// To a webhook.
    Webhook {
        /// Where.
        url: HttpUrl,
        /// The file with the secret that signs.
        secret: PathBuf,
        /// The roots that it is trusted by, instead of the system's.
        ca_file: Option<PathBuf>,
    },
    /// To syslog.
    Syslog(SyslogPlace),
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SyslogPlace {
    /// Over TLS.
    Tls(ServerAddress, SyslogTls),
    /// Over TCP.
    Tcp(ServerAddress),
    /// In datagrams.
    Udp(ServerAddress),
    /// A socket of this machine.
    Unix(PathBuf),
}

/// TLS to a syslog server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyslogTls {
    /// The roots that it is trusted by, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// What is shown to it: files with the chain and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// The scheme of the URL says what it is.
#[derive(Clone)]
enum AuditUrl {
    Webhook(HttpUrl),
    Tls(ServerAddress),
    Tcp(ServerAddress),
    Udp(ServerAddress),
    Unix(PathBuf),
}

impl std::str::FromStr for AuditUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("syslog+tls://") {
            return address.parse().map(Self::Tls);
        }
        if let Some(address) = text.strip_prefix("syslog+tcp://") {
            return address.parse().map(Self::Tcp);
        }
        if let Some(address) = text.strip_prefix("syslog+udp://") {
            return address.parse().map(Self::Udp);
        }
        if let Some(path) = text.strip_prefix("syslog+unix://").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Webhook).map_err(|_other| {
            let shown: String = text.chars().take(160).collect();
            format!("not https://…, syslog+tls://HOST:PORT, syslog+tcp://…, syslog+udp://… or syslog+unix:///PATH: {shown:?}")
        })
    }
}

impl AuditUrl {
    /// Whether what goes there is for nobody else.
    fn is_confidential(&self) -> bool {
        match self {
            Self::Webhook(url) => url.is_confidential(),
            Self::Tls(_) | Self::Unix(_) => true,
            Self::Tcp(address) | Self::Udp(address) => match &address.host {
                PublicName::Dns(name) => name == "localhost",
                PublicName::Ip(ip) => IpAddr::is_loopback(ip),
            },
        }
    }
}

/// Where copies go; names are unique.
pub(super) fn audit_to(pick: &mut Picker<'_>, raw: Vec<Spanned<RawAuditTo>>) -> Vec<AuditTo> {
    let mut names = BTreeSet::new();
    let mut all = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some(one) = copy(pick, &origin, entry.into_inner()) else { continue };
        if !names.insert(one.name.clone()) {
            pick.refuse(&origin, "audit_to.name", format!("{:?} is the name of another copy", one.name));
        }
        all.push(one);
    }
    all
}

fn copy(pick: &mut Picker<'_>, origin: &Origin, mut raw: RawAuditTo) -> Option<AuditTo> {
    let name = pick.given(Layers::new("audit_to.name", raw.name.take()).only_in_file());
    if name.is_none() {
        pick.refuse(origin, "audit_to.name", "missing: under which name it is kept how far the copy is");
    }
    let known = [("beginning", StreamStart::Beginning), ("now", StreamStart::Now)];
    let from = Layers::new("audit_to.from", raw.from.take()).only_in_file();
    let from = pick.value(from, StreamStart::Beginning, |text: String| one_of(&text, &known)).0;
    let danger = pick.given(Layers::new("audit_to.danger_plain", raw.danger_plain.take()).only_in_file());
    let understand = |text: String| {
        let url: AuditUrl = text.parse()?;
        if url.is_confidential() || danger.is_some_and(|(plain, _)| plain) {
            return Ok(url);
        }
        Err(format!("it leaves this machine unencrypted, which only danger_plain allows: {text:?}"))
    };
    let url = pick.optional(Layers::new("audit_to.url", raw.url.take()).only_in_file(), understand);
    let Some((url, at)) = url else {
        pick.refuse(origin, "audit_to.url", "missing, or wrong: where the copy goes");
        return None;
    };
    let place = place(pick, (url, &at), raw)?;
    Some(AuditTo { name: name?.0, from, place })
}

fn place(pick: &mut Picker<'_>, (url, at): (AuditUrl, &Origin), raw: RawAuditTo) -> Option<AuditPlace> {
    let mut file = |key, value| pick.placed(Layers::new(key, value).only_in_file()).map(|(path, _)| path);
    let secret = file("audit_to.secret_file", raw.secret_file);
    let ca_file = file("audit_to.ca_file", raw.ca_file);
    let chain = file("audit_to.certificate", raw.certificate);
    let key = file("audit_to.key", raw.key);
    let place = match url {
        AuditUrl::Webhook(url) => {
            let Some(secret) = secret else {
                pick.refuse(at, "audit_to.url", "a webhook needs audit_to.secret_file, which signs");
                return None;
            };
            return Some(AuditPlace::Webhook { url, secret, ca_file });
        }
        AuditUrl::Tls(address) => {
            if chain.is_some() != key.is_some() {
                pick.refuse(at, "audit_to.certificate", "audit_to.certificate and audit_to.key go together");
            }
            SyslogPlace::Tls(address, SyslogTls { ca_file, identity: chain.zip(key) })
        }
        AuditUrl::Tcp(address) => SyslogPlace::Tcp(address),
        AuditUrl::Udp(address) => SyslogPlace::Udp(address),
        AuditUrl::Unix(path) => SyslogPlace::Unix(path),
    };
    Some(AuditPlace::Syslog(place))
}

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    example(
        "audit_to.name",
        "\"siem\"",
        "A copy of the audit that is sent as it is written, unique: how far it is, is kept under this name, and it\ngoes on there after a restart. Every entry arrives at least once, in order.",
    ),
    example(
        "audit_to.url",
        "\"syslog+tls://logs.example.com:6514\"",
        "syslog+tls://HOST:PORT, syslog+tcp://HOST:PORT, syslog+udp://HOST:PORT or syslog+unix:///PATH, RFC 5424;\nhttps://… a webhook, POSTed signed JSON lines. Needed.",
    ),
    Setting::new(
        "audit_to.from",
        "",
        "\"beginning\"",
        Shown::Default,
        "Where a new copy begins: with the beginning of the log, or now.",
    ),
    example(
        "audit_to.secret_file",
        "\"siem.secret\"",
        "File with the secret that signs what a webhook gets, at least 16 characters. Needed for webhooks.",
    ),
    example(
        "audit_to.ca_file",
        "\"siem-ca.pem\"",
        "Roots that it is trusted by, PEM. Default: the system's.",
    ),
    example(
        "audit_to.certificate",
        "\"siem-client.pem\"",
        "File with the chain that is shown to a syslog server, PEM. Default: none.",
    ),
    example("audit_to.key", "\"siem-client.key\"", "File with its key, PEM."),
    Setting::new(
        "audit_to.danger_plain",
        "",
        "false",
        Shown::Default,
        "Allow it to leave this machine unencrypted, for whoever listens on the network.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    fn place(text: &str) -> AuditPlace {
        read(&format!("[[audit_to]]\nname = \"a\"\n{text}\n")).unwrap().resolved.audit_to.remove(0).place
    }

    #[test]
    fn the_scheme_says_where_it_goes() {
        let webhook = place("url = \"https://a.example/x\"\nsecret_file = \"s\"");
        assert!(matches!(webhook, AuditPlace::Webhook { .. }));
        let tls = place("url = \"syslog+tls://a.example:6514\"\ncertificate = \"c\"\nkey = \"k\"");
        let AuditPlace::Syslog(SyslogPlace::Tls(_, tls)) = tls else { panic!("TLS") };
        assert!(tls.identity.is_some());
        for (text, wanted) in [
            ("url = \"syslog+tcp://127.0.0.1:514\"", SyslogPlace::Tcp("127.0.0.1:514".parse().unwrap())),
            (
                "url = \"syslog+udp://logs.example:514\"\ndanger_plain = true",
                SyslogPlace::Udp("logs.example:514".parse().unwrap()),
            ),
            ("url = \"syslog+unix:///dev/log\"", SyslogPlace::Unix("/dev/log".into())),
        ] {
            assert_eq!(place(text), AuditPlace::Syslog(wanted));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("url = \"syslog+unix:///dev/log\"", "audit_to.name: missing"),
            ("name = \"a\"", "audit_to.url: missing"),
            ("name = \"a\"\nurl = \"https://a.example/\"", "audit_to.url: a webhook needs"),
            ("name = \"a\"\nurl = \"http://a.example/\"\nsecret_file = \"s\"", "audit_to.url: it leaves"),
            ("name = \"a\"\nurl = \"syslog+tcp://a.example:514\"", "audit_to.url: it leaves"),
            ("name = \"a\"\nurl = \"syslog+unix://dev/log\"", "audit_to.url: not https"),
            ("name = \"a\"\nurl = \"ftp://a.example/\"", "audit_to.url: not https"),
            ("name = \"a\"\nfrom = \"yesterday\"", "audit_to.from: \"yesterday\" is not one of"),
            (
                "name = \"a\"\nurl = \"syslog+tls://a.example:6514\"\nkey = \"k\"",
                "audit_to.certificate: audit_to.certificate and",
            ),
            (
                "name = \"a\"\nurl = \"syslog+unix:///a\"\n[[audit_to]]\nname = \"a\"\nurl = \"syslog+unix:///a\"",
                "audit_to.name: \"a\" is the name",
            ),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[[audit_to]]\n{text}\n")) else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
