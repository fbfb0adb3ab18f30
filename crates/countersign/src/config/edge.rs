//! `[edge]`: how a process that only runs doors reaches its authority. `serve` has one of its own and reads
//! none of it.

use std::path::PathBuf;
use std::time::Duration;

use countersign_api::client::ServerUrl;
use countersign_edge::attach::Staleness;
use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::{number, one_of};

/// How long trust counts as fresh unless told otherwise.
const DEFAULT_HOURS: u64 = 24;

/// `[edge]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEdge {
    pub(super) authority: Place<String>,
    pub(super) ca_fingerprint: Place<String>,
    pub(super) token_file: Place<String>,
    pub(super) stale_after_minutes: Place<u64>,
    pub(super) when_stale: Place<String>,
}

/// How an edge reaches its authority, and what it does without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeSettings {
    /// The authority's HTTP door.
    pub(crate) authority: Option<ServerUrl>,
    /// SHA-256 of its root, by which it is known before the edge has enrolled.
    pub(crate) ca_fingerprint: Option<[u8; 32]>,
    /// The file with the token that the edge enrols with.
    pub(crate) token_file: Option<PathBuf>,
    /// How long trust counts as fresh of which nobody has said that it still holds.
    pub(crate) stale_after: Duration,
    /// What the doors do with it then.
    pub(crate) when_stale: Staleness,
}

/// The settings of an edge.
pub(super) fn edge(pick: &mut Picker<'_>, raw: RawEdge) -> EdgeSettings {
    let authority = Layers::new("edge.authority", raw.authority);
    let authority = pick.optional(authority, |text| text.parse::<ServerUrl>()).map(|(url, _)| url);
    let fingerprint = Layers::new("edge.ca_fingerprint", raw.ca_fingerprint);
    let ca_fingerprint = pick.optional(fingerprint, |text| fingerprint_of(&text)).map(|(hash, _)| hash);
    let minutes = Layers::new("edge.stale_after_minutes", raw.stale_after_minutes);
    let minutes = number(pick, minutes, 1, DEFAULT_HOURS * 60);
    let known = [("keep", Staleness::Keep), ("refuse", Staleness::Refuse)];
    let when_stale = Layers::new("edge.when_stale", raw.when_stale);
    let when_stale = pick.value(when_stale, Staleness::Keep, |text| one_of(&text, &known)).0;
    EdgeSettings {
        authority,
        ca_fingerprint,
        token_file: pick.path(Layers::new("edge.token_file", raw.token_file)),
        stale_after: Duration::from_secs(minutes.saturating_mul(60)),
        when_stale,
    }
}

/// A SHA-256 in hex, with or without colons.
pub(crate) fn fingerprint_of(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    let bare: String = text.chars().filter(|c| *c != ':').collect();
    hex::decode_to_slice(&bare, &mut hash).map_err(|_invalid| {
        let shown: String = text.chars().take(160).collect();
        format!("not a SHA-256 fingerprint, 64 hex digits: {shown:?}")
    })?;
    Ok(hash)
}
