//! `[mqtt_door]`: the door for MQTT.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use countersign_edge::mqtt::topics::TopicFilter;
use countersign_edge::mqtt::{Layout, OnDenial, Terms};
use ipnet::IpNet;
use serde::Deserialize;

use super::environment::Machine;
use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::{address, count, number, one_of, seconds};
use super::server_tls::{ServerPlace, ServerTls};
use super::tcp_doors::{ProxyHeader, TcpUpstream};

const DEFAULT_CONNECTIONS: u64 = 100_000;
const DEFAULT_CONNECTIONS_PER_IP: u64 = 4096;

/// `[mqtt_door]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMqttDoor {
    pub(super) enabled: Place<bool>,
    pub(super) listen: Place<String>,
    pub(super) token_listen: Place<String>,
    pub(super) require_token: Place<bool>,
    pub(super) certificate_suffices: Place<bool>,
    pub(super) upstream: Place<String>,
    pub(super) messages_file: Place<String>,
    pub(super) ingest: Place<String>,
    pub(super) upstream_account: Place<String>,
    pub(super) upstream_user: Place<String>,
    pub(super) upstream_password_file: Place<String>,
    pub(super) upstream_proxy_protocol: Place<String>,
    pub(super) upstream_server_name: Place<String>,
    pub(super) upstream_ca: Place<String>,
    pub(super) upstream_certificate: Place<String>,
    pub(super) upstream_key: Place<String>,
    pub(super) topic_prefix: Place<String>,
    pub(super) devices_write: Place<Vec<String>>,
    pub(super) devices_read: Place<Vec<String>>,
    pub(super) denied_messages: Place<String>,
    pub(super) max_denied_messages: Place<u64>,
    pub(super) max_sessions_per_device: Place<u64>,
    pub(super) max_packet_bytes: Place<u64>,
    pub(super) max_packets_per_second: Place<u64>,
    pub(super) max_bytes_per_second: Place<u64>,
    pub(super) max_inflight: Place<u64>,
    pub(super) max_topic_aliases: Place<u64>,
    pub(super) max_keep_alive_seconds: Place<u64>,
    pub(super) max_will_delay_seconds: Place<u64>,
    pub(super) max_retained_messages: Place<u64>,
    pub(super) max_retained_bytes: Place<u64>,
    pub(super) slow_reader_seconds: Place<u64>,
    pub(super) connect_timeout_seconds: Place<u64>,
    pub(super) upstream_timeout_seconds: Place<u64>,
    pub(super) handshake_timeout_seconds: Place<u64>,
    pub(super) workers: Place<u64>,
    pub(super) max_connections: Place<u64>,
    pub(super) max_connections_per_ip: Place<u64>,
    pub(super) proxy_protocol_networks: Place<Vec<String>>,
}

/// The MQTT door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MqttDoor {
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// Where devices come that show a token in the place of a certificate, if they may.
    pub(crate) token_listen: Option<SocketAddr>,
    /// Which messages have to bear a token.
    pub(crate) proofs: Proofs,
    /// What stands behind it.
    pub(crate) upstream: MqttUpstream,
    /// Where accepted messages are before they are acknowledged.
    pub(crate) messages: Messages,
    /// Where the topics of devices are.
    pub(crate) layout: Layout,
    /// What one device may take.
    pub(crate) terms: Terms,
    /// To finish the TLS handshake.
    pub(crate) handshake: Duration,
    /// How many threads serve it.
    pub(crate) workers: NonZeroUsize,
    /// Connections in all.
    pub(crate) connections: NonZeroUsize,
    /// Connections from one address (IPv6: from one /64).
    pub(crate) connections_per_ip: NonZeroUsize,
    /// Who may send a PROXY header, and must.
    pub(crate) proxy_protocol_networks: Vec<IpNet>,
}

/// Where accepted messages are before they are acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    /// In the database.
    Database,
    /// In a file, a line each.
    File(PathBuf),
    /// At each sink, and not in the database.
    Sinks,
    /// At the broker alone.
    Broker,
}

