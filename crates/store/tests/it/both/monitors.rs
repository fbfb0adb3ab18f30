//! What is watched reads back whole, and an alert is given once.

use countersign_core::certificate::{CertificateState, Lifetime};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::expiry::ExpiryStep;
use countersign_core::time::Timestamp;
use countersign_store::{
    AcceptedPin, CertificateMark, EndingCertificates, MonitorRow, SeenCertificate, ServiceCertificateRow,
    ServiceState, ServicesEnding,
};

use super::fixture::{DAY, Fixture, HOUR, now, random, read, reference, write};
use super::service_certificates::server;

const PLACE: &str = "web.example.com:443";

pub(crate) fn monitor(name: &str) -> MonitorRow {
    let mark = CertificateMark { spki: random().into(), serial: "00ff".to_owned() };
    MonitorRow {
        name: name.parse().unwrap(),
        place: PLACE.to_owned(),
        looked_at: now(),
        seen: Some(SeenCertificate {
            mark: mark.clone(),
            subject: "CN=ünï".to_owned(),
            issuer: String::new(),
            not_before: now(),
            not_after: now() + DAY,
            first_seen_at: now() + HOUR,
            last_seen_at: now() + HOUR * 2,
        }),
        expected: Some(mark),
        accepted: Some(AcceptedPin {
            pin: random().into(),
            instead_of: Some(random().into()),
            at: now() + HOUR * 3,
        }),
        changed_at: Some(now() + HOUR * 4),
        unreachable: Some((now() + HOUR * 5, "away".to_owned())),
    }
}

async fn known(fixture: &Fixture, place: &'static str) -> Option<MonitorRow> {
    let name = "web".parse().unwrap();
    read!(fixture.store, |r| r.monitor(&name, place)).unwrap()
}

