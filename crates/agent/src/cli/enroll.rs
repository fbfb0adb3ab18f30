//! `countersign-agent enroll`.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use countersign_agent::connect::Connect;
use countersign_agent::enrol::{Enrolled, Enrolling, Former, Trust, enrol};
use countersign_agent::host::Host;
use countersign_agent::secret::Secret;
use countersign_api::client::ServerUrl;
use countersign_core::ids::DeviceName;
use serde::Serialize;

use super::arguments::Json;
use super::output;
use super::start::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key pair is made on this device and never leaves it. The enrolment key is sent only after the
server has proved that it is the one with the given fingerprint or CA.

Example:
  countersign-agent enroll KEY --server https://cs.example.com:8443 --ca-fingerprint SHA256")]
pub(crate) struct Arguments {
    /// The enrolment key; `-` reads it from stdin, so that it is in no process list.
    #[arg(value_name = "KEY", value_parser = secret)]
    key: Secret,

    /// The control plane.
    #[arg(long, value_name = "https://HOST[:PORT]")]
    server: ServerUrl,

    /// SHA-256 of the server's root certificate (DER), in hex, with or without colons.
    #[arg(long, value_name = "SHA256", value_parser = fingerprint, conflicts_with = "ca_file")]
    ca_fingerprint: Option<[u8; 32]>,

    /// The server's root certificate, PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The name to be known by [default: the host name].
    #[arg(long, value_name = "NAME")]
    name: Option<DeviceName>,

    /// Replace an enrolment that is there already. The server gives the same device back only for
    /// an enrolment key that is bound to it.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    json: Json,
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a Result")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Reads 64 hex digits, as `openssl x509 -fingerprint -sha256` prints them or without colons.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&digits, &mut sha256)
        .map_err(|error| format!("64 hex digits are needed: {error}"))?;
    Ok(sha256)
}

#[derive(Serialize)]
struct Report<'a> {
    device_name: &'a DeviceName,
    device_id: String,
    config: String,
    mtls_cert_expires: Option<&'a str>,
    mtls_reason: Option<&'a str>,
}

pub(crate) async fn enroll(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    let trust = match (arguments.ca_fingerprint, &arguments.ca_file) {
        (Some(sha256), _) => Trust::Fingerprint(sha256),
        (None, Some(path)) => Trust::Roots(fs_err::read_to_string(path).context("read the CA file")?),
        (None, None) => Trust::Saved,
    };
    let enrolling = Enrolling {
        key: key(arguments.key)?,
        server: arguments.server,
        trust,
        name: arguments.name,
        former: if arguments.force { Former::Replace } else { Former::Keep },
    };
    let host = Host::this(&context.environment);
    let enrolled =
        enrol(&context.disk, context.clock.as_ref(), Connect::default(), &host, &enrolling).await?;
    let path = context.disk.path().display().to_string();
    if arguments.json.json {
        return output::json(&Report {
            device_name: &enrolled.name,
            device_id: enrolled.device.to_string(),
            config: path,
            mtls_cert_expires: enrolled.certificate.as_deref().ok(),
            mtls_reason: enrolled.certificate.as_deref().err().map(String::as_str),
        });
    }
    output::text(&transcript(&enrolled, &path))
}

/// The enrolment key, from stdin when it is `-`.
fn key(given: Secret) -> anyhow::Result<Secret> {
    if given.expose() != "-" {
        return Ok(given);
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().take(4096).read_to_string(&mut text).context("read the enrolment key from stdin")?;
    Ok(Secret::new(text.trim()))
}

fn transcript(enrolled: &Enrolled, path: &str) -> String {
    let certificate = match &enrolled.certificate {
        Ok(expires) => format!("mTLS certificate issued (expires: {expires})"),
        Err(reason) => format!("No mTLS certificate: {}", why(reason)),
    };
    format!(
        "Enrolled as {} (device {})\nConfiguration saved to {path}\n{certificate}",
        enrolled.name, enrolled.device
    )
}

/// A reason of the control plane, for people.
fn why(reason: &str) -> String {
    match reason {
        "issuer_off" => "the server issues none; `countersign-agent run` asks again by itself".to_owned(),
        "issuer_unavailable" => {
            "the server cannot issue now; `countersign-agent run` asks again by itself".to_owned()
        }
        "awaiting_approval" => {
            "an admin has to approve this device first; `countersign-agent run` waits for it".to_owned()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_fingerprint_with_and_without_colons() {
        let plain = "0a".repeat(32);
        let colons = vec!["0A"; 32].join(":");
        assert_eq!(fingerprint(&plain), Ok([10; 32]));
        assert_eq!(fingerprint(&colons), Ok([10; 32]));
        for text in ["", "0a", &"0g".repeat(32), &"0a".repeat(33)] {
            assert!(fingerprint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_issued_certificate_is_announced_as_in_the_seed() {
        let enrolled = Enrolled {
            name: "ws-01".parse().unwrap(),
            device: countersign_core::ids::DeviceId::random(),
            certificate: Ok("2026-05-12T00:00:00Z".to_owned()),
        };
        let text = transcript(&enrolled, "/etc/countersign/agent.yaml");
        assert!(text.ends_with("\nmTLS certificate issued (expires: 2026-05-12T00:00:00Z)"), "{text}");
    }
}