/// Which messages have to bear their device's provisioning token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proofs {
    /// None.
    Never,
    /// Those that came without a certificate.
    WithoutCertificate,
    /// All.
    Always,
}

/// What stands behind the MQTT door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MqttUpstream {
    /// Nothing: messages are kept here.
    Hub,
    /// A stock broker on a private listener.
    Broker {
        /// Where, and how it is recognised.
        server: Box<TcpUpstream>,
        /// Who the door says it is.
        account: MqttAccount,
        /// What the broker is told first.
        proxy_header: ProxyHeader,
    },
}

/// Who the door says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MqttAccount {
    /// Nobody.
    Anonymous,
    /// One account for all devices.
    Door {
        /// Its name.
        name: String,
        /// The file with its password.
        password: PathBuf,
    },
    /// `tenant/device`.
    Identity {
        /// The file with the password of all.
        password: Option<PathBuf>,
    },
}

#[derive(Clone, Copy)]
enum AccountWord {
    Anonymous,
    Door,
    Identity,
}

#[derive(Clone)]
enum UpstreamText {
    Hub,
    Broker(ServerPlace),
}

impl std::str::FromStr for UpstreamText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "hub" {
            return Ok(Self::Hub);
        }
        let broker = text.parse::<ServerPlace>();
        broker.map(Self::Broker).map_err(|problem| format!("neither hub nor a broker: {problem}"))
    }
}

/// The MQTT door, if it is enabled. What is wrong is said in any case.
pub(super) fn mqtt_door(
    pick: &mut Picker<'_>,
    mut raw: RawMqttDoor,
    machine: &Machine,
    layout: Option<Layout>,
    sinks: usize,
) -> Option<MqttDoor> {
    let enabled = Layers::new("mqtt_door.enabled", raw.enabled.take());
    let (is_enabled, _) = pick.value(enabled, true, Ok::<bool, std::convert::Infallible>);
    let default = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8883));
    let listen = Layers::new("mqtt_door.listen", raw.listen.take());
    let (listen, _) = pick.value(listen, default, |text| address(&text));
    let token_listen = Layers::new("mqtt_door.token_listen", raw.token_listen.take());
    let token_listen = pick.optional(token_listen, |text| address(&text)).map(|(address, _)| address);
    let upstream = upstream(pick, &mut raw);
    let messages = messages(pick, &mut raw, upstream.as_ref(), sinks);
    let proofs = proofs(pick, &mut raw, messages.as_ref());
    let workers = Layers::new("mqtt_door.workers", raw.workers.take());
    let workers = count(pick, workers, machine.processors.get() as u64);
    let handshake = Layers::new("mqtt_door.handshake_timeout_seconds", raw.handshake_timeout_seconds.take());
    let handshake = seconds(pick, handshake, 1, 5);
    let connections = Layers::new("mqtt_door.max_connections", raw.max_connections.take());
    let connections = count(pick, connections, DEFAULT_CONNECTIONS);
    let per_ip = Layers::new("mqtt_door.max_connections_per_ip", raw.max_connections_per_ip.take());
    let connections_per_ip = count(pick, per_ip, DEFAULT_CONNECTIONS_PER_IP);
    let networks = Layers::new("mqtt_door.proxy_protocol_networks", raw.proxy_protocol_networks.take());
    let proxy_protocol_networks = pick.list(networks).map(|(networks, _)| networks).unwrap_or_default();
    let terms = terms(pick, raw);
    is_enabled.then_some(())?;
    Some(MqttDoor {
        listen,
        token_listen,
        proofs: proofs?,
        upstream: upstream?,
        messages: messages?,
        layout: layout?,
        terms,
        handshake,
        workers,
        connections,
        connections_per_ip,
        proxy_protocol_networks,
    })
}

