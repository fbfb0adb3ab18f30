//! `agent.yaml` as text: the seeds' field names, and what a half-written or mistyped file is told.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use countersign_core::TrustDomain;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::forwards::ForwardDocument;
use super::model::{
    Config, Credential, Enrolment, HeldCertificate, Pending, PendingCertificate, StartedEnrolment, Transport,
};
use crate::forward::ForwardSettings;
use crate::secret::Secret;

/// How long between heartbeats when nobody says so.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(60);

/// The word for sessions at an MQTT door.
const MQTT: &str = "mqtt";

/// How long between measurements when nobody says so.
const DEFAULT_METRICS: Duration = Duration::from_secs(30);

/// `agent.yaml` is not what it should be.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It is no YAML, or has a key that is not known.
    #[error("read the configuration")]
    Syntax(#[source] serde_norway::Error),
    /// Fields are missing or wrong; all of them are named.
    #[error("the configuration is wrong: {}", .0.join("; "))]
    Fields(Vec<String>),
    /// It cannot be written as YAML.
    #[error("write the configuration")]
    Unwritable(#[source] serde_norway::Error),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_auth_token: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trust_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_interval_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_interval_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_cert_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_chain_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_key_pem: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_cert_issued: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_cert_expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_key_pem: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_cert_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_chain_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_cert_issued: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_cert_expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_certificate_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolling_key_pem: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolling_with_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_server: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forwards: Vec<ForwardDocument>,
}

/// Reads `agent.yaml`.
///
/// # Errors
/// Fails closed: unknown keys, missing fields and values that are not what they should be are all
/// refused, and all named. An expiry that cannot be read is kept: it counts as expired.
pub fn from_yaml(text: &str) -> Result<Config, ConfigError> {
    let document: Document = serde_norway::from_str(text).map_err(ConfigError::Syntax)?;
    let mut problems = Problems::default();
    let config = problems.config(&document);
    match (config, problems.0.is_empty()) {
        (Some(config), true) => Ok(config),
        (Some(_) | None, _) => Err(ConfigError::Fields(problems.0)),
    }
}

/// Writes `agent.yaml`.
///
/// # Errors
/// Refuses what YAML cannot hold; no [`Config`] is known that it cannot.
pub fn to_yaml(config: &Config) -> Result<Zeroizing<String>, ConfigError> {
    let text = serde_norway::to_string(&document_of(config)).map_err(ConfigError::Unwritable)?;
    Ok(Zeroizing::new(text))
}

fn document_of(config: &Config) -> Document {
    let mut document = Document {
        server_url: Some(config.server.to_string()),
        ca_pem: config.ca_pem.clone(),
        enrolling_key_pem: config.started.as_ref().map(|started| started.key.clone()),
        enrolling_with_sha256: config.started.as_ref().map(|started| started.enrolment_key_sha256.clone()),
        transport: matches!(config.transport, Transport::Mqtt(_)).then(|| MQTT.to_owned()),
        mqtt_server: match &config.transport {
            Transport::Mqtt(server) => server.as_ref().map(ToString::to_string),
            Transport::WebSocket => None,
        },
        forwards: config.forwards.iter().map(Into::into).collect(),
        ..Document::default()
    };
    let Some(enrolment) = &config.enrolment else { return document };
    document.agent_id = Some(enrolment.agent.to_string());
    document.device_id = Some(enrolment.device.to_string());
    document.auth_token = Some(enrolment.token.clone());
    document.pending_auth_token.clone_from(&enrolment.next_token);
    document.org_id = Some(enrolment.tenant.to_string());
    document.site_id = Some(enrolment.site.to_string());
    document.device_name = Some(enrolment.name.to_string());
    document.trust_domain = Some(enrolment.trust_domain.to_string());
    document.heartbeat_interval_seconds = Some(enrolment.heartbeat_interval.as_secs());
    document.metrics_interval_seconds = Some(enrolment.metrics_interval.as_secs());
    document.config_version = enrolment.settings_version;
    if let Some(current) = &enrolment.current {
        let certificate = &current.certificate;
        document.mtls_key_pem = Some(current.key.clone());
        document.mtls_cert_pem = Some(certificate.leaf_pem.clone());
        document.mtls_chain_pem = Some(certificate.chain_pem.clone());
        document.mtls_cert_issued.clone_from(&certificate.issued);
        document.mtls_cert_expires = Some(certificate.expires.clone());
    }
    let Some(pending) = &enrolment.pending else { return document };
    document.pending_key_pem = Some(pending.key.clone());
    if let Some(PendingCertificate { id, certificate }) = &pending.certificate {
        document.pending_certificate_id = Some(id.to_string());
        document.pending_cert_pem = Some(certificate.leaf_pem.clone());
        document.pending_chain_pem = Some(certificate.chain_pem.clone());
        document.pending_cert_issued.clone_from(&certificate.issued);
        document.pending_cert_expires = Some(certificate.expires.clone());
    }
    document
}

/// Collects what is wrong, so that all of it can be said at once.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn required<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.0.push(format!("{key} is missing"));
        }
        value
    }

    fn parsed<T>(&mut self, key: &str, value: Option<&String>) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.required(key, value)?;
        text.parse().map_err(|error| self.0.push(format!("{key}: {error}"))).ok()
    }

    fn config(&mut self, document: &Document) -> Option<Config> {
        let server = self.parsed("server_url", document.server_url.as_ref());
        let is_enrolled = document.agent_id.is_some() || document.auth_token.is_some();
        let ca_pem = document.ca_pem.clone();
        if is_enrolled {
            self.required("ca_pem", ca_pem.as_ref());
        }
        let started = document.enrolling_key_pem.clone().map(|key| StartedEnrolment {
            key,
            enrolment_key_sha256: document.enrolling_with_sha256.clone().unwrap_or_default(),
        });
        let forwards = document.forwards.iter().filter_map(|forward| self.forward(forward)).collect();
        let transport = self.transport(document);
        let enrolment = if is_enrolled { Some(self.enrolment(document)?) } else { None };
        Some(Config { server: server?, ca_pem, enrolment, started, transport: transport?, forwards })
    }

    fn transport(&mut self, document: &Document) -> Option<Transport> {
        let server = document.mqtt_server.as_ref();
        match document.transport.as_deref() {
            Some(MQTT) => match server {
                Some(_) => self.parsed("mqtt_server", server).map(Some).map(Transport::Mqtt),
                None => Some(Transport::Mqtt(None)),
            },
            Some("websocket") | None if server.is_none() => Some(Transport::WebSocket),
            Some("websocket") | None => {
                self.0.push("mqtt_server is for transport: mqtt alone".to_owned());
                None
            }
            Some(other) => {
                self.0.push(format!("transport: neither websocket nor mqtt: {other:?}"));
                None
            }
        }
    }

    fn forward(&mut self, forward: &ForwardDocument) -> Option<ForwardSettings> {
        forward.read().map_err(|problems| self.0.extend(problems)).ok()
    }

    fn enrolment(&mut self, document: &Document) -> Option<Enrolment> {
        let agent = self.parsed("agent_id", document.agent_id.as_ref());
        let device = self.parsed("device_id", document.device_id.as_ref());
        let tenant = self.parsed("org_id", document.org_id.as_ref());
        let site = self.parsed("site_id", document.site_id.as_ref());
        let name = self.parsed("device_name", document.device_name.as_ref());
        let trust_domain = match &document.trust_domain {
            Some(_) => self.parsed("trust_domain", document.trust_domain.as_ref()),
            None => Some(TrustDomain::default()),
        };
        let heartbeat_interval = self.interval(
            "heartbeat_interval_seconds",
            document.heartbeat_interval_seconds,
            DEFAULT_HEARTBEAT,
        );
        let metrics_interval =
            self.interval("metrics_interval_seconds", document.metrics_interval_seconds, DEFAULT_METRICS);
        let token = self.required("auth_token", document.auth_token.clone());
        let current = self.current(document);
        let pending = self.pending(document);
        Some(Enrolment {
            agent: agent?,
            device: device?,
            token: token?,
            next_token: document.pending_auth_token.clone(),
            tenant: tenant?,
            site: site?,
            name: name?,
            trust_domain: trust_domain?,
            heartbeat_interval: heartbeat_interval?,
            metrics_interval: metrics_interval?,
            settings_version: document.config_version,
            current,
            pending,
        })
    }

    fn interval(&mut self, key: &str, seconds: Option<u64>, default: Duration) -> Option<Duration> {
        match seconds {
            Some(0) => {
                self.0.push(format!("{key}: must be at least 1"));
                None
            }
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => Some(default),
        }
    }

    fn current(&mut self, document: &Document) -> Option<Credential> {
        if document.mtls_cert_pem.is_none() && document.mtls_key_pem.is_none() {
            return None;
        }
        let key = self.required("mtls_key_pem", document.mtls_key_pem.clone());
        let leaf_pem = self.required("mtls_cert_pem", document.mtls_cert_pem.clone());
        Some(Credential {
            key: key?,
            certificate: HeldCertificate {
                leaf_pem: leaf_pem?,
                chain_pem: document.mtls_chain_pem.clone().unwrap_or_default(),
                issued: document.mtls_cert_issued.clone(),
                expires: document.mtls_cert_expires.clone().unwrap_or_default(),
            },
        })
    }

    fn pending(&mut self, document: &Document) -> Option<Pending> {
        if document.pending_key_pem.is_none() && document.pending_cert_pem.is_none() {
            return None;
        }
        let key = self.required("pending_key_pem", document.pending_key_pem.clone());
        let certificate = document.pending_cert_pem.clone().and_then(|leaf_pem| {
            let id = self.parsed("pending_certificate_id", document.pending_certificate_id.as_ref());
            let certificate = HeldCertificate {
                leaf_pem,
                chain_pem: document.pending_chain_pem.clone().unwrap_or_default(),
                issued: document.pending_cert_issued.clone(),
                expires: document.pending_cert_expires.clone().unwrap_or_default(),
            };
            Some(PendingCertificate { id: id?, certificate })
        });
        Some(Pending { key: key?, certificate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::ids::{AgentId, CertificateId, DeviceId, SiteId, TenantId};
    use countersign_tls::tunnel::{Cargo, Destination, ForwardListen, Reach};
    use proptest::prelude::*;

    fn certificate(expires: &str, issued: Option<String>) -> HeldCertificate {
        HeldCertificate {
            leaf_pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
            chain_pem: "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n".to_owned(),
            issued,
            expires: expires.to_owned(),
        }
    }

    fn enrolment(current: Option<Credential>, pending: Option<Pending>) -> Enrolment {
        let next_token = pending.as_ref().map(|_| Secret::new("brz_01"));
        Enrolment {
            agent: "ab".repeat(32).parse::<AgentId>().unwrap(),
            device: DeviceId::random(),
            token: Secret::new("brz_00"),
            next_token,
            tenant: TenantId::random(),
            site: SiteId::random(),
            name: "ws-01".parse().unwrap(),
            trust_domain: TrustDomain::default(),
            heartbeat_interval: Duration::from_secs(60),
            metrics_interval: Duration::from_secs(7),
            settings_version: current.as_ref().map(|_| 3),
            current,
            pending,
        }
    }

    fn forward() -> ForwardSettings {
        let to: Destination = "edge.example.com:8443".parse().unwrap();
        ForwardSettings {
            listen: ForwardListen::parse("0.0.0.0:8787", Reach::DangerBeyondLoopback).unwrap(),
            reach: Reach::DangerBeyondLoopback,
            to: to.named(Some("door.example.com")),
            cargo: Cargo::Http,
            pins: vec![[7; 32].into()],
        }
    }

    #[test]
    fn a_forward_that_others_could_use_is_refused_with_the_rest_that_is_wrong() {
        let text = "server_url: https://x\nforwards:\n- listen: 0.0.0.0:1\n  to: nowhere\n  pins: [zz]\n";
        let said = from_yaml(text).unwrap_err().to_string();
        for key in ["forwards.listen: 0.0.0.0:1 can be reached", "forwards.to", "forwards.pins"] {
            assert!(said.contains(key), "{key} in {said}");
        }
        let short = "server_url: https://x\nforwards:\n- listen: 127.0.0.1:1\n  to: edge:2\n";
        let forward = &from_yaml(short).unwrap().forwards[0];
        assert_eq!((forward.cargo, forward.reach, forward.pins.len()), (Cargo::Bytes, Reach::Loopback, 0));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            has_current: bool, has_pending: bool, has_pending_certificate: bool, is_enrolled: bool,
            is_enrolling: bool, is_forwarding: bool, expires in "[ -~]{0,30}", issued in prop::option::of("[ -~]{0,30}"),
            key in "[ -~\n]{1,60}",
        ) {
            let current = has_current.then(|| Credential {
                key: Secret::new(&key), certificate: certificate(&expires, issued.clone()) });
            let pending = has_pending.then(|| Pending {
                key: Secret::new(&key),
                certificate: has_pending_certificate.then(|| PendingCertificate {
                    id: CertificateId::random(), certificate: certificate(&expires, issued.clone()) }),
            });
            let config = Config {
                server: "https://cs.example.com".parse().unwrap(),
                ca_pem: Some("pem".to_owned()),
                enrolment: is_enrolled.then(|| enrolment(current, pending)),
                started: is_enrolling.then(|| StartedEnrolment {
                    key: Secret::new(&key), enrolment_key_sha256: "00ff".to_owned() }),
                transport: Transport::Mqtt("mqtt.example.com:1".parse().ok()),
                forwards: is_forwarding.then(forward).into_iter().collect(),
            };
            prop_assert_eq!(from_yaml(&to_yaml(&config).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn the_seeds_field_names_are_on_disk() {
        let current = Credential {
            key: Secret::new("-----BEGIN PRIVATE KEY-----\n"),
            certificate: certificate("2026-05-12T00:00:00Z", None),
        };
        let config = Config {
            server: "https://cs.example.com".parse().unwrap(),
            ca_pem: Some("pem".to_owned()),
            enrolment: Some(enrolment(Some(current), None)),
            started: None,
            transport: Transport::Mqtt(None),
            forwards: Vec::new(),
        };
        let yaml = to_yaml(&config).unwrap();
        for key in ["mtls_cert_pem:", "mtls_key_pem:", "mtls_cert_expires:", "auth_token:", "agent_id:"] {
            assert!(yaml.contains(key), "{key} in {}", yaml.as_str());
        }
    }

    #[test]
    fn a_file_of_an_older_agent_is_read() {
        let config = Config {
            server: "https://cs.example.com".parse().unwrap(),
            ca_pem: Some("pem".to_owned()),
            enrolment: Some(enrolment(None, None)),
            started: None,
            transport: Transport::WebSocket,
            forwards: Vec::new(),
        };
        let yaml = to_yaml(&config).unwrap();
        let is_old = |line: &&str| !line.contains("metrics_interval") && !line.contains("config_version");
        let old: Vec<&str> = yaml.lines().filter(is_old).collect();
        let read = from_yaml(&old.join("\n")).unwrap().enrolment.unwrap();
        assert_eq!((read.metrics_interval, read.settings_version), (DEFAULT_METRICS, None));
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let error = from_yaml("server_url: http://x\nagent_id: zz\nauth_token: t\n").unwrap_err();
        let text = error.to_string();
        for key in ["server_url", "agent_id", "device_id", "ca_pem", "org_id", "site_id", "device_name"] {
            assert!(text.contains(key), "{key} in {text}");
        }
        assert!(from_yaml("server_urI: https://x").is_err());
    }

    #[test]
    fn errors_never_show_secrets() {
        let text = "server_url: https://x\nauth_token: [brz_secret]\n";
        let error = from_yaml(text).unwrap_err();
        assert!(!format!("{error:?}").contains("brz_secret"));
    }
}
