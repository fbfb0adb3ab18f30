//! Certificates of services: on record once, replaced, revoked for doors and CRLs, counted by CA.

use std::time::Duration;

use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::{CertificateState, Lifetime, RevocationReason};
use countersign_core::ids::CertificateId;
use countersign_store::{
    IssuedCount, Origin, RevocationRow, ServiceCertificateFilter, ServiceCertificateRow, ServiceState,
};

use super::fixture::{DAY, Fixture, HOUR, device_ca, issuer, now, random, read, reference, whole, write};

/// A server's certificate of a day.
pub(crate) fn server(label: &str) -> ServiceCertificateRow {
    let names = AlternativeNames {
        uris: vec!["spiffe://example.com/service/ünï \"quoted\"".to_owned()],
        dns: vec![format!("{label}.example.com")],
        ips: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    };
    ServiceCertificateRow {
        id: CertificateId::random(),
        reference: reference(),
        profile: "service-server".into(),
        origin: Origin::Made,
        label: Some(label.parse().unwrap()),
        subject: format!("CN={label}.example.com,O=Example\\, Inc."),
        names,
        spki: random().into(),
        der: vec![0x30, 0],
        state: ServiceState::Active,
        lifetime: Lifetime { issued_at: now(), expires_at: now() + DAY },
        revoked_at: None,
        reason: None,
    }
}

async fn recorded(fixture: &Fixture, row: ServiceCertificateRow) -> ServiceCertificateRow {
    let written = row.clone();
    write!(fixture.store, |w| w.insert_service_certificate(&written)).unwrap();
    row
}

async fn all(fixture: &Fixture, filter: ServiceCertificateFilter) -> Vec<ServiceCertificateRow> {
    let filter = ServiceCertificateFilter { limit: 10, ..filter };
    read!(fixture.store, |r| r.service_certificates(&filter)).unwrap()
}

fn revocation_of(row: &ServiceCertificateRow) -> RevocationRow {
    RevocationRow {
        reference: row.reference.clone(),
        spki: Some(row.spki),
        revoked_at: now() + HOUR,
        reason: RevocationReason::KeyCompromise,
        expires_at: row.lifetime.expires_at,
    }
}

#[tokio::test]
async fn a_certificate_reads_back_and_is_found_by_what_it_has() {
    let fixture = Fixture::new().await;
    let web = recorded(&fixture, server("web")).await;
    let later = Lifetime { issued_at: now() + HOUR, expires_at: now() + DAY * 2 };
    let agent = recorded(&fixture, ServiceCertificateRow { lifetime: later, ..server("agent") }).await;
    assert_eq!(all(&fixture, ServiceCertificateFilter::default()).await, [agent.clone(), web.clone()]);
    let found = |filter| all(&fixture, filter);
    let label = Some("web".parse().unwrap());
    assert_eq!(
        found(ServiceCertificateFilter { label, ..Default::default() }).await,
        std::slice::from_ref(&web)
    );
    let serial = Some(web.reference.serial.clone());
    assert_eq!(
        found(ServiceCertificateFilter { serial, ..Default::default() }).await,
        std::slice::from_ref(&web)
    );
    let ends_after = Some(now() + DAY);
    assert_eq!(found(ServiceCertificateFilter { ends_after, ..Default::default() }).await, [agent]);
    let other = Some([8; 32].into());
    assert_eq!(found(ServiceCertificateFilter { issuer: other, ..Default::default() }).await, []);
    let again = ServiceCertificateRow { id: CertificateId::random(), ..web };
    assert!(
        write!(fixture.store, |w| w.insert_service_certificate(&again)).is_err(),
        "a number is used once"
    );
}

#[tokio::test]
async fn a_revocation_reaches_the_crl_and_the_doors_once() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "service");
    write!(fixture.store, |w| w.insert_issuer(&ca)).unwrap();
    let web = recorded(&fixture, server("web")).await;
    let replaced = web.reference.clone();
    assert!(write!(fixture.store, |w| w.supersede_service_certificate(&replaced)).unwrap());
    let (revocation, again) = (revocation_of(&web), revocation_of(&web));
    let before = read!(fixture.store, |r| r.snapshot_version()).unwrap().epoch;
    let version = write!(fixture.store, |w| w.revoke_service_certificate(&revocation)).unwrap().unwrap();
    assert_eq!(version.epoch, before + 1);
    assert_eq!(write!(fixture.store, |w| w.revoke_service_certificate(&again)).unwrap(), None);

    let changes = read!(fixture.store, |r| r.trust_changes_since(before)).unwrap();
    assert_eq!(changes.revoked_services, std::slice::from_ref(&web.reference));
    let material = read!(fixture.store, |r| r.trust_material(now())).unwrap();
    assert_eq!(material.revocations, [revocation_of(&web)]);
    let listed = read!(fixture.store, |r| r.crl_entries(whole(), now() + DAY)).unwrap();
    assert_eq!(listed, [revocation_of(&web)]);
    let [stored] = all(&fixture, ServiceCertificateFilter::default()).await.try_into().unwrap();
    let (revoked_at, reason) = (Some(now() + HOUR), Some(RevocationReason::KeyCompromise));
    assert_eq!(
        stored,
        ServiceCertificateRow { state: ServiceState::Revoked, revoked_at, reason, ..web.clone() }
    );
    let revoked = web.reference;
    assert!(!write!(fixture.store, |w| w.supersede_service_certificate(&revoked)).unwrap(), "revoked stays");
}

#[tokio::test]
async fn what_is_neither_revoked_nor_over_is_counted_for_its_ca() {
    let fixture = Fixture::new().await;
    assert!(read!(fixture.store, |r| r.live_certificates(now())).unwrap().is_empty());
    let device = fixture.device("d1").await;
    fixture.certificate(&device, CertificateState::Active).await;
    let (revoked_at, reason) = (Some(now()), Some(RevocationReason::Superseded));
    let revoked =
        ServiceCertificateRow { state: ServiceState::Revoked, revoked_at, reason, ..server("revoked") };
    recorded(&fixture, revoked).await;
    for (label, from_now) in [("web", DAY), ("agent", DAY * 400), ("old", Duration::ZERO)] {
        let lifetime = Lifetime { issued_at: now() - HOUR, expires_at: now() + from_now - HOUR };
        recorded(&fixture, ServiceCertificateRow { lifetime, ..server(label) }).await;
    }
    let other = ServiceCertificateRow {
        reference: countersign_core::ids::CertificateRef {
            issuer: [8; 32].into(),
            serial: reference().serial,
        },
        ..server("web")
    };
    recorded(&fixture, other).await;
    let counted = read!(fixture.store, |r| r.live_certificates(now())).unwrap();
    let expected =
        [IssuedCount { issuer: issuer(), live: 3 }, IssuedCount { issuer: [8; 32].into(), live: 1 }];
    assert_eq!(counted, expected);
}
