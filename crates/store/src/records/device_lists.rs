//! Devices in numbers: pages, the quarantine list, and what the sweeps look for.

use std::str::FromStr;

use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, IdError, SiteId, SiteSlug, Tenant, TenantId};
use countersign_core::time::Timestamp;

use super::cursor::Cursor;
use super::devices::{DeviceRow, TABLE, select_devices};
use super::{LIST_LIMIT, SWEEP_LIMIT};
use crate::connection::Connection;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::{Conditions, Statement, sql};
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
        let statement = match (&self.connection, &filter.text) {
            (Connection::Sqlite(_), Some(text)) => {
                let before = match filter.after {
                    Some(cursor) => Some(self.place_in_search(cursor.id).await?),
                    None => None,
                };
                by_words(filter, text, before, limit + 1)
            }
            (Connection::Sqlite(_), None) | (Connection::Postgres(_), _) => by_enrolment(filter, limit + 1),
        };
        let mut devices: Vec<DeviceRow> = statement.all(&mut self.connection).await?;
        let more = devices.len() > limit as usize;
        devices.truncate(limit as usize);
        let next =
            devices.last().filter(|_last| more).map(|last| Cursor { at: last.enrolled_at, id: last.id });
        Ok(DevicePage { devices, next })
    }

    /// Where a device is in the index of names; 0, before which there is nothing, when it is not there.
    async fn place_in_search(&mut self, id: DeviceId) -> Result<u64, StoreError> {
        let place: Option<Number> = sql(
            "device_search",
            "SELECT f.rowid AS number FROM devices d JOIN device_search f ON f.device_id = d.id
                 AND f.words MATCH '\"' || replace(d.name || char(10) || d.hostname, '\"', '\"\"') || '\"'
             WHERE d.id = $1",
        )
        .bind(id)
        .optional(&mut self.connection)
        .await?;
        Ok(place.map_or(0, |Number(place)| place))
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
            // As the index says it, or SQLite does not see that it has them all.
            .and(
                "d.status = ? AND d.status IN ('quarantined', 'decommissioned')",
                Some(DeviceStatus::Quarantined),
            )
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
            "SELECT id AS item FROM devices
             WHERE status = 'online' AND last_seen_floor < $1 AND last_seen_at < $1
             ORDER BY last_seen_floor LIMIT $2",
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

/// Devices by when they were enrolled.
fn by_enrolment(filter: &DeviceFilter, limit: u32) -> Statement {
    let words = filter.text.as_deref().map(contains_pattern);
    let after = filter.after.map(|cursor| (cursor.at, cursor.id));
    match filter.status {
        // The index of how devices stand has them in order.
        Some(status) if status != DeviceStatus::Online && words.is_none() => narrowed(filter, OF_STATUS)
            // As the index says it, or SQLite does not see that it has them all.
            .and("d.status = ? AND d.status <> 'online'", Some(status))
            .and_pair("(d.enrolled_at, d.id) < (?, ?)", after)
            .select(TABLE, select_devices!(""), "ORDER BY d.enrolled_at DESC, d.id DESC", limit),
        status => narrowed(filter, OF_LOOKUP)
            // Said so that SQLite does not take an index that is in another order, and sort all of them.
            .and("NOT (d.status <> ?)", status)
            .and("l.words LIKE ? ESCAPE '!'", words)
            .and_pair("(l.enrolled_at, l.device_id) < (?, ?)", after)
            .select(
                TABLE,
                select_devices!(" JOIN device_lookup l ON l.device_id = d.id"),
                "ORDER BY l.enrolled_at DESC, l.device_id DESC",
                limit,
            ),
    }
}

/// Devices by their names, in SQLite: what is found is in the order in which devices came to the index, which is that
/// of their enrolment.
fn by_words(filter: &DeviceFilter, text: &str, before: Option<u64>, limit: u32) -> Statement {
    let is_indexed = text.chars().count() >= 3;
    narrowed(filter, OF_DEVICES)
        .and("d.status = ?", filter.status)
        .and("f.words MATCH ?", is_indexed.then(|| format!("\"{}\"", text.replace('"', "\"\""))))
        .and("f.words LIKE ? ESCAPE '!'", (!is_indexed).then(|| contains_pattern(text)))
        .and("f.rowid < ?", before)
        .select(
            TABLE,
            "SELECT d.*, t.slug AS tenant_slug, s.slug AS site_slug FROM device_search f
             CROSS JOIN devices d ON d.id = f.device_id
             JOIN tenants t ON t.id = d.org_id JOIN sites s ON s.id = d.site_id",
            "ORDER BY f.rowid DESC",
            limit,
        )
}

/// Where tenant and site are looked for: where the index is that the list goes by.
const OF_DEVICES: [&str; 2] = ["d.org_id = ?", "d.site_id = ?"];
/// The index of how devices stand has those of all tenants in one order: it is read from the tenant's latest on.
const OF_STATUS: [&str; 2] = [
    "d.org_id = ? AND d.enrolled_at <= (SELECT max(enrolled_at) FROM device_lookup WHERE org_id = ?)",
    "d.site_id = ?",
];
const OF_LOOKUP: [&str; 2] = ["l.org_id = ?", "l.site_id = ?"];

fn narrowed(filter: &DeviceFilter, [of_tenant, at_site]: [&'static str; 2]) -> Conditions {
    let (site, site_slug) = match &filter.site {
        Some(SiteFilter::Id(id)) => (Some(*id), None),
        Some(SiteFilter::Slug(slug)) => (None, Some(slug.as_str())),
        None => (None, None),
    };
    Conditions::none().and(of_tenant, filter.tenant).and(at_site, site).and("s.slug = ?", site_slug)
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