fn upstream(pick: &mut Picker<'_>, raw: &mut RawMqttDoor) -> Option<MqttUpstream> {
    let text = Layers::new("mqtt_door.upstream", raw.upstream.take());
    let (text, _) = pick.value(text, UpstreamText::Hub, |text| text.parse::<UpstreamText>());
    let word = Layers::new("mqtt_door.upstream_account", raw.upstream_account.take());
    let known =
        [("none", AccountWord::Anonymous), ("door", AccountWord::Door), ("identity", AccountWord::Identity)];
    let (word, word_at) = pick.value(word, AccountWord::Anonymous, |text| one_of(&text, &known));
    let name = pick.given(Layers::new("mqtt_door.upstream_user", raw.upstream_user.take()));
    let password =
        pick.file(Layers::new("mqtt_door.upstream_password_file", raw.upstream_password_file.take()));
    let header = Layers::new("mqtt_door.upstream_proxy_protocol", raw.upstream_proxy_protocol.take());
    let known = [("none", ProxyHeader::None), ("v2", ProxyHeader::V2)];
    let (proxy_header, _) = pick.value(header, ProxyHeader::None, |text| one_of(&text, &known));
    let tls = ServerTls {
        name: Layers::new("mqtt_door.upstream_server_name", raw.upstream_server_name.take()),
        ca: Layers::new("mqtt_door.upstream_ca", raw.upstream_ca.take()),
        certificate: Layers::new("mqtt_door.upstream_certificate", raw.upstream_certificate.take()),
        key: Layers::new("mqtt_door.upstream_key", raw.upstream_key.take()),
    };
    let tls = tls.pick(pick);
    let without = "mqtt_door.upstream is not a tls:// one";
    let server = match text {
        UpstreamText::Broker(place) => tls.server(pick, place, without),
        UpstreamText::Hub => {
            tls.refuse(pick, without);
            return Some(MqttUpstream::Hub);
        }
    };
    let password = password.map(|(path, _)| path);
    let account = match word {
        AccountWord::Anonymous => MqttAccount::Anonymous,
        AccountWord::Identity => MqttAccount::Identity { password },
        AccountWord::Door => {
            let (Some((name, _)), Some(password)) = (name, password) else {
                let message = "door needs mqtt_door.upstream_user and mqtt_door.upstream_password_file";
                pick.refuse(&word_at, "mqtt_door.upstream_account", message);
                return None;
            };
            MqttAccount::Door { name, password }
        }
    };
    Some(MqttUpstream::Broker { server: Box::new(server), account, proxy_header })
}

fn messages(
    pick: &mut Picker<'_>,
    raw: &mut RawMqttDoor,
    upstream: Option<&MqttUpstream>,
    sinks: usize,
) -> Option<Messages> {
    let file = pick.path(Layers::new("mqtt_door.messages_file", raw.messages_file.take()));
    let is_hub = upstream == Some(&MqttUpstream::Hub);
    let usual = match (file, is_hub) {
        (Some(path), _) => Messages::File(path),
        (None, true) => Messages::Database,
        (None, false) if sinks > 0 => Messages::Sinks,
        (None, false) => Messages::Broker,
    };
    let ingest = Layers::new("mqtt_door.ingest", raw.ingest.take());
    let Some((text, at)) = pick.given(ingest) else { return Some(usual) };
    match (text.as_str(), usual) {
        ("database", Messages::Database | Messages::Broker | Messages::Sinks) => Some(Messages::Database),
        ("sinks", Messages::Database | Messages::Broker | Messages::Sinks) if sinks > 0 => {
            Some(Messages::Sinks)
        }
        ("sinks", _) => {
            pick.refuse(&at, "mqtt_door.ingest", "sinks needs an [[ingest_sink]], and no messages_file");
            None
        }
        ("none", Messages::Broker | Messages::Sinks) => Some(Messages::Broker),
        ("none", Messages::Database) => {
            let message = "none leaves accepted messages nowhere: there is no broker behind the door";
            pick.refuse(&at, "mqtt_door.ingest", message);
            None
        }
        ("database" | "none", Messages::File(_)) => {
            pick.refuse(&at, "mqtt_door.ingest", "not beside mqtt_door.messages_file");
            None
        }
        _ => {
            pick.refuse(&at, "mqtt_door.ingest", "neither database nor sinks nor none");
            None
        }
    }
}

