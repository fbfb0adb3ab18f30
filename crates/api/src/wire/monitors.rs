//! What admins and their scripts say and hear about certificates that are watched.

use countersign_core::ids::{MonitorName, SpkiSha256};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// GET `/monitors`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MonitorsBody {
    /// In the order of the configuration.
    pub monitors: Vec<MonitorBody>,
}

/// A certificate that is watched.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonitorBody {
    /// What people call it.
    #[schema(value_type = schema::MonitorName)]
    pub name: MonitorName,
    /// The server that shows it, `host:port`; `null` for a file.
    pub address: Option<String>,
    /// The name that the server is asked for.
    pub server_name: Option<String>,
    /// The file that it is in, on the machine of the authority that answers.
    pub file: Option<String>,
    /// How often it is looked at.
    pub interval_minutes: u64,
    /// How it is doing.
    #[schema(value_type = schema::MonitorStatus)]
    pub status: String,
    /// Since when; `null` before the first look.
    #[schema(value_type = Option<schema::Moment>)]
    pub since: Option<Timestamp>,
    /// Why it cannot be looked at.
    pub problem: Option<String>,
    /// SHA-256 of the key that it must have, configured or accepted; `null`: any certificate but the first
    /// one seen is a change.
    #[schema(value_type = Option<schema::Sha256>)]
    pub pin: Option<SpkiSha256>,
    /// When somebody accepted that key; `null`: it is the configured one.
    #[schema(value_type = Option<schema::Moment>)]
    pub accepted_at: Option<Timestamp>,
    /// When an authority last went to look.
    #[schema(value_type = Option<schema::Moment>)]
    pub looked_at: Option<Timestamp>,
    /// What was seen last.
    pub certificate: Option<WatchedCertificateBody>,
}

/// What was seen of a certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedCertificateBody {
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// Its serial number as it stands there, hex.
    pub serial_number: String,
    /// SHA-256 of its key.
    #[schema(value_type = schema::Sha256)]
    pub spki_sha256: SpkiSha256,
    /// First valid moment.
    #[schema(value_type = schema::Moment)]
    pub not_before: Timestamp,
    /// Last valid moment.
    #[schema(value_type = schema::Moment)]
    pub not_after: Timestamp,
    /// When it was first seen there.
    #[schema(value_type = schema::Moment)]
    pub first_seen_at: Timestamp,
    /// When it was last seen there.
    #[schema(value_type = schema::Moment)]
    pub last_seen_at: Timestamp,
}

/// POST `/monitors/:name/accept`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptMonitorRequest {
    /// The key that the caller looked at: another one is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sha256>)]
    pub spki_sha256: Option<SpkiSha256>,
}
