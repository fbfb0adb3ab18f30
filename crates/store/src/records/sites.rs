//! Sites: places within a tenant.

use countersign_core::ids::{SiteId, Tenant, TenantId};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::tenants::SiteRow;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "sites";

/// A site with its tenant's slug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSite {
    /// The site.
    pub site: SiteRow,
    /// Its tenant's slug.
    pub tenant_slug: Tenant,
}

impl FromRow for ListedSite {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { site: SiteRow::from_row(row)?, tenant_slug: row.parsed("tenant_slug")? })
    }
}

/// A `SELECT` of sites with the given rest of the statement.
macro_rules! select_sites {
    ($rest:literal) => {
        concat!("SELECT s.*, t.slug AS tenant_slug FROM sites s JOIN tenants t ON t.id = s.org_id", $rest)
    };
}

impl Reading<'_> {
    /// The site with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn site(&mut self, id: SiteId) -> Result<Option<ListedSite>, StoreError> {
        sql(TABLE, select_sites!(" WHERE s.id = $1")).bind(id).optional(&mut self.connection).await
    }

    /// A tenant's sites, or everybody's, by tenant and short name; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sites(&mut self, tenant: Option<TenantId>) -> Result<Vec<ListedSite>, StoreError> {
        Conditions::none()
            .and("s.org_id = ?", tenant)
            .select(TABLE, select_sites!(""), "ORDER BY t.slug, s.slug", LIST_LIMIT)
            .all(&mut self.connection)
            .await
    }

    /// Whether a device that is not decommissioned is at this site.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn site_has_devices(&mut self, id: SiteId) -> Result<bool, StoreError> {
        let found: Option<Item<SiteId>> = sql(
            "devices",
            "SELECT l.site_id AS item FROM device_lookup l JOIN devices d ON d.id = l.device_id
             WHERE l.site_id = $1 AND d.status <> 'decommissioned' LIMIT 1",
        )
        .bind(id)
        .optional(&mut self.connection)
        .await?;
        Ok(found.is_some())
    }

    /// Whether an enrolment key that still works is for this site.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn site_has_live_keys(&mut self, id: SiteId, now: Timestamp) -> Result<bool, StoreError> {
        let found: Option<Item<SiteId>> = sql(
            "enrollment_keys",
            "SELECT site_id AS item FROM enrollment_keys
             WHERE site_id = $1 AND uses < max_uses AND revoked_at IS NULL AND expires_at > $2 LIMIT 1",
        )
        .bind(id)
        .bind(now)
        .optional(&mut self.connection)
        .await?;
        Ok(found.is_some())
    }
}

impl Writing<'_> {
    /// Gives a site another name; `false` when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rename_site(&mut self, id: SiteId, name: &str) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE sites SET name = $2 WHERE id = $1")
            .bind(id)
            .bind(name)
            .changed(&mut self.connection)
            .await
    }

    /// Deletes a site; what is left of it, decommissioned devices and enrolment keys that work no more,
    /// is `heir`'s from then on. `false` when there is no such site.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_site(&mut self, id: SiteId, heir: SiteId) -> Result<bool, StoreError> {
        for statement in [
            sql(
                "devices",
                "UPDATE devices SET site_id = $2 WHERE status = 'decommissioned'
                     AND id IN (SELECT device_id FROM device_lookup WHERE site_id = $1)",
            ),
            sql("enrollment_keys", "UPDATE enrollment_keys SET site_id = $2 WHERE site_id = $1"),
        ] {
            statement.bind(id).bind(heir).run(&mut self.connection).await?;
        }
        sql(TABLE, "DELETE FROM sites WHERE id = $1").bind(id).changed(&mut self.connection).await
    }
}
