//! Certificates that are watched: what is seen is said once, whoever looks, and across restarts.

use std::sync::Arc;

use countersign_authority::monitors::{
    MonitorError, MonitorState, MonitorStatus, Unreachable, Watch, WatchPlace,
};
use countersign_authority::{Authority, Forbidden, OpenWith};
use countersign_core::audit::AuditEvent;
use countersign_core::ids::{MonitorName, SpkiSha256};
use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, AuditRecord, Role};
use countersign_testkit::{LeafSpec, NOT_BEFORE, TestCa, TestCertificate};

use super::house::{DAY, HOUR, House, MINUTE, start};

fn name() -> MonitorName {
    "web".parse().unwrap()
}

fn watch(pin: Option<SpkiSha256>) -> Watch {
    let (host, server_name) = ("web.test".to_owned(), "web.test".to_owned());
    Watch { name: name(), place: WatchPlace::Server { host, port: 443, server_name }, pin, interval: HOUR }
}

/// Another authority on the house's database, which watches this.
async fn watching(house: &House, watch: &Watch) -> Arc<Authority> {
    let with = OpenWith { monitors: vec![watch.clone()], ..OpenWith::default() };
    Authority::open_with(house.store.clone(), house.clock.clone(), house.config(), with).await.unwrap()
}

async fn house(pin: Option<SpkiSha256>) -> (House, Watch) {
    let mut house = House::new().await;
    let watch = watch(pin);
    house.authority = watching(&house, &watch).await;
    (house, watch)
}

/// A server's certificate that ends then; with the key of another, its renewal.
fn shown(ca: &TestCa, not_after: Timestamp, renewed: Option<&TestCertificate>) -> TestCertificate {
    let key = renewed.map(|renewed| renewed.key.clone());
    ca.mint(&LeafSpec { not_before: NOT_BEFORE, not_after, key, ..LeafSpec::server(&["web.test"]) })
}

async fn saw(house: &House, watch: &Watch, certificate: &TestCertificate) {
    house.authority.saw(watch, Ok(certificate.chain.clone())).await.unwrap();
}

async fn missed(house: &House, watch: &Watch, problem: &str) {
    let unreachable = Unreachable { reason: "connect", problem: problem.to_owned() };
    house.authority.saw(watch, Err(unreachable)).await.unwrap();
}

async fn said(house: &House) -> Vec<AuditRecord> {
    let all = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let mut found = house.audit(all).await;
    found.retain(|record| {
        let about = ["monitor.", "certificate.expir"];
        about.iter().any(|about| record.event.as_str().starts_with(about))
            && record.details.contains_key("monitor")
    });
    found.sort_by_key(|record| record.sequence);
    found
}

async fn events(house: &House) -> Vec<&'static str> {
    said(house).await.into_iter().map(|record| record.event.as_str()).collect()
}

async fn status(house: &House) -> MonitorStatus {
    house.authority.monitors(&house.view()).await.unwrap().remove(0)
}

async fn accept(house: &House, key: Option<SpkiSha256>) -> Result<MonitorStatus, MonitorError> {
    house.authority.accept_monitor(&house.administer(), &name(), key).await
}

#[tokio::test]
async fn one_authority_looks_once_in_an_interval_and_a_restart_does_not_look_sooner() {
    let (house, watch) = house(None).await;
    let neighbour = watching(&house, &watch).await;
    let (one, other) = tokio::join!(house.authority.monitors_to_look_at(), neighbour.monitors_to_look_at());
    let due = [one.unwrap(), other.unwrap()].concat();
    assert_eq!(due, std::slice::from_ref(&watch));
    assert!(watching(&house, &watch).await.monitors_to_look_at().await.unwrap().is_empty());
    house.pass(HOUR - MINUTE);
    assert!(house.authority.monitors_to_look_at().await.unwrap().is_empty());
    house.pass(MINUTE);
    let (one, other) = tokio::join!(house.authority.monitors_to_look_at(), neighbour.monitors_to_look_at());
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 1);
    // An interval that was made shorter counts from the last look.
    house.pass(MINUTE * 6);
    let hasty = Watch { interval: MINUTE * 5, ..watch };
    assert_eq!(watching(&house, &hasty).await.monitors_to_look_at().await.unwrap(), [hasty]);
}

