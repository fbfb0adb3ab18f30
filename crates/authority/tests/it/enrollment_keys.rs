//! Enrolment keys: shown once, of the tenant they were made for, revoked once.

use countersign_authority::Forbidden;
use countersign_authority::enrollment_keys::{CreateKeyError, RevokeKeyError, WantedKey};
use countersign_core::ids::{DeviceId, EnrollmentKeyId, SecretHash};
use countersign_store::Role;

use super::house::{House, refused, wanted_key};

#[tokio::test]
async fn a_key_is_kept_as_its_hash_and_belongs_to_its_devices_tenant() {
    let house = House::new().await;
    let created = house.key_like(wanted_key()).await;
    assert_eq!(created.row.key, SecretHash::of(&created.key));
    let acme =
        house.authority.create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let device = house.device("pump").await;
    let bound = house.key_like(WantedKey { device: Some(device.id), ..wanted_key() }).await;
    assert_eq!(bound.row.tenant, house.row(device.id).await.tenant);

    let operator = house.person(Role::Operator, Some(acme.id)).await.authorize().unwrap();
    let own = house.authority.create_enrollment_key(&operator, wanted_key()).await.unwrap();
    assert_eq!(own.row.tenant, acme.id, "that of who makes it");
    let foreign = WantedKey { tenant: Some("default".into()), ..wanted_key() };
    let foreign = refused(house.authority.create_enrollment_key(&operator, foreign).await);
    assert!(matches!(foreign, CreateKeyError::Forbidden(Forbidden::OtherTenant)), "{foreign}");
    let by_device = WantedKey { device: Some(device.id), ..wanted_key() };
    let by_device = refused(house.authority.create_enrollment_key(&operator, by_device).await);
    assert!(matches!(by_device, CreateKeyError::Forbidden(_)), "{by_device}");
    let viewer = house.person(Role::Viewer, Some(acme.id)).await.authorize().unwrap();
    let seen = house.authority.list_enrollment_keys(&viewer, None).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.id).collect::<Vec<_>>(), [own.row.id]);
}

#[tokio::test]
async fn what_a_key_names_must_exist_and_fit() {
    let house = House::new().await;
    let gone = house.device("gone").await;
    house.authority.decommission(&house.operate(), gone.id).await.unwrap();
    house.authority.create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let device = house.device("pump").await;
    let by = house.operate();
    let make = |wanted| house.authority.create_enrollment_key(&by, wanted);
    let nowhere = make(WantedKey { tenant: Some("nobody".into()), ..wanted_key() }).await;
    assert!(matches!(refused(nowhere), CreateKeyError::UnknownTenant));
    let nowhere = make(WantedKey { site: Some("nowhere".into()), ..wanted_key() }).await;
    assert!(matches!(refused(nowhere), CreateKeyError::UnknownSite));
    for (tenant, device) in
        [(None, DeviceId::random()), (None, gone.id), (Some("acme".to_owned()), device.id)]
    {
        let unknown = make(WantedKey { tenant, device: Some(device), ..wanted_key() }).await;
        assert!(matches!(refused(unknown), CreateKeyError::UnknownDevice));
    }
}

#[tokio::test]
async fn a_key_is_revoked_once_by_who_may() {
    let house = House::new().await;
    let key = house.key_like(wanted_key()).await.row.id;
    let acme =
        house.authority.create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".into()).await.unwrap();
    let stranger = house.person(Role::Admin, Some(acme.id)).await.authorize().unwrap();
    let foreign = house.authority.revoke_enrollment_key(&stranger, key).await;
    assert!(matches!(foreign, Err(RevokeKeyError::Forbidden(Forbidden::OtherTenant))));
    house.authority.revoke_enrollment_key(&house.operate(), key).await.unwrap();
    let again = house.authority.revoke_enrollment_key(&house.operate(), key).await;
    assert!(matches!(again, Err(RevokeKeyError::AlreadyRevoked)));
    let unknown = house.authority.revoke_enrollment_key(&house.operate(), EnrollmentKeyId::random()).await;
    assert!(matches!(unknown, Err(RevokeKeyError::Unknown)));
}
