//! How devices were admitted of late, and what follows for the rollout of `enforce`.

use std::borrow::Cow;

use countersign_core::ids::{DeviceId, DeviceName, Tenant, TenantId};
use countersign_core::settings::Enforcement;
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::cursor::Cursor;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::rows::Rows;
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

const TABLE: &str = "device_usage";

/// A device was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Which.
    pub device: DeviceId,
    /// `certificate`: over its own; or the code with which `enforce` would have refused it; or
    /// [`rule_outcome`].
    pub outcome: Cow<'static, str>,
    /// When.
    pub at: Timestamp,
}

/// The outcome of whoever showed its own certificate.
pub const OVER_CERTIFICATE: &str = "certificate";

/// The code of what a rule blocks.
const RULE_BLOCKED: &str = "RULE_BLOCKED";

/// Begins the outcome of whoever an observed rule would have blocked, before the rule's name.
const BY_RULE: &str = "rule:";

/// How much of a rule's name is kept.
const RULE_NAME_LIMIT: usize = 100;

/// The outcome of whoever an observed rule would have blocked.
#[must_use]
pub fn rule_outcome(rule: &str) -> String {
    BY_RULE.chars().chain(rule.chars().take(RULE_NAME_LIMIT)).collect()
}

/// How far a tenant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRollout {
    /// Its id.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: Tenant,
    /// Its mode.
    pub enforcement: Enforcement,
    /// Devices that are not decommissioned.
    pub devices: u64,
    /// Those with an active certificate that they were seen using.
    pub ready: u64,
    /// Those without an active certificate that has not ended.
    pub without_certificate: u64,
    /// Those whose active certificate ends soon.
    pub expiring: u64,
}

/// How many devices of a tenant would have been refused with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WouldRefuse {
    /// The tenant.
    pub tenant: TenantId,
    /// The code.
    pub code: String,
    /// Devices since the earlier of the two moments.
    pub since_first: u64,
    /// Devices since the later one.
    pub since_second: u64,
}

/// How many devices an observed rule would have blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRule {
    /// The rule's name, as far as that is kept.
    pub rule: String,
    /// How many.
    pub devices: u64,
    /// When the last time.
    pub at: Timestamp,
}

impl FromRow for ObservedRule {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let outcome = row.text("outcome")?;
        let rule = outcome.strip_prefix(BY_RULE).ok_or_else(|| row.corrupt("outcome", &outcome))?.to_owned();
        Ok(Self { rule, devices: row.number("devices")?, at: row.time("last_at")? })
    }
}

/// A device that would have been refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: Tenant,
    /// Its name.
    pub name: DeviceName,
    /// What it calls itself.
    pub hostname: String,
    /// The code, the latest one.
    pub code: String,
    /// The rule, if it was one.
    pub rule: Option<String>,
    /// When last.
    pub at: Timestamp,
}

/// Which devices a list is about.
#[derive(Clone, Debug)]
pub struct BlockedFilter {
    /// The only tenant; `None`: all.
    pub tenant: Option<TenantId>,
    /// The only code.
    pub code: Option<String>,
    /// From this moment on.
    pub since: Timestamp,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor<DeviceId>>,
}

/// A page of them, latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPage {
    /// The devices.
    pub devices: Vec<BlockedDevice>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor<DeviceId>>,
}

impl FromRow for TenantRollout {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.parsed("id")?,
            slug: row.parsed("slug")?,
            enforcement: row.parsed("enforcement")?,
            devices: row.number("devices")?,
            ready: row.number("ready")?,
            without_certificate: row.number("without_certificate")?,
            expiring: row.number("expiring")?,
        })
    }
}

impl FromRow for WouldRefuse {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: row.parsed("org_id")?,
            code: row.text("outcome")?,
            since_first: row.number("since_first")?,
            since_second: row.number("since_second")?,
        })
    }
}

impl FromRow for BlockedDevice {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let outcome = row.text("outcome")?;
        let rule = outcome.strip_prefix(BY_RULE).map(str::to_owned);
        Ok(Self {
            id: row.parsed("id")?,
            tenant: row.parsed("slug")?,
            name: row.parsed("name")?,
            hostname: row.text("hostname")?,
            code: if rule.is_some() { RULE_BLOCKED.to_owned() } else { outcome },
            rule,
            at: row.time("last_at")?,
        })
    }
}

/// Devices with the latest outcome of each.
const BLOCKED: &str = "SELECT d.id, t.slug, d.name, d.hostname, u.outcome, u.last_at FROM device_usage u
     JOIN devices d ON d.id = u.device_id JOIN tenants t ON t.id = d.org_id
         AND NOT EXISTS (SELECT 1 FROM device_usage later
             WHERE later.device_id = u.device_id AND later.outcome <> 'certificate'
                 AND (later.last_at, later.outcome) > (u.last_at, u.outcome))";

/// The same among what rules would have blocked.
const BLOCKED_BY_RULES: &str =
    "SELECT d.id, t.slug, d.name, d.hostname, u.outcome, u.last_at FROM device_usage u
     JOIN devices d ON d.id = u.device_id JOIN tenants t ON t.id = d.org_id
         AND NOT EXISTS (SELECT 1 FROM device_usage later
             WHERE later.device_id = u.device_id AND later.outcome LIKE 'rule:%'
                 AND (later.last_at, later.outcome) > (u.last_at, u.outcome))";

