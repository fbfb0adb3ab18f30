//! The pages, a file each.

pub(super) mod account;
pub(super) mod alerts;
pub(super) mod audit;
mod audit_standing;
pub(super) mod decide;
pub(super) mod device;
pub(super) mod devices;
pub(super) mod edges;
pub(super) mod keys;
pub(super) mod messages;
pub(super) mod overview;
pub(super) mod passkeys;
pub(super) mod people;
pub(super) mod provisioning;
pub(super) mod quarantine;
pub(super) mod rollout;
pub(super) mod rotation;
pub(super) mod rule_editor;
pub(super) mod rule_history;
pub(super) mod rules;
pub(super) mod second_factor;
pub(super) mod trust;
