//! What `serve` prints once everything is ready: the addresses, what is left to be done by a
//! person, and the command that enrols a device.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;
use zeroize::Zeroizing;

use crate::config::PublicName;

/// The facts of a started server.
#[derive(Clone, Debug)]
pub(crate) struct Banner {
    /// Where the admin listener is.
    pub(crate) admin: SocketAddr,
    /// The HTTP door.
    pub(crate) door: Door,
    /// SHA-256 of the root certificate's DER, lower-case hex.
    pub(crate) root_fingerprint: String,
    /// Whether the first owner exists.
    pub(crate) setup: Setup,
}

/// The HTTP door.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Open.
    Open {
        /// The name under which devices reach it.
        host: PublicName,
        /// Its port.
        port: u16,
    },
    /// Its address is another program's.
    Taken(SocketAddr),
}

impl Door {
    /// Where devices reach it.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Open { host, port } => Some(format!("https://{}:{port}", host.in_url())),
            Self::Taken(_) => None,
        }
    }
}

/// Whether the first owner exists.
#[derive(Clone)]
pub(crate) enum Setup {
    /// It does.
    Done,
    /// It does not; this one-time token makes it.
    Open(Zeroizing<String>),
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Open(_) => f.write_str("Open([redacted])"),
        }
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let admin = format!("http://{}", reachable(self.admin));
        let fingerprint = &self.root_fingerprint;
        writeln!(f, "Countersign {} is ready.\n", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  admin           {admin}")?;
        match &self.door {
            Door::Open { host, port } => writeln!(f, "  device door     https://{}:{port}", host.in_url())?,
            Door::Taken(address) => writeln!(
                f,
                "  device door     closed: another program has {address}; choose another with --listen-http"
            )?,
        }
        writeln!(f, "  CA fingerprint  {fingerprint}\n")?;
        if let Setup::Open(token) = &self.setup {
            writeln!(f, "Set up the first owner, once, within an hour:")?;
            writeln!(f, "  {admin}/setup#token={}\n", token.as_str())?;
        }
        let Some(door) = self.door.url() else { return Ok(()) };
        writeln!(f, "Enrol a device, with an enrolment key in place of <key>:")?;
        writeln!(f, "  countersign-agent enroll <key> --server {door} --ca-fingerprint {fingerprint}")
    }
}

/// An address that a program on this machine can connect to.
pub(crate) fn reachable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(address) if address.is_unspecified() => ([127, 0, 0, 1], listening.port()).into(),
        IpAddr::V6(address) if address.is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, listening.port()))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => listening,
    }
}

/// The name to tell devices: the first of the public names that resolves. A door on loopback is
/// reached as its address.
pub(crate) async fn door_host(listening: SocketAddr, names: &[PublicName]) -> PublicName {
    if listening.ip().is_loopback() {
        return PublicName::Ip(listening.ip());
    }
    for name in names {
        let resolves = match name {
            PublicName::Ip(_) => true,
            PublicName::Dns(host) => lookup_host((host.as_str(), listening.port()))
                .await
                .is_ok_and(|mut found| found.next().is_some()),
        };
        if resolves {
            return name.clone();
        }
    }
    names.first().cloned().unwrap_or(PublicName::Ip(reachable(listening).ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(setup: Setup) -> Banner {
        Banner {
            admin: "127.0.0.1:8080".parse().unwrap(),
            door: Door::Open { host: "gateway.example.com".parse().unwrap(), port: 8443 },
            root_fingerprint: "ab".repeat(32),
            setup,
        }
    }

    #[test]
    fn a_first_start_shows_the_setup_link_and_the_command_that_enrols() {
        let printed = banner(Setup::Open("t0ken".to_owned().into())).to_string();
        assert_eq!(printed, include_str!("../tests/snapshots/banner-first-start.txt"));
    }

    #[test]
    fn a_later_start_shows_no_setup_link() {
        let printed = banner(Setup::Done).to_string();
        assert_eq!(printed, include_str!("../tests/snapshots/banner-later-start.txt"));
    }

    #[test]
    fn a_taken_port_is_said_and_no_command_is_shown_for_it() {
        let taken = Door::Taken("0.0.0.0:8443".parse().unwrap());
        let printed = Banner { door: taken, ..banner(Setup::Done) }.to_string();
        assert!(printed.contains("another program has 0.0.0.0:8443"), "{printed}");
        assert!(!printed.contains("countersign-agent"), "{printed}");
    }

    #[test]
    fn the_setup_token_is_not_in_debug_output() {
        assert!(!format!("{:?}", banner(Setup::Open("t0ken".to_owned().into()))).contains("t0ken"));
    }

    #[tokio::test]
    async fn devices_are_told_a_name_that_resolves() {
        let names: Vec<PublicName> =
            ["no-such-host.invalid", "localhost"].iter().map(|name| name.parse().unwrap()).collect();
        let everywhere = "0.0.0.0:8443".parse().unwrap();
        assert_eq!(door_host(everywhere, &names).await.to_string(), "localhost");
        let loopback = "127.0.0.1:8443".parse().unwrap();
        assert_eq!(door_host(loopback, &names).await.to_string(), "127.0.0.1");
    }
}
