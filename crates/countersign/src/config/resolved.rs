//! What the configuration means: typed, complete, checked.
//!
//! Every setting with a default has its value here; the few that mean something by being absent
//! (`ports_file`, ACME, a redirect, an access log, `public_base_url`, `[pki.pkcs11]`, a device CA from elsewhere, a route's `host`) are the only Options.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::alerts::UnusualAccess;
use countersign_authority::monitors::Watch;
use countersign_authority::{KeySource, TokenSettings};
use countersign_core::TrustDomain;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{RuleList, RuleSource};
use countersign_edge::{
    Audience, BodyPace, Compat, EgressListener, RequestRates, RouteScreen, UpstreamGroup,
};
use countersign_store::StoreUrl;
use ipnet::IpNet;

use super::acme::AcmeSettings;
use super::alert_to::AlertTo;
use super::audit::AuditKept;
use super::audit_to::AuditTo;
use super::cloudflare::CloudflareApi;
use super::edge::EdgeSettings;
use super::front::{AccessLogSettings, Redirect};
use super::hosts::HostSettings;
use super::ingest_sinks::Ingest;
use super::mosquitto::Mosquitto;
use super::mqtt_door::MqttDoor;
use super::mqtt_grants::MqttGrant;
use super::names::{HttpUrl, PublicName};
use super::oidc::Oidc;
use super::sandbox::SandboxSettings;
use super::tcp_doors::TcpDoor;
use super::traces::TracesSettings;
use crate::own_ca::CaFiles;

/// A configuration that was read whole and found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Where keys, tokens and the embedded database live; absolute or relative to the working
    /// directory.
    pub(crate) data_dir: PathBuf,
    /// Where the records live.
    pub(crate) database: StoreUrl,
    /// The installation's trust domain; fixed by the first start.
    pub(crate) trust_domain: TrustDomain,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which log lines are written, in `tracing` directives.
    pub(crate) log_filter: String,
    /// The names in the doors' certificate, never empty; the first is the one told to devices.
    pub(crate) public_names: Vec<PublicName>,
    /// Where to write the ports once everything is ready.
    pub(crate) ports_file: Option<PathBuf>,
    /// The base of the URLs written into certificates (CRL, issuer).
    pub(crate) public_base_url: Option<HttpUrl>,
    /// How long a drain on SIGTERM may take.
    pub(crate) drain: Duration,
    /// How old the last anchor may be when something has been written since.
    pub(crate) audit_anchor_interval: Duration,
    /// What the process may write once it runs.
    pub(crate) sandbox: SandboxSettings,
    /// The admin listener.
    pub(crate) admin: Admin,
    /// The HTTP door.
    pub(crate) http_door: HttpDoor,
    /// A certificate for the doors from a public CA.
    pub(crate) acme: Option<AcmeSettings>,
    /// What doors show and ask for under names.
    pub(crate) hosts: Vec<HostSettings>,
    /// How a process that only runs doors reaches its authority.
    pub(crate) edge: EdgeSettings,
    /// The listener for plain HTTP that leads there.
    pub(crate) redirect: Option<Redirect>,
    /// Where requests are written down.
    pub(crate) access_log: Option<AccessLogSettings>,
    /// Who issues device certificates.
    pub(crate) issuer: Issuer,
    /// Where the key-encryption key comes from.
    pub(crate) key_encryption_key: KeySource,
    /// The token in which the keys of new CAs are made.
    pub(crate) token: Option<TokenSettings>,
    /// The device CA to begin with, instead of one that is made here.
    pub(crate) device_ca: Option<CaFiles>,
    /// How Cloudflare's API is reached, whoever issues.
    pub(crate) cloudflare: CloudflareApi,
    /// What the door forwards besides the control plane, longest path first within a host.
    pub(crate) routes: Vec<Route>,
    /// What local services reach, and as whom.
    pub(crate) egress: Vec<EgressListener>,
    /// Where metrics are served to whoever asks, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// Where spans of requests go, if anywhere.
    pub(crate) traces: Option<TracesSettings>,
    /// The enabled rules, in order.
    pub(crate) rules: Vec<RuleSource>,
    /// The lists that rules ask.
    pub(crate) lists: Vec<RuleList>,
    /// Certificates elsewhere that are watched.
    pub(crate) monitors: Vec<Watch>,
    /// Who is told of alerts.
    pub(crate) alert_to: Vec<AlertTo>,
    /// Which access by devices somebody is told of.
    pub(crate) unusual_access: UnusualAccess,
    /// For how long entries of the audit are kept; `None`: for ever.
    pub(crate) audit_kept: Option<AuditKept>,
    /// Where copies of the audit go.
    pub(crate) audit_to: Vec<AuditTo>,
    /// Where people sign in besides here.
    pub(crate) oidc: Option<Oidc>,
    /// The TCP doors.
    pub(crate) tcp_doors: Vec<TcpDoor>,
    /// The door for MQTT, if there is one.
    pub(crate) mqtt_door: Option<MqttDoor>,
    /// What services may there.
    pub(crate) mqtt_grants: Vec<MqttGrant>,
    /// A Mosquitto at the devices' port whose accounts are kept.
    pub(crate) mosquitto: Option<Mosquitto>,
    /// What becomes of messages of devices.
    pub(crate) ingest: Ingest,
}

