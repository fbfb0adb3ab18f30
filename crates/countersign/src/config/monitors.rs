//! `[[monitor]]`: certificates elsewhere that are watched.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_authority::monitors::{Watch, WatchPlace};
use countersign_core::ids::{MonitorName, SpkiSha256};
use countersign_tls::tunnel;
use toml::Spanned;

use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::raw::RawMonitor;

/// A week: less often is as good as never.
const LONGEST_MINUTES: u64 = 7 * 24 * 60;

/// How often a certificate is looked at unless told otherwise.
const DEFAULT_MINUTES: u64 = 60;

/// `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) host: PublicName,
    pub(crate) port: u16,
}

impl std::str::FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            let shown: String = text.chars().take(160).collect();
            format!("not a host and port, such as db.example.com:5432: {shown:?}")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        // Without brackets nobody can tell where an IPv6 address ends.
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(refused());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?;
        Ok(Self { host: host.parse().map_err(|_no_host| refused())?, port })
    }
}

impl ServerAddress {
    /// The place to look at, asking for this name.
    pub(crate) fn place(&self, server_name: Option<&PublicName>) -> WatchPlace {
        WatchPlace::Server {
            host: self.host.to_string(),
            port: self.port,
            server_name: server_name.unwrap_or(&self.host).to_string(),
        }
    }
}

/// The SHA-256 of a public key, hex or base64, also as `sha256//…`.
pub(crate) fn pin(text: &str) -> Result<SpkiSha256, String> {
    tunnel::pin(text).map_err(|error| format!("{error}; `countersign monitor check` prints it"))
}

/// What is to be watched; names are unique.
pub(super) fn monitors(pick: &mut Picker<'_>, raw: Vec<Spanned<RawMonitor>>) -> Vec<Watch> {
    let mut names = BTreeSet::new();
    let mut watches = Vec::with_capacity(raw.len());
    for entry in raw {
        let origin = pick.origin(&entry.span());
        let Some(watch) = monitor(pick, &origin, entry.into_inner()) else { continue };
        if !names.insert(watch.name.clone()) {
            pick.refuse(&origin, "monitor.name", format!("{} is the name of another monitor", watch.name));
        }
        watches.push(watch);
    }
    watches
}

