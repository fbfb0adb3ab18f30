//! What every list is asked for: whose entries, how many, and from where on.

use std::str::FromStr;

use countersign_authority::Authorized;
use countersign_authority::tenants::TenantRow;

use crate::failure::Outcome;
use crate::fields::Fields;
use crate::state::ControlPlane;

/// The size of a page.
pub(crate) fn page_size(fields: &mut Fields) -> u32 {
    let limit = fields.read("limit", |text| match text.parse() {
        Ok(limit @ 1..=500) => Ok(limit),
        Ok(_) | Err(_) => Err("must be a whole number from 1 to 500"),
    });
    limit.unwrap_or(100)
}

/// Where a page begins.
pub(crate) fn cursor<T: FromStr>(fields: &mut Fields) -> Option<T> {
    fields.read("cursor", |text| text.parse().map_err(|_invalid| "is not one of ours"))
}

/// The tenant whose entries alone are wanted, as the query names it.
pub(crate) fn tenant(fields: &mut Fields) -> Option<String> {
    fields.text("tenant", 64)
}

/// Ends the reading of a query and finds the tenant that it named.
///
/// # Errors
/// 400 for what was wrong in the query or is unknown; 404 for an unknown tenant.
pub(crate) async fn read_whole<P>(
    mut fields: Fields,
    state: &ControlPlane,
    by: &Authorized<P>,
    tenant: Option<String>,
) -> Outcome<Option<TenantRow>> {
    fields.refuse_unknown();
    fields.finish()?;
    match tenant {
        Some(tenant) => Ok(Some(state.authority.find_tenant(by, &tenant).await?)),
        None => Ok(None),
    }
}
