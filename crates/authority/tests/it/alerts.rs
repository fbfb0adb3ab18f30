//! Alerts: one for each cause, told and resolved once, whoever looks; silences hold telling back; tenants see their
//! own.

use std::time::Duration;

use countersign_authority::alerts::{
    AlertError, AlertFilter, AlertKind, AlertRow, AlertTarget, AlertsOnly, News, Observed, Severity,
    UnusualAccess, WantedSilence,
};
use countersign_authority::plan::ServiceNames;
use countersign_authority::service_certificates::issue::WantedService;
use countersign_authority::service_certificates::wanted::ServiceProfile;
use countersign_authority::{IssuerMode, Operate, View};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::CertificateState;
use countersign_store::Role;

use super::house::{Csr, DAY, HOUR, House, MINUTE, SECOND, fresh_key};

fn targets() -> Vec<AlertTarget> {
    vec![
        AlertTarget { name: "chat".to_owned(), from: Severity::Info },
        AlertTarget { name: "grave".to_owned(), from: Severity::Critical },
    ]
}

async fn house() -> House {
    let house = House::new().await;
    house.authority.tell_alerts_to(targets());
    house
}

async fn look(house: &House) {
    house.pass(SECOND * 10);
    house.authority.sweep().await.unwrap();
}

async fn open(house: &House) -> Vec<AlertRow> {
    let filter = AlertFilter { only: AlertsOnly::Open, limit: 100, ..AlertFilter::default() };
    house.authority.alerts(&house.view(), filter).await.unwrap()
}

/// What a target is told now, in brief; it arrives.
async fn told(house: &House, target: &str) -> Vec<(News, String)> {
    let mut all = Vec::new();
    for (row, alert) in house.authority.alerts_to_tell(target).await.unwrap() {
        all.push((row.news, alert.kind));
        house.authority.told(row).await.unwrap();
    }
    all
}