#[tokio::test]
async fn the_first_certificate_is_right_and_any_other_is_a_change_said_once() {
    let (house, watch) = house(None).await;
    let ca = TestCa::new("test.internal");
    let (first, second) = (shown(&ca, start() + DAY * 400, None), shown(&ca, start() + DAY * 400, None));
    assert_eq!(status(&house).await.state, MonitorState::Waiting);
    for _ in 0..2 {
        saw(&house, &watch, &first).await;
        house.pass(HOUR);
    }
    assert_eq!((status(&house).await.state, status(&house).await.since), (MonitorState::Ok, Some(start())));
    assert!(events(&house).await.is_empty());
    let changed_at = house.now();
    for _ in 0..3 {
        saw(&house, &watch, &second).await;
        house.pass(HOUR);
    }
    let said = said(&house).await;
    assert_eq!(said.len(), 1, "{said:#?}");
    let details = &said[0].details;
    for (fact, certificate) in [("spkiSha256", &second), ("oldSpkiSha256", &first)] {
        assert_eq!(details[fact], certificate.spki().to_string(), "{fact}");
    }
    assert_eq!(details["serial"], second.reference.serial.to_string());
    assert_eq!(details["oldSerial"], first.reference.serial.to_string());
    let status = status(&house).await;
    assert_eq!((status.state, status.since), (MonitorState::Changed, Some(changed_at)));
}

#[tokio::test]
async fn a_renewal_with_the_pinned_key_is_no_change_and_another_key_is() {
    let ca = TestCa::new("test.internal");
    let first = shown(&ca, start() + DAY * 400, None);
    let (house, watch) = house(Some(first.spki())).await;
    saw(&house, &watch, &first).await;
    saw(&house, &watch, &shown(&ca, start() + DAY * 500, Some(&first))).await;
    assert_eq!(status(&house).await.state, MonitorState::Ok);
    assert!(events(&house).await.is_empty());
    let other = shown(&ca, start() + DAY * 500, None);
    for _ in 0..2 {
        saw(&house, &watch, &other).await;
        saw(&house, &watch, &shown(&ca, start() + DAY * 600, Some(&other))).await;
    }
    let said = said(&house).await;
    assert_eq!(said.iter().map(|record| record.event.as_str()).collect::<Vec<_>>(), ["monitor.pin_mismatch"]);
    assert_eq!(said[0].details["pin"], first.spki().to_string());
    // What is as it should be again, and then is not, is said again.
    saw(&house, &watch, &first).await;
    assert_eq!(status(&house).await.state, MonitorState::Ok);
    saw(&house, &watch, &other).await;
    assert_eq!(events(&house).await.len(), 2);
}

#[tokio::test]
async fn whoever_is_away_is_said_to_be_once_and_once_when_back() {
    let (house, watch) = house(None).await;
    let ca = TestCa::new("test.internal");
    let certificate = shown(&ca, start() + DAY * 400, None);
    saw(&house, &watch, &certificate).await;
    for problem in ["refused", "no route"] {
        missed(&house, &watch, problem).await;
        house.pass(MINUTE);
    }
    assert_eq!(events(&house).await, ["monitor.unreachable"]);
    let away = status(&house).await;
    assert_eq!((away.state, away.since), (MonitorState::Unreachable, Some(start())));
    assert_eq!(away.problem.as_deref(), Some("no route"));
    // It is looked for again soon, and by a fresh start too.
    house.pass(MINUTE * 5);
    let again = watching(&house, &watch).await;
    assert_eq!(again.monitors_to_look_at().await.unwrap().len(), 1);
    for _ in 0..2 {
        saw(&house, &watch, &certificate).await;
    }
    assert_eq!(events(&house).await, ["monitor.unreachable", "monitor.reachable"]);
    assert_eq!(status(&house).await.state, MonitorState::Ok);
    // Something that is no certificate is nothing that was seen.
    house.authority.saw(&watch, Ok(vec![b"x".to_vec()])).await.unwrap();
    assert_eq!(said(&house).await[2].details["reason"], "certificate");
}

#[tokio::test]
async fn each_step_to_the_end_is_said_once_and_anew_for_a_new_certificate() {
    let (house, watch) = house(None).await;
    let ca = TestCa::new("test.internal");
    let end = start() + DAY * 40;
    let first = shown(&ca, end, None);
    let mut neighbour = watching(&house, &watch).await;
    for _ in 0..(42 * 24) {
        house.pass(HOUR);
        for authority in [&house.authority, &neighbour] {
            authority.saw(&watch, Ok(first.chain.clone())).await.unwrap();
        }
        if house.now() == end - DAY * 10 {
            neighbour = watching(&house, &watch).await;
        }
    }
    let said = said(&house).await;
    let steps: Vec<_> = said
        .iter()
        .map(|record| (record.event.as_str(), record.details.get("days").cloned().unwrap_or_default()))
        .collect();
    let expiring = |days: &str| (AuditEvent::CertificateExpiring.as_str(), days.to_owned());
    let mut wanted = ["30", "14", "7", "1"].map(expiring).to_vec();
    wanted.push((AuditEvent::CertificateExpired.as_str(), String::new()));
    assert_eq!(steps, wanted);
    assert_eq!(said[0].details["what"], "monitor web");
    assert_eq!(said[0].details["notAfter"], end.to_string());
    assert_eq!(said[0].details["serial"], first.reference.serial.to_string());
    let over = status(&house).await;
    assert_eq!((over.state, over.since), (MonitorState::Expired, Some(end)));
    // Seen late, only the step that it is at is said; and another certificate counts from the beginning.
    let second = shown(&ca, house.now() + DAY * 5, Some(&first));
    saw(&house, &watch, &second).await;
    let all = self::said(&house).await;
    let late: Vec<_> = all.iter().skip(5).map(|record| record.event.as_str()).collect();
    assert_eq!(late, ["monitor.changed", "certificate.expiring"]);
    assert_eq!(all[6].details["days"], "7");
}

