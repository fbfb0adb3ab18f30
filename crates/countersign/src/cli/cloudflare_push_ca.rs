//! `countersign cloudflare push-ca`: Cloudflare's edge verifies what a CA of ours signed.

use anyhow::Context as _;
use countersign_ca::upstream::{Cloudflare, UploadedCa, der_of};
use serde_json::json;

use super::cloudflare::{configured, now, refused};
use super::cloudflare_arguments::PushCaArguments;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::{block_on, loaded};

const PERMISSION: &str = "the token needs Account > Account SSL and Certificates > Edit and Zone > SSL and Certificates > Edit; a CA of one's own needs an Enterprise plan";

/// What became of the certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    Made,
    WasThere,
}

/// Uploads it, unless the account has it, and sets its host names, if any were given.
pub(super) fn run(arguments: &PushCaArguments) -> Result<(), Failure> {
    let pem = fs_err::read_to_string(&arguments.ca).context("read the CA certificate")?;
    let der = der_of(&pem).context("read the CA certificate: one certificate in PEM is expected");
    let der = der.map_err(|error| Failure::bad_usage(error).hint("--ca takes a certificate, never a key"))?;
    let config = loaded(arguments.config.clone())?.resolved;
    let api = configured(&config)?;
    let (ca, upload, hostnames) = block_on(push(&api, arguments, (&pem, &der)))?;
    let printed = if arguments.json {
        print_json(&json!({ "id": ca.id, "uploaded": upload == Upload::Made, "hostnames": hostnames }))
    } else {
        let done = match upload {
            Upload::Made => "Uploaded",
            Upload::WasThere => "It was there already",
        };
        let hosts = if hostnames.is_empty() { "none".to_owned() } else { hostnames.join(", ") };
        print(&format!("{done}: {}\nhost names that ask for its certificates: {hosts}\n", ca.id))
    };
    Ok(printed?)
}

async fn push(
    api: &Cloudflare,
    arguments: &PushCaArguments,
    (pem, der): (&str, &[u8]),
) -> Result<(UploadedCa, Upload, Vec<String>), Failure> {
    let account = &arguments.account_id;
    let there = api.uploaded_cas(account, now()).await;
    let there = there.map_err(|error| refused(error, "list the account's CA certificates", PERMISSION))?;
    let same = there.into_iter().find(|ca| der_of(&ca.certificates).as_deref() == Some(der));
    let (ca, upload) = match same {
        Some(ca) => (ca, Upload::WasThere),
        None => {
            let uploaded = api.upload_ca(account, (&arguments.name, pem), now()).await;
            let ca = uploaded.map_err(|error| refused(error, "upload the CA certificate", PERMISSION))?;
            (ca, Upload::Made)
        }
    };
    let hostnames = if arguments.hostnames.is_empty() {
        let set = api.hostnames(&ca.id, now()).await;
        set.map_err(|error| refused(error, "read the host names of the CA certificate", PERMISSION))?
    } else {
        let set = api.set_hostnames(&ca.id, &arguments.hostnames, now()).await;
        set.map_err(|error| refused(error, "set the host names of the CA certificate", PERMISSION))?;
        arguments.hostnames.clone()
    };
    Ok((ca, upload, hostnames))
}
