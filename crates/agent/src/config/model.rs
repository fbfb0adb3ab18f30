//! The agent's configuration, resolved: nothing in it can be half there.

use std::time::Duration;

use countersign_api::client::ServerUrl;
use countersign_core::TrustDomain;
use countersign_core::ids::{AgentId, CertificateId, DeviceId, DeviceName, SiteId, TenantId};

use crate::forward::ForwardSettings;
use crate::secret::Secret;

/// All that the agent knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the control plane is.
    pub server: ServerUrl,
    /// Whose servers are trusted, PEM; known once a pinned handshake has found it or a file gave it.
    pub ca_pem: Option<String>,
    /// Who the device is; `None` before it has enrolled.
    pub enrolment: Option<Enrolment>,
    /// An enrolment that was sent, or is about to be, and whose answer is not saved yet.
    pub started: Option<StartedEnrolment>,
    /// Over what commands come at once.
    pub transport: Transport,
    /// What local programs reach with the device's identity while the agent runs.
    pub forwards: Vec<ForwardSettings>,
}

/// Over what commands come at once.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Transport {
    /// A WebSocket at the control plane.
    #[default]
    WebSocket,
    /// A session at an MQTT door; `None`: at the control plane's host, port 8883.
    Mqtt(Option<MqttServer>),
}

/// Where an MQTT door is: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttServer {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl MqttServer {
    /// The usual port of MQTT over TLS.
    pub const PORT: u16 = 8883;
}

impl std::str::FromStr for MqttServer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let authority: http::uri::Authority = text.parse().map_err(|_malformed| "not host or host:port")?;
        let host = authority.host();
        let rest = authority.as_str().strip_prefix(host);
        if host.is_empty() || !(rest == Some("") || authority.port_u16().is_some_and(|port| port != 0)) {
            return Err("not host or host:port");
        }
        Ok(Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(Self::PORT) })
    }
}

impl std::fmt::Display for MqttServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An enrolment on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedEnrolment {
    /// The key that was made for it, PKCS #8 PEM.
    pub key: Secret,
    /// SHA-256 of the enrolment key it was started with, hex: with another one, a fresh key is
    /// made. The control plane may have issued for this one, and revokes that when the device
    /// enrols again.
    pub enrolment_key_sha256: String,
}

/// Who the device is, and what it has to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Its name in agent URLs.
    pub agent: AgentId,
    /// Its id.
    pub device: DeviceId,
    /// The bearer token.
    pub token: Secret,
    /// The bearer token that takes its place once the control plane has confirmed it.
    pub next_token: Option<Secret>,
    /// The tenant's id.
    pub tenant: TenantId,
    /// The site's id.
    pub site: SiteId,
    /// Its name.
    pub name: DeviceName,
    /// The installation, which proofs of possession name.
    pub trust_domain: TrustDomain,
    /// How long between heartbeats.
    pub heartbeat_interval: Duration,
    /// How long between measurements.
    pub metrics_interval: Duration,
    /// Which version of the tenant's settings these intervals are from.
    pub settings_version: Option<u64>,
    /// The certificate in use, with its key.
    pub current: Option<Credential>,
    /// A renewal, or a first issue, on its way.
    pub pending: Option<Pending>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The private key, PKCS #8 PEM.
    pub key: Secret,
    /// The certificate.
    pub certificate: HeldCertificate,
}

/// A certificate as it is kept. Its times stay texts: what cannot be read is treated as expired,
/// not dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The leaf, PEM.
    pub leaf_pem: String,
    /// The CAs above it, PEM.
    pub chain_pem: String,
    /// When it was received.
    pub issued: Option<String>,
    /// Its end.
    pub expires: String,
}

impl HeldCertificate {
    /// Leaf and CAs, as a handshake shows them.
    #[must_use]
    pub fn full_chain_pem(&self) -> String {
        format!("{}\n{}", self.leaf_pem.trim_end(), self.chain_pem)
    }
}

/// A renewal, or a first issue, on its way: the key was saved before anything was asked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The new private key, PKCS #8 PEM.
    pub key: Secret,
    /// The certificate for it, once it has been issued.
    pub certificate: Option<PendingCertificate>,
}

/// A certificate that was issued and not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCertificate {
    /// What to confirm.
    pub id: CertificateId,
    /// The certificate.
    pub certificate: HeldCertificate,
}