impl Reading<'_> {
    /// How far each tenant is, by slug; with a tenant, that one alone. A certificate that ends before
    /// `soon` counts as expiring.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rollout(
        &mut self,
        tenant: Option<TenantId>,
        now: Timestamp,
        soon: Timestamp,
    ) -> Result<Vec<TenantRollout>, StoreError> {
        sql(
            "tenants",
            "SELECT t.id, t.slug, t.enforcement, count(d.id) AS devices,
                 coalesce(sum(CASE WHEN u.last_at >= i.issued_at THEN 1 ELSE 0 END), 0) AS ready,
                 coalesce(sum(CASE WHEN d.id IS NOT NULL AND s.certificate_id IS NULL THEN 1 ELSE 0 END), 0)
                     AS without_certificate,
                 coalesce(sum(CASE WHEN s.not_after < $2 THEN 1 ELSE 0 END), 0) AS expiring
             FROM tenants t
             LEFT JOIN devices d ON d.org_id = t.id AND d.status <> 'decommissioned'
             LEFT JOIN certificate_states s
                 ON s.device_uuid = d.id AND s.status = 'ACTIVE' AND s.not_after >= $1
             LEFT JOIN device_usage u ON u.device_id = d.id AND u.outcome = 'certificate'
             LEFT JOIN issued_certificates i ON u.last_at IS NOT NULL AND i.id = s.certificate_id
             WHERE $3 IS NULL OR t.id = $3
             GROUP BY t.id, t.slug, t.enforcement ORDER BY t.slug LIMIT 10000",
        )
        .bind(now)
        .bind(soon)
        .bind(tenant)
        .all(&mut self.connection)
        .await
    }

    /// How many devices of each tenant would have been refused with each code since two moments, the
    /// earlier one first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn would_refuse(
        &mut self,
        tenant: Option<TenantId>,
        first: Timestamp,
        second: Timestamp,
    ) -> Result<Vec<WouldRefuse>, StoreError> {
        sql(
            TABLE,
            "SELECT d.org_id,
                 CASE WHEN u.outcome LIKE 'rule:%' THEN 'RULE_BLOCKED' ELSE u.outcome END AS outcome,
                 count(DISTINCT d.id) AS since_first,
                 count(DISTINCT CASE WHEN u.last_at >= $2 THEN d.id END) AS since_second
             FROM device_usage u JOIN devices d ON d.id = u.device_id
             WHERE u.outcome <> 'certificate' AND u.last_at >= $1 AND d.status <> 'decommissioned'
                 AND ($3 IS NULL OR d.org_id = $3)
             GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100000",
        )
        .bind(first)
        .bind(second)
        .bind(tenant)
        .all(&mut self.connection)
        .await
    }

    /// How many devices of a tenant, or of all, each observed rule would have blocked since a moment, most first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn observed_rules(
        &mut self,
        tenant: Option<TenantId>,
        since: Timestamp,
    ) -> Result<Vec<ObservedRule>, StoreError> {
        sql(
            TABLE,
            "SELECT u.outcome, count(*) AS devices, max(u.last_at) AS last_at
             FROM device_usage u JOIN devices d ON d.id = u.device_id
             WHERE u.outcome LIKE 'rule:%' AND u.last_at >= $1 AND d.status <> 'decommissioned'
                 AND ($2 IS NULL OR d.org_id = $2)
             GROUP BY u.outcome ORDER BY devices DESC, u.outcome LIMIT 1000",
        )
        .bind(since)
        .bind(tenant)
        .all(&mut self.connection)
        .await
    }

    /// A page of the devices that would have been refused, each once, with the latest code; of rules the
    /// latest rule.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blocked_devices(&mut self, filter: &BlockedFilter) -> Result<BlockedPage, StoreError> {
        let limit = filter.limit.clamp(1, LIST_LIMIT);
        let of_rules = filter.code.as_deref() == Some(RULE_BLOCKED);
        let code = filter.code.as_deref().filter(|_code| !of_rules);
        let mut devices: Vec<BlockedDevice> = Conditions::none()
            .and("d.status <> ?", Some("decommissioned"))
            .and("u.outcome <> ?", Some(OVER_CERTIFICATE))
            .and("u.last_at >= ?", Some(filter.since))
            .and("d.org_id = ?", filter.tenant)
            .and("u.outcome = ?", code)
            .and("u.outcome LIKE ?", of_rules.then_some("rule:%"))
            .and_pair("(u.last_at, d.id) < (?, ?)", filter.after.map(|cursor| (cursor.at, cursor.id)))
            .select(
                TABLE,
                if of_rules { BLOCKED_BY_RULES } else { BLOCKED },
                "ORDER BY u.last_at DESC, d.id DESC",
                limit + 1,
            )
            .all(&mut self.connection)
            .await?;
        let more = devices.len() > limit as usize;
        devices.truncate(limit as usize);
        let next = devices.last().filter(|_last| more).map(|last| Cursor { at: last.at, id: last.id });
        Ok(BlockedPage { devices, next })
    }
}

impl Writing<'_> {
    /// Notes how devices were admitted; of each device and outcome the latest counts.
    ///
    /// # Errors
    /// [`StoreError`], also when a device is not on record.
    pub async fn record_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let mut written = Rows::of(TABLE, &["device_id", "outcome", "last_at"]);
        for row in rows {
            written.add([row.device.into(), row.outcome.as_ref().into(), row.at.into()]);
        }
        let replace = "ON CONFLICT (device_id, outcome) DO UPDATE SET last_at = excluded.last_at";
        written.insert(&mut self.connection, replace).await.map(|_written| ())
    }

    /// Forgets who would have been refused before a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_usage(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM device_usage WHERE outcome <> 'certificate' AND last_at < $1")
            .bind(before)
            .run(&mut self.connection)
            .await
    }
}
