//! A CA that was made elsewhere, read from its files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_authority::SecretFile;
use countersign_authority::import_ca::CaImport;
use countersign_authority::plan::IssuerRole;
use countersign_ca::{SigningKey, key_of_encrypted_pem};
use countersign_core::ids::{CaName, Environment};
use countersign_tls::{certificates_of, private_key_of};
use zeroize::Zeroizing;

/// Its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaFiles {
    /// The certificate; certificates of CAs above it may follow.
    pub(crate) certificate: PathBuf,
    /// The key.
    pub(crate) key: PathBuf,
}

/// What it is to be here.
#[derive(Clone, Debug)]
pub(crate) struct ImportedAs {
    /// Its name.
    pub(crate) name: CaName,
    /// What it is for.
    pub(crate) role: IssuerRole,
    /// For which environment it signs.
    pub(crate) environment: Option<Environment>,
}

/// Reads certificate, key and chain.
pub(crate) fn read(
    files: &CaFiles,
    chain: Option<&Path>,
    passphrase: Option<&SecretFile>,
    wanted: ImportedAs,
) -> anyhow::Result<CaImport> {
    let mut certificates = certificates(&files.certificate)?.into_iter();
    let certificate = certificates.next().context("find the CA's certificate")?;
    let mut above: Vec<Vec<u8>> = certificates.collect();
    if let Some(chain) = chain {
        above.extend(self::certificates(chain)?);
    }
    let ImportedAs { name, role, environment } = wanted;
    Ok(CaImport { name, role, environment, certificate, chain: above, key: key(&files.key, passphrase)? })
}

fn certificates(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let file = fs_err::read(path).context("read the certificates")?;
    certificates_of(&file).with_context(|| format!("read {}", path.display()))
}

fn key(path: &Path, passphrase: Option<&SecretFile>) -> anyhow::Result<SigningKey> {
    let file = Zeroizing::new(fs_err::read(path).context("read the key")?);
    let read = || format!("read {}", path.display());
    if let Some(passphrase) = passphrase {
        let passphrase = passphrase.read_line().context("read the passphrase of the key")?;
        let text = str::from_utf8(&file).with_context(read)?;
        return key_of_encrypted_pem(text, &passphrase).with_context(read);
    }
    let der = private_key_of(&file).with_context(read)?;
    SigningKey::from_pkcs8_der(&der).with_context(read)
}
