//! The records, a file per noun: their types, `impl Reading` for what is read and `impl Writing` for
//! what changes.

pub(crate) mod alerts;
pub(crate) mod anchors;
pub(crate) mod api_tokens;
pub(crate) mod audit;
pub(crate) mod audit_cuts;
pub(crate) mod audit_streams;
pub(crate) mod audit_verification;
pub(crate) mod brokered;
pub(crate) mod ca_requests;
pub(crate) mod census;
pub(crate) mod certificates;
pub(crate) mod challenges;
pub(crate) mod commands;
pub(crate) mod crls;
pub(crate) mod cursor;
pub(crate) mod denials;
pub(crate) mod device_lists;
pub(crate) mod device_networks;
pub(crate) mod devices;
pub(crate) mod door_work;
pub(crate) mod edge_reports;
pub(crate) mod edges;
pub(crate) mod enrollment_keys;
pub(crate) mod expiry;
pub(crate) mod falling;
pub(crate) mod foreign_trusts;
pub(crate) mod glance;
pub(crate) mod installation;
pub(crate) mod intents;
pub(crate) mod issuers;
pub(crate) mod jobs;
pub(crate) mod journal;
pub(crate) mod messages;
pub(crate) mod monitors;
pub(crate) mod oidc_links;
pub(crate) mod passkeys;
pub(crate) mod password_tokens;
pub(crate) mod presence;
pub(crate) mod provisioning_tokens;
pub(crate) mod refusals;
pub(crate) mod reports;
pub(crate) mod restorations;
pub(crate) mod revocations;
pub(crate) mod rollout;
pub(crate) mod rotation_adoption;
pub(crate) mod rotations;
pub(crate) mod rules;
pub(crate) mod second_factors;
pub(crate) mod selections;
pub(crate) mod service_certificates;
pub(crate) mod service_keys;
pub(crate) mod sessions;
pub(crate) mod shadows;
pub(crate) mod sites;
pub(crate) mod snapshot_keys;
mod spelled;
pub(crate) mod staged_tokens;
pub(crate) mod standing;
pub(crate) mod telemetry_days;
pub(crate) mod tenants;
pub(crate) mod together;
pub(crate) mod trust;
pub(crate) mod upstream;
pub(crate) mod users;

/// How many records a list returns at most, whatever was asked for.
pub const LIST_LIMIT: u32 = 1000;

/// How many records a sweep is given at once; when it gets this many it asks again.
pub const SWEEP_LIMIT: u32 = 500;
