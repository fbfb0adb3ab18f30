//! What is changed when a backup is restored.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_core::snapshot::UnprovedPeriod;
use countersign_store::{StoreError, UnprovedPeriodRow};

use super::fixture::{DAY, Fixture, HOUR, device_ca, issuer, now, read, whole, write};

/// Within backdating.
const MINUTES: Duration = Duration::from_secs(300);

#[tokio::test]
async fn versions_and_crl_numbers_only_rise() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "device");
    write!(fixture.store, |w| w.insert_issuer(&ca)).unwrap();
    for (least, expected) in [(1000, 1000), (1000, 1001), (5, 1002), (5000, 5000)] {
        write!(fixture.store, |w| w.raise_versions(least)).unwrap();
        let version = read!(fixture.store, |r| r.snapshot_version()).unwrap();
        assert_eq!((version.generation, version.epoch), (expected, expected));
        let number = fixture
            .store
            .write::<_, StoreError, _>(|w| Box::pin(async move { w.next_crl_numbers(issuer(), 1).await }));
        assert!(number.await.unwrap() > expected);
        let undone = fixture.store.write::<(), StoreError, _>(|w| {
            Box::pin(async move {
                w.raise_versions(9999).await?;
                Err(StoreError::raced("nothing", "at all"))
            })
        });
        assert!(undone.await.is_err());
    }
}

#[tokio::test]
async fn what_is_on_record_of_a_period_is_known() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "device");
    write!(fixture.store, |w| w.insert_issuer(&ca)).unwrap();
    let device = fixture.device("d1").await;
    let certificate = fixture.certificate(&device, CertificateState::Active).await;
    let issued_at = certificate.lifetime.issued_at;
    let periods = [
        (issued_at - HOUR, issued_at, true),
        (issued_at - HOUR, issued_at - MINUTES, true),
        (issued_at - HOUR * 2, issued_at - HOUR, false),
        (issued_at - DAY * 3, issued_at - DAY * 2, false),
        (issued_at + HOUR, issued_at + DAY, false),
    ];
    for (from, until, expected) in periods {
        let row = UnprovedPeriodRow { issuer: issuer(), period: UnprovedPeriod { from, until } };
        let known = read!(fixture.store, |r| r.certificates_of_period(row, now())).unwrap();
        assert_eq!(known.contains(&certificate.reference), expected, "{from} {until}");
        let other = UnprovedPeriodRow { issuer: [9; 32].into(), ..row };
        assert!(read!(fixture.store, |r| r.certificates_of_period(other, now())).unwrap().is_empty());
    }
    let row = UnprovedPeriodRow {
        issuer: issuer(),
        period: UnprovedPeriod { from: issued_at - HOUR, until: issued_at },
    };
    write!(fixture.store, |w| w.insert_unproved_period(row, now())).unwrap();
    assert_eq!(read!(fixture.store, |r| r.unproved_periods()).unwrap(), [row]);
    let material = read!(fixture.store, |r| r.trust_material(now())).unwrap();
    assert_eq!((material.unproved, material.proved), (vec![row], vec![certificate.reference]));
}

#[tokio::test]
async fn a_device_without_a_live_certificate_of_ours_is_beyond_lists() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "device");
    write!(fixture.store, |w| w.insert_issuer(&ca)).unwrap();
    let (with, without, revoked) =
        (fixture.device("with").await, fixture.device("without").await, fixture.device("revoked").await);
    fixture.certificate(&with, CertificateState::Active).await;
    let certificate = fixture.certificate(&revoked, CertificateState::Active).await;
    fixture.revoke(&certificate).await;
    let mut beyond = read!(fixture.store, |r| r.devices_beyond_lists(now())).unwrap();
    let mut expected = vec![without.id, revoked.id];
    beyond.sort_unstable();
    expected.sort_unstable();
    assert_eq!(beyond, expected);
    assert_eq!(read!(fixture.store, |r| r.devices_not_barred()).unwrap().len(), 3);
    let years = DAY * 400;
    assert_eq!(read!(fixture.store, |r| r.devices_beyond_lists(now() + years)).unwrap().len(), 3);
}

#[tokio::test]
async fn every_list_is_wanted_anew_and_keys_end() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "device");
    let crl = countersign_store::CrlRow {
        issuer: issuer(),
        scope: whole().scope,
        number: 1,
        this_update: now(),
        next_update: now() + DAY,
        der: vec![1],
    };
    fixture.enrollment_key(3).await;
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_issuer(&ca).await?;
            w.save_crl(&crl).await?;
            w.want_every_crl().await?;
            w.want_every_crl().await?;
            w.end_what_was_open().await?;
            let ended = (w.revoke_enrollment_keys(now()).await?, w.revoke_enrollment_keys(now()).await?);
            Ok((ended, w.revoke_api_tokens(now()).await?, w.disable_people(now()).await?))
        })
    });
    assert_eq!(done.await.unwrap(), ((1, 0), 0, 0));
    let marks = read!(fixture.store, |r| r.crl_marks(None)).unwrap();
    assert_eq!(marks.iter().map(|mark| mark.list).collect::<Vec<_>>(), [whole()]);
}
