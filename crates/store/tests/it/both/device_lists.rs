//! Lists of devices: complete page by page, scoped, and bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::DeviceId;
use countersign_store::{DeviceFilter, DeviceRow, LIST_LIMIT};

use super::fixture::{Fixture, HOUR, insert_tenant, now, read, write};

async fn names(fixture: &Fixture, filter: DeviceFilter) -> Vec<String> {
    let filter = DeviceFilter { limit: 100, ..filter };
    let page = read!(fixture.store, |r| r.list_devices(&filter)).unwrap();
    assert!(page.next.is_none());
    page.devices.iter().map(|device| device.name.to_string()).collect()
}

async fn insert(fixture: &Fixture, device: DeviceRow) -> DeviceRow {
    let row = device.clone();
    write!(fixture.store, |w| w.insert_device(&row)).unwrap();
    device
}

#[tokio::test]
async fn pages_together_are_the_whole_list_without_repeats() {
    let fixture = Fixture::new().await;
    let mut all = BTreeSet::new();
    for number in 0..23_u64 {
        let mut device = fixture.new_device(&format!("d{number}"));
        // Several share a moment.
        device.enrolled_at = now() + Duration::from_secs(number / 5);
        all.insert(insert(&fixture, device).await.id);
    }
    let mut filter = DeviceFilter { limit: 4, ..DeviceFilter::default() };
    let mut seen: Vec<DeviceRow> = Vec::new();
    loop {
        let asked = filter.clone();
        let page = read!(fixture.store, |r| r.list_devices(&asked)).unwrap();
        seen.extend(page.devices);
        let Some(next) = page.next else { break };
        filter.after = Some(next.to_string().parse().unwrap());
    }
    assert!(seen.is_sorted_by(|a, b| a.enrolled_at >= b.enrolled_at), "latest enrolled first");
    let ids: Vec<DeviceId> = seen.iter().map(|device| device.id).collect();
    assert_eq!(ids.len(), all.len());
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), all);
}

#[tokio::test]
async fn a_search_is_literal_and_in_any_case() {
    let fixture = Fixture::new().await;
    for name in ["Kitchen-1", "hall_2", "hallx2"] {
        fixture.device(name).await;
    }
    let text = |text: &str| DeviceFilter { text: Some(text.to_owned()), ..DeviceFilter::default() };
    assert_eq!(names(&fixture, text("KITCHEN")).await, ["Kitchen-1"]);
    assert_eq!(names(&fixture, text("hall_")).await, ["hall_2"]);
    assert_eq!(names(&fixture, text("%")).await, Vec::<String>::new());
    assert_eq!(names(&fixture, text("' OR 1=1 --")).await, Vec::<String>::new());
    assert_eq!(names(&fixture, text(".EXAMPLE")).await.len(), 3);
}

#[tokio::test]
async fn pages_of_a_search_are_all_that_it_finds_without_repeats() {
    let fixture = Fixture::new().await;
    for number in 0..11_u64 {
        let mut device = fixture.new_device(&format!("Till-{number}"));
        // Several share a moment.
        device.enrolled_at = now() + Duration::from_secs(number / 4);
        if number % 2 == 0 {
            device.status = DeviceStatus::Offline;
        }
        insert(&fixture, device).await;
        fixture.device(&format!("door-{number}")).await;
    }
    let found = async |text: &str, status| {
        let text = Some(text.to_owned());
        let mut filter = DeviceFilter { text, status, limit: 3, ..DeviceFilter::default() };
        let mut found = Vec::new();
        loop {
            let asked = filter.clone();
            let page = read!(fixture.store, |r| r.list_devices(&asked)).unwrap();
            found.extend(page.devices.iter().map(|device| device.name.to_string()));
            let Some(next) = page.next else { break found };
            filter.after = Some(next.to_string().parse().unwrap());
        }
    };
    for (text, status, count) in [
        ("till", None, 11),
        ("ILL-", None, 11),
        ("il", None, 11),
        ("till-1.exa", None, 1),
        ("till", Some(DeviceStatus::Offline), 6),
        ("l", Some(DeviceStatus::Offline), 6),
        ("nothing", None, 0),
    ] {
        let names = found(text, status).await;
        assert_eq!(names.len(), count, "{text}: {names:?}");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), count, "{text}: {names:?}");
    }
}

