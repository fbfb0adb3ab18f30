//! By what a server is recognised that is reached over TLS, and what it is shown: settings that several have, each
//! under names of its own.

use std::path::PathBuf;
use std::str::FromStr;

use super::monitors::ServerAddress;
use super::names::PublicName;
use super::pick::{Layers, Picker};
use super::problem::Origin;
use super::tcp_doors::{TcpUpstream, UpstreamTls, UpstreamTrust};

/// Where a server is, and how it is reached.
#[derive(Clone)]
pub(super) enum ServerPlace {
    Tcp(ServerAddress),
    Tls(ServerAddress),
    Unix(PathBuf),
}

impl FromStr for ServerPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            return address.parse().map(Self::Tcp);
        }
        if let Some(address) = text.strip_prefix("tls://") {
            return address.parse().map(Self::Tls);
        }
        let shown: String = text.chars().take(160).collect();
        Err(format!("not tcp://HOST:PORT, tls://HOST:PORT or unix:/PATH: {shown:?}"))
    }
}

/// Where the settings are.
pub(super) struct ServerTls {
    pub(super) name: Layers<String>,
    pub(super) ca: Layers<String>,
    pub(super) certificate: Layers<String>,
    pub(super) key: Layers<String>,
}

/// What they say.
pub(super) struct GivenTls {
    pub(super) name: Option<PublicName>,
    pub(super) ca: Option<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    ca_key: &'static str,
    given: Vec<(&'static str, Origin)>,
}

impl ServerTls {
    /// Reads them. A certificate without its key, or a key alone, is a problem.
    pub(super) fn pick(self, pick: &mut Picker<'_>) -> GivenTls {
        let keys = [self.name.key(), self.ca.key(), self.certificate.key(), self.key.key()];
        let name = pick.optional(self.name, |text| text.parse::<PublicName>());
        let (ca, certificate, key) = (pick.file(self.ca), pick.file(self.certificate), pick.file(self.key));
        let [_, ca_key, certificate_key, key_key] = keys;
        match (&certificate, &key) {
            (Some((_, at)), None) => pick.refuse(at, certificate_key, format!("needs {key_key} beside it")),
            (None, Some((_, at))) => pick.refuse(at, key_key, format!("needs {certificate_key} beside it")),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let origin = |given: &Option<(PathBuf, Origin)>| given.as_ref().map(|(_, at)| at.clone());
        let origins =
            [name.as_ref().map(|(_, at)| at.clone()), origin(&ca), origin(&certificate), origin(&key)];
        let given = keys.into_iter().zip(origins).filter_map(|(key, at)| Some((key, at?))).collect();
        let identity = certificate.zip(key).map(|((certificate, _), (key, _))| (certificate, key));
        GivenTls { name: name.map(|(name, _)| name), ca: ca.map(|(path, _)| path), identity, ca_key, given }
    }
}

impl GivenTls {
    /// None of them counts where there is no TLS.
    pub(super) fn refuse(self, pick: &mut Picker<'_>, message: &str) {
        for (key, at) in self.given {
            pick.refuse(&at, key, message);
        }
    }

    /// The CA, where none of the others counts.
    pub(super) fn ca_alone(mut self, pick: &mut Picker<'_>, message: &str) -> Option<PathBuf> {
        let (ca, ca_key) = (self.ca.take(), self.ca_key);
        self.given.retain(|(key, _)| *key != ca_key);
        self.refuse(pick, message);
        ca
    }

    /// What a server is recognised by: the CA in the file, or else this.
    pub(super) fn of(self, address: ServerAddress, usual: UpstreamTrust) -> TcpUpstream {
        let server_name = self.name.unwrap_or_else(|| address.host.clone());
        let trust = self.ca.map_or(usual, UpstreamTrust::File);
        TcpUpstream::Tls { address, tls: UpstreamTls { server_name, trust, identity: self.identity } }
    }

    /// The server at a place, with `without` said of what is given and needs TLS where there is none.
    pub(super) fn server(self, pick: &mut Picker<'_>, place: ServerPlace, without: &str) -> TcpUpstream {
        let plain = match place {
            ServerPlace::Tls(address) => return self.of(address, UpstreamTrust::System),
            ServerPlace::Tcp(address) => TcpUpstream::Tcp(address),
            ServerPlace::Unix(path) => TcpUpstream::Unix(path),
        };
        self.refuse(pick, without);
        plain
    }
}