#[tokio::test]
async fn an_accepted_key_is_the_pin_until_another_is_configured() {
    let ca = TestCa::new("test.internal");
    let (first, second) = (shown(&ca, start() + DAY * 400, None), shown(&ca, start() + DAY * 400, None));
    let (mut house, watch) = house(Some(first.spki())).await;
    assert!(matches!(accept(&house, None).await, Err(MonitorError::Unseen(_))));
    saw(&house, &watch, &first).await;
    assert!(matches!(accept(&house, None).await, Err(MonitorError::Pinned(_))));
    saw(&house, &watch, &second).await;
    // Somebody who looked at the first would not know what they accept.
    let refused = accept(&house, Some(first.spki())).await;
    assert!(matches!(refused, Err(MonitorError::Another { seen, .. }) if seen == second.spki()));
    assert_eq!(status(&house).await.state, MonitorState::Changed);
    let accepted = accept(&house, Some(second.spki())).await.unwrap();
    assert_eq!((accepted.state, accepted.pin), (MonitorState::Ok, Some(second.spki())));
    assert_eq!(accepted.accepted_at, Some(start()));
    saw(&house, &watch, &shown(&ca, start() + DAY * 500, Some(&second))).await;
    assert_eq!(events(&house).await, ["monitor.pin_mismatch", "monitor.accepted"]);
    let record = said(&house).await.remove(1);
    assert_eq!(record.details["pin"], first.spki().to_string());
    assert!(record.actor.starts_with("user:"));
    // The former key is wrong from then on, and the configuration has the last word.
    saw(&house, &watch, &first).await;
    assert_eq!(events(&house).await.len(), 3);
    let configured = Watch { pin: Some(second.spki()), ..watch.clone() };
    house.authority = watching(&house, &configured).await;
    saw(&house, &configured, &second).await;
    let now = status(&house).await;
    assert_eq!((now.state, now.accepted_at), (MonitorState::Ok, None));
}

#[tokio::test]
async fn another_place_is_another_certificate() {
    let (mut house, watch) = house(None).await;
    let ca = TestCa::new("test.internal");
    let (first, second) = (shown(&ca, start() + DAY * 400, None), shown(&ca, start() + DAY * 400, None));
    saw(&house, &watch, &first).await;
    let moved = Watch { place: WatchPlace::File("/etc/ssl/web.pem".into()), ..watch.clone() };
    house.authority = watching(&house, &moved).await;
    assert_eq!(house.authority.monitors_to_look_at().await.unwrap().len(), 1);
    saw(&house, &moved, &second).await;
    assert!(events(&house).await.is_empty());
}

#[tokio::test]
async fn refuses_whoever_is_bound_to_a_tenant_and_what_is_not_watched() {
    let (house, _watch) = house(None).await;
    let tenant = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    let bound = house.person(Role::Owner, Some(tenant)).await;
    let list = house.authority.monitors(&bound.authorize().unwrap()).await;
    assert!(matches!(list, Err(MonitorError::Forbidden(Forbidden::OtherTenant))), "{list:?}");
    let accepted = house.authority.accept_monitor(&bound.authorize().unwrap(), &name(), None).await;
    assert!(matches!(accepted, Err(MonitorError::Forbidden(_))), "{accepted:?}");
    let other = "other".parse().unwrap();
    let unknown = house.authority.accept_monitor(&house.administer(), &other, None).await;
    assert!(matches!(unknown, Err(MonitorError::Unknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn what_nobody_looks_at_any_more_is_forgotten() {
    let (mut house, watch) = house(None).await;
    let ca = TestCa::new("test.internal");
    saw(&house, &watch, &shown(&ca, start() + DAY * 400, None)).await;
    house.pass(DAY * 91);
    house.authority = watching(&house, &watch).await;
    house.authority.sweep().await.unwrap();
    assert_eq!(status(&house).await.looked_at, None);
}
