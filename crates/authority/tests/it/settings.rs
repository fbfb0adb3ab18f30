//! A change of settings changes what it names, is written down, and reaches the doors.

use countersign_authority::Forbidden;
use countersign_authority::settings::{ChangeSettingsError, Precondition, SettingsChange};
use countersign_authority::tenants::TenantError;
use countersign_core::audit::AuditEvent;
use countersign_core::settings::{
    Days, Enforcement, ExpiredCertPolicy, MtlsSettings, OverlapHours, Permission,
};
use countersign_core::snapshot::TenantService;
use countersign_store::Role;

use super::house::House;

impl House {
    async fn settings(&self) -> MtlsSettings {
        self.authority.find_tenant(&self.view(), "default").await.unwrap().settings
    }
}

#[tokio::test]
async fn what_a_change_does_not_name_stays() {
    let house = House::new().await;
    let full = SettingsChange {
        cert_lifetime_days: Days::new(30).ok(),
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        enforcement: Some(Enforcement::Enforce),
        allow_server_generated_keys: Some(Permission::Allowed),
        allow_bearer_only_renewal: Some(Permission::Allowed),
        renewal_overlap_hours: OverlapHours::new(1).ok(),
        recovery_window_days: Some(Days::new(5).ok()),
    };
    house.change(full).await;
    let expected = house.settings().await;
    house.change(SettingsChange::default()).await;
    assert_eq!(house.settings().await, expected);
    house.change(SettingsChange { enforcement: Some(Enforcement::Off), ..SettingsChange::default() }).await;
    assert_eq!(house.settings().await, MtlsSettings { enforcement: Enforcement::Off, ..expected });
    house.change(SettingsChange { recovery_window_days: Some(None), ..SettingsChange::default() }).await;
    assert_eq!(house.settings().await.recovery_window_days, None);
    assert_eq!(house.count(AuditEvent::SettingsChanged).await, 3, "what changes nothing is not written down");
    house.check(&[]).await;
}

#[tokio::test]
async fn the_mode_reaches_the_doors() {
    let house = House::new().await;
    let tenant = "default".parse().unwrap();
    for mode in [Enforcement::Enforce, Enforcement::Off, Enforcement::Observe] {
        house.change(SettingsChange { enforcement: Some(mode), ..SettingsChange::default() }).await;
        let trust = *house.authority.snapshot().tenants.get(&tenant).unwrap();
        assert_eq!((trust.enforcement, trust.service), (mode, TenantService::Running));
        house.check(&[]).await;
    }
}

#[tokio::test]
async fn another_tenants_admin_and_an_unknown_tenant_are_refused() {
    let house = House::new().await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    house.check(&[]).await;
    let stranger = house.person(Role::Admin, Some(other.id)).await.authorize().unwrap();
    let change = SettingsChange { enforcement: Some(Enforcement::Off), ..SettingsChange::default() };
    let foreign =
        house.authority.change_settings(&stranger, "default", change, Precondition::None).await.unwrap_err();
    assert!(
        matches!(foreign, ChangeSettingsError::Tenant(TenantError::Forbidden(Forbidden::OtherTenant))),
        "{foreign}"
    );
    let by = house.administer();
    let unknown =
        house.authority.change_settings(&by, "nobody", change, Precondition::None).await.unwrap_err();
    assert!(matches!(unknown, ChangeSettingsError::Tenant(TenantError::Unknown)), "{unknown}");
    house.authority.change_settings(&stranger, "other", change, Precondition::None).await.unwrap();
}
