//! The use cases of Countersign, one file per verb: what decides, signs and records.
//!
//! Every change of state is one transaction with its audit entry, and every change of trust is
//! published to the edges before the call returns. This crate knows no HTTP and no SQL: callers
//! hand it parsed values and evidence ([`Authorized`], [`agent::AgentCaller`]), and it answers with
//! values or an error enum per use case.
//!
//! Start reading at [`authority`], then [`enrol`], [`renew`] and [`quarantine`].

pub mod agent;
pub mod agent_settings;
pub mod alerts;
pub mod anchor_check;
pub mod anchors;
pub mod api_tokens;
pub mod audit;
pub mod audit_export;
pub mod audit_retention;
pub mod audit_streams;
pub mod authority;
pub mod authorized;
pub mod backup;
pub mod brokered;
pub mod bulk_revoke;
pub mod cas;
pub mod census;
pub mod ceremony;
pub mod challenge;
pub mod channels;
pub mod commands;
mod commands_by_identity;
pub mod confirm;
mod counts;
pub mod crl;
pub mod denials;
pub mod device_changes;
pub mod devices;
pub mod door_certificate;
mod door_work;
pub mod edges;
pub mod enrol;
pub mod enrollment_keys;
pub mod errands;
mod expiry;
pub mod follow;
pub mod glance;
pub mod import_ca;
pub mod ingest;
mod installation;
mod issue;
mod issuers;
pub mod jobs;
mod keys;
pub mod limits;
pub mod monitors;
mod names;
pub mod notices;
pub mod ocsp;
pub mod offline;
pub mod oidc;
pub mod passkeys;
pub mod passwords;
pub mod people;
pub mod plan;
mod possession;
pub mod presence;
mod present;
pub mod provisioning_tokens;
pub mod publish;
pub mod quarantine;
mod questions;
pub mod refusal_counts;
pub mod refusals;
pub mod renew;
mod repair;
pub mod reported;
pub mod reseal;
pub mod restore;
pub mod revoke;
pub mod rollout;
pub mod rotation;
pub mod rules;
pub mod second_factor;
mod secrets;
pub mod service_certificates;
pub mod settings;
pub mod shadows;
pub mod sign_in;
pub mod sites;
pub mod sweep;
pub mod tenants;
mod together;
pub mod token;
mod totp;
mod trust;
mod trust_log;
pub mod trusts;
pub mod unenroll;
pub mod upstream;
mod usage;
pub mod users;

pub use countersign_ca::{KeySource, SecretFile, TokenSettings, certificate_pem};

pub use authority::{Authority, AuthorityConfig, IssuerMode, OpenError, OpenWith};
pub use authorized::{Account, Administer, Authorized, Caller, Forbidden, Operate, Own, View};
pub use issue::publication_at;
pub use issuers::NoIssuer;
#[doc(hidden)]
pub use repair::crash_point;
