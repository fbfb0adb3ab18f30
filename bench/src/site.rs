//! What all servers under measurement have in common: the folder, the certificate they show, the CA of
//! the devices, the upstream, the processors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_testkit::TestCa;

use crate::client::Clients;
use crate::machine::Cores;
use crate::process::Process;
use crate::upstream::Upstreams;

/// What all servers have in common.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) upstream: SocketAddr,
    /// What stands behind TCP doors.
    pub(crate) bulk: SocketAddr,
    pub(crate) clients: Clients,
    /// Where programs are looked for.
    pub(crate) path: String,
}

impl Site {
    /// Writes the servers' certificate and key into `folder`.
    pub(crate) fn prepare(
        folder: &Path,
        cores: Cores,
        upstreams: Upstreams,
        path: &str,
    ) -> anyhow::Result<Self> {
        let ca = TestCa::new("bench.internal");
        let shown = ca.server(&["localhost", "127.0.0.1"]);
        let (leaf, issuer) = (shown.chain_pem(), shown.key_pem());
        let site = Self {
            folder: folder.to_owned(),
            cores,
            upstream: upstreams.http,
            bulk: upstreams.bulk,
            clients: Clients::new(ca.root_der())?,
            path: path.to_owned(),
        };
        // The root is not shown: whoever is to trust it has it.
        let end = "-----END CERTIFICATE-----\n";
        let chain: String = leaf.split_inclusive(end).take(2).collect();
        fs_err::write(site.server_chain(), &chain).context("write the servers' certificate")?;
        fs_err::write(site.server_key(), &issuer).context("write the servers' key")?;
        fs_err::write(site.server_pem(), format!("{chain}{issuer}")).context("write the servers' key")?;
        Ok(site)
    }

    /// The servers' certificate and its issuer.
    pub(crate) fn server_chain(&self) -> PathBuf {
        self.folder.join("server-chain.pem")
    }

    /// The servers' key.
    pub(crate) fn server_key(&self) -> PathBuf {
        self.folder.join("server-key.pem")
    }

    /// Both in one file, as HAProxy wants them.
    pub(crate) fn server_pem(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The CAs that vouch for the devices.
    pub(crate) fn device_cas(&self) -> PathBuf {
        self.folder.join("device-cas.pem")
    }
}

/// A server under measurement.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}
