//! The admin routes, one file per noun.

pub(crate) mod agent_settings;
pub(crate) mod anchors;
pub(crate) mod api_tokens;
pub(crate) mod audit;
pub(crate) mod audit_export;
pub(crate) mod auth;
pub(crate) mod bulk;
pub(crate) mod certificates;
pub(crate) mod commands;
pub(crate) mod denials;
pub(crate) mod device_tokens;
pub(crate) mod devices;
pub(crate) mod enrollment_keys;
pub(crate) mod health;
pub(crate) mod lists;
pub(crate) mod passwords;
pub(crate) mod quarantine;
pub(crate) mod reported;
pub(crate) mod rollout;
pub(crate) mod rotation;
pub(crate) mod settings;
pub(crate) mod setup;
pub(crate) mod sites;
pub(crate) mod tenants;
pub(crate) mod users;
