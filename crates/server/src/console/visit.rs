//! Somebody signed in, looking at a page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use countersign_authority::View;
use countersign_authority::authorized::{Authorized, Caller, Permission};
use countersign_authority::glance::Glance;
use countersign_authority::people::Person;
use countersign_authority::tenants::TenantRow;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::TenantId;
use countersign_core::time::Timestamp;
use http::request::Parts;
use maud::Markup;

use super::flash::Flash;
use super::gate::Entered;
use super::session::{self, cookie};
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// Somebody signed in, looking at a page: who it is, which tenant the page is about, and what every page
/// shows besides its own.
pub(super) struct Visit {
    pub(super) caller: Caller,
    entered: Entered,
    pub(super) person: Person,
    /// The tenants that this person sees.
    pub(super) tenants: Vec<TenantRow>,
    /// The one that pages are about; `None`: all.
    pub(super) tenant: Option<TenantRow>,
    /// `light` or `dark`, if that was chosen.
    pub(super) theme: Option<&'static str>,
    pub(super) flash: Option<Flash>,
    /// The page's own path and query.
    pub(super) here: String,
    pub(super) now: Timestamp,
    /// The fleet in numbers.
    pub(super) glance: Arc<Glance>,
}

impl Visit {
    /// How many devices wait for a decision.
    pub(super) fn waiting(&self) -> u64 {
        self.glance.of(DeviceStatus::Quarantined)
    }

    /// Evidence that this person may act at the level `P`.
    ///
    /// # Errors
    /// 403 for a role that is too low.
    pub(super) fn may<P: Permission>(&self) -> Outcome<Authorized<P>> {
        let refused = |forbidden| {
            let user = self.caller.user();
            Failure::from(forbidden).fact("user", &user.id).fact("role", &user.role.as_str())
        };
        self.caller.authorize::<P>().map_err(refused)
    }

    /// Whether this person may act at the level `P`, to leave out what would be refused.
    pub(super) fn can<P: Permission>(&self) -> bool {
        self.caller.authorize::<P>().is_ok()
    }

    /// Whether this person sees every tenant.
    pub(super) fn is_unbound(&self) -> bool {
        self.caller.tenant().is_none()
    }

    /// The id of the tenant that the page is about.
    pub(super) fn tenant_id(&self) -> Option<TenantId> {
        self.tenant.as_ref().map(|tenant| tenant.id)
    }

    /// Whether devices of several tenants are on a page, so that each has to say whose it is.
    pub(super) fn shows_tenants(&self) -> bool {
        self.tenant.is_none() && self.tenants.len() > 1
    }

    pub(super) fn token(&self) -> &str {
        &self.entered.token
    }

    /// The field that every form has.
    pub(super) fn csrf(&self) -> Markup {
        self.entered.csrf()
    }
}

impl FromRequestParts<ControlPlane> for Visit {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let entered = Entered::from_request_parts(parts, state).await?;
        let caller = entered.caller.clone();
        let by = caller.authorize::<View>()?;
        let authority = &state.authority;
        let internal = |error| Failure::internal(&error);
        let tenants = authority.list_tenants(&by).await.map_err(internal)?;
        let person = authority.person(&caller).await.map_err(internal)?;
        let tenant = match by.scope() {
            Some(own) => tenants.iter().find(|tenant| tenant.id == own).cloned(),
            None => chosen(parts, &tenants),
        };
        let glance = authority.glance(&by, tenant.as_ref().map(|tenant| tenant.id)).await?;
        let theme = match cookie(&parts.headers, session::THEME) {
            Some("light") => Some("light"),
            Some("dark") => Some("dark"),
            Some(_) | None => None,
        };
        let here = parts.uri.path_and_query().map_or("/console/", http::uri::PathAndQuery::as_str);
        Ok(Self {
            flash: Flash::read(&parts.headers),
            here: here.to_owned(),
            now: authority.now(),
            glance,
            caller,
            entered,
            person,
            tenants,
            tenant,
            theme,
        })
    }
}

/// The tenant that this browser chose, if it is still there.
fn chosen(parts: &Parts, tenants: &[TenantRow]) -> Option<TenantRow> {
    let slug = cookie(&parts.headers, session::TENANT)?;
    tenants.iter().find(|tenant| tenant.slug.as_str() == slug).cloned()
}
