//! Enrolment: an enrolment key and a key pair made here become an identity.

use std::sync::Arc;
use std::time::Duration;

use countersign_api::client::{ClientError, ServerUrl};
use countersign_api::wire::agent::{EnrollRequest, EnrollResponse};
use countersign_core::ids::{DeviceId, DeviceName};
use countersign_core::time::Clock;
use countersign_tls::{ClientError as TlsError, ClientTls, ServerTrust};
use thiserror::Error;

use crate::certificate::public_key_der;
use crate::config::{Config, Credential, Enrolment, Pending, StartedEnrolment};
use crate::connect::Connect;
use crate::disk::{Disk, DiskError};
use crate::host::{AGENT_VERSION, Host};
use crate::key::{DeviceKey, KeyError, sha256};
use crate::renew::{KEY_DENIED, received};
use crate::secret::Secret;

/// How the control plane is recognised before anything is told to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its root's DER has this SHA-256.
    Fingerprint([u8; 32]),
    /// Its certificate is under one of these roots, PEM.
    Roots(String),
    /// By the CA of an enrolment before.
    Saved,
}

/// What happens to an enrolment that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// It stays, and enrolling is refused.
    Keep,
    /// It is replaced once the new one is saved.
    Replace,
}

/// What to enrol with.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// The enrolment key.
    pub key: Secret,
    /// Where.
    pub server: ServerUrl,
    /// How the control plane is recognised.
    pub trust: Trust,
    /// The name to be known by; the host name otherwise.
    pub name: Option<DeviceName>,
    /// What happens to an enrolment that is there already.
    pub former: Former,
}

/// A device that has enrolled; all of it is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name.
    pub name: DeviceName,
    /// Its id.
    pub device: DeviceId,
    /// The certificate's end, or why there is none yet.
    pub certificate: Result<String, String>,
}

