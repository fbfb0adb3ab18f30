//! Sites: within one tenant, kept while something uses them; devices move between those of their tenant.

use countersign_authority::device_changes::{DeviceChange, SiteFilter};
use countersign_authority::devices::DeviceFilter;
use countersign_authority::enrollment_keys::WantedKey;
use countersign_authority::quarantine::{DecisionError, Maintenance};
use countersign_authority::sites::{CreateSiteError, ListedSite, SiteError, WantedSite};
use countersign_authority::tenants::TenantError;
use countersign_authority::{Administer, Forbidden, View};
use countersign_core::audit::AuditEvent;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, SiteId};
use countersign_store::{AuditFilter, Role};

use super::house::{HOUR, House, refused, request, wanted_key};

fn wanted(tenant: Option<&str>, slug: &str) -> WantedSite {
    let tenant = tenant.map(str::to_owned);
    WantedSite { tenant, slug: slug.parse().unwrap(), name: format!("The {slug}") }
}

impl House {
    async fn new_site(&self, tenant: Option<&str>, slug: &str) -> ListedSite {
        self.authority.create_site(&self.administer(), wanted(tenant, slug)).await.unwrap()
    }

    async fn delete(&self, id: SiteId) -> Result<(), SiteError> {
        self.authority.delete_site(&self.administer(), id).await
    }

    async fn relocate(&self, device: DeviceId, site: &str) -> Result<(), DecisionError> {
        let change = DeviceChange { site: Some(site.parse().unwrap()), maintenance: None };
        self.authority.change_device(&self.operate(), device, change).await.map(drop)
    }

    async fn at(&self, site: &str) -> Vec<DeviceId> {
        let filter = DeviceFilter {
            site: Some(site.parse::<SiteFilter>().unwrap()),
            limit: 100,
            ..DeviceFilter::default()
        };
        let page = self.authority.list_devices(&self.view(), filter).await.unwrap();
        page.devices.into_iter().map(|device| device.id).collect()
    }
}

#[tokio::test]
async fn a_site_is_its_tenants_alone() {
    let house = House::new().await;
    let acme =
        house.authority.create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let berlin = house.new_site(None, "berlin").await;
    assert_eq!(berlin.tenant_slug.as_str(), "default");
    house.new_site(Some("acme"), "berlin").await;
    let again = house.authority.create_site(&house.administer(), wanted(None, "berlin")).await;
    assert!(matches!(refused(again), CreateSiteError::Taken));
    let nowhere = house.authority.create_site(&house.administer(), wanted(Some("nowhere"), "x")).await;
    assert!(matches!(refused(nowhere), CreateSiteError::Tenant(TenantError::Unknown)));

    let stranger = house.person(Role::Admin, Some(acme.id)).await;
    let (view, by) = (stranger.authorize::<View>().unwrap(), stranger.authorize::<Administer>().unwrap());
    let seen = house.authority.list_sites(&view, None).await.unwrap();
    let slugs: Vec<_> = seen.iter().map(|site| (site.tenant_slug.as_str(), &*site.site.slug)).collect();
    assert_eq!(slugs, [("acme", "berlin"), ("acme", "default")]);
    let id = berlin.site.id;
    for outcome in [
        house.authority.site(&view, id).await.map(drop),
        house.authority.rename_site(&by, id, "Mine".into()).await.map(drop),
        house.authority.delete_site(&by, id).await,
    ] {
        assert!(matches!(refused(outcome), SiteError::Forbidden(Forbidden::OtherTenant)));
    }
    let own = house.authority.create_site(&by, wanted(None, "paris")).await.unwrap();
    assert_eq!(own.tenant_slug.as_str(), "acme", "where its maker belongs");
    let renamed = house.authority.rename_site(&by, own.site.id, "Paris works".into()).await.unwrap();
    assert_eq!(house.authority.site(&view, own.site.id).await.unwrap(), renamed);
}

