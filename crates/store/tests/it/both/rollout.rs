//! The report of the rollout counts each device once, for what it was last seen doing.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::time::Timestamp;
use countersign_store::{BlockedFilter, BlockedPage, OVER_CERTIFICATE, UsageRow};

use super::fixture::{DAY, Fixture, HOUR, insert_tenant, now, read, write};

impl Fixture {
    async fn used(&self, device: countersign_core::ids::DeviceId, outcome: &'static str, at: Timestamp) {
        let row = UsageRow { device, outcome: outcome.into(), at };
        write!(self.store, |w| w.record_usage(&[row])).unwrap();
    }
}

impl Fixture {
    async fn blocked(&self, filter: &BlockedFilter) -> BlockedPage {
        let filter = filter.clone();
        read!(self.store, |r| r.blocked_devices(&filter)).unwrap()
    }
}

#[tokio::test]
async fn who_is_ready_without_certificate_or_expiring_is_counted_per_tenant() {
    let fixture = Fixture::new().await;
    let (other, _site) = insert_tenant(&fixture.store, "zeta").await;
    for (name, states, used) in [
        ("ready", &[CertificateState::Active][..], Some(now() + HOUR)),
        ("never-seen", &[CertificateState::Active][..], None),
        ("seen-before", &[CertificateState::Active][..], Some(now() - HOUR)),
        ("bare", &[][..], None),
        ("revoked", &[CertificateState::Expired][..], Some(now() + HOUR)),
    ] {
        let device = fixture.device(name).await;
        for state in states {
            fixture.certificate(&device, *state).await;
        }
        if let Some(at) = used {
            fixture.used(device.id, OVER_CERTIFICATE, at).await;
        }
    }
    let mut gone = fixture.device("gone").await;
    gone.status = DeviceStatus::Decommissioned;
    assert!(write!(fixture.store, |w| w.update_device(&gone)).unwrap());

    let report = read!(fixture.store, |r| r.rollout(None, now(), now() + DAY * 7)).unwrap();
    let counted: Vec<_> = report
        .iter()
        .map(|row| (row.slug.as_str(), row.devices, row.ready, row.without_certificate, row.expiring))
        .collect();
    assert_eq!(counted, [("acme", 5, 1, 2, 0), ("zeta", 0, 0, 0, 0)]);
    let tenant = fixture.tenant.id;
    let late = now() + DAY * 88;
    let report = read!(fixture.store, |r| r.rollout(Some(tenant), late, late + DAY * 7)).unwrap();
    assert_eq!((report.len(), report[0].expiring), (1, 3));
    let ended = now() + DAY * 91;
    let report = read!(fixture.store, |r| r.rollout(Some(tenant), ended, ended)).unwrap();
    assert_eq!((report[0].ready, report[0].without_certificate), (0, 5));
    assert_eq!(read!(fixture.store, |r| r.rollout(Some(other.id), late, late)).unwrap().len(), 1);
}

#[tokio::test]
async fn who_would_have_been_refused_is_known_for_a_while_by_code() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.device("one").await, fixture.device("two").await);
    fixture.used(one.id, "MTLS_REQUIRED", now() - DAY * 3).await;
    fixture.used(one.id, "CERTIFICATE_UNTRUSTED", now() - HOUR).await;
    fixture.used(two.id, "MTLS_REQUIRED", now() - DAY * 2).await;
    fixture.used(two.id, OVER_CERTIFICATE, now()).await;
    let counts = read!(fixture.store, |r| r.would_refuse(None, now() - DAY * 7, now() - DAY)).unwrap();
    let counts: Vec<_> =
        counts.iter().map(|row| (row.code.as_str(), row.since_first, row.since_second)).collect();
    assert_eq!(counts, [("CERTIFICATE_UNTRUSTED", 1, 1), ("MTLS_REQUIRED", 2, 0)]);

    let filter = BlockedFilter { tenant: None, code: None, since: now() - DAY * 7, limit: 1, after: None };
    let first = fixture.blocked(&filter).await;
    assert_eq!(first.devices.len(), 1);
    assert_eq!((first.devices[0].id, first.devices[0].code.as_str()), (one.id, "CERTIFICATE_UNTRUSTED"));
    let second = fixture.blocked(&BlockedFilter { after: first.next, ..filter.clone() }).await;
    assert_eq!((second.devices[0].id, second.devices[0].code.as_str()), (two.id, "MTLS_REQUIRED"));
    assert_eq!(second.next, None, "each device once");
    let all = BlockedFilter { limit: 10, ..filter };
    let recent = BlockedFilter { since: now() - DAY, ..all.clone() };
    assert_eq!(fixture.blocked(&recent).await.devices.len(), 1);
    let of_code = BlockedFilter { code: Some("MTLS_REQUIRED".into()), ..all };
    assert_eq!(fixture.blocked(&of_code).await.devices.len(), 1);

    // A later use moves it, and what is old is forgotten; who used a certificate is not.
    fixture.used(two.id, "MTLS_REQUIRED", now() - Duration::from_secs(1)).await;
    assert_eq!(write!(fixture.store, |w| w.prune_usage(now() - DAY)).unwrap(), 1);
    let left = read!(fixture.store, |r| r.would_refuse(None, now() - DAY * 7, now() - DAY)).unwrap();
    assert_eq!(left.iter().map(|row| row.since_second).sum::<u64>(), 2);
    let report = read!(fixture.store, |r| r.rollout(None, now(), now())).unwrap();
    assert_eq!(report[0].without_certificate, 2);
}

#[tokio::test]
async fn whom_rules_would_have_blocked_counts_once_however_many_rules_there_are() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.device("one").await, fixture.device("two").await);
    fixture.used(one.id, "rule:first", now() - DAY * 2).await;
    fixture.used(one.id, "rule:second", now() - HOUR).await;
    fixture.used(one.id, "MTLS_REQUIRED", now()).await;
    fixture.used(two.id, "MTLS_REQUIRED", now()).await;
    let counts = read!(fixture.store, |r| r.would_refuse(None, now() - DAY * 7, now() - DAY)).unwrap();
    let counts: Vec<_> =
        counts.iter().map(|row| (row.code.as_str(), row.since_first, row.since_second)).collect();
    assert_eq!(counts, [("MTLS_REQUIRED", 2, 2), ("RULE_BLOCKED", 1, 1)]);
    let code = Some("RULE_BLOCKED".to_owned());
    let filter = BlockedFilter { tenant: None, code, since: now() - DAY * 7, limit: 9, after: None };
    let blocked = fixture.blocked(&filter).await.devices;
    let blocked: Vec<_> =
        blocked.iter().map(|row| (row.id, row.code.as_str(), row.rule.as_deref())).collect();
    assert_eq!(blocked, [(one.id, "RULE_BLOCKED", Some("second"))]);
    let all = fixture.blocked(&BlockedFilter { code: None, ..filter }).await.devices;
    assert!(all.iter().all(|row| row.rule.is_none() && row.code == "MTLS_REQUIRED") && all.len() == 2);
}
