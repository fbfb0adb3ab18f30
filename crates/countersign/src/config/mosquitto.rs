//! `[mosquitto]`: Mosquitto itself at the devices' port, whose accounts are kept.

use std::path::PathBuf;

use countersign_edge::mqtt::Layout;
use serde::Deserialize;

use super::monitors::ServerAddress;
use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::switch;
use super::settings::{Setting, Shown};

/// `[mosquitto]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMosquitto {
    pub(super) control: Place<String>,
    pub(super) user: Place<String>,
    pub(super) password_file: Place<String>,
    pub(super) ingest: Place<bool>,
}

/// A Mosquitto whose accounts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mosquitto {
    /// Its private listener.
    pub(crate) control: ServerAddress,
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

/// `tcp://HOST:PORT`.
pub(super) fn broker_address(text: &str) -> Result<ServerAddress, String> {
    match text.strip_prefix("tcp://") {
        Some(address) => address.parse(),
        None => {
            let shown: String = text.chars().take(160).collect();
            Err(format!("not tcp://HOST:PORT: {shown:?}"))
        }
    }
}

/// Whose accounts are kept, if any's. What is wrong is said in any case.
pub(super) fn mosquitto(
    pick: &mut Picker<'_>,
    raw: RawMosquitto,
    layout: Option<Layout>,
) -> Option<Mosquitto> {
    let control = Layers::new("mosquitto.control", raw.control);
    let control = pick.optional(control, |text: String| broker_address(&text));
    let user = pick.given(Layers::new("mosquitto.user", raw.user));
    let user = user.map_or_else(|| DRIVER.to_owned(), |(user, _)| user);
    let password = pick.placed(Layers::new("mosquitto.password_file", raw.password_file));
    let is_subscribed = switch(pick, Layers::new("mosquitto.ingest", raw.ingest));
    let ingest = if is_subscribed { BrokerIngest::Subscribed } else { BrokerIngest::Off };
    let (control, at) = control?;
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
        "A Mosquitto that serves devices on a port of its own, with the dynamic-security plugin: its private\nlistener. Devices' accounts and roles there are kept as this installation decides, and sessions of\nfallen devices end. `countersign mqtt mosquitto-config` writes its side. Default: none.",
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
        assert_eq!((found.user.as_str(), found.control.port), ("countersign", 1883));
        assert_eq!(found.layout.text(), "t/{tenant}/{device}/");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("control = \"127.0.0.1:1883\"", "mosquitto.control: not tcp://HOST:PORT"),
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