/// The device did not enrol.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// It has enrolled before.
    #[error("this device is enrolled already, as {name} at {server}")]
    Already {
        /// Under which name.
        name: DeviceName,
        /// Where.
        server: ServerUrl,
    },
    /// There is nothing to recognise the control plane by.
    #[error("nothing says how to recognise {0}, so the enrolment key was not sent")]
    NoTrust(ServerUrl),
    /// The configuration could not be read or written.
    #[error("keep the enrolment")]
    Disk(#[from] DiskError),
    /// The CA cannot be used.
    #[error("set up the connection")]
    Tls(#[from] TlsError),
    /// The control plane refused, or could not be reached, or is not the right one.
    #[error("enrol the device")]
    Client(#[from] ClientError),
    /// The key pair cannot be made or used.
    #[error("make the device's key")]
    Key(#[from] KeyError),
}

/// Enrols this device.
///
/// The key pair is saved before the request leaves, and is used again by the next try with the same
/// enrolment key: an enrolment that was cut off never makes a second key. The request leaves only after the control
/// plane has proved, in the handshake, that it is the one that `trust` describes.
///
/// # Errors
/// See [`EnrolError`]. Fails closed: without something to recognise the control plane by, nothing
/// is sent.
pub async fn enrol(
    disk: &Arc<dyn Disk>,
    clock: &dyn Clock,
    connect: Connect,
    host: &Host,
    enrolling: &Enrolling,
) -> Result<Enrolled, EnrolError> {
    let _lock = disk.lock()?;
    let known = disk.load()?;
    if let Some(Config { enrolment: Some(former), server, .. }) = &known
        && enrolling.former == Former::Keep
    {
        return Err(EnrolError::Already { name: former.name.clone(), server: server.clone() });
    }
    let trust = server_trust(enrolling, known.as_ref())?;
    let tls = ClientTls::new(&trust, None)?;
    let (key, before) = prepared(disk.as_ref(), known, enrolling, &trust)?;
    let request = request(&key, host, enrolling)?;
    let client = connect.over(&enrolling.server, &tls);
    let response = match client.enroll(&request).await {
        Ok(response) => response,
        Err(error) => {
            if error.answer().is_some_and(|answer| answer.has_code(KEY_DENIED)) {
                disk.save(&Config { started: None, ..before })?;
            }
            return Err(error.into());
        }
    };
    let ca_pem = match trust {
        ServerTrust::Roots(pem) | ServerTrust::KeysUnder { roots: pem, .. } => Some(pem),
        ServerTrust::Pinned(_) | ServerTrust::Keys(_) => tls.pinned_root_pem(),
    };
    let ca_pem = ca_pem.ok_or_else(|| EnrolError::NoTrust(enrolling.server.clone()))?;
    let (enrolment, certificate) = enrolment(&response, &key, clock)?;
    let enrolled = Enrolled { name: enrolment.name.clone(), device: enrolment.device, certificate };
    disk.save(&Config {
        server: enrolling.server.clone(),
        ca_pem: Some(ca_pem),
        enrolment: Some(enrolment),
        started: None,
        transport: before.transport,
        forwards: before.forwards,
    })?;
    Ok(enrolled)
}

fn server_trust(enrolling: &Enrolling, known: Option<&Config>) -> Result<ServerTrust, EnrolError> {
    match &enrolling.trust {
        Trust::Fingerprint(sha256) => Ok(ServerTrust::Pinned(*sha256)),
        Trust::Roots(pem) => Ok(ServerTrust::Roots(pem.clone())),
        Trust::Saved => known
            .and_then(|config| config.ca_pem.clone())
            .map(ServerTrust::Roots)
            .ok_or_else(|| EnrolError::NoTrust(enrolling.server.clone())),
    }
}

/// The key pair of this enrolment, saved: the one of a try before with the same enrolment key, or
/// a fresh one.
fn prepared(
    disk: &dyn Disk,
    known: Option<Config>,
    enrolling: &Enrolling,
    trust: &ServerTrust,
) -> Result<(DeviceKey, Config), EnrolError> {
    let enrolment_key_sha256 = hex::encode(sha256(enrolling.key.expose().as_bytes()));
    if let Some(config) = &known
        && let Some(started) = &config.started
        && started.enrolment_key_sha256 == enrolment_key_sha256
    {
        tracing::info!("going on with the key of an enrolment that was cut off");
        return Ok((DeviceKey::from_pem(&started.key)?, config.clone()));
    }
    let key = DeviceKey::generate()?;
    let started = Some(StartedEnrolment { key: key.to_pem()?, enrolment_key_sha256 });
    let config = match known {
        Some(config) => Config { started, ..config },
        None => Config {
            server: enrolling.server.clone(),
            ca_pem: match trust {
                ServerTrust::Roots(pem) | ServerTrust::KeysUnder { roots: pem, .. } => Some(pem.clone()),
                ServerTrust::Pinned(_) | ServerTrust::Keys(_) => None,
            },
            enrolment: None,
            started,
            transport: crate::config::Transport::default(),
            forwards: Vec::new(),
        },
    };
    disk.save(&config)?;
    Ok((key, config))
}

fn request(key: &DeviceKey, host: &Host, enrolling: &Enrolling) -> Result<EnrollRequest, KeyError> {
    let hardware = host.hardware_serial.as_ref();
    Ok(EnrollRequest {
        enrollment_key: enrolling.key.expose().to_owned(),
        hostname: host.name.clone(),
        os_type: host.os_type.to_owned(),
        os_version: host.os_version.clone(),
        architecture: host.architecture.to_owned(),
        agent_version: AGENT_VERSION.to_owned(),
        csr: Some(key.signing_request(&host.name)?.pem),
        device_name: enrolling.name.as_ref().map(ToString::to_string),
        hardware_info: hardware.map(|serial| serde_json::json!({ "serialNumber": serial })),
        network_info: None,
    })
}

/// What the answer makes of the device. Without a certificate the key stays on its way: the
/// control plane has pinned it, and the agent asks with it again.
fn enrolment(
    response: &EnrollResponse,
    key: &DeviceKey,
    clock: &dyn Clock,
) -> Result<(Enrolment, Result<String, String>), KeyError> {
    let pem = key.to_pem()?;
    let public = key.public_key_der()?;
    let usable = match &response.mtls {
        None => Err(response.mtls_reason.clone().unwrap_or_else(|| "no_reason_given".to_owned())),
        Some(issued) => match public_key_der(&issued.certificate) {
            Ok(theirs) if theirs == public => Ok(received(issued, clock.now())),
            Ok(_) | Err(_) => Err("certificate_for_another_key".to_owned()),
        },
    };
    let (current, pending, certificate) = match usable {
        Ok(held) => {
            let expires = held.expires.clone();
            (Some(Credential { key: pem, certificate: held }), None, Ok(expires))
        }
        Err(reason) => (None, Some(Pending { key: pem, certificate: None }), Err(reason)),
    };
    let seconds = |count: u32| Duration::from_secs(u64::from(count.max(1)));
    let enrolment = Enrolment {
        agent: response.agent_id,
        device: response.device_id,
        token: Secret::new(&response.auth_token),
        next_token: None,
        tenant: response.org_id,
        site: response.site_id,
        name: response.device_name.clone(),
        trust_domain: response.config.trust_domain.clone(),
        heartbeat_interval: seconds(response.config.heartbeat_interval_seconds),
        metrics_interval: seconds(response.config.metrics_collection_interval_seconds),
        settings_version: Some(response.config.version),
        current,
        pending,
    };
    Ok((enrolment, certificate))
}
