//! Certificates of a CA elsewhere: who knows them by which name, and who revokes them there, once.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_core::ids::{DeviceId, UpstreamIntentId};
use countersign_store::{
    CertificateSummary, StoreError, UpstreamCertificateRow, UpstreamIntentRow, UpstreamRevocationRow,
};

use super::fixture::{DAY, Fixture, HOUR, now, random, read, reference, write};

const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const CLAIM: Duration = Duration::from_secs(600);

async fn queue(fixture: &Fixture, id: &'static str) -> bool {
    write!(fixture.store, |w| w.queue_upstream_revocation(ZONE, id, now())).unwrap()
}

async fn claim(fixture: &Fixture, after: Duration) -> Vec<UpstreamRevocationRow> {
    let at = now() + after;
    write!(fixture.store, |w| w.claim_upstream_revocations(ZONE, (at, at + CLAIM), 10)).unwrap()
}

#[tokio::test]
async fn what_is_due_is_taken_by_one_at_a_time() {
    let fixture = Fixture::new().await;
    assert!(queue(&fixture, "a").await && queue(&fixture, "b").await);
    assert!(!queue(&fixture, "a").await, "it is there");
    let (one, other) = tokio::join!(claim(&fixture, HOUR), claim(&fixture, HOUR));
    assert_eq!(one.len() + other.len(), 2);
    assert!(claim(&fixture, HOUR).await.is_empty());
    // Whoever had them died: they are taken again once their time is over.
    let again = claim(&fixture, HOUR + CLAIM + Duration::from_secs(1)).await;
    assert_eq!(again.iter().map(|row| row.attempts).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn what_failed_comes_back_when_it_is_due_and_what_is_done_never() {
    let fixture = Fixture::new().await;
    queue(&fixture, "a").await;
    let row = claim(&fixture, HOUR).await.remove(0);
    let failed = UpstreamRevocationRow { problem: Some("failing".into()), asked_at: Some(now()), ..row };
    let put = failed.clone();
    assert!(write!(fixture.store, |w| w.put_back_upstream_revocation(&put, now() + DAY)).unwrap());
    assert!(claim(&fixture, DAY - HOUR).await.is_empty());
    assert_eq!(
        read!(fixture.store, |r| r.open_upstream_revocations()).unwrap(),
        std::slice::from_ref(&failed)
    );
    assert_eq!(claim(&fixture, DAY).await, [UpstreamRevocationRow { attempts: 2, ..failed }]);
    assert!(write!(fixture.store, |w| w.finish_upstream_revocation(ZONE, "a", now())).unwrap());
    assert!(!write!(fixture.store, |w| w.finish_upstream_revocation(ZONE, "a", now())).unwrap());
    assert!(claim(&fixture, DAY * 30).await.is_empty() && !queue(&fixture, "a").await);
    assert!(read!(fixture.store, |r| r.open_upstream_revocations()).unwrap().is_empty());
}

#[tokio::test]
async fn whatever_is_revoked_here_is_to_be_revoked_there_whoever_revoked_it() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let certificate = fixture.certificate(&device, CertificateState::Active).await;
    let row = UpstreamCertificateRow {
        reference: certificate.reference.clone(),
        zone: ZONE.into(),
        id: "a1".into(),
    };
    let named = row.clone();
    write!(fixture.store, |w| w.insert_upstream_certificate(&named)).unwrap();
    let other = UpstreamCertificateRow { reference: reference(), id: "b2".into(), ..row.clone() };
    write!(fixture.store, |w| w.insert_upstream_certificate(&other)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.upstream_certificate(ZONE, "a1")).unwrap(), Some(row.clone()));
    assert_eq!(write!(fixture.store, |w| w.queue_what_is_revoked(ZONE, now())).unwrap(), 0);

    // Doors hear whose it is, from the whole and from what changed.
    let material = read!(fixture.store, |r| r.trust_material(now())).unwrap();
    let bound = material.bound.first().unwrap();
    assert_eq!((&bound.reference, &bound.der), (&certificate.reference, &certificate.der));
    assert_eq!((&bound.tenant, &bound.device), (&certificate.tenant, &certificate.device_name));
    let id = device.id;
    write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();
    let changes = read!(fixture.store, |r| r.trust_changes_since(0)).unwrap();
    let changed: Vec<_> = changes.devices.iter().flat_map(|device| &device.certificates).collect();
    assert_eq!(changed.iter().map(|one| one.bound.as_ref()).collect::<Vec<_>>(), [Some(&certificate.der)]);

    fixture.revoke(&certificate).await;
    assert_eq!(write!(fixture.store, |w| w.queue_what_is_revoked(ZONE, now())).unwrap(), 1);
    assert_eq!(write!(fixture.store, |w| w.queue_what_is_revoked(ZONE, now())).unwrap(), 0);
    assert_eq!(claim(&fixture, HOUR).await.first().map(|row| row.id.clone()), Some("a1".to_owned()));
    let summary = CertificateSummary {
        serial: certificate.reference.serial.clone(),
        issuer: Some(certificate.reference.issuer),
        issued_at: now(),
        expires_at: now() + DAY,
    };
    assert!(write!(fixture.store, |w| w.set_certificate_summary(id, &summary)).unwrap());
}

#[tokio::test]
async fn a_call_is_open_until_its_outcome_is_known() {
    let fixture = Fixture::new().await;
    let intent = |after: Duration| UpstreamIntentRow {
        id: UpstreamIntentId::random(),
        zone: ZONE.into(),
        spki: [7; 32].into(),
        device: Some(DeviceId::random()),
        at: now() + after,
    };
    let (first, second) = (intent(Duration::ZERO), intent(HOUR));
    let both = [first.clone(), second.clone()];
    let done = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            for intent in &both {
                w.insert_upstream_intent(intent).await?;
            }
            Ok(())
        })
    });
    done.await.unwrap();
    let found = read!(fixture.store, |r| r.upstream_intents_before(ZONE, now() + HOUR)).unwrap();
    assert_eq!(found, std::slice::from_ref(&first));
    assert_eq!(read!(fixture.store, |r| r.upstream_intents_since([7; 32].into(), now() + HOUR)).unwrap(), 1);
    assert_eq!(read!(fixture.store, |r| r.upstream_intents_since(random().into(), now())).unwrap(), 0);
    let id = first.id;
    assert!(write!(fixture.store, |w| w.finish_upstream_intent(id)).unwrap());
    assert!(!write!(fixture.store, |w| w.finish_upstream_intent(id)).unwrap());
}
