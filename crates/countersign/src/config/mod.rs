//! Configuration: what people wrote ([`raw`]), what it means ([`resolved`]), and every problem in
//! between at once ([`problem`]). The environment is read here and nowhere else.

mod acme;
mod alert_to;
mod audience;
mod audit;
mod audit_to;
mod cloudflare;
mod device_ca;
mod edge;
mod egress;
mod environment;
mod file;
mod flags;
mod front;
mod hosts;
mod http_door;
mod ingest_sinks;
mod keys;
mod lists;
mod metrics;
mod monitors;
mod mosquitto;
mod mqtt_door;
mod mqtt_door_settings;
mod mqtt_grants;
mod names;
mod oidc;
mod pick;
mod problem;
mod raw;
#[cfg(test)]
mod reading;
mod resolve;
mod resolved;
mod restart;
mod rule_settings;
mod sample;
mod sandbox;
mod server_tls;
mod settings;
mod tables;
mod tcp_door_settings;
mod tcp_doors;
mod traces;
mod unusual_access;
mod upstream_settings;
mod upstreams;

pub(crate) use acme::{AcmeChallenge, AcmeSettings};
pub(crate) use alert_to::{AlertMail, AlertPlace, AlertTo, AlertWay, MailTls};
pub(crate) use audit::AuditKept;
pub(crate) use audit_to::{AuditPlace, AuditTo, SyslogPlace, SyslogTls};
pub(crate) use cloudflare::{ApiToken, CloudflareApi};
pub(crate) use edge::fingerprint_of;
pub(crate) use environment::{Environment, Machine};
pub(crate) use file::ConfigFile;
pub(crate) use flags::ConfigFlags;
pub(crate) use front::{AccessLogSettings, Redirect};
pub(crate) use hosts::HostSettings;
pub(crate) use ingest_sinks::{IngestSink, SinkKind};
pub(crate) use monitors::{ServerAddress, pin};
pub(crate) use mosquitto::{BrokerIngest, DRIVER, Mosquitto};
pub(crate) use mqtt_door::{Messages, MqttAccount, MqttDoor, MqttUpstream, Proofs};
pub(crate) use mqtt_grants::MqttGrant;
pub(crate) use names::{HttpUrl, PublicName};
pub(crate) use oidc::Oidc;
pub(crate) use problem::{ConfigError, Origin, Problem};
pub(crate) use resolve::{Loaded, load};
pub(crate) use resolved::{
    AdminOnDoor, DoorCertificate, DoorClientAuth, HttpDoor, Issuer, LogFormat, Resolved,
};
pub(crate) use restart::settle;
pub(crate) use sample::sample;
pub(crate) use sandbox::SandboxMode;
pub(crate) use tcp_doors::{ProxyHeader, TcpDoor, TcpUpstream, UpstreamTls, UpstreamTrust};
pub(crate) use traces::TracesSettings;