async fn quarantined(house: &House, name: &str) {
    let device = house.device(name).await;
    house.authority.quarantine_device(&house.operate(), device.id, "lost".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_cause_is_told_once_and_its_end_too() {
    let house = house().await;
    quarantined(&house, "ws-01").await;
    look(&house).await;
    look(&house).await;
    let other = house.reopened(IssuerMode::Embedded).await;
    other.tell_alerts_to(targets());
    other.sweep().await.unwrap();
    assert_eq!(told(&house, "chat").await, [(News::Raised, "quarantine".to_owned())]);
    assert_eq!(told(&house, "grave").await, [], "it is not grave");
    quarantined(&house, "ws-02").await;
    look(&house).await;
    assert_eq!(told(&house, "chat").await, [], "it is the same cause");
    let alert = open(&house).await.remove(0);
    assert!(alert.summary.starts_with("2 devices wait"), "{}", alert.summary);
    assert_eq!(alert.tenant.unwrap().as_str(), "default");
    for row in house.authority.quarantined_devices(&house.view()).await.unwrap() {
        house.authority.deny(&house.operate(), row.id).await.unwrap();
    }
    look(&house).await;
    assert_eq!(told(&house, "chat").await, [(News::Resolved, "quarantine".to_owned())]);
    assert!(open(&house).await.is_empty());
}

#[tokio::test]
async fn what_does_not_arrive_comes_again_and_is_given_up_after_three_days() {
    let house = house().await;
    house.authority.test_alerts(&house.operate()).await.unwrap();
    let mut waited = Duration::ZERO;
    let mut tries = 0;
    while waited < DAY * 4 {
        for (row, alert) in house.authority.alerts_to_tell("chat").await.unwrap() {
            tries += 1;
            house.authority.not_told(row, &alert).await.unwrap();
        }
        house.pass(MINUTE * 10);
        waited += MINUTE * 10;
    }
    assert!((400..450).contains(&tries), "{tries}");
    look(&house).await;
    assert!(open(&house).await.is_empty(), "it resolves by itself");
}

#[tokio::test]
async fn a_silence_holds_telling_back_until_it_ends() {
    let house = house().await;
    let wanted = WantedSilence {
        kind: Some(AlertKind::Quarantine),
        subject: Some("default".to_owned()),
        reason: "a drill".to_owned(),
        lasts: HOUR,
    };
    house.authority.silence_alerts(&house.operate(), wanted).await.unwrap();
    quarantined(&house, "ws-01").await;
    look(&house).await;
    assert_eq!(open(&house).await.len(), 1);
    assert_eq!(told(&house, "chat").await, []);
    house.pass(HOUR);
    look(&house).await;
    assert_eq!(told(&house, "chat").await, [(News::Raised, "quarantine".to_owned())]);
}

#[tokio::test]
async fn a_ca_that_ends_and_a_broken_audit_are_alerts() {
    let house = house().await;
    look(&house).await;
    assert!(open(&house).await.is_empty());
    house.authority.verify_audit().await.unwrap();
    look(&house).await;
    assert!(open(&house).await.is_empty(), "the audit is as it was written");
    let ends = house.authority.census().await.unwrap().cas.iter().map(|(_, end)| *end).min().unwrap();
    let left = ends.since(house.now());
    house.pass(left - DAY * 29);
    look(&house).await;
    assert!(open(&house).await.iter().any(|alert| alert.kind == "ca_expiring"));
}

#[tokio::test]
async fn whoever_is_bound_to_a_tenant_sees_and_acknowledges_its_alerts_alone() {
    let house = house().await;
    quarantined(&house, "ws-01").await;
    look(&house).await;
    let tenant = house
        .authority
        .create_tenant(&house.own(), "acme".parse().unwrap(), "Acme".to_owned())
        .await
        .unwrap();
    let bound = house.person(Role::Operator, Some(tenant.id)).await;
    let (view, operate) = (bound.authorize::<View>().unwrap(), bound.authorize::<Operate>().unwrap());
    let all = AlertFilter { limit: 100, ..AlertFilter::default() };
    assert!(house.authority.alerts(&view, all).await.unwrap().is_empty());
    let id = open(&house).await[0].id;
    let refused = house.authority.acknowledge_alert(&operate, id).await;
    assert!(matches!(refused, Err(AlertError::Forbidden(_))), "{refused:?}");
    assert!(matches!(house.authority.silences(&view).await, Err(AlertError::Forbidden(_))));
    assert!(matches!(house.authority.test_alerts(&operate).await, Err(AlertError::Forbidden(_))));
    house.authority.acknowledge_alert(&house.operate(), id).await.unwrap();
    let again = house.authority.acknowledge_alert(&house.operate(), id).await;
    assert!(matches!(again, Err(AlertError::Acknowledged(_))), "{again:?}");
}

#[tokio::test]
async fn devices_that_did_not_renew_are_an_alert_until_they_have() {
    let house = house().await;
    let device = house.device("ws-01").await;
    let end = house.in_state(device.id, CertificateState::Active).await.lifetime.expires_at;
    house.pass(end.since(house.now()) - DAY * 8);
    look(&house).await;
    assert!(open(&house).await.is_empty());
    house.pass(DAY * 2);
    look(&house).await;
    let alert = open(&house).await.remove(0);
    assert_eq!((alert.kind.as_str(), alert.subject.as_str()), ("renewal_overdue", "default"));
    assert!(alert.summary.starts_with("1 device has not renewed"), "{}", alert.summary);
    house.renewed(device).await;
    for _ in 0..3 {
        house.pass(MINUTE * 6);
        look(&house).await;
    }
    assert!(open(&house).await.is_empty(), "it is over");
}

#[tokio::test]
async fn a_certificate_of_a_service_that_ends_is_an_alert_and_its_successor_none() {
    let house = house().await;
    let wanted = || WantedService {
        ca: None,
        profile: ServiceProfile::ServerAndClient,
        names: ServiceNames::from(AlternativeNames {
            dns: vec!["web.example.com".to_owned()],
            ..AlternativeNames::default()
        }),
        label: Some("web".parse().unwrap()),
        lifetime: None,
    };
    let by = house.administer();
    let issued = house.authority.issue_service(&by, wanted(), &Csr::of(&fresh_key()).pem).await.unwrap();
    house.pass(issued.row.lifetime.expires_at.since(house.now()) - DAY * 6);
    look(&house).await;
    let alert = open(&house).await.remove(0);
    assert_eq!(alert.kind, "service_expiring");
    assert!(alert.subject.starts_with("service web "), "{}", alert.subject);
    house.authority.issue_service(&by, wanted(), &Csr::of(&fresh_key()).pem).await.unwrap();
    for _ in 0..3 {
        house.pass(MINUTE * 6);
        look(&house).await;
    }
    assert!(open(&house).await.is_empty(), "it has a successor");
}

#[tokio::test]
async fn a_device_that_is_heard_of_from_two_networks_in_turn_is_an_alert_and_one_that_moves_is_not() {
    let house = house().await;
    house
        .authority
        .observe_access(UnusualAccess { new_networks: Observed::Observe, ..UnusualAccess::default() });
    let (copied, moved) = (house.device("ws-01").await, house.device("ws-02").await);
    let hear = async |device, address: &str| {
        let caller = house.caller(device).await;
        house.authority.heartbeat(&caller, None, address.parse().unwrap()).await.unwrap();
        house.authority.flush_presence().await.unwrap();
        house.pass(MINUTE);
    };
    for device in [&copied, &moved] {
        hear(device, "192.0.2.1").await;
        hear(device, "192.0.2.77").await;
    }
    look(&house).await;
    assert!(open(&house).await.is_empty());
    hear(&moved, "198.51.100.1").await;
    for address in ["203.0.113.5", "192.0.2.1", "203.0.113.5"] {
        hear(&copied, address).await;
    }
    look(&house).await;
    let mut told: Vec<(String, String)> =
        open(&house).await.into_iter().map(|alert| (alert.kind, alert.subject)).collect();
    told.sort();
    let wanted = [
        ("device_new_network", "default/ws-01"),
        ("device_new_network", "default/ws-02"),
        ("device_two_places", "default/ws-01"),
    ];
    assert_eq!(told, wanted.map(|(kind, subject)| (kind.to_owned(), subject.to_owned())));
    for _ in 0..3 {
        house.pass(MINUTE * 9);
        look(&house).await;
    }
    assert!(open(&house).await.is_empty(), "it is over");
}

#[tokio::test]
async fn where_a_device_was_is_known_after_a_restart_and_to_every_authority() {
    let house = house().await;
    let observed = UnusualAccess { new_networks: Observed::Observe, ..UnusualAccess::default() };
    house.authority.observe_access(observed);
    let device = house.device("ws-01").await;
    let hear = async |house: &House, address: &str| {
        let caller = house.caller(&device).await;
        house.authority.heartbeat(&caller, None, address.parse().unwrap()).await.unwrap();
        house.authority.flush_presence().await.unwrap();
        house.pass(MINUTE);
    };
    for address in ["192.0.2.1", "198.51.100.1"] {
        hear(&house, address).await;
    }
    house.reopened(IssuerMode::Embedded).await.sweep().await.unwrap();
    assert_eq!(open(&house).await.len(), 1, "whoever did not hear the device raises it");
    house.pass(MINUTE * 60);
    look(&house).await;
    assert_eq!(open(&house).await, []);

    let house = house.restarted(IssuerMode::Embedded).await;
    house.authority.observe_access(observed);
    for address in ["192.0.2.1", "198.51.100.1"] {
        hear(&house, address).await;
    }
    look(&house).await;
    assert_eq!(open(&house).await, [], "it was in both before");
}
