//! `[mosquitto]`: Mosquitto itself at the devices' port, whose accounts are kept.

use std::path::PathBuf;

use countersign_edge::mqtt::Layout;
use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::switch;
use super::server_tls::{ServerPlace, ServerTls};
use super::settings::{Setting, Shown};
use super::tcp_doors::TcpUpstream;

/// `[mosquitto]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMosquitto {
    pub(super) control: Place<String>,
    pub(super) control_server_name: Place<String>,
    pub(super) control_ca: Place<String>,
    pub(super) control_certificate: Place<String>,
    pub(super) control_key: Place<String>,
    pub(super) user: Place<String>,
    pub(super) password_file: Place<String>,
    pub(super) ingest: Place<bool>,
}

/// A Mosquitto whose accounts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mosquitto {
    /// Its private listener, and how it is recognised.
    pub(crate) control: TcpUpstream,
    /// The account there that may command the plugin.
    pub(crate) user: String,
    /// The file with its password.
    pub(crate) password: PathBuf,
    /// Where the topics of devices are, and what they may there.
    pub(crate) layout: Layout,
    /// Whether what devices say there is taken.
    pub(crate) ingest: BrokerIngest,
}

/// Whether what devices say at the broker is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerIngest {
    /// It is, as a subscriber hears it.
    Subscribed,
    /// It is not.
    Off,
}

/// The user name that `countersign mqtt mosquitto-config` makes an account for.
pub(crate) const DRIVER: &str = "countersign";

/// Whose accounts are kept, if any's. What is wrong is said in any case.
pub(super) fn mosquitto(
    pick: &mut Picker<'_>,
    raw: RawMosquitto,
    layout: Option<Layout>,
) -> Option<Mosquitto> {
    let control = Layers::new("mosquitto.control", raw.control);
    let control = pick.optional(control, |text: String| text.parse::<ServerPlace>());
    let tls = ServerTls {
        name: Layers::new("mosquitto.control_server_name", raw.control_server_name),
        ca: Layers::new("mosquitto.control_ca", raw.control_ca),
        certificate: Layers::new("mosquitto.control_certificate", raw.control_certificate),
        key: Layers::new("mosquitto.control_key", raw.control_key),
    };
    let tls = tls.pick(pick);
    let user = pick.given(Layers::new("mosquitto.user", raw.user));
    let user = user.map_or_else(|| DRIVER.to_owned(), |(user, _)| user);
    let password = pick.placed(Layers::new("mosquitto.password_file", raw.password_file));
    let is_subscribed = switch(pick, Layers::new("mosquitto.ingest", raw.ingest));
    let ingest = if is_subscribed { BrokerIngest::Subscribed } else { BrokerIngest::Off };
    let without = "mosquitto.control is not a tls:// one";
    let Some((place, at)) = control else {
        tls.refuse(pick, without);
        return None;
    };
    let control = tls.server(pick, place, without);
    let Some((password, _)) = password else {
        pick.refuse(&at, "mosquitto.control", "needs mosquitto.password_file beside it");
        return None;
    };
    Some(Mosquitto { control, user, password, layout: layout?, ingest })
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "mosquitto.control",
        "",
        "\"tcp://127.0.0.1:1883\"",
        Shown::Example,
        "A Mosquitto that serves devices on a port of its own, with the dynamic-security plugin: its private\nlistener, tcp://, tls:// or unix:/PATH. Devices' accounts and roles there are kept as this installation decides, and sessions of\nfallen devices end. `countersign mqtt mosquitto-config` writes its side. Default: none.",
    ),
    Setting::new(
        "mosquitto.control_server_name",
        "",
        "\"broker.example.com\"",
        Shown::Example,
        "The name that the certificate of a tls:// one must be for. Default: its host.",
    ),
    Setting::new(
        "mosquitto.control_ca",
        "",
        "\"broker-ca.pem\"",
        Shown::Example,
        "The CA by which it is recognised, PEM. Default: those that the system trusts.",
    ),
    Setting::new(
        "mosquitto.control_certificate",
        "",
        "\"driver-cert.pem\"",
        Shown::Example,
        "The certificate that it is shown, PEM, leaf first, looked at with every connection. Default: none.",
    ),
    Setting::new(
        "mosquitto.control_key",
        "",
        "\"driver-key.pem\"",
        Shown::Example,
        "Private key of mosquitto.control_certificate, PEM.",
    ),
    Setting::new(
        "mosquitto.user",
        "",
        "\"countersign\"",
        Shown::Default,
        "The account there that may command the plugin.",
    ),
    Setting::new(
        "mosquitto.password_file",
        "",
        "\"/etc/mosquitto/countersign/driver.password\"",
        Shown::Example,
        "File with its password. Default: none.",
    ),
    Setting::new(
        "mosquitto.ingest",
        "",
        "false",
        Shown::Default,
        "Whether what devices publish there is subscribed to, checked, kept and handed to sinks. A subscriber\nknows a sender by the topic alone, which the device's role vouches for.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::super::tcp_doors::UpstreamTrust;
    use super::*;

    fn mosquitto(text: &str) -> Option<Mosquitto> {
        read(text).unwrap().resolved.mosquitto
    }

    #[test]
    fn it_is_none_unless_asked_for_and_has_the_layout_of_the_door() {
        assert_eq!(mosquitto(""), None);
        let text = "[mqtt_door]\nenabled = false\ntopic_prefix = \"t/{tenant}/{device}/\"\n\
                    [mosquitto]\ncontrol = \"tcp://127.0.0.1:1883\"\npassword_file = \"p\"\n";
        let found = mosquitto(text).unwrap();
        assert_eq!(found.user, "countersign");
        assert_eq!(found.control, TcpUpstream::Tcp("127.0.0.1:1883".parse().unwrap()));
        assert_eq!(found.layout.text(), "t/{tenant}/{device}/");
    }

    #[test]
    fn over_tls_it_is_recognised_by_the_name_and_the_ca_that_are_given() {
        let text = "control = \"tls://10.0.0.7:8884\"\npassword_file = \"p\"";
        let TcpUpstream::Tls { tls, .. } = mosquitto(&format!("[mosquitto]\n{text}\n")).unwrap().control
        else {
            panic!("no TLS")
        };
        assert_eq!((tls.server_name.to_string().as_str(), tls.trust), ("10.0.0.7", UpstreamTrust::System));
        let named = format!("[mosquitto]\n{text}\ncontrol_server_name = \"broker.internal\"\n");
        let TcpUpstream::Tls { tls, .. } = mosquitto(&named).unwrap().control else { panic!("no TLS") };
        assert_eq!(tls.server_name.to_string(), "broker.internal");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            (
                "control = \"127.0.0.1:1883\"",
                "mosquitto.control: not tcp://HOST:PORT, tls://HOST:PORT or unix:/PATH",
            ),
            (
                "control = \"tcp://a:1\"\npassword_file = \"p\"\ncontrol_server_name = \"b\"",
                "mosquitto.control_server_name: mosquitto.control is not a tls:// one",
            ),
            ("control = \"tcp://127.0.0.1:1883\"", "mosquitto.control: needs mosquitto.password_file"),
            ("control = \"tcp://nowhere\"\npassword_file = \"p\"", "mosquitto.control: not a host and port"),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[mosquitto]\n{text}\n")) else {
                panic!("{text}")
            };
            assert!(problems.iter().any(|one| one.to_string().contains(said)), "{said}: {problems:#?}");
        }
    }
}
