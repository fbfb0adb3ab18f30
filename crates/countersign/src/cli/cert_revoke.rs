//! `countersign cert revoke`: a service's certificate, by its id, its serial number or a file with it.

use std::path::Path;

use anyhow::Context as _;
use countersign_api::wire::admin::RevokeRequest;
use countersign_api::wire::service_certificates::{
    ServiceCertificateBody, ServiceCertificateList, ServiceCertificateRevoked,
};
use countersign_ca::{PublicKey, serial_of};
use countersign_core::ids::{CertificateId, SerialNumber, SpkiSha256};
use countersign_tls::certificates_of;
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::cert_verify::read;
use super::failure::Failure;
use super::output::{print, print_json};
use super::service_arguments::CertRevokeArguments;

/// Revokes it.
pub(super) fn run(arguments: &CertRevokeArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let id = match Named::of(&arguments.certificate)? {
        Named::Id(id) => id,
        Named::Serial(serial, key) => the_one(&server, &serial, key)?.id,
    };
    let body = RevokeRequest { reason: Some(arguments.reason.to_string()) };
    let path = format!("/service-certificates/{id}/revoke");
    let revoked: ServiceCertificateRevoked = server.ask(Method::POST, &path, &json!(body).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&revoked)?);
    }
    let edges = revoked.applied_edges;
    Ok(print(&format!(
        "{} is revoked since {}; {} of {} edges know\n",
        revoked.id, revoked.revoked_at, edges.applied, edges.total
    ))?)
}

/// How a certificate is named on the command line.
enum Named {
    Id(CertificateId),
    /// With its key, when that is known.
    Serial(SerialNumber, Option<SpkiSha256>),
}

impl Named {
    fn of(text: &str) -> Result<Self, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if Path::new(text).exists() {
            return of_file(Path::new(text));
        }
        let serial = text.replace(':', "").to_ascii_lowercase().parse();
        serial.map(|serial| Self::Serial(serial, None)).map_err(|_invalid| {
            Failure::bad_usage(anyhow::anyhow!("{text} is no id, no serial number and no file"))
                .hint("`countersign cert list` shows ids, `countersign cert inspect FILE` serial numbers")
        })
    }
}

fn of_file(path: &Path) -> Result<Named, Failure> {
    let found = certificates_of(&read(path)?).with_context(|| format!("read {}", path.display()));
    let leaf = found.and_then(|all| all.into_iter().next().context("there is no certificate in it"));
    let leaf = leaf.map_err(Failure::bad_usage)?;
    let key = PublicKey::from_certificate_der(&leaf).context("read its key").map_err(Failure::bad_usage)?;
    let serial = serial_of(&leaf).context("read its serial number").map_err(Failure::bad_usage)?;
    Ok(Named::Serial(serial, Some(key.sha256())))
}

/// The only service's certificate on record with this number and key.
pub(super) fn the_one(
    server: &AdminServer,
    serial: &SerialNumber,
    key: Option<SpkiSha256>,
) -> Result<ServiceCertificateBody, Failure> {
    let path = format!("/service-certificates?serial={serial}");
    let list: ServiceCertificateList = server.ask(Method::GET, &path, "")?;
    let mut found = list.certificates.into_iter().filter(|one| key.is_none_or(|key| one.spki_sha256 == key));
    let first = found.next().with_context(|| format!("no service's certificate {serial} is on record"));
    let first = first.map_err(|error| {
        Failure::from(error)
            .hint("certificates of devices are revoked over the admin API, /certificates/ID/revoke")
    })?;
    match found.next() {
        None => Ok(first),
        Some(second) => {
            let error = anyhow::anyhow!("there are two with this number: {} and {}", first.id, second.id);
            Err(Failure::bad_usage(error).hint("name it by its id"))
        }
    }
}
