//! From configuration to an API that can be asked.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_ca::upstream::{Cloudflare, ZoneId};
use thiserror::Error;

use super::transport::HttpTransport;
use crate::config::CloudflareApi;

/// The API cannot be asked: nobody said as whom, or about what.
#[derive(Debug, Error)]
#[error("{0} is not set")]
pub(crate) struct NotConfigured(&'static str);

/// The API of the configured zone. Nothing is asked yet.
pub(crate) fn api(config: &CloudflareApi) -> anyhow::Result<Cloudflare> {
    let token = config.token.as_ref().ok_or(NotConfigured("CLOUDFLARE_API_TOKEN"))?;
    let zone = config.zone.as_deref().ok_or(NotConfigured("CLOUDFLARE_ZONE_ID"))?;
    let zone: ZoneId = zone.parse().context("read CLOUDFLARE_ZONE_ID")?;
    let transport = HttpTransport::new(config, token)?;
    Ok(Cloudflare::new(Arc::new(transport), zone))
}
