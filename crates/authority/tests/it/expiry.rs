//! What was issued here and is about to end is said once per step: of CAs and services one by one, of
//! devices whose agents did not renew all together.

use std::time::Duration;

use countersign_authority::service_certificates::ServiceRequest;
use countersign_ca::{Profile, PublicKey, ServerPurposes};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::audit::Actor;
use countersign_core::device::QuarantineReason;
use countersign_store::{AuditFilter, AuditRecord};

use super::house::{DAY, HOUR, House, fresh_key, start};

/// What was said of the ends of certificates that are no device's own.
async fn said(house: &House) -> Vec<AuditRecord> {
    let all = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let mut found = house.audit(all).await;
    found.retain(|record| {
        record.event.as_str().starts_with("certificate.expir") && record.details.contains_key("what")
    });
    found.sort_by_key(|record| record.at);
    found
}

/// Subject and step of each.
async fn steps(house: &House) -> Vec<(String, String)> {
    let text = |record: &AuditRecord, fact: &str| {
        record.details.get(fact).map_or_else(|| "over".to_owned(), String::clone)
    };
    said(house).await.iter().map(|record| (text(record, "what"), text(record, "days"))).collect()
}

async fn sweep_for(house: &House, time: Duration, each: Duration) {
    let end = house.now() + time;
    while house.now() < end {
        house.pass(each);
        house.authority.sweep().await.unwrap();
    }
}

async fn service(house: &House, label: Option<&str>, days: u64) {
    let names = AlternativeNames { uris: Vec::new(), dns: vec!["db.test".to_owned()], ips: Vec::new() };
    let request = ServiceRequest {
        ca: "service".parse().unwrap(),
        profile: Profile::ServiceServer { names: names.into(), purposes: ServerPurposes::Server },
        lifetime: DAY * u32::try_from(days).unwrap(),
        label: label.map(|label| label.parse().unwrap()),
    };
    let key = PublicKey::from_spki_der(fresh_key().spki_der()).unwrap();
    house.authority.issue_service_certificate(&request, &key, Actor::System).await.unwrap();
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(what, days)| ((*what).to_owned(), (*days).to_owned())).collect()
}

#[tokio::test]
async fn a_service_is_told_of_at_each_step_and_its_renewal_is_silent() {
    let mut house = House::new().await;
    service(&house, Some("db"), 60).await;
    service(&house, Some("renewed"), 60).await;
    sweep_for(&house, DAY * 20, DAY).await;
    service(&house, Some("renewed"), 400).await;
    sweep_for(&house, DAY * 25, HOUR * 6).await;
    house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    sweep_for(&house, DAY * 20, HOUR * 6).await;
    let wanted: Vec<_> = ["30", "14", "7", "1", "over"].map(|days| ("service db", days)).into();
    assert_eq!(steps(&house).await, pairs(&wanted));
    let first = said(&house).await.remove(0);
    assert_eq!(first.details["notAfter"], (start() + DAY * 60).floor_to_second().to_string());
    assert!(!first.details["serial"].is_empty());
}

#[tokio::test]
async fn of_a_step_as_long_as_a_whole_life_nothing_is_said() {
    let house = House::new().await;
    service(&house, None, 7).await;
    sweep_for(&house, DAY * 9, HOUR * 6).await;
    let steps = steps(&house).await;
    assert_eq!(steps.iter().map(|(_, days)| days.as_str()).collect::<Vec<_>>(), ["1", "over"]);
}

#[tokio::test]
async fn a_ca_is_told_of_by_one_authority_of_two() {
    let house = House::new().await;
    // CAs that issue live five years.
    house.pass(DAY * (5 * 365 - 10));
    let neighbour = house.reopened(countersign_authority::IssuerMode::Embedded).await;
    let (one, other) = tokio::join!(house.authority.sweep(), neighbour.sweep());
    one.and(other).unwrap();
    let mut steps = steps(&house).await;
    steps.sort();
    assert_eq!(steps, pairs(&[("CA device", "14"), ("CA service", "14")]));
}

#[tokio::test]
async fn devices_that_did_not_renew_are_counted_once_for_a_step_and_those_that_did_are_not() {
    let house = House::new().await;
    let lazy = ["d1", "d2", "d3"];
    for name in lazy {
        house.device(name).await;
    }
    let good = house.device("good").await;
    sweep_for(&house, DAY * 61, HOUR * 12).await;
    let good = house.renewed(good).await;
    sweep_for(&house, DAY * 31, HOUR * 3).await;
    // Renewal is due at 30 days: who is there then has not failed yet.
    assert_eq!(steps(&house).await, pairs(&[("devices", "14"), ("devices", "7"), ("devices", "1")]));
    for record in said(&house).await {
        assert_eq!(record.tenant.as_ref().map(ToString::to_string), Some("default".to_owned()));
        assert_eq!(record.details["devices"], "3");
    }
    assert!(house.row(good.id).await.certificate.is_some());
}

#[tokio::test]
async fn devices_that_wait_for_a_decision_are_not_counted() {
    let house = House::new().await;
    let device = house.device("d1").await;
    let reason = QuarantineReason::known(QuarantineReason::EXPIRED);
    house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
    sweep_for(&house, DAY * 85, HOUR * 12).await;
    assert!(steps(&house).await.is_empty());
}

#[tokio::test]
async fn a_clock_that_ran_ahead_does_not_silence_what_follows() {
    let house = House::new().await;
    house.device("d1").await;
    house.authority.sweep().await.unwrap();
    let ahead = house.store.write(|w| {
        Box::pin(async move {
            for step in countersign_core::expiry::ExpiryStep::ALL {
                let before = w.counted_until(step).await?;
                w.count_expiring_until(step, before, start() + DAY * 4000).await?;
            }
            Ok::<_, countersign_store::StoreError>(())
        })
    });
    ahead.await.unwrap();
    sweep_for(&house, DAY * 80, HOUR * 12).await;
    assert_eq!(steps(&house).await, pairs(&[("devices", "14")]));
}