/// How log lines look; both go to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The admin listener: plain HTTP, meant for loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admin {
    /// Its address; not loopback only with `danger_plain_admin`.
    pub(crate) listen: SocketAddr,
    /// The `Host` names it answers to.
    pub(crate) allowed_hosts: Vec<PublicName>,
    /// Whether the admin routes are behind the door too.
    pub(crate) on_door: AdminOnDoor,
    /// How long a signed-in session lives.
    pub(crate) session: Duration,
    /// Where browsers reach the console; `None`: on this machine.
    pub(crate) console_url: Option<String>,
}

/// Whether the admin routes are behind the door too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminOnDoor {
    /// Only on the admin listener.
    Hidden,
    /// On both.
    Exposed,
}

/// The HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpDoor {
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// The hosts it serves; empty: any.
    pub(crate) hosts: Vec<PublicName>,
    /// Whether clients are asked for a certificate.
    pub(crate) client_auth: DoorClientAuth,
    /// Whether rules block, are only recorded, or are not run.
    pub(crate) rules: Enforcement,
    /// Whether the safety floor holds beside the rules.
    pub(crate) compat: Compat,
    /// The certificate it shows.
    pub(crate) certificate: DoorCertificate,
    /// How many threads serve it, each with a runtime of its own.
    pub(crate) workers: NonZeroUsize,
    /// What a client may take.
    pub(crate) limits: DoorLimits,
    /// How often clients may ask.
    pub(crate) rates: RequestRates,
    /// Who may send a PROXY header, and must.
    pub(crate) proxy_protocol_networks: Vec<IpNet>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DoorClientAuth {
    /// Never.
    None,
    /// Asked for; the verdict is given per request. An expired device can still renew.
    Optional,
    /// Needed to finish the handshake.
    Required,
}

/// The certificate the door shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DoorCertificate {
    /// Issued and renewed by the embedded service CA.
    Issued,
    /// The operator's own, PEM.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
}

/// What a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DoorLimits {
    /// To finish the TLS handshake.
    pub(crate) handshake_timeout: Duration,
    /// To send a request's header.
    pub(crate) header_timeout: Duration,
    /// To send the next request on an open connection.
    pub(crate) idle_timeout: Duration,
    /// To send more of a request's body.
    pub(crate) body_pace: BodyPace,
    /// To take anything of what is sent to it.
    pub(crate) write_timeout: Duration,
    /// For an upstream to begin its answer.
    pub(crate) upstream_timeout: Duration,
    /// Between the pings of an agent's WebSocket.
    pub(crate) websocket_ping: Duration,
    /// Connections in all.
    pub(crate) max_connections: NonZeroUsize,
    /// Connections from one address (IPv6: from one /64).
    pub(crate) max_connections_per_ip: NonZeroUsize,
}

/// Who issues device certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// The embedded CA.
    Embedded,
    /// Cloudflare, for a zone.
    Cloudflare,
    /// Nobody: devices enrol with `mtls: null`.
    None,
}

/// A part of the door's URL space that another server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Which host it is for; any when absent.
    pub(crate) host: Option<PublicName>,
    /// The path prefix, `/…`; matches whole segments.
    pub(crate) path: String,
    /// Where requests go, and what is told there.
    pub(crate) upstreams: UpstreamGroup,
    /// Whether a device certificate in good standing is needed. A fallen one is refused in any case.
    pub(crate) identity: Enforcement,
    /// Whom it admits; `None`: every device, and nobody else.
    pub(crate) audience: Option<Arc<Audience>>,
    /// Paths, exact, that need no identity and refuse no fallen one: the upstream decides.
    pub(crate) renewal_paths: Vec<String>,
    /// What is asked of clients besides an identity.
    pub(crate) screen: RouteScreen,
}