/// Fails closed: nobody would look for the token of messages that are not checked.
fn proofs(pick: &mut Picker<'_>, raw: &mut RawMqttDoor, messages: Option<&Messages>) -> Option<Proofs> {
    let require = Layers::new("mqtt_door.require_token", raw.require_token.take());
    let (is_asked, at) = pick.value(require, false, Ok::<bool, std::convert::Infallible>);
    let suffices = Layers::new("mqtt_door.certificate_suffices", raw.certificate_suffices.take());
    let (suffices, _) = pick.value(suffices, true, Ok::<bool, std::convert::Infallible>);
    match (is_asked, messages) {
        (false, _) => Some(Proofs::Never),
        (true, Some(Messages::File(_) | Messages::Broker)) => {
            let message = "needs messages that are checked: mqtt_door.ingest = \"database\" or \"sinks\"";
            pick.refuse(&at, "mqtt_door.require_token", message);
            None
        }
        (true, _) if suffices => Some(Proofs::WithoutCertificate),
        (true, _) => Some(Proofs::Always),
    }
}

/// Where the topics of devices are, whether or not there is a door.
pub(super) fn layout(pick: &mut Picker<'_>, raw: &mut RawMqttDoor) -> Option<Layout> {
    let defaults = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect();
    let write = Layers::new("mqtt_door.devices_write", raw.devices_write.take());
    let write: Vec<TopicFilter> =
        pick.list(write).map_or_else(|| defaults(&Layout::WRITE), |(filters, _)| filters);
    let read = Layers::new("mqtt_door.devices_read", raw.devices_read.take());
    let read: Vec<TopicFilter> =
        pick.list(read).map_or_else(|| defaults(&Layout::READ), |(filters, _)| filters);
    let prefix = Layers::new("mqtt_door.topic_prefix", raw.topic_prefix.take());
    let given = pick.given(prefix);
    let (text, at) = match given {
        Some((text, at)) => (text, Some(at)),
        None => (Layout::PREFIX.to_owned(), None),
    };
    match (Layout::new(&text, write, read), at) {
        (Ok(layout), _) => Some(layout),
        (Err(error), Some(at)) => {
            pick.refuse(&at, "mqtt_door.topic_prefix", error);
            None
        }
        (Err(_), None) => None,
    }
}

