//! `countersign cert issue`: a key is made here, and the running server certifies it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_api::wire::service_certificates::{IssueServiceCertificateRequest, ServiceCertificateDetail};
use countersign_ca::upstream::signing_request;
use countersign_ca::{KeyAlgorithm, Profile, ServiceNames, SigningKey, csr_pem};
use http::Method;
use serde_json::json;
use zeroize::Zeroizing;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::service_arguments::CertIssueArguments;
use crate::plan::{Layout, Readers};

/// Has a certificate issued and writes it.
pub(super) fn run(arguments: &CertIssueArguments) -> Result<(), Failure> {
    let (layout, name) = (Layout::new(arguments.out.clone()), arguments.name.as_str());
    if layout.path(name, "cert").exists() {
        let error = anyhow::anyhow!("{} is there already", layout.path(name, "cert").display());
        return Err(Failure::bad_usage(error)
            .hint("`countersign cert rotate` renews it; to replace it by another, move the directory away"));
    }
    let key = match &arguments.csr {
        Some(_) => None,
        None => Some(own_key(&layout.path(name, "key"), arguments.key_algorithm)?),
    };
    let csr = match (&arguments.csr, &key) {
        (Some(path), _) => fs_err::read_to_string(path).context("read the signing request")?,
        (None, Some(key)) => request_of(key)?,
        (None, None) => String::new(),
    };
    let server = AdminServer::of(&arguments.server)?;
    let issued: ServiceCertificateDetail =
        server.ask(Method::POST, "/service-certificates", &json!(wanted(arguments, csr)).to_string())?;
    if let Some(key) = &key {
        layout.write((name, "key"), &key.pkcs8_pem(), Readers::Owner)?;
    }
    let files = Files::of(&issued)?;
    layout.write((name, "chain"), &files.chain, Readers::Everybody)?;
    layout.write((name, "cert"), &files.certificate, Readers::Everybody)?;
    let key_file = key.map(|_made| layout.path(name, "key"));
    tell(arguments, &issued, &layout, key_file)
}

fn wanted(arguments: &CertIssueArguments, csr: String) -> IssueServiceCertificateRequest {
    IssueServiceCertificateRequest {
        ca: arguments.ca.clone(),
        profile: arguments.profile.as_str().to_owned(),
        subject: arguments.subject.as_ref().map(ToString::to_string),
        dns: arguments.dns.clone(),
        ip: arguments.ip.clone(),
        uri: arguments.uri.clone(),
        label: Some(arguments.name.clone()),
        lifetime_days: arguments.days,
        csr,
    }
}

/// A fresh key, or the one that a run which got no certificate for it left.
fn own_key(path: &Path, algorithm: KeyAlgorithm) -> Result<SigningKey, Failure> {
    if !path.exists() {
        return Ok(SigningKey::generate(algorithm).context("make a key")?);
    }
    let pem = Zeroizing::new(fs_err::read_to_string(path).context("read the key that is there")?);
    let key = SigningKey::from_pkcs8_pem(&pem).with_context(|| format!("read {}", path.display()));
    key.map_err(|error| Failure::bad_usage(error).hint("move the file away, and a fresh key is made"))
}

/// A signing request that asks for nothing: whom the certificate names is not its business.
pub(crate) fn request_of(key: &SigningKey) -> anyhow::Result<String> {
    let nobody = Profile::ServiceClient { names: ServiceNames::default() };
    Ok(csr_pem(&signing_request(key, &nobody).context("sign the request")?))
}

/// What an answer becomes on disk.
pub(super) struct Files {
    /// The certificate, and the CAs between it and the root: what servers send.
    pub(super) certificate: String,
    /// The CAs above it, the root last.
    pub(super) chain: String,
}

impl Files {
    pub(super) fn of(issued: &ServiceCertificateDetail) -> anyhow::Result<Self> {
        let end = "-----END CERTIFICATE-----\n";
        let above: Vec<&str> = issued.chain.split_inclusive(end).collect();
        let (_root, between) = above.split_last().context("find the root in the server's answer")?;
        let certificate = format!("{}{}", issued.pem, between.concat());
        Ok(Self { certificate, chain: issued.chain.clone() })
    }
}

fn tell(
    arguments: &CertIssueArguments,
    issued: &ServiceCertificateDetail,
    layout: &Layout,
    key: Option<PathBuf>,
) -> Result<(), Failure> {
    let (name, record) = (arguments.name.as_str(), &issued.record);
    let (certificate, chain) = (layout.path(name, "cert"), layout.path(name, "chain"));
    if arguments.server.json {
        return Ok(print_json(&json!({
            "certificate": certificate, "chain": chain, "key": key, "record": record,
        }))?);
    }
    let key = key.map_or_else(String::new, |key| format!("key          {}\n", key.display()));
    let by = record.ca.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(print(&format!(
        "certificate  {}\nchain        {}\n{key}id           {}\nserial       {}\nby           {by}\nuntil        {}\n",
        certificate.display(),
        chain.display(),
        record.id,
        record.serial_number,
        record.expires_at,
    ))?)
}
