//! Tenants with their certificate settings, and their sites.

use countersign_core::agent_settings::AgentSettings;
use countersign_core::ids::{SiteId, Tenant, TenantId};
use countersign_core::settings::{Days, MtlsSettings, OverlapHours};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "tenants";

/// A tenant, the seeds' organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// The seeds' `orgId`.
    pub id: TenantId,
    /// Its slug; never changes, identities carry it.
    pub slug: Tenant,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when its devices are not served, if so.
    pub suspended_at: Option<Timestamp>,
    /// What it chose about certificates.
    pub settings: MtlsSettings,
    /// How its agents are to behave.
    pub agent_settings: AgentSettings,
}

impl FromRow for TenantRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            slug: row.parsed("slug")?,
            name: row.text("name")?,
            created_at: row.time("created_at")?,
            suspended_at: row.optional_time("suspended_at")?,
            settings: MtlsSettings::from_row(row)?,
            agent_settings: AgentSettings::from_row(row)?,
        })
    }
}

impl FromRow for MtlsSettings {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let days = |column, days: i64| {
            Days::new(days).map_err(|_out_of_bounds| row.corrupt(column, &days.to_string()))
        };
        let hours: i64 = row.number("renewal_overlap_hours")?;
        let recovery = row.optional_integer("recovery_window_days")?;
        Ok(Self {
            cert_lifetime_days: days("cert_lifetime_days", row.number("cert_lifetime_days")?)?,
            expired_cert_policy: row.parsed("expired_cert_policy")?,
            enforcement: row.parsed("enforcement")?,
            allow_server_generated_keys: row.permission("allow_server_generated_keys")?,
            allow_bearer_only_renewal: row.permission("allow_bearer_only_renewal")?,
            renewal_overlap_hours: OverlapHours::new(hours)
                .map_err(|_out_of_bounds| row.corrupt("renewal_overlap_hours", &hours.to_string()))?,
            recovery_window_days: recovery.map(|count| days("recovery_window_days", count)).transpose()?,
        })
    }
}

/// A site within a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRow {
    /// Its id.
    pub id: SiteId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its short name, unique in the tenant; spelled like a tenant's slug.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

impl FromRow for SiteRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("org_id")?,
            slug: row.text("slug")?,
            name: row.text("name")?,
        })
    }
}

impl Reading<'_> {
    /// The tenant with this slug.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tenant_by_slug(&mut self, slug: &Tenant) -> Result<Option<TenantRow>, StoreError> {
        sql(TABLE, "SELECT * FROM tenants WHERE slug = $1").bind(slug).optional(&mut self.connection).await
    }

    /// The tenant with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tenant_by_id(&mut self, id: TenantId) -> Result<Option<TenantRow>, StoreError> {
        sql(TABLE, "SELECT * FROM tenants WHERE id = $1").bind(id).optional(&mut self.connection).await
    }

    /// Every tenant, by slug; at most 10,000.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tenants(&mut self) -> Result<Vec<TenantRow>, StoreError> {
        sql(TABLE, "SELECT * FROM tenants ORDER BY slug LIMIT 10000").all(&mut self.connection).await
    }

    /// The tenant's site with this short name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn site_by_slug(
        &mut self,
        tenant: TenantId,
        slug: &str,
    ) -> Result<Option<SiteRow>, StoreError> {
        sql("sites", "SELECT id, org_id, slug, name FROM sites WHERE org_id = $1 AND slug = $2")
            .bind(tenant)
            .bind(slug)
            .optional(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records a tenant; `false` when its slug is taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_tenant(&mut self, tenant: &TenantRow) -> Result<bool, StoreError> {
        let (settings, agents) = (&tenant.settings, &tenant.agent_settings);
        sql(
            TABLE,
            "INSERT INTO tenants (id, slug, name, created_at, suspended_at, cert_lifetime_days,
                 expired_cert_policy, enforcement, allow_server_generated_keys, allow_bearer_only_renewal,
                 renewal_overlap_hours, recovery_window_days,
                 heartbeat_interval_seconds, metrics_interval_seconds, agent_settings_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (slug) DO NOTHING",
        )
        .bind(tenant.id)
        .bind(&tenant.slug)
        .bind(tenant.name.as_str())
        .bind(tenant.created_at)
        .bind(tenant.suspended_at)
        .bind(settings.cert_lifetime_days.count())
        .bind(settings.expired_cert_policy)
        .bind(settings.enforcement)
        .bind(settings.allow_server_generated_keys)
        .bind(settings.allow_bearer_only_renewal)
        .bind(settings.renewal_overlap_hours.count())
        .bind(settings.recovery_window_days.map(Days::count))
        .bind(agents.heartbeat_interval.seconds())
        .bind(agents.metrics_interval.seconds())
        .bind(agents.version)
        .changed(&mut self.connection)
        .await
    }

    /// Suspends a tenant; `false` when there is none or it is suspended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn suspend_tenant(&mut self, tenant: TenantId, at: Timestamp) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE tenants SET suspended_at = $2 WHERE id = $1 AND suspended_at IS NULL")
            .bind(tenant)
            .bind(at)
            .changed(&mut self.connection)
            .await
    }

    /// Takes a suspended tenant back; `false` when there is none or it is not suspended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resume_tenant(&mut self, tenant: TenantId) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE tenants SET suspended_at = NULL WHERE id = $1 AND suspended_at IS NOT NULL")
            .bind(tenant)
            .changed(&mut self.connection)
            .await
    }

    /// Replaces a tenant's settings; `false` when there is no such tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_settings(
        &mut self,
        tenant: TenantId,
        settings: &MtlsSettings,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE tenants SET cert_lifetime_days = $2, expired_cert_policy = $3, enforcement = $4,
                 allow_server_generated_keys = $5, allow_bearer_only_renewal = $6,
                 renewal_overlap_hours = $7, recovery_window_days = $8
             WHERE id = $1",
        )
        .bind(tenant)
        .bind(settings.cert_lifetime_days.count())
        .bind(settings.expired_cert_policy)
        .bind(settings.enforcement)
        .bind(settings.allow_server_generated_keys)
        .bind(settings.allow_bearer_only_renewal)
        .bind(settings.renewal_overlap_hours.count())
        .bind(settings.recovery_window_days.map(Days::count))
        .changed(&mut self.connection)
        .await
    }

    /// Records a site; `false` when its short name is taken in the tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_site(&mut self, site: &SiteRow) -> Result<bool, StoreError> {
        sql(
            "sites",
            "INSERT INTO sites (id, org_id, slug, name) VALUES ($1, $2, $3, $4)
             ON CONFLICT (org_id, slug) DO NOTHING",
        )
        .bind(site.id)
        .bind(site.tenant)
        .bind(site.slug.as_str())
        .bind(site.name.as_str())
        .changed(&mut self.connection)
        .await
    }
}