#[tokio::test]
async fn a_search_follows_a_host_name_that_changes() {
    let fixture = Fixture::new().await;
    let text = |text: &str| DeviceFilter { text: Some(text.to_owned()), ..DeviceFilter::default() };
    for (name, hostname) in [("kitchen", "old\"host"), ("d", "x")] {
        let device = DeviceRow { hostname: hostname.into(), ..fixture.new_device(name) };
        let device = insert(&fixture, device).await;
        assert_eq!(names(&fixture, text(hostname)).await, [name]);
        let changed = DeviceRow { hostname: format!("new-{name}"), ..device };
        assert!(write!(fixture.store, |w| w.update_device(&changed)).unwrap());
        assert_eq!(names(&fixture, text(&format!("NEW-{name}"))).await, [name]);
        assert!(names(&fixture, text(hostname)).await.is_empty(), "{hostname}");
    }
}

#[tokio::test]
async fn status_and_tenant_narrow_the_list() {
    let fixture = Fixture::new().await;
    fixture.device("mine").await;
    let (tenant, site) = insert_tenant(&fixture.store, "other").await;
    let theirs = DeviceRow {
        tenant: tenant.id,
        site: site.id,
        status: DeviceStatus::Maintenance,
        ..fixture.new_device("theirs")
    };
    insert(&fixture, theirs).await;
    let scope = |scope| DeviceFilter { tenant: Some(scope), ..DeviceFilter::default() };
    assert_eq!(names(&fixture, scope(fixture.tenant.id)).await, ["mine"]);
    assert_eq!(names(&fixture, scope(tenant.id)).await, ["theirs"]);
    let status = DeviceFilter { status: Some(DeviceStatus::Maintenance), ..DeviceFilter::default() };
    assert_eq!(names(&fixture, status).await, ["theirs"]);
    let status = |status| DeviceFilter { status: Some(status), ..scope(fixture.tenant.id) };
    let online = fixture.device("also-mine").await.status;
    assert_eq!(names(&fixture, status(online)).await.len(), 2);
    assert!(names(&fixture, status(DeviceStatus::Maintenance)).await.is_empty());
}

#[tokio::test]
async fn a_limit_out_of_bounds_is_brought_within() {
    let fixture = Fixture::new().await;
    for name in ["d1", "d2"] {
        fixture.device(name).await;
    }
    for (limit, expected) in [(0, 1), (u32::MAX, 2), (LIST_LIMIT + 1, 2)] {
        let filter = DeviceFilter { limit, ..DeviceFilter::default() };
        let page = read!(fixture.store, |r| r.list_devices(&filter)).unwrap();
        assert_eq!(page.devices.len(), expected, "{limit}");
    }
}

#[tokio::test]
async fn the_quarantine_list_is_newest_first_and_scoped() {
    let fixture = Fixture::new().await;
    let (other, other_site) = insert_tenant(&fixture.store, "other").await;
    for (name, after, elsewhere) in [("old", 0, false), ("new", 5, false), ("theirs", 9, true)] {
        let mut device = fixture.new_device(name);
        device.status = DeviceStatus::Quarantined;
        device.quarantined_at = Some(now() + HOUR * after);
        device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::EXPIRED));
        if elsewhere {
            (device.tenant, device.site) = (other.id, other_site.id);
        }
        insert(&fixture, device).await;
    }
    fixture.device("fine").await;
    let list = |scope| {
        let store = fixture.store.clone();
        async move {
            let devices = read!(store, |r| r.quarantined_devices(scope)).unwrap();
            devices.iter().map(|device| device.name.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(None).await, ["theirs", "new", "old"]);
    assert_eq!(list(Some(fixture.tenant.id)).await, ["new", "old"]);
}

#[tokio::test]
async fn approvals_that_were_not_used_in_time_are_found() {
    let fixture = Fixture::new().await;
    for (name, status, hours) in [
        ("late", DeviceStatus::Offline, Some(1)),
        ("waiting", DeviceStatus::Offline, Some(24)),
        ("barred", DeviceStatus::Quarantined, Some(1)),
        ("none", DeviceStatus::Online, None),
    ] {
        let mut device = fixture.new_device(name);
        device.status = status;
        device.grant_until = hours.map(|count| now() + HOUR * count);
        insert(&fixture, device).await;
    }
    let ended = read!(fixture.store, |r| r.devices_with_grant_ended(now() + HOUR * 2)).unwrap();
    assert_eq!(ended.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["late"]);
    let at_the_end = read!(fixture.store, |r| r.devices_with_grant_ended(now() + HOUR)).unwrap();
    assert!(at_the_end.is_empty(), "good until that very moment");
}
