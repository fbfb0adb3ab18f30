//! Certificates: one active and one pending per device, moved by compare-and-set, found by their times.

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::CertificateId;
use countersign_store::{CertificateChange, CertificateFilter, StoreError};

use super::fixture::{DAY, Fixture, HOUR, insert_tenant, new_certificate, now, read, write};

const REVOKE: CertificateChange = CertificateChange::Revoke {
    at: countersign_core::time::Timestamp::from_secs(1_800_000_000),
    reason: RevocationReason::KeyCompromise,
};

#[tokio::test]
async fn a_certificate_reads_back_by_id_and_by_reference() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let row = fixture.certificate(&device, CertificateState::PendingActivation).await;
    let (id, reference) = (row.id, row.reference.clone());
    let expected = Some(row);
    assert_eq!(read!(fixture.store, |r| r.certificate(id)).unwrap(), expected);
    assert_eq!(read!(fixture.store, |r| r.certificate_by_reference(&reference)).unwrap(), expected);
    let unknown = CertificateId::random();
    assert_eq!(read!(fixture.store, |r| r.certificate(unknown)).unwrap(), None);
}

#[tokio::test]
async fn a_device_has_at_most_one_active_and_one_pending_certificate() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    for state in CertificateState::ALL {
        if state == CertificateState::Revoked {
            continue;
        }
        fixture.certificate(&device, state).await;
        let second = new_certificate(&device, state);
        let result = write!(fixture.store, |w| w.insert_certificate(&second));
        assert_eq!(result.is_err(), state.is_usable(), "{state}: {result:?}");
    }
    let id = device.id;
    let list = read!(fixture.store, |r| r.certificates_of(id)).unwrap();
    for state in [CertificateState::Active, CertificateState::PendingActivation] {
        assert_eq!(list.iter().filter(|row| row.state == state).count(), 1, "{state}");
    }
}

#[tokio::test]
async fn a_second_activation_errs_and_undoes_its_whole_change() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    fixture.certificate(&device, CertificateState::Active).await;
    let pending = fixture.certificate(&device, CertificateState::PendingActivation).await.id;
    let result = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.device_trust_changed(device.id).await?;
            w.move_certificate(pending, CertificateState::PendingActivation, CertificateChange::Activate)
                .await
        })
    });
    assert!(result.await.is_err());
    assert_eq!(read!(fixture.store, |r| r.snapshot_version()).unwrap().epoch, 0);
}

#[tokio::test]
async fn a_reference_is_issued_once() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.device("d1").await, fixture.device("d2").await);
    let taken = fixture.certificate(&first, CertificateState::Active).await.reference;
    let mut copy = new_certificate(&second, CertificateState::Active);
    copy.reference = taken;
    assert!(write!(fixture.store, |w| w.insert_certificate(&copy)).is_err());
}

#[tokio::test]
async fn a_renewal_is_confirmed_and_the_old_one_goes_its_way() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let old = fixture.certificate(&device, CertificateState::Active).await;
    let new = fixture.certificate(&device, CertificateState::PendingActivation).await;
    let (old_id, new_id, until) = (old.id, new.id, now() + DAY);
    let confirmed = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            let supersede = CertificateChange::Supersede { until };
            Ok(w.move_certificate(old_id, CertificateState::Active, supersede).await?
                && w.move_certificate(
                    new_id,
                    CertificateState::PendingActivation,
                    CertificateChange::Activate,
                )
                .await?)
        })
    });
    assert!(confirmed.await.unwrap());
    let new = read!(fixture.store, |r| r.certificate(new_id)).unwrap().unwrap();
    assert_eq!((new.state, new.confirm_before), (CertificateState::Active, None));
    let old = read!(fixture.store, |r| r.certificate(old_id)).unwrap().unwrap();
    assert_eq!((old.state, old.superseded_until), (CertificateState::Superseded, Some(until)));

    assert!(read!(fixture.store, |r| r.overlap_ended(until)).unwrap().is_empty());
    let ended = read!(fixture.store, |r| r.overlap_ended(until + HOUR)).unwrap();
    assert_eq!(ended, [old]);
}

#[tokio::test]
async fn a_move_from_another_state_or_out_of_a_final_one_changes_nothing() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let row = fixture.certificate(&device, CertificateState::Active).await;
    let id = row.id;
    let stale = CertificateState::PendingActivation;
    assert!(!write!(fixture.store, |w| w.move_certificate(id, stale, REVOKE)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.certificate(id)).unwrap(), Some(row.clone()));

    let revoked = fixture.revoke(&row).await;
    assert!(!write!(fixture.store, |w| w.move_certificate(id, CertificateState::Active, REVOKE)).unwrap());
    for change in [REVOKE, CertificateChange::Activate, CertificateChange::Expire] {
        assert!(
            !write!(fixture.store, |w| w.move_certificate(id, CertificateState::Revoked, change)).unwrap()
        );
    }
    assert_eq!(read!(fixture.store, |r| r.certificate(id)).unwrap(), Some(revoked));
}

