//! `[ingest]` and `[[ingest_sink]]`: how long messages are kept, and where accepted ones go besides the database.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::monitors::ServerAddress;
use super::names::HttpUrl;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::Place;
use super::resolve::{count, number};
use super::server_tls::{GivenTls, ServerTls};
use super::settings::{Setting, Shown};
use super::tcp_doors::{TcpUpstream, UpstreamTrust};

/// How many messages go at once unless told otherwise.
const AT_ONCE: u64 = 500;

/// How many days messages are kept unless told otherwise.
const KEEP_DAYS: u64 = 30;

/// `[ingest]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawIngest {
    pub(super) keep_days: Place<u64>,
}

/// What becomes of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ingest {
    /// How long they are kept in the database.
    pub(crate) kept: Duration,
    /// Where they go besides.
    pub(crate) sinks: Vec<IngestSink>,
}

/// `[[ingest_sink]]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSink {
    pub(super) name: Place<String>,
    pub(super) url: Place<String>,
    pub(super) secret_file: Place<String>,
    pub(super) ca_file: Place<String>,
    pub(super) server_name: Place<String>,
    pub(super) certificate_file: Place<String>,
    pub(super) key_file: Place<String>,
    pub(super) topic: Place<String>,
    pub(super) subject: Place<String>,
    pub(super) user: Place<String>,
    pub(super) password_file: Place<String>,
    pub(super) max_batch: Place<u64>,
}

/// A sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngestSink {
    /// What it is called in logs.
    pub(crate) name: String,
    /// What it is.
    pub(crate) kind: SinkKind,
    /// How many messages it gets at once.
    pub(crate) at_once: NonZeroUsize,
}

/// What a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SinkKind {
    /// A webhook.
    Webhook {
        /// Where.
        url: HttpUrl,
        /// The file with the secret that signs.
        secret: PathBuf,
        /// The roots that it is trusted by, instead of the system's.
        ca_file: Option<PathBuf>,
    },
    /// A topic of a stock broker.
    Mqtt {
        /// Where, and how it is recognised.
        server: TcpUpstream,
        /// With `{tenant}` and `{device}`.
        topic: String,
        /// The account, and the file with its password.
        login: Option<(String, PathBuf)>,
    },
    /// A subject that a stream of NATS JetStream keeps.
    Nats {
        /// Where, and how it is recognised.
        server: TcpUpstream,
        /// With `{tenant}` and `{device}`.
        subject: String,
        /// The account, and the file with its password.
        login: Option<(String, PathBuf)>,
    },
}

/// The scheme of a sink's URL says what it is.
#[derive(Clone)]
enum SinkUrl {
    Webhook(HttpUrl),
    Mqtt(ServerAddress, Secrecy),
    Nats(ServerAddress, Secrecy),
}

/// What a scheme makes of an address.
type Kind = fn(ServerAddress, Secrecy) -> SinkUrl;

/// Whether a sink is reached over TLS.
#[derive(Clone, Copy)]
enum Secrecy {
    Plain,
    Tls,
}

impl std::str::FromStr for SinkUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds: [(&str, Kind, Secrecy); 4] = [
            ("mqtt://", Self::Mqtt, Secrecy::Plain),
            ("mqtts://", Self::Mqtt, Secrecy::Tls),
            ("nats://", Self::Nats, Secrecy::Plain),
            ("nats+tls://", Self::Nats, Secrecy::Tls),
        ];
        for (scheme, kind, secrecy) in kinds {
            if let Some(address) = text.strip_prefix(scheme) {
                return address.parse().map(|address| kind(address, secrecy));
            }
        }
        let shown: String = text.chars().take(160).collect();
        let url: HttpUrl = text.parse().map_err(|_other| {
            format!("not https://…, mqtt(s)://HOST:PORT or nats(+tls)://HOST:PORT: {shown:?}")
        })?;
        if url.is_confidential() {
            Ok(Self::Webhook(url))
        } else {
            Err(format!("plain HTTP leaves this machine: {shown:?}"))
        }
    }
}

/// What becomes of messages.
pub(super) fn ingest(pick: &mut Picker<'_>, raw: RawIngest, sinks: Vec<Spanned<RawSink>>) -> Ingest {
    let days = number(pick, Layers::new("ingest.keep_days", raw.keep_days), 1, KEEP_DAYS);
    Ingest { kept: Duration::from_secs(days.saturating_mul(86_400)), sinks: self::sinks(pick, sinks) }
}

/// The sinks; names are unique.
fn sinks(pick: &mut Picker<'_>, raw: Vec<Spanned<RawSink>>) -> Vec<IngestSink> {
    let mut names = BTreeSet::new();
    let mut sinks = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some(sink) = sink(pick, &origin, entry.into_inner()) else { continue };
        if !names.insert(sink.name.clone()) {
            pick.refuse(&origin, "ingest_sink.name", format!("{:?} is the name of another sink", sink.name));
        }
        sinks.push(sink);
    }
    sinks
}