fn monitor(pick: &mut Picker<'_>, origin: &Origin, raw: RawMonitor) -> Option<Watch> {
    if raw.name.is_none() {
        pick.refuse(origin, "monitor.name", "missing: what people call the certificate");
    }
    let name = Layers::new("monitor.name", raw.name).only_in_file();
    let name = pick.optional(name, |text| text.parse::<MonitorName>()).map(|(name, _)| name);
    let key = Layers::new("monitor.pin", raw.pin).only_in_file();
    let key = pick.optional(key, |text| pin(&text)).map(|(pin, _)| pin);
    let minutes = Layers::new("monitor.interval_minutes", raw.interval_minutes).only_in_file();
    let in_bounds = |minutes: u64| match minutes {
        1..=LONGEST_MINUTES => Ok(minutes),
        _ => Err(format!("{minutes} is not between 1 and {LONGEST_MINUTES}")),
    };
    let (minutes, _) = pick.value(minutes, DEFAULT_MINUTES, in_bounds);
    let wants_one = match (&raw.address, &raw.file) {
        (None, None) => Some("missing: the server's host:port, or monitor.file"),
        (Some(_), Some(_)) => Some("monitor.file is set too: the certificate is at one of them"),
        (Some(_), None) | (None, Some(_)) => None,
    };
    if let Some(message) = wants_one {
        pick.refuse(origin, "monitor.address", message);
    }
    let address = Layers::new("monitor.address", raw.address).only_in_file();
    let address = pick.optional(address, |text| text.parse::<ServerAddress>()).map(|(address, _)| address);
    let server_name = Layers::new("monitor.server_name", raw.server_name).only_in_file();
    let server_name = pick.optional(server_name, |text| text.parse::<PublicName>());
    let file = pick.path(Layers::new("monitor.file", raw.file).only_in_file());
    if let (Some((_, at)), Some(_)) = (&server_name, &file) {
        pick.refuse(at, "monitor.server_name", "a file is asked for no name");
    }
    let server_name = server_name.map(|(server_name, _)| server_name);
    let place = match (address, file) {
        (Some(address), _) => address.place(server_name.as_ref()),
        (None, Some(file)) => WatchPlace::File(file),
        (None, None) => return None,
    };
    Some(Watch { name: name?, place, pin: key, interval: Duration::from_secs(minutes.saturating_mul(60)) })
}

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn watch(text: &str) -> Watch {
        read(&format!("[[monitor]]\nname = \"web\"\n{text}\n")).unwrap().resolved.monitors.remove(0)
    }

    fn wrong(text: &str) -> Vec<String> {
        match read(text) {
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_server_is_asked_for_its_own_name_once_an_hour_unless_told_otherwise() {
        let server = watch("address = \"Web.example.com:443\"");
        assert_eq!(server.place.to_string(), "web.example.com:443");
        assert_eq!((server.interval, server.pin), (Duration::from_secs(3600), None));
        let server =
            watch("address = \"[2001:db8::1]:443\"\nserver_name = \"a.example\"\ninterval_minutes = 5");
        assert_eq!(server.place.to_string(), "[2001:db8::1]:443 as a.example");
        assert_eq!(server.interval, Duration::from_secs(300));
        let file = watch("file = \"web.pem\"");
        assert_eq!(file.place, WatchPlace::File("/etc/cs/web.pem".into()));
    }

    #[test]
    fn a_pin_is_the_same_in_hex_and_base64() {
        let wanted: SpkiSha256 = HEX.parse().unwrap();
        let base64 = STANDARD.encode(wanted.as_bytes());
        for text in [HEX.to_owned(), base64.clone(), format!("sha256//{base64}"), format!("sha256/{base64}")]
        {
            assert_eq!(watch(&format!("file = \"a\"\npin = {text:?}")).pin, Some(wanted), "{text}");
        }
        for text in ["", "00", "AAAA", HEX.trim_end_matches('f'), "sha256//"] {
            assert!(pin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        for (text, said) in [
            ("name = \"web\"\nfile = \"a\"\npinn = \"x\"", "/etc/cs/c.toml:4: monitor.pinn: unknown"),
            ("file = \"a\"", "/etc/cs/c.toml:1: monitor.name: missing"),
            ("name = \"web\"", "/etc/cs/c.toml:1: monitor.address: missing"),
            (
                "name = \"web\"\nfile = \"a\"\naddress = \"a:1\"",
                "/etc/cs/c.toml:1: monitor.address: monitor.file",
            ),
            ("name = \"Web\"\nfile = \"a\"", "/etc/cs/c.toml:2: monitor.name: not a monitor name"),
            ("name = \"web\"\naddress = \"a\"", "/etc/cs/c.toml:3: monitor.address: not a host and port"),
            ("name = \"web\"\naddress = \"a:0\"", "/etc/cs/c.toml:3: monitor.address: not a host"),
            ("name = \"web\"\naddress = \"::1:443\"", "/etc/cs/c.toml:3: monitor.address: not a host"),
            ("name = \"web\"\nfile = \"a\"\npin = \"x\"", "/etc/cs/c.toml:4: monitor.pin: not the SHA-256"),
            (
                "name = \"web\"\nfile = \"a\"\nserver_name = \"b\"",
                "/etc/cs/c.toml:4: monitor.server_name: a file",
            ),
            (
                "name = \"web\"\nfile = \"a\"\ninterval_minutes = 0",
                "/etc/cs/c.toml:4: monitor.interval_minutes: 0",
            ),
            (
                "name = \"web\"\nfile = \"a\"\n[[monitor]]\nname = \"web\"\nfile = \"b\"",
                "/etc/cs/c.toml:4: monitor.name: web is",
            ),
        ] {
            let problems = wrong(&format!("[[monitor]]\n{text}\n"));
            assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:#?}");
        }
    }
}