fn terms(pick: &mut Picker<'_>, raw: RawMqttDoor) -> Terms {
    let usual = Terms::default();
    let mut size = |key, place, default: usize| {
        let number = number(pick, Layers::new(key, place), 1, default as u64);
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let packet_bytes = size("mqtt_door.max_packet_bytes", raw.max_packet_bytes, usual.packet_bytes);
    let sessions = size("mqtt_door.max_sessions_per_device", raw.max_sessions_per_device, usual.sessions);
    let retained_messages =
        size("mqtt_door.max_retained_messages", raw.max_retained_messages, usual.retained_messages);
    let retained_bytes = size("mqtt_door.max_retained_bytes", raw.max_retained_bytes, usual.retained_bytes);
    let mut pace = |key, place, default: u32| {
        let number = number(pick, Layers::new(key, place), 1, u64::from(default));
        u32::try_from(number).unwrap_or(u32::MAX)
    };
    let packets_per_second =
        pace("mqtt_door.max_packets_per_second", raw.max_packets_per_second, usual.packets_per_second);
    let bytes_per_second =
        pace("mqtt_door.max_bytes_per_second", raw.max_bytes_per_second, usual.bytes_per_second);
    let strikes = pace("mqtt_door.max_denied_messages", raw.max_denied_messages, usual.strikes);
    let mut small = |key, place, least, default: u16| {
        let number = number(pick, Layers::new(key, place), least, u64::from(default));
        u16::try_from(number).unwrap_or(u16::MAX)
    };
    let inflight = small("mqtt_door.max_inflight", raw.max_inflight, 1, usual.inflight);
    let topic_aliases = small("mqtt_door.max_topic_aliases", raw.max_topic_aliases, 0, usual.topic_aliases);
    let mut time =
        |key, place, default: Duration| seconds(pick, Layers::new(key, place), 1, default.as_secs());
    let keep_alive = time("mqtt_door.max_keep_alive_seconds", raw.max_keep_alive_seconds, usual.keep_alive);
    let will_delay = time("mqtt_door.max_will_delay_seconds", raw.max_will_delay_seconds, usual.will_delay);
    let slow_reader = time("mqtt_door.slow_reader_seconds", raw.slow_reader_seconds, usual.slow_reader);
    let connect_timeout =
        time("mqtt_door.connect_timeout_seconds", raw.connect_timeout_seconds, usual.connect_timeout);
    let upstream_timeout =
        time("mqtt_door.upstream_timeout_seconds", raw.upstream_timeout_seconds, usual.upstream_timeout);
    let known = [("ack-and-quarantine", OnDenial::AckAndQuarantine), ("disconnect", OnDenial::Disconnect)];
    let denied = Layers::new("mqtt_door.denied_messages", raw.denied_messages);
    let (on_denial, _) = pick.value(denied, usual.on_denial, |text| one_of(&text, &known));
    Terms {
        connect_timeout,
        upstream_timeout,
        packet_bytes,
        packets_per_second,
        bytes_per_second,
        inflight,
        topic_aliases,
        keep_alive,
        will_delay,
        slow_reader,
        sessions,
        retained_messages,
        retained_bytes,
        on_denial,
        strikes,
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::Environment;
    use super::super::file::ConfigFile;
    use super::super::flags::ConfigFlags;
    use super::super::problem::ConfigError;
    use super::super::resolve::{Loaded, resolve};
    use super::super::tcp_doors::UpstreamTrust;
    use super::*;

    fn read(text: &str) -> Result<Loaded, ConfigError> {
        let names = vec!["here".parse().unwrap()];
        let machine = Machine { names, processors: NonZeroUsize::MIN };
        let file = ConfigFile::from_text("/etc/cs/c.toml", &format!("[mqtt_door]\n{text}\n"));
        resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
    }

    fn door(text: &str) -> MqttDoor {
        read(&format!("enabled = true\n{text}")).unwrap().resolved.mqtt_door.unwrap()
    }

    fn wrong(text: &str) -> Vec<String> {
        match read(text) {
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn it_is_open_unless_it_is_switched_off() {
        assert_eq!(read("enabled = false").unwrap().resolved.mqtt_door, None);
        let usual = read("").unwrap().resolved.mqtt_door.unwrap();
        assert_eq!((usual.listen.port(), usual.upstream), (8883, MqttUpstream::Hub));
        assert_eq!(usual.messages, Messages::Database);
    }

    #[test]
    fn tokens_are_taken_only_where_that_is_said() {
        let usual = door("");
        assert_eq!((usual.token_listen, usual.proofs), (None, Proofs::Never));
        let open = door("token_listen = \"127.0.0.1:8884\"\nrequire_token = true");
        assert_eq!(open.token_listen.unwrap().port(), 8884);
        assert_eq!(open.proofs, Proofs::WithoutCertificate);
        assert_eq!(door("require_token = true\ncertificate_suffices = false").proofs, Proofs::Always);
        assert_eq!(door("certificate_suffices = false").proofs, Proofs::Never);
    }

    #[test]
    fn messages_are_kept_in_one_place_and_never_in_none() {
        let broker = "upstream = \"tcp://127.0.0.1:1883\"";
        assert_eq!(door(broker).messages, Messages::Broker);
        assert_eq!(door(&format!("{broker}\ningest = \"database\"")).messages, Messages::Database);
        assert!(wrong("ingest = \"none\"")[0].contains("nowhere"));
        assert!(wrong("ingest = \"elsewhere\"")[0].contains("neither"));
        assert!(wrong("ingest = \"database\"\nmessages_file = \"m\"")[0].contains("not beside"));
    }

    #[test]
    fn few_words_are_enough() {
        let hub = door("messages_file = \"messages.jsonl\"");
        assert_eq!((hub.listen.port(), hub.upstream), (8883, MqttUpstream::Hub));
        assert_eq!(hub.messages, Messages::File("/etc/cs/messages.jsonl".into()));
        assert_eq!((hub.layout, hub.terms), (Layout::default(), Terms::default()));
        let broker = door("upstream = \"tcp://127.0.0.1:1883\"\nupstream_account = \"identity\"");
        let MqttUpstream::Broker { server, account, proxy_header } = broker.upstream else { panic!() };
        let TcpUpstream::Tcp(address) = *server else { panic!("another way") };
        assert_eq!((address.port, proxy_header), (1883, ProxyHeader::None));
        assert_eq!(account, MqttAccount::Identity { password: None });
        let socket = door("upstream = \"unix:/run/mosquitto/door.sock\"").upstream;
        let MqttUpstream::Broker { server, .. } = socket else { panic!() };
        assert_eq!(*server, TcpUpstream::Unix("/run/mosquitto/door.sock".into()));
        assert!(wrong("upstream = \"unix:door.sock\"")[0].contains("neither hub nor a broker: not tcp://"));
    }

    #[test]
    fn a_broker_over_tls_is_recognised_by_the_systems_cas_or_by_one_in_a_file() {
        let MqttUpstream::Broker { server, .. } =
            door("upstream = \"tls://broker.example.com:8883\"").upstream
        else {
            panic!()
        };
        let TcpUpstream::Tls { tls, .. } = *server else { panic!("another way") };
        assert_eq!((tls.trust, tls.identity), (UpstreamTrust::System, None));
        assert_eq!(tls.server_name.to_string(), "broker.example.com");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pem");
        std::fs::write(&file, "").unwrap();
        let text = format!(
            "upstream = \"tls://10.0.0.7:8883\"\nupstream_server_name = \"broker.internal\"\nupstream_ca = {file:?}\n\
             upstream_certificate = {file:?}\nupstream_key = {file:?}"
        );
        let MqttUpstream::Broker { server, .. } = door(&text).upstream else { panic!() };
        let TcpUpstream::Tls { tls, .. } = *server else { panic!("another way") };
        assert_eq!(
            (tls.trust, tls.identity),
            (UpstreamTrust::File(file.clone()), Some((file.clone(), file.clone())))
        );
        let plain = wrong(&format!("upstream = \"tcp://a:1\"\nupstream_ca = {file:?}"));
        assert!(plain[0].contains("upstream_ca: mqtt_door.upstream is not a tls:// one"), "{plain:?}");
        let half = wrong(&format!("upstream = \"tls://a:1\"\nupstream_certificate = {file:?}"));
        assert!(half[0].contains("needs mqtt_door.upstream_key beside it"), "{half:?}");
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        for (text, said) in [
            ("upstream = \"127.0.0.1:1883\"", "/etc/cs/c.toml:2: mqtt_door.upstream: neither hub nor"),
            (
                "upstream = \"tcp://a:1\"\nupstream_account = \"door\"",
                "/etc/cs/c.toml:3: mqtt_door.upstream_account: door needs",
            ),
            ("topic_prefix = \"fleet/{tenant}/\"", "/etc/cs/c.toml:2: mqtt_door.topic_prefix: not a layout"),
            ("devices_write = [\"a#\"]", "/etc/cs/c.toml:2: mqtt_door.devices_write: not a topic filter"),
            ("denied_messages = \"ignore\"", "/etc/cs/c.toml:2: mqtt_door.denied_messages: "),
            ("max_inflight = 0", "/etc/cs/c.toml:2: mqtt_door.max_inflight: "),
            ("token_listen = \"here\"", "/etc/cs/c.toml:2: mqtt_door.token_listen: "),
            (
                "require_token = true\nmessages_file = \"m\"",
                "/etc/cs/c.toml:2: mqtt_door.require_token: needs messages that are checked",
            ),
        ] {
            let problems = wrong(text);
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
    }
}