fn sink(pick: &mut Picker<'_>, origin: &Origin, mut raw: RawSink) -> Option<IngestSink> {
    let name = pick.given(Layers::new("ingest_sink.name", raw.name.take()).only_in_file());
    if name.is_none() {
        pick.refuse(origin, "ingest_sink.name", "missing: what the sink is called in logs");
    }
    let url = pick.optional(Layers::new("ingest_sink.url", raw.url.take()).only_in_file(), |text: String| {
        text.parse::<SinkUrl>()
    });
    let at_once =
        count(pick, Layers::new("ingest_sink.max_batch", raw.max_batch.take()).only_in_file(), AT_ONCE);
    let secret = pick.placed(Layers::new("ingest_sink.secret_file", raw.secret_file.take()).only_in_file());
    let tls = ServerTls {
        name: Layers::new("ingest_sink.server_name", raw.server_name.take()).only_in_file(),
        ca: Layers::new("ingest_sink.ca_file", raw.ca_file.take()).only_in_file(),
        certificate: Layers::new("ingest_sink.certificate_file", raw.certificate_file.take()).only_in_file(),
        key: Layers::new("ingest_sink.key_file", raw.key_file.take()).only_in_file(),
    };
    let tls = tls.pick(pick);
    let topic = pick.given(Layers::new("ingest_sink.topic", raw.topic.take()).only_in_file());
    let subject = pick.given(Layers::new("ingest_sink.subject", raw.subject.take()).only_in_file());
    let user = pick.given(Layers::new("ingest_sink.user", raw.user.take()).only_in_file());
    let password = pick.placed(Layers::new("ingest_sink.password_file", raw.password_file).only_in_file());
    let login = match (user, password) {
        (Some((user, _)), Some((file, _))) => Some((user, file)),
        (Some((_, at)), None) => {
            pick.refuse(&at, "ingest_sink.user", "needs ingest_sink.password_file beside it");
            None
        }
        (None, _) => None,
    };
    let Some((url, at)) = url else {
        pick.refuse(origin, "ingest_sink.url", "missing, or wrong: where the sink is");
        return None;
    };
    let mut server = |tls: GivenTls, address: ServerAddress, secrecy: Secrecy| match secrecy {
        Secrecy::Tls => tls.of(address, UpstreamTrust::System),
        Secrecy::Plain => {
            tls.refuse(pick, "ingest_sink.url is not one over TLS");
            TcpUpstream::Tcp(address)
        }
    };
    let kind = match url {
        SinkUrl::Webhook(url) => {
            let Some((secret, _)) = secret else {
                pick.refuse(&at, "ingest_sink.url", "a webhook needs ingest_sink.secret_file, which signs");
                return None;
            };
            let ca_file = tls.ca_alone(pick, "a webhook is known by its URL, and by its secret");
            SinkKind::Webhook { url, secret, ca_file }
        }
        SinkUrl::Mqtt(address, secrecy) => {
            let topic = topic.map_or_else(|| "ingest/{tenant}/{device}".to_owned(), |(topic, _)| topic);
            SinkKind::Mqtt { server: server(tls, address, secrecy), topic, login }
        }
        SinkUrl::Nats(address, secrecy) => {
            let server = server(tls, address, secrecy);
            let subject =
                subject.map_or_else(|| "countersign.{tenant}.{device}".to_owned(), |(text, _)| text);
            let is_subject = !subject.contains(|one: char| one.is_whitespace() || one == '*' || one == '>');
            if !is_subject {
                pick.refuse(&at, "ingest_sink.subject", "a subject has no spaces and no wildcards");
            }
            SinkKind::Nats { server, subject, login }
        }
    };
    Some(IngestSink { name: name?.0, kind, at_once })
}

