//! The configuration file as it is written: every key optional, nothing unknown, each value with
//! its place in the text.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::acme::RawAcme;
use super::alert_to::RawAlertTo;
use super::audit::RawAudit;
use super::audit_to::RawAuditTo;
use super::edge::RawEdge;
use super::egress::RawEgress;
use super::front::{RawAccessLog, RawRedirect};
use super::hosts::RawHost;
use super::ingest_sinks::{RawIngest, RawSink};
use super::metrics::RawMetrics;
use super::mosquitto::RawMosquitto;
use super::mqtt_door::RawMqttDoor;
use super::mqtt_grants::RawGrant;
use super::oidc::{RawOidc, RawOidcRole};
use super::traces::RawTraces;
use super::unusual_access::RawUnusualAccess;

/// A value and where it stands.
pub(super) type Place<T> = Option<Spanned<T>>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) data_dir: Place<String>,
    pub(super) database_url: Place<String>,
    pub(super) trust_domain: Place<String>,
    pub(super) log_format: Place<String>,
    pub(super) log_filter: Place<String>,
    pub(super) public_names: Place<Vec<String>>,
    pub(super) ports_file: Place<String>,
    pub(super) public_base_url: Place<String>,
    pub(super) drain_seconds: Place<u64>,
    pub(super) audit_anchor_interval_minutes: Place<u64>,
    pub(super) sandbox: Place<String>,
    pub(super) sandbox_write: Place<Vec<String>>,
    pub(super) admin: RawAdmin,
    pub(super) metrics: RawMetrics,
    pub(super) traces: RawTraces,
    pub(super) edge: RawEdge,
    pub(super) http_door: RawHttpDoor,
    pub(super) redirect: RawRedirect,
    pub(super) access_log: RawAccessLog,
    pub(super) mqtt_door: RawMqttDoor,
    pub(super) mosquitto: RawMosquitto,
    pub(super) ingest: RawIngest,
    pub(super) ingest_sink: Vec<Spanned<RawSink>>,
    pub(super) mqtt_grant: Vec<Spanned<RawGrant>>,
    pub(super) mtls: RawMtls,
    pub(super) pki: RawPki,
    pub(super) acme: RawAcme,
    pub(super) host: Vec<Spanned<RawHost>>,
    pub(super) route: Vec<Spanned<RawRoute>>,
    pub(super) egress: Vec<Spanned<RawEgress>>,
    pub(super) rule: Vec<Spanned<RawRule>>,
    pub(super) list: Vec<Spanned<RawList>>,
    pub(super) monitor: Vec<Spanned<RawMonitor>>,
    pub(super) alert_to: Vec<Spanned<RawAlertTo>>,
    pub(super) unusual_access: RawUnusualAccess,
    pub(super) audit: RawAudit,
    pub(super) audit_to: Vec<Spanned<RawAuditTo>>,
    pub(super) oidc: RawOidc,
    pub(super) oidc_role: Vec<Spanned<RawOidcRole>>,
    pub(super) tcp_door: Vec<Spanned<RawTcpDoor>>,
}

/// `[admin]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAdmin {
    pub(super) listen: Place<String>,
    pub(super) danger_plain_admin: Place<bool>,
    pub(super) allowed_hosts: Place<Vec<String>>,
    pub(super) expose_admin_on_door: Place<bool>,
    pub(super) session_hours: Place<u64>,
    pub(super) console_url: Place<String>,
}

/// `[http_door]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttpDoor {
    pub(super) listen: Place<String>,
    pub(super) hosts: Place<Vec<String>>,
    pub(super) client_auth: Place<String>,
    pub(super) rules: Place<String>,
    pub(super) compat: Place<String>,
    pub(super) certificate: Place<String>,
    pub(super) key: Place<String>,
    pub(super) workers: Place<u64>,
    pub(super) handshake_timeout_seconds: Place<u64>,
    pub(super) header_timeout_seconds: Place<u64>,
    pub(super) idle_timeout_seconds: Place<u64>,
    pub(super) body_timeout_seconds: Place<u64>,
    pub(super) body_min_bytes_per_second: Place<u64>,
    pub(super) write_timeout_seconds: Place<u64>,
    pub(super) upstream_timeout_seconds: Place<u64>,
    pub(super) websocket_ping_seconds: Place<u64>,
    pub(super) max_connections: Place<u64>,
    pub(super) max_connections_per_ip: Place<u64>,
    pub(super) proxy_protocol_networks: Place<Vec<String>>,
    pub(super) rate_limit_per_ip: Place<String>,
    pub(super) rate_limit_per_identity: Place<String>,
}

/// `[mtls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMtls {
    pub(super) issuer: Place<String>,
    pub(super) cloudflare_api_url: Place<String>,
    pub(super) cloudflare_proxy: Place<String>,
    pub(super) cloudflare_roots: Place<String>,
}

