//! What is kept between starts: the account with its key, and the certificate with its key. Sealed where there
//! is an authority to seal them, and 0600 in any case.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_ca::{CertificateDescription, SealedKey};
use countersign_core::certificate::Lifetime;
use countersign_core::time::Timestamp;
use countersign_tls::{ServerCredential, certificates_of};
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::serve::files::{make_private_directory, remove_if_there, write_private};

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";

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
pub(super) struct Kept {
    folder: PathBuf,
    /// Who seals what is in it; an edge has nobody who could.
    sealer: Option<Arc<Authority>>,
}

impl Kept {
    /// In the data directory.
    pub(super) fn new(data_dir: &Path, sealer: Option<Arc<Authority>>) -> anyhow::Result<Self> {
        let folder = data_dir.join("acme");
        make_private_directory(&folder)?;
        Ok(Self { folder, sealer })
    }

    /// The account, if there is one at this CA.
    pub(super) fn account(&self, directory: &str) -> anyhow::Result<Option<AccountCredentials>> {
        let Some(text) = self.read(ACCOUNT)? else { return Ok(None) };
        let kept: KeptAccount =
            serde_json::from_slice(&text).context("understand the ACME account that is kept")?;
        Ok((kept.directory == directory).then_some(kept.credentials))
    }

    pub(super) fn save_account(&self, account: &KeptAccount) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(account).context("write the account down")?;
        self.write(ACCOUNT, &Zeroizing::new(text))
    }

    /// The certificate, if there is one.
    pub(super) fn certificate(&self, now: Timestamp) -> anyhow::Result<Option<KeptCertificate>> {
        let Some(pem) = self.read(CERTIFICATE)? else { return Ok(None) };
        let pem = std::str::from_utf8(&pem).context("read the certificate that is kept")?;
        KeptCertificate::read(pem, now).map(Some)
    }

    /// Keeps one that was found to be right.
    pub(super) fn save_certificate(
        &self,
        (chain, key): (&str, &str),
        now: Timestamp,
    ) -> anyhow::Result<KeptCertificate> {
        let pem = Zeroizing::new(format!("{key}\n{chain}"));
        let read = KeptCertificate::read(&pem, now)?;
        self.write(CERTIFICATE, pem.as_bytes())?;
        Ok(read)
    }

    /// What is kept under a name. A file of a version that sealed none is sealed by this.
    fn read(&self, name: &str) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(sealer) = &self.sealer else { return read(&self.folder.join(name)) };
        if let Some(sealed) = read(&self.sealed(name))? {
            return match sealer.open_secret(&SealedKey::from(sealed.to_vec()), &label(name)) {
                Ok(opened) => Ok(Some(opened)),
                // Sealed again with another key, it would have to be known here: a new one is as good.
                Err(error) => {
                    tracing::warn!(name, %error, "what is kept of ACME cannot be opened, it is made anew");
                    Ok(None)
                }
            };
        }
        let Some(open) = read(&self.folder.join(name))? else { return Ok(None) };
        self.write(name, &open)?;
        Ok(Some(open))
    }

    fn write(&self, name: &str, contents: &[u8]) -> anyhow::Result<()> {
        let open = self.folder.join(name);
        let Some(sealer) = &self.sealer else { return write_private(&open, contents) };
        let sealed = sealer.seal_secret(contents, &label(name)).context("seal what is kept of ACME")?;
        write_private(&self.sealed(name), sealed.as_bytes())?;
        remove_if_there(&open)
    }

    fn sealed(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("sealed")
    }
}

/// Under what a file is sealed.
fn label(name: &str) -> String {
    format!("acme/{name}")
}

fn read(path: &Path) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs_err::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Zeroizing::new).map(Some).context("read what is kept of ACME"),
    }
}
