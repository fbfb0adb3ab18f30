//! Devices in numbers: pages, the quarantine list, and what the sweeps look for.

use std::str::FromStr;

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, IdError, SiteId, SiteSlug, Tenant, TenantId};
use countersign_core::time::Timestamp;

use super::cursor::Cursor;
use super::devices::{DeviceRow, TABLE, select_devices};
use super::{LIST_LIMIT, SWEEP_LIMIT};
use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::Reading;

/// Where a page of devices ended.
pub type DeviceCursor = Cursor<DeviceId>;

/// A site, by id or by short name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteFilter {
    /// This very site.
    Id(SiteId),
    /// Any site of this short name.
    Slug(SiteSlug),
}

impl FromStr for SiteFilter {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self::Id).or_else(|_no_id| text.parse().map(Self::Slug))
    }
}

/// Which devices a list is about.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// The only tenant; `None`: all.
    pub tenant: Option<TenantId>,
    /// The only site.
    pub site: Option<SiteFilter>,
    /// Part of the name or host name, in any case.
    pub text: Option<String>,
    /// The only status.
    pub status: Option<DeviceStatus>,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<DeviceCursor>,
}

/// A page of devices, latest enrolled first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePage {
    /// The devices.
    pub devices: Vec<DeviceRow>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<DeviceCursor>,
}

struct QuarantinedCount(Tenant, u64);

impl FromRow for QuarantinedCount {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self(row.parsed("slug")?, row.number("number")?))
    }
}

impl Reading<'_> {
    /// A page of the devices that match.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_devices(&mut self, filter: &DeviceFilter) -> Result<DevicePage, StoreError> {
        let limit = filter.limit.clamp(1, LIST_LIMIT);
        let (site, site_slug) = match &filter.site {
            Some(SiteFilter::Id(id)) => (Some(*id), None),
            Some(SiteFilter::Slug(slug)) => (None, Some(slug.as_str())),
            None => (None, None),
        };
        let mut devices: Vec<DeviceRow> = Conditions::none()
            .and("l.org_id = ?", filter.tenant)
            .and("l.site_id = ?", site)
            .and("s.slug = ?", site_slug)
            .and("d.status = ?", filter.status)
            .and(
                "(lower(d.name) LIKE ? ESCAPE '!' OR lower(d.hostname) LIKE ? ESCAPE '!')",
                filter.text.as_deref().map(contains_pattern),
            )
            .and_pair(
                "(l.enrolled_at, l.device_id) < (?, ?)",
                filter.after.map(|cursor| (cursor.at, cursor.id)),
            )
            .select(
                TABLE,
                select_devices!(" JOIN device_lookup l ON l.device_id = d.id"),
                "ORDER BY l.enrolled_at DESC, l.device_id DESC",
                limit + 1,
            )
            .all(&mut self.connection)
            .await?;
        let more = devices.len() > limit as usize;
        devices.truncate(limit as usize);
        let next =
            devices.last().filter(|_last| more).map(|last| Cursor { at: last.enrolled_at, id: last.id });
        Ok(DevicePage { devices, next })
    }

    /// How many devices of each tenant are quarantined; only tenants that have some.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_quarantined(&mut self) -> Result<Vec<(Tenant, u64)>, StoreError> {
        let counted: Vec<QuarantinedCount> = sql(
            TABLE,
            "SELECT t.slug, count(*) AS number FROM devices d JOIN tenants t ON t.id = d.org_id
             WHERE d.status = 'quarantined' GROUP BY t.slug ORDER BY t.slug",
        )
        .all(&mut self.connection)
        .await?;
        Ok(counted.into_iter().map(|QuarantinedCount(tenant, count)| (tenant, count)).collect())
    }

    /// Quarantined devices, newest quarantine first; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn quarantined_devices(
        &mut self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<DeviceRow>, StoreError> {
        Conditions::none()
            .and("d.org_id = ?", tenant)
            .and("d.status = ?", Some(DeviceStatus::Quarantined))
            .select(TABLE, select_devices!(""), "ORDER BY d.quarantined_at DESC, d.id DESC", LIST_LIMIT)
            .all(&mut self.connection)
            .await
    }

    /// Online devices whose last heartbeat is from before a moment, longest silent first; at most
    /// [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_silent_since(&mut self, before: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let ids: Vec<Item<DeviceId>> = sql(
            TABLE,
            "SELECT id AS item FROM devices WHERE status = 'online' AND last_seen_at < $1
             ORDER BY last_seen_at LIMIT $2",
        )
        .bind(before)
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(|Item(id)| id).collect())
    }

    /// Devices whose approval was not used in time; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_with_grant_ended(&mut self, now: Timestamp) -> Result<Vec<DeviceRow>, StoreError> {
        sql(
            TABLE,
            select_devices!(
                " WHERE d.grant_until IS NOT NULL AND d.grant_until < $1
                  AND d.status NOT IN ('quarantined', 'decommissioned') ORDER BY d.grant_until LIMIT $2"
            ),
        )
        .bind(now)
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

/// The `LIKE` pattern for texts that contain `part`, which is taken literally.
fn contains_pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wild_cards_in_a_search_are_taken_literally() {
        assert_eq!(contains_pattern("50%_A!"), "%50!%!_a!!%");
    }
}