/// `[pki]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPki {
    pub(super) key_encryption_key_file: Place<String>,
    pub(super) key_encryption_key_credential: Place<String>,
    pub(super) passphrase_file: Place<String>,
    pub(super) passphrase_credential: Place<String>,
    pub(super) pkcs11: RawPkcs11,
}

/// `[pki.pkcs11]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPkcs11 {
    pub(super) module: Place<String>,
    pub(super) token: Place<String>,
    pub(super) serial: Place<String>,
    pub(super) pin_file: Place<String>,
    pub(super) pin_credential: Place<String>,
    pub(super) sessions: Place<u64>,
}

/// `[[route]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRoute {
    pub(super) host: Place<String>,
    pub(super) path: Place<String>,
    pub(super) require_identity: Place<RawRequirement>,
    pub(super) renewal_paths: Place<Vec<String>>,
    pub(super) identity_headers: Place<Vec<String>>,
    pub(super) cf_blob_header: Place<String>,
    pub(super) rate_limit_per_ip: Place<String>,
    pub(super) rate_limit_per_identity: Place<String>,
    pub(super) allow_from: Place<Vec<String>>,
    pub(super) cors_origins: Place<Vec<String>>,
    pub(super) security_headers: Place<bool>,
    pub(super) upstream: Place<String>,
    pub(super) upstreams: Place<Vec<String>>,
    pub(super) http2: Place<bool>,
    pub(super) ca_file: Place<String>,
    pub(super) system_roots: Place<bool>,
    pub(super) pins: Place<Vec<String>>,
    pub(super) server_name: Place<String>,
    pub(super) client_certificate: Place<String>,
    pub(super) client_key: Place<String>,
    pub(super) health_path: Place<String>,
    pub(super) health_interval_seconds: Place<u64>,
    pub(super) well_after: Place<u64>,
    pub(super) unwell_after: Place<u64>,
    pub(super) connect_timeout_seconds: Place<u64>,
    pub(super) answer_timeout_seconds: Place<u64>,
    pub(super) idle_timeout_seconds: Place<u64>,
    pub(super) admit: Place<Vec<String>>,
    pub(super) allow_tenants: Place<Vec<String>>,
    pub(super) allow_devices: Place<Vec<String>>,
    pub(super) allow_sans: Place<Vec<String>>,
    pub(super) allow_names: Place<Vec<String>>,
    pub(super) require_subject: Place<BTreeMap<String, String>>,
}

/// `true`, `false` or a word.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "not true, false or \"observe\"")]
pub(super) enum RawRequirement {
    /// `enforce` or `off`.
    Switch(bool),
    /// One of the modes.
    Word(String),
}

/// `[[rule]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRule {
    pub(super) name: Place<String>,
    pub(super) expression: Place<String>,
    pub(super) action: Place<String>,
    pub(super) enabled: Place<bool>,
    pub(super) status: Place<u64>,
    pub(super) body: Place<String>,
    pub(super) content_type: Place<String>,
}

/// `[[list]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawList {
    pub(super) name: Place<String>,
    pub(super) kind: Place<String>,
    pub(super) items: Place<Vec<String>>,
}

/// `[[monitor]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMonitor {
    pub(super) name: Place<String>,
    pub(super) address: Place<String>,
    pub(super) server_name: Place<String>,
    pub(super) file: Place<String>,
    pub(super) pin: Place<String>,
    pub(super) interval_minutes: Place<u64>,
}

/// `[[tcp_door]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTcpDoor {
    pub(super) name: Place<String>,
    pub(super) listen: Place<String>,
    pub(super) upstream: Place<String>,
    pub(super) require_identity: Place<RawRequirement>,
    pub(super) client_auth: Place<String>,
    pub(super) rules: Place<String>,
    pub(super) admit: Place<Vec<String>>,
    pub(super) allow_tenants: Place<Vec<String>>,
    pub(super) allow_devices: Place<Vec<String>>,
    pub(super) allow_sans: Place<Vec<String>>,
    pub(super) allow_names: Place<Vec<String>>,
    pub(super) require_subject: Place<BTreeMap<String, String>>,
    pub(super) upstream_server_name: Place<String>,
    pub(super) upstream_ca: Place<String>,
    pub(super) upstream_pins: Place<Vec<String>>,
    pub(super) upstream_certificate: Place<String>,
    pub(super) upstream_key: Place<String>,
    pub(super) proxy_protocol: Place<String>,
    pub(super) workers: Place<u64>,
    pub(super) handshake_timeout_seconds: Place<u64>,
    pub(super) connect_timeout_seconds: Place<u64>,
    pub(super) idle_timeout_seconds: Place<u64>,
    pub(super) lifetime_seconds: Place<u64>,
    pub(super) max_connections: Place<u64>,
    pub(super) max_connections_per_ip: Place<u64>,
    pub(super) proxy_protocol_networks: Place<Vec<String>>,
}
