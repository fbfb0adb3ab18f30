//! The plan file as it is written: nothing unknown, each value with its place in the text.

use serde::Deserialize;
use toml::Spanned;

/// A value and where it stands.
pub(super) type Place<T> = Option<Spanned<T>>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPlan {
    pub(super) ca: Vec<Spanned<RawCa>>,
    pub(super) certificate: Vec<Spanned<RawCertificate>>,
}

/// `[[ca]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCa {
    pub(super) name: Place<String>,
    pub(super) role: Place<String>,
    pub(super) parent: Place<String>,
    pub(super) subject: Place<String>,
    pub(super) key_algorithm: Place<String>,
    pub(super) lifetime_days: Place<u32>,
    pub(super) purposes: Place<Vec<String>>,
    pub(super) path_length: Place<u8>,
    pub(super) environment: Place<String>,
}

/// `[[certificate]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCertificate {
    pub(super) name: Place<String>,
    pub(super) ca: Place<String>,
    pub(super) profile: Place<String>,
    pub(super) subject: Place<String>,
    pub(super) dns: Place<Vec<String>>,
    pub(super) ip: Place<Vec<String>>,
    pub(super) uri: Place<Vec<String>>,
    pub(super) purposes: Place<Vec<String>>,
    pub(super) key_usages: Place<Vec<String>>,
    pub(super) key_algorithm: Place<String>,
    pub(super) lifetime_days: Place<u32>,
}
