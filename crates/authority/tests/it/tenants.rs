//! Tenants are made by who sees all of them; a suspended one is served nowhere.

use countersign_authority::Forbidden;
use countersign_authority::agent::AgentAuthError;
use countersign_authority::tenants::CreateTenantError;
use countersign_core::certificate::CertificateState;
use countersign_core::snapshot::Standing;
use countersign_store::Role;

use super::house::House;

#[tokio::test]
async fn a_slug_is_taken_once_and_doors_hear_of_it() {
    let house = House::new().await;
    let by = house.own();
    let make = || house.authority.create_tenant(&by, "acme".parse().unwrap(), "Acme".into());
    let tenant = make().await.unwrap();
    assert!(house.authority.snapshot().tenants.contains_key(&tenant.slug));
    assert!(matches!(make().await, Err(CreateTenantError::Taken)));
    house.check(&[]).await;
    let bound = house.person(Role::Owner, Some(tenant.id)).await;
    let refused =
        house.authority.create_tenant(&bound.authorize().unwrap(), "x".parse().unwrap(), "X".into()).await;
    assert!(matches!(refused, Err(CreateTenantError::Forbidden(Forbidden::OtherTenant))));
    let seen = house.authority.list_tenants(&bound.authorize().unwrap()).await.unwrap();
    assert_eq!(seen.iter().map(|one| one.id).collect::<Vec<_>>(), [tenant.id]);
}

#[tokio::test]
async fn a_suspended_tenants_devices_are_served_nowhere_until_it_is_back() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    house.suspend("default").await;
    assert_eq!(house.standing(&row).await, Standing::TenantSuspended);
    let refusal = house.authority.authenticate_agent(&device.token).await.unwrap_err();
    assert!(matches!(refusal, AgentAuthError::TenantSuspended));
    house.check(&[device.id]).await;
    house.resume("default").await;
    assert_eq!(house.standing(&row).await, Standing::Valid);
    house.caller(&device).await;
    house.check(&[device.id]).await;
}
