//! What is on record about a certificate: issued, revoked, or nothing at all.

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::CertificateRef;
use countersign_store::{IntentRow, RecordedStanding, RevocationRow};

use super::fixture::{DAY, Fixture, HOUR, now, read, reference, write};
use super::service_certificates::server;

async fn standing(fixture: &Fixture, reference: &CertificateRef) -> RecordedStanding {
    let reference = reference.clone();
    read!(fixture.store, |r| r.recorded_standing(&reference)).unwrap()
}

#[tokio::test]
async fn devices_and_services_are_issued_until_they_are_revoked() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let of_device = fixture.certificate(&device, CertificateState::Active).await.reference;
    let service = server("web");
    let row = service.clone();
    write!(fixture.store, |w| w.insert_service_certificate(&row)).unwrap();
    for reference in [of_device, service.reference] {
        assert_eq!(standing(&fixture, &reference).await, RecordedStanding::Issued);
        let (at, reason) = (now() + HOUR, RevocationReason::KeyCompromise);
        let row = RevocationRow {
            reference: reference.clone(),
            spki: None,
            revoked_at: at,
            reason,
            expires_at: now() + DAY,
        };
        write!(fixture.store, |w| w.insert_revocation(&row)).unwrap();
        assert_eq!(standing(&fixture, &reference).await, RecordedStanding::Revoked { at, reason });
    }
}

#[tokio::test]
async fn fails_closed_a_number_that_was_only_reserved_is_unknown() {
    let fixture = Fixture::new().await;
    let intent = IntentRow {
        reference: reference(),
        device: None,
        profile: "device".into(),
        at: now(),
        expires_at: now() + DAY,
    };
    let reserved = intent.reference.clone();
    write!(fixture.store, |w| w.insert_intent(&intent)).unwrap();
    assert_eq!(standing(&fixture, &reserved).await, RecordedStanding::Unknown);
    assert_eq!(standing(&fixture, &reference()).await, RecordedStanding::Unknown);
}