#[tokio::test]
async fn a_revocation_is_in_the_deny_set_at_once_and_its_key_proves_nothing_ever_again() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let row = fixture.certificate(&device, CertificateState::Active).await;
    let spki = row.spki;
    assert!(!read!(fixture.store, |r| r.spki_was_revoked(spki)).unwrap());
    let revoked = fixture.revoke(&row).await;
    assert_eq!(revoked.reason, Some(RevocationReason::PrivilegeWithdrawn));
    assert!(read!(fixture.store, |r| r.spki_was_revoked(spki)).unwrap());
    let live = read!(fixture.store, |r| r.live_revocations(now())).unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!((&live[0].reference, live[0].spki), (&row.reference, Some(spki)));
    assert_eq!(live[0].expires_at, row.lifetime.expires_at);
    let years_later = now() + DAY * 4000;
    assert!(read!(fixture.store, |r| r.live_revocations(years_later)).unwrap().is_empty());
    assert!(read!(fixture.store, |r| r.spki_was_revoked(spki)).unwrap());
}

#[tokio::test]
async fn sweeps_find_what_is_past_its_time_and_nothing_else() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let active = fixture.certificate(&device, CertificateState::Active).await;
    let pending = fixture.certificate(&device, CertificateState::PendingActivation).await;
    fixture.certificate(&device, CertificateState::Expired).await;

    let end = active.lifetime.expires_at;
    assert!(read!(fixture.store, |r| r.certificates_past_end(end, 10)).unwrap().is_empty());
    let past = read!(fixture.store, |r| r.certificates_past_end(end + HOUR, 10)).unwrap();
    assert_eq!(past.len(), 2);
    assert_eq!(read!(fixture.store, |r| r.certificates_past_end(end + HOUR, 1)).unwrap().len(), 1);

    let confirm = pending.confirm_before.unwrap();
    assert!(read!(fixture.store, |r| r.unconfirmed_past_window(confirm)).unwrap().is_empty());
    let late = read!(fixture.store, |r| r.unconfirmed_past_window(confirm + HOUR)).unwrap();
    assert_eq!(late, [pending]);
}

#[tokio::test]
async fn a_device_is_shown_with_its_active_certificate_or_else_the_latest() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.device("d1").await, fixture.device("d2").await);
    let bare = fixture.device("d3").await.id;
    let active = fixture.certificate(&first, CertificateState::Active).await;
    let mut newer = new_certificate(&first, CertificateState::PendingActivation);
    newer.lifetime.issued_at = now() + HOUR;
    let mut latest = new_certificate(&second, CertificateState::Expired);
    latest.lifetime.issued_at = now() + HOUR;
    let expected = latest.clone();
    fixture.certificate(&second, CertificateState::Expired).await;
    write!(fixture.store, |w| w.insert_certificate(&newer)).unwrap();
    write!(fixture.store, |w| w.insert_certificate(&latest)).unwrap();
    let ids = [first.id, second.id, bare];
    let shown = read!(fixture.store, |r| r.shown_certificates(&ids)).unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[&first.id], active);
    assert_eq!(shown[&second.id], expected);
    assert!(read!(fixture.store, |r| r.shown_certificates(&[])).unwrap().is_empty());
}

#[tokio::test]
async fn the_list_is_scoped_filtered_and_paged() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let active = fixture.certificate(&device, CertificateState::Active).await;
    for _ in 0..4 {
        fixture.certificate(&device, CertificateState::Expired).await;
    }
    let (other, _site) = insert_tenant(&fixture.store, "other").await;
    let count = |filter: CertificateFilter| {
        let store = fixture.store.clone();
        async move {
            let filter = CertificateFilter { limit: 100, ..filter };
            read!(store, |r| r.list_certificates(&filter)).unwrap().certificates.len()
        }
    };
    let none = CertificateFilter::default;
    assert_eq!(count(none()).await, 5);
    assert_eq!(count(CertificateFilter { tenant: Some(fixture.tenant.id), ..none() }).await, 5);
    assert_eq!(count(CertificateFilter { tenant: Some(other.id), ..none() }).await, 0);
    assert_eq!(count(CertificateFilter { device: Some(device.id), ..none() }).await, 5);
    assert_eq!(count(CertificateFilter { state: Some(CertificateState::Active), ..none() }).await, 1);
    let serial = Some(active.reference.serial.clone());
    assert_eq!(count(CertificateFilter { serial, ..none() }).await, 1);

    let mut filter = CertificateFilter { limit: 2, ..none() };
    let mut seen = std::collections::HashSet::new();
    loop {
        let asked = filter.clone();
        let page = read!(fixture.store, |r| r.list_certificates(&asked)).unwrap();
        seen.extend(page.certificates.into_iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(seen.len(), 5);
}
