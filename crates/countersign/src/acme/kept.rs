//! What is kept between starts: the account with its key, and the certificate with its key, 0600 each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_ca::CertificateDescription;
use countersign_core::certificate::Lifetime;
use countersign_core::time::Timestamp;
use countersign_tls::{ServerCredential, certificates_of};
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::serve::files::{make_private_directory, write_private};

/// The account at one CA.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) directory: String,
    pub(super) credentials: AccountCredentials,
}

/// A certificate with its key, and what is to be known of it.
pub(super) struct KeptCertificate {
    pub(super) credential: ServerCredential,
    pub(super) lifetime: Lifetime,
    pub(super) serial: String,
    names: Vec<String>,
}

impl KeptCertificate {
    /// Whether it is for exactly these hosts.
    pub(super) fn is_for(&self, hosts: &[String]) -> bool {
        self.names.len() == hosts.len() && hosts.iter().all(|host| self.names.iter().any(|own| own == host))
    }

    /// Out of PEM: the key and the chain, in one text so that they change together.
    fn read(pem: &str, now: Timestamp) -> anyhow::Result<Self> {
        let credential = ServerCredential::from_pem(pem, pem).context("use the certificate with its key")?;
        let chain = certificates_of(pem.as_bytes()).context("read the certificate")?;
        let leaf = chain.first().context("find the certificate")?;
        let said = CertificateDescription::of(leaf, None, now).context("read the certificate")?;
        let names = said.names.iter().map(|name| name.strip_prefix("DNS:").unwrap_or(name).to_owned());
        Ok(Self {
            credential,
            lifetime: Lifetime { issued_at: said.not_before, expires_at: said.not_after },
            names: names.collect(),
            serial: said.serial,
        })
    }
}

/// The folder.
pub(super) struct Kept(PathBuf);

impl Kept {
    /// In the data directory.
    pub(super) fn new(data_dir: &Path) -> anyhow::Result<Self> {
        let folder = data_dir.join("acme");
        make_private_directory(&folder)?;
        Ok(Self(folder))
    }

    /// The account, if there is one at this CA.
    pub(super) fn account(&self, directory: &str) -> anyhow::Result<Option<AccountCredentials>> {
        let Some(text) = read(&self.account_file())? else { return Ok(None) };
        let kept: KeptAccount = serde_json::from_str(&text)
            .with_context(|| format!("understand {}", self.account_file().display()))?;
        Ok((kept.directory == directory).then_some(kept.credentials))
    }

    pub(super) fn save_account(&self, account: &KeptAccount) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(account).context("write the account down")?;
        write_private(&self.account_file(), &Zeroizing::new(text))
    }

    /// The certificate, if there is one.
    pub(super) fn certificate(&self, now: Timestamp) -> anyhow::Result<Option<KeptCertificate>> {
        let path = self.certificate_file();
        let Some(pem) = read(&path)? else { return Ok(None) };
        KeptCertificate::read(&pem, now).map(Some).with_context(|| format!("use {}", path.display()))
    }

    /// Keeps one that was found to be right.
    pub(super) fn save_certificate(
        &self,
        (chain, key): (&str, &str),
        now: Timestamp,
    ) -> anyhow::Result<KeptCertificate> {
        let pem = Zeroizing::new(format!("{key}\n{chain}"));
        let read = KeptCertificate::read(&pem, now)?;
        write_private(&self.certificate_file(), pem.as_bytes())?;
        Ok(read)
    }

    fn account_file(&self) -> PathBuf {
        self.0.join("account.json")
    }

    fn certificate_file(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Zeroizing<String>>> {
    match fs_err::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Zeroizing::new).map(Some).context("read what is kept of ACME"),
    }
}