#[tokio::test]
async fn what_is_known_of_a_monitor_reads_back_and_is_replaced() {
    let fixture = Fixture::new().await;
    let full = monitor("web");
    let empty = MonitorRow {
        seen: None,
        expected: None,
        accepted: None,
        changed_at: None,
        unreachable: None,
        ..full.clone()
    };
    for row in [&empty, &full, &empty] {
        let written = row.clone();
        write!(fixture.store, |w| w.put_monitor(&written)).unwrap();
        assert_eq!(known(&fixture, PLACE).await.as_ref(), Some(row));
    }
    assert_eq!(known(&fixture, "elsewhere").await, None);
    assert_eq!(write!(fixture.store, |w| w.forget_monitors(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.forget_monitors(now() + HOUR)).unwrap(), 1);
    assert_eq!(known(&fixture, PLACE).await, None);
}

#[tokio::test]
async fn a_step_is_noted_once_and_none_that_is_further_from_the_end() {
    let fixture = Fixture::new().await;
    let times = (now() + DAY, now());
    for (subject, step, is_news) in [
        ("a", ExpiryStep::Fortnight, true),
        ("a", ExpiryStep::Fortnight, false),
        ("a", ExpiryStep::Month, false),
        ("b", ExpiryStep::Month, true),
        ("a", ExpiryStep::Over, true),
        ("a", ExpiryStep::Day, false),
    ] {
        let noted = write!(fixture.store, |w| w.note_expiry((subject, "x:1"), step, times)).unwrap();
        assert_eq!(noted, is_news, "{subject} {step:?}");
    }
    assert!(write!(fixture.store, |w| w.note_expiry_of_issued("x:1", ExpiryStep::Day, times)).unwrap());
    for (after, forgotten) in [(DAY, 0), (DAY * 2, 1)] {
        let before = now() + after;
        assert_eq!(write!(fixture.store, |w| w.forget_expiry_of_issued(before)).unwrap(), forgotten);
    }
}

async fn ending(fixture: &Fixture, after: Timestamp, by: Timestamp) -> Vec<ServiceCertificateRow> {
    let wanted = ServicesEnding { after, by, step: ExpiryStep::Week };
    read!(fixture.store, |r| r.services_ending(wanted)).unwrap()
}

#[tokio::test]
async fn services_about_to_end_are_those_in_use_and_not_noted() {
    let fixture = Fixture::new().await;
    let life = |from: u32, to: u32| Lifetime { issued_at: now() + HOUR * from, expires_at: now() + DAY * to };
    let row = |label: &str, lifetime, state| {
        let profile = if label == "responder" { "ocsp" } else { "service-server" };
        let (revoked_at, reason) = (None, None);
        let profile = profile.to_owned();
        let reference = reference();
        ServiceCertificateRow { lifetime, state, profile, reference, revoked_at, reason, ..server(label) }
    };
    let unlabelled = ServiceCertificateRow { label: None, ..row("x", life(0, 6), ServiceState::Active) };
    let rows = [
        row("web", life(0, 5), ServiceState::Active),
        row("web", life(1, 5), ServiceState::Active),
        row("renewed", life(0, 5), ServiceState::Active),
        row("renewed", life(1, 50), ServiceState::Active),
        row("replaced", life(0, 5), ServiceState::Superseded),
        row("responder", life(0, 5), ServiceState::Active),
        row("late", life(0, 8), ServiceState::Active),
        unlabelled.clone(),
    ];
    for row in &rows {
        let row = row.clone();
        write!(fixture.store, |w| w.insert_service_certificate(&row)).unwrap();
    }
    let found = ending(&fixture, now(), now() + DAY * 7).await;
    assert_eq!(found, [rows[1].clone(), unlabelled.clone()]);
    assert!(
        ending(&fixture, now() + DAY * 6, now() + DAY * 7).await.is_empty(),
        "the end of the window counts"
    );
    let key = format!("{}:{}", unlabelled.reference.issuer, unlabelled.reference.serial);
    let times = (unlabelled.lifetime.expires_at, now());
    for (step, count) in [(ExpiryStep::Fortnight, 2), (ExpiryStep::Week, 1)] {
        let key = key.clone();
        assert!(write!(fixture.store, |w| w.note_expiry_of_issued(&key, step, times)).unwrap());
        assert_eq!(ending(&fixture, now(), now() + DAY * 7).await.len(), count, "{step:?}");
    }
}

#[tokio::test]
async fn devices_are_counted_by_tenant_if_they_are_served_and_should_have_renewed() {
    let fixture = Fixture::new().await;
    for name in ["d1", "d2"] {
        let device = fixture.device(name).await;
        fixture.certificate(&device, CertificateState::Active).await;
        fixture.certificate(&device, CertificateState::Superseded).await;
    }
    let mut waiting = fixture.new_device("d3");
    waiting.status = DeviceStatus::Quarantined;
    waiting.quarantined_at = Some(now());
    waiting.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::EXPIRED));
    let row = waiting.clone();
    write!(fixture.store, |w| w.insert_device(&row)).unwrap();
    let last = fixture.certificate(&waiting, CertificateState::Active).await;
    let end = last.lifetime.expires_at;
    let window = EndingCertificates { after: end - HOUR, by: end, issued_by: last.lifetime.issued_at };
    let counted = read!(fixture.store, |r| r.expiring_devices(window)).unwrap();
    assert_eq!(counted.len(), 1);
    assert_eq!((&counted[0].tenant, counted[0].devices), (&fixture.tenant.slug, 2));
    assert_eq!(counted[0].soonest, end);
    for none in [
        EndingCertificates { after: end, by: end + DAY, ..window },
        EndingCertificates { by: end - HOUR, after: now(), ..window },
        EndingCertificates { issued_by: last.lifetime.issued_at - HOUR, ..window },
    ] {
        assert!(read!(fixture.store, |r| r.expiring_devices(none)).unwrap().is_empty(), "{none:?}");
    }
}

#[tokio::test]
async fn of_two_who_count_one_wins() {
    let fixture = Fixture::new().await;
    let step = ExpiryStep::Week;
    let count =
        async |before, until| write!(fixture.store, |w| w.count_expiring_until(step, before, until)).unwrap();
    let (one, other) = tokio::join!(count(None, now()), count(None, now() + DAY));
    assert!(one != other);
    let until = read!(fixture.store, |r| r.counted_until(step)).unwrap();
    let (one, other) = tokio::join!(count(until, now() + DAY * 2), count(until, now() + DAY * 3));
    assert!(one != other);
    assert_eq!(read!(fixture.store, |r| r.counted_until(ExpiryStep::Day)).unwrap(), None);
}
