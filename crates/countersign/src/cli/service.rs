//! `countersign service`: certificates of services whose keys are kept here.

use anyhow::Context as _;
use countersign_api::wire::service_certificates::{
    ImportServiceCertificateRequest, ServiceCertificateDetail, ServiceCertificateRemoved,
};
use http::{Method, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use super::admin_server::{AdminServer, said};
use super::cert_inspect::printable;
use super::cert_list;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::service_arguments::{
    ServiceCommand, ServiceImportArguments, ServiceListArguments, ServiceRemoveArguments,
};

/// Does what was asked for.
pub(super) fn run(command: &ServiceCommand) -> Result<(), Failure> {
    match command {
        ServiceCommand::Import(arguments) => import(arguments),
        ServiceCommand::List(arguments) => list(arguments),
        ServiceCommand::Remove(arguments) => remove(arguments),
    }
}

/// The id goes to stdout, and nothing else: it is what others are told.
fn import(arguments: &ServiceImportArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    server.check_local().map_err(|error| {
        Failure::bad_usage(error)
            .hint("run the command on the server's machine, or over an SSH forward to it")
    })?;
    let key = Zeroizing::new(fs_err::read_to_string(&arguments.key).context("read the key")?);
    let body = ImportServiceCertificateRequest {
        certificate: fs_err::read_to_string(&arguments.cert).context("read the certificate")?,
        key: key.to_string(),
        label: arguments.label.clone(),
    };
    let body = Zeroizing::new(json!(body).to_string());
    let (status, answer) = server.call(Method::POST, "/service-certificates/import", &body)?;
    if !status.is_success() {
        let error = anyhow::anyhow!("the server answered {status}: {}", said(&answer));
        return Err(Failure::from(error).hint(
            "a key in another form becomes PKCS #8 by `openssl pkcs8 -topk8 -nodes -in OLD -out NEW`",
        ));
    }
    let imported: ServiceCertificateDetail =
        serde_json::from_str(&answer).context("read the server's answer")?;
    if arguments.server.json {
        return Ok(print_json(&imported)?);
    }
    let record = &imported.record;
    let how = if status == StatusCode::OK { "was here already" } else { "is here with its key, sealed" };
    note(&format!("{} {how}, until {}", printable(&record.subject), record.expires_at));
    Ok(print(&format!("{}\n", record.id))?)
}

fn list(arguments: &ServiceListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let filters = [("key", Some("here".to_owned()))];
    let list = cert_list::list(&server, &filters, &arguments.page)?;
    if arguments.server.json { Ok(print_json(&list)?) } else { Ok(print(&cert_list::text(&list))?) }
}

fn remove(arguments: &ServiceRemoveArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/service-certificates/{}", arguments.id);
    let removed: ServiceCertificateRemoved = server.ask(Method::DELETE, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&removed)?);
    }
    let text = match removed.left.as_str() {
        "record" => {
            "its key is forgotten; it was issued here, so its record stays, and it is good until it ends or is revoked"
        }
        _nothing => "it is deleted with its key; its own CA alone can revoke it",
    };
    Ok(print(&format!("{}: {text}\n", removed.id))?)
}