const fn example(key: &'static str, sample: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, "", sample, Shown::Example, doc)
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "ingest.keep_days",
        "",
        "30",
        Shown::Default,
        "How many days telemetry, and messages that were set aside, are kept in the database.",
    ),
    example(
        "ingest_sink.name",
        "\"warehouse\"",
        "What a sink is called in logs, unique. Accepted messages of devices go to every sink before the device\nhears that they arrived, at least once; a sink that is slow or away makes devices wait.",
    ),
    example(
        "ingest_sink.url",
        "\"https://warehouse.example.com/telemetry\"",
        "https://… a webhook, POSTed batches of messages; mqtt://HOST:PORT a topic of a stock broker;\nnats://HOST:PORT a subject that a JetStream stream keeps; over TLS mqtts:// and nats+tls://. Needed.",
    ),
    example(
        "ingest_sink.secret_file",
        "\"warehouse.secret\"",
        "File with the secret that signs what a webhook gets, at least 16 characters. Needed for webhooks.",
    ),
    example(
        "ingest_sink.ca_file",
        "\"warehouse-ca.pem\"",
        "Roots that a sink over TLS is trusted by, PEM. Default: the system's.",
    ),
    example(
        "ingest_sink.server_name",
        "\"bus.example.com\"",
        "The name that a broker's or a NATS server's certificate must be for. Default: its host.",
    ),
    example(
        "ingest_sink.certificate_file",
        "\"sink-cert.pem\"",
        "The certificate that a broker or NATS is shown, PEM, leaf first. Default: none.",
    ),
    example("ingest_sink.key_file", "\"sink-key.pem\"", "Private key of ingest_sink.certificate_file, PEM."),
    example("ingest_sink.topic", "\"ingest/{tenant}/{device}\"", "The topic at a broker. Default: as shown."),
    example(
        "ingest_sink.subject",
        "\"countersign.{tenant}.{device}\"",
        "The subject at NATS; a dot in a name becomes _. Default: as shown.",
    ),
    example("ingest_sink.user", "\"countersign\"", "The account at a broker or at NATS. Default: none."),
    example(
        "ingest_sink.password_file",
        "\"warehouse.password\"",
        "File with the account's password. Default: none.",
    ),
    Setting::new(
        "ingest_sink.max_batch",
        "",
        "500",
        Shown::Default,
        "How many messages a sink gets at once.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;

    fn sink(text: &str) -> IngestSink {
        read(&format!("[[ingest_sink]]\nname = \"a\"\n{text}\n")).unwrap().resolved.ingest.sinks.remove(0)
    }

    #[test]
    fn the_scheme_says_what_a_sink_is() {
        let webhook = sink("url = \"https://a.example/x\"\nsecret_file = \"s\"");
        assert!(matches!(webhook.kind, SinkKind::Webhook { .. }));
        assert_eq!(webhook.at_once.get(), 500);
        let SinkKind::Mqtt { topic, login, .. } =
            sink("url = \"mqtt://127.0.0.1:1883\"\nuser = \"u\"\npassword_file = \"p\"").kind
        else {
            panic!("MQTT")
        };
        assert_eq!((topic.as_str(), login.unwrap().0.as_str()), ("ingest/{tenant}/{device}", "u"));
        let SinkKind::Nats { subject, .. } =
            sink("url = \"nats://127.0.0.1:4222\"\nsubject = \"t.{tenant}\"").kind
        else {
            panic!("NATS")
        };
        assert_eq!(subject, "t.{tenant}");
        for url in ["mqtts://bus.example.com:8883", "nats+tls://bus.example.com:4222"] {
            let server = match sink(&format!("url = \"{url}\"")).kind {
                SinkKind::Mqtt { server, .. } | SinkKind::Nats { server, .. } => server,
                SinkKind::Webhook { .. } => panic!("{url}"),
            };
            let TcpUpstream::Tls { tls, .. } = server else { panic!("{url}") };
            assert_eq!(tls.trust, UpstreamTrust::System);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("url = \"https://a.example/\"\nsecret_file = \"s\"", "ingest_sink.name: missing"),
            ("name = \"a\"", "ingest_sink.url: missing"),
            ("name = \"a\"\nurl = \"https://a.example/\"", "ingest_sink.url: a webhook needs"),
            ("name = \"a\"\nurl = \"http://a.example/\"\nsecret_file = \"s\"", "ingest_sink.url: plain HTTP"),
            ("name = \"a\"\nurl = \"ftp://a.example/\"", "ingest_sink.url: not https"),
            ("name = \"a\"\nurl = \"mqtt://a\"", "ingest_sink.url: not a host"),
            (
                "name = \"a\"\nurl = \"https://a.example/\"\nsecret_file = \"s\"\nserver_name = \"b\"",
                "ingest_sink.server_name: a webhook is known by its URL",
            ),
            (
                "name = \"a\"\nurl = \"mqtt://a:1\"\nserver_name = \"b\"",
                "ingest_sink.server_name: ingest_sink.url is not one over TLS",
            ),
            ("name = \"a\"\nurl = \"mqtt://a:1\"\nuser = \"u\"", "ingest_sink.user: needs"),
            ("name = \"a\"\nurl = \"nats://a:1\"\nsubject = \"a.>\"", "ingest_sink.subject: a subject"),
            (
                "name = \"a\"\nurl = \"mqtt://a:1\"\n[[ingest_sink]]\nname = \"a\"\nurl = \"mqtt://a:1\"",
                "ingest_sink.name: \"a\" is the name",
            ),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[[ingest_sink]]\n{text}\n")) else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