#[tokio::test]
async fn a_device_moves_within_its_tenant_and_nowhere_else() {
    let house = House::new().await;
    house.authority.create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let (berlin, elsewhere) =
        (house.new_site(None, "berlin").await, house.new_site(Some("acme"), "acme-1").await);
    let device = house.device("pump").await;
    let certificate = house.certificates(device.id).await;
    house.relocate(device.id, "berlin").await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!((row.site, &*row.site_slug), (berlin.site.id, "berlin"));
    assert_eq!(house.certificates(device.id).await, certificate, "a site is no part of an identity");
    assert_eq!(house.at("berlin").await, [device.id]);
    assert_eq!(house.at(&berlin.site.id.to_string()).await, [device.id]);
    assert_eq!(house.at("default").await, []);
    for site in ["acme-1", "nowhere", &elsewhere.site.id.to_string(), &SiteId::random().to_string()] {
        assert!(
            matches!(refused(house.relocate(device.id, site).await), DecisionError::UnknownSite),
            "{site}"
        );
    }
    // Once more changes nothing and is told to nobody.
    house.relocate(device.id, "berlin").await.unwrap();
    let moves = AuditFilter { event: Some(AuditEvent::DeviceMoved), ..AuditFilter::default() };
    let moves = house.audit(moves).await;
    assert_eq!(moves.len(), 1);
    assert_eq!((&*moves[0].details["from"], &*moves[0].details["to"]), ("default", "berlin"));
}

#[tokio::test]
async fn a_change_of_a_device_happens_whole_or_not_at_all() {
    let house = House::new().await;
    house.new_site(None, "berlin").await;
    let device = house.device("pump").await;
    let change =
        |maintenance| DeviceChange { site: Some("berlin".parse().unwrap()), maintenance: Some(maintenance) };
    let leave = house.authority.change_device(&house.operate(), device.id, change(Maintenance::Leave)).await;
    assert!(matches!(refused(leave), DecisionError::Conflict(_)));
    assert_eq!(house.row(device.id).await.site_slug, "default");
    house.heartbeat(&device).await;
    house.authority.change_device(&house.operate(), device.id, change(Maintenance::Enter)).await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!((&*row.site_slug, row.status), ("berlin", DeviceStatus::Maintenance));
    house.authority.decommission(&house.operate(), device.id).await.unwrap();
    let moved = refused(house.relocate(device.id, "default").await);
    assert!(matches!(moved, DecisionError::Conflict(DeviceStatus::Decommissioned)), "{moved}");
}

#[tokio::test]
async fn a_site_in_use_and_the_default_one_stay() {
    let house = House::new().await;
    let berlin = house.new_site(None, "berlin").await.site.id;
    let key = WantedKey { site: Some("berlin".into()), ..wanted_key() };
    let key = house.key_like(key).await;
    let inuse = |outcome| {
        let SiteError::InUse(by) = refused(outcome) else { panic!("it is not in use") };
        by
    };
    assert_eq!(inuse(house.delete(berlin).await), "enrollment_keys");
    let enrolled = house.enrol(&request(&key.key, "pump", None)).await.unwrap();
    assert_eq!(inuse(house.delete(berlin).await), "devices");
    house.authority.decommission(&house.operate(), enrolled.device.id).await.unwrap();
    let late = WantedKey { site: Some("berlin".into()), ..wanted_key() };
    house.key_like(late).await;
    assert_eq!(inuse(house.delete(berlin).await), "enrollment_keys");
    house.pass(HOUR);
    house.delete(berlin).await.unwrap();
    assert!(matches!(refused(house.delete(berlin).await), SiteError::Unknown));
    assert_eq!(house.row(enrolled.device.id).await.site_slug, "default", "what is left of it");

    let default = house.row(enrolled.device.id).await.site;
    assert!(matches!(refused(house.delete(default).await), SiteError::Default));
    let events = AuditFilter { event: Some(AuditEvent::SiteDeleted), ..AuditFilter::default() };
    assert_eq!(house.audit(events).await.len(), 1);
}
