//! `countersign cert p12`: a certificate and its key in one file, for browsers.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use countersign_ca::{CertificateDescription, Pkcs12Contents, SigningKey, pkcs12};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_tls::{certificates_of, private_key_of};
use serde_json::json;
use zeroize::Zeroizing;

use super::cert_arguments::CertP12Arguments;
use super::cert_verify::read;
use super::failure::Failure;
use super::output::{print, print_json};
use crate::config::Environment;

/// Writes the file.
pub(super) fn run(arguments: &CertP12Arguments) -> Result<(), Failure> {
    let mut certificates = certificates(&arguments.cert)?;
    let certificate = certificates.remove(0);
    if let Some(chain) = &arguments.chain {
        certificates.extend(self::certificates(chain)?);
    }
    let key = key(&arguments.key)?;
    let password = password(arguments)?;
    let description = CertificateDescription::of(&certificate, None, SystemClock.now())
        .with_context(|| format!("read {}", arguments.cert.display()))
        .map_err(Failure::bad_usage)?;
    let name = arguments.name.clone().unwrap_or(description.subject);
    let contents = Pkcs12Contents { certificate: &certificate, key: &key, chain: &certificates, name: &name };
    let file = pkcs12(&contents, &password).context("make the PKCS #12 file").map_err(Failure::bad_usage)?;
    write(&arguments.out, &file)?;
    let path = arguments.out.display().to_string();
    if arguments.json {
        print_json(
            &json!({ "file": path, "name": name, "certificates": certificates.len().saturating_add(1) }),
        )?;
    } else {
        print(&format!("{path}: the certificate of {name}, its key and {} CAs\n", certificates.len()))?;
    }
    Ok(())
}

/// One certificate at least.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let found = certificates_of(&read(path)?).with_context(|| format!("read {}", path.display()));
    found.map_err(Failure::bad_usage)
}

fn key(path: &Path) -> Result<SigningKey, Failure> {
    let file = Zeroizing::new(read(path)?);
    let found = private_key_of(&file).with_context(|| format!("read {}", path.display()));
    let key = found
        .and_then(|der| SigningKey::from_pkcs8_der(&der).with_context(|| format!("use {}", path.display())));
    key.map_err(|error| {
        Failure::bad_usage(error)
            .hint("it takes PKCS #8 without a passphrase: `openssl pkcs8 -topk8 -nodes -in OLD -out NEW`")
    })
}

fn password(arguments: &CertP12Arguments) -> Result<Zeroizing<String>, Failure> {
    let found = match (&arguments.password_file, &arguments.password_env) {
        (Some(path), _) => {
            let file = Zeroizing::new(read(path)?);
            let text = std::str::from_utf8(&file).context("read the password").map_err(Failure::bad_usage)?;
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
        (None, Some(name)) => Environment::secret(name)
            .with_context(|| format!("the variable {name} is not set"))
            .map_err(Failure::bad_usage)?,
        (None, None) => Zeroizing::default(),
    };
    Ok(found)
}

/// Beside it first: nobody sees half a file, and nobody else ever sees any.
fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs_err::remove_file(beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("clear the way");
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("create {}: {error}", beside.display()))?;
    file.write_all(contents).context("write the PKCS #12 file")?;
    file.sync_all().context("write the PKCS #12 file")?;
    fs_err::rename(beside, path).context("put the PKCS #12 file in place")
}
