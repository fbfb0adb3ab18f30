//! Sites on the wire.

use countersign_core::ids::{SiteId, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// POST `/sites`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSiteRequest {
    /// Slug or id; the one that the caller is bound to, or `default`, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The short name, unique in the tenant; it never changes.
    #[schema(value_type = schema::SiteSlug)]
    pub slug: String,
    /// The name for people.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

/// PATCH `/sites/:id`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SitePatch {
    /// The name for people.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

/// A site.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SiteBody {
    /// Id.
    #[schema(value_type = uuid::Uuid)]
    pub id: SiteId,
    /// Its tenant's slug.
    #[schema(value_type = schema::TenantSlug)]
    pub tenant: Tenant,
    /// Its short name.
    #[schema(value_type = schema::SiteSlug)]
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// Sites, by tenant and short name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SiteList {
    /// The sites; at most 1,000.
    pub sites: Vec<SiteBody>,
}
