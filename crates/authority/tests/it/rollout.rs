//! The rollout's report follows what devices do, and its way back takes every tenant along.

use countersign_authority::rollout::{BlockedFilter, DAY, RollBackError};
use countersign_authority::{Own, View};
use countersign_core::access::Refusal;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::settings::Enforcement;
use countersign_store::Role;

use super::house::{House, refused};

#[tokio::test]
async fn a_device_is_ready_once_it_was_seen_using_its_certificate() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let report = async || house.authority.rollout(&house.view()).await.unwrap();
    let before = report().await;
    assert_eq!((before.tenants[0].devices, before.tenants[0].ready), (1, 0));
    house.authority.note_would_refuse(device.id, Refusal::MtlsRequired);
    let bare = report().await;
    assert_eq!((bare.would_refuse[0].code.as_str(), bare.would_refuse[0].since_second), ("MTLS_REQUIRED", 1));
    let filter = BlockedFilter { tenant: None, code: None, since: house.now() - DAY, limit: 9, after: None };
    let page = house.authority.blocked_devices(&house.view(), filter.clone()).await.unwrap();
    assert_eq!(page.devices[0].id, device.id);

    let row = house.in_state(device.id, CertificateState::Active).await;
    for _twice in 0..2 {
        house.authority.note_rule_would_block_holder(row.reference.clone(), "agents").await.unwrap();
    }
    house.authority.note_rule_would_block(device.id, "agents");
    let by_rules = BlockedFilter { code: Some("RULE_BLOCKED".into()), ..filter.clone() };
    let page = house.authority.blocked_devices(&house.view(), by_rules).await.unwrap();
    let blocked: Vec<_> = page.devices.iter().map(|one| (one.id, one.rule.as_deref())).collect();
    assert_eq!(blocked, [(device.id, Some("agents"))]);
    house.authority.note_certificate_use(device.id, &row.reference);
    assert_eq!(report().await.tenants[0].ready, 1);
    house.pass(DAY * 8);
    house.authority.sweep().await.unwrap();
    let later = report().await;
    assert!(later.would_refuse.is_empty() && later.tenants[0].ready == 1);

    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let bound = house.person(Role::Viewer, Some(other.id)).await.authorize::<View>().unwrap();
    let own = house.authority.rollout(&bound).await.unwrap();
    assert_eq!(own.tenants.iter().map(|row| row.slug.as_str()).collect::<Vec<_>>(), ["other"]);
    let theirs = BlockedFilter { tenant: Some(house.row(device.id).await.tenant), ..filter };
    refused(house.authority.blocked_devices(&bound, theirs).await);
}

#[tokio::test]
async fn the_way_back_is_one_call_for_every_tenant() {
    let house = House::new().await;
    for slug in ["one", "two"] {
        house.authority.create_tenant(&house.own(), slug.parse().unwrap(), slug.into()).await.unwrap();
    }
    let bound = house.authority.find_tenant(&house.view(), "one").await.unwrap().id;
    let bound = house.person(Role::Owner, Some(bound)).await.authorize::<Own>().unwrap();
    let refusal = refused(house.authority.roll_back(&bound).await);
    assert!(matches!(refusal, RollBackError::Forbidden(_)), "{refusal}");
    let (changed, _applied) = house.authority.roll_back(&house.own()).await.unwrap();
    assert_eq!(changed, 3);
    let snapshot = house.authority.snapshot();
    assert!(snapshot.tenants.values().all(|tenant| tenant.enforcement == Enforcement::Off));
    assert_eq!(house.count(AuditEvent::SettingsChanged).await, 1, "in the chain of each");
    let (again, _applied) = house.authority.roll_back(&house.own()).await.unwrap();
    assert_eq!(again, 0);
    assert_eq!(house.count(AuditEvent::SettingsChanged).await, 1, "in the chain of each");
    house.check(&[]).await;
}
