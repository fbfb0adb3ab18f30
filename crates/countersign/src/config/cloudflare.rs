//! How Cloudflare's API is reached: `mtls.cloudflare_…`, and the two variables that Cloudflare's own tools
//! use. The token is in the environment and nowhere else.

use std::fmt;
use std::path::PathBuf;

use countersign_ca::upstream::ZoneId;
use zeroize::Zeroizing;

use super::names::{HttpUrl, UpstreamUrl};
use super::pick::{Layers, Picker};
use super::raw::RawMtls;

/// The API that everybody uses.
const API: &str = "https://api.cloudflare.com/client/v4";

const TOKEN: &str = "CLOUDFLARE_API_TOKEN";
const ZONE: &str = "CLOUDFLARE_ZONE_ID";

/// A token; printed as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiToken(Zeroizing<String>);

impl ApiToken {
    /// The token itself, for the one header that it goes into.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How the API is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloudflareApi {
    /// Its base.
    pub(crate) url: HttpUrl,
    /// The proxy on the way there; `None`: straight.
    pub(crate) proxy: Option<UpstreamUrl>,
    /// The roots that it is trusted by, PEM; `None`: the system's.
    pub(crate) roots: Option<PathBuf>,
    /// `CLOUDFLARE_API_TOKEN`, if it is set.
    pub(crate) token: Option<ApiToken>,
    /// `CLOUDFLARE_ZONE_ID`, as it is set; read when it is needed.
    pub(crate) zone: Option<String>,
}

impl CloudflareApi {
    /// Whether both variables are set.
    pub(super) const fn is_given(&self) -> bool {
        self.token.is_some() && self.zone.is_some()
    }
}

/// Reads `mtls.cloudflare_…` and the variables.
pub(super) fn cloudflare(pick: &mut Picker<'_>, raw: &RawMtls) -> CloudflareApi {
    let url = Layers::new("mtls.cloudflare_api_url", raw.cloudflare_api_url.clone());
    let (url, origin) = match pick.optional(url, |text| text.parse::<HttpUrl>()) {
        Some((url, origin)) => (Some(url), Some(origin)),
        None => (API.parse().ok(), None),
    };
    // Both arms hold one: what everybody uses is a URL.
    let url = url.unwrap_or_else(HttpUrl::loopback);
    if let Some(origin) = origin.filter(|_given| !url.is_confidential()) {
        let message = "the token goes there: https, or http to this machine alone";
        pick.refuse(&origin, "mtls.cloudflare_api_url", message);
    }
    let proxy = Layers::new("mtls.cloudflare_proxy", raw.cloudflare_proxy.clone());
    let proxy = pick.optional(proxy, |text| text.parse()).map(|(proxy, _)| proxy);
    let roots = pick.file(Layers::new("mtls.cloudflare_roots", raw.cloudflare_roots.clone()));
    CloudflareApi {
        url,
        proxy,
        roots: roots.map(|(path, _)| path),
        token: pick.variable(TOKEN).map(|token| ApiToken(Zeroizing::new(token.trim().to_owned()))),
        zone: pick.variable(ZONE).map(|zone| zone.trim().to_owned()),
    }
}

/// Refuses a zone id that is none: it was meant to be used.
pub(super) fn check_zone(pick: &mut Picker<'_>, api: &CloudflareApi) {
    if let Some(Err(error)) = api.zone.as_deref().map(str::parse::<ZoneId>) {
        pick.refuse(&super::problem::Origin::Variable(ZONE.to_owned()), "", error);
    }
}
