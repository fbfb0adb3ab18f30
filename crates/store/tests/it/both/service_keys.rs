//! Certificates of services are found page by page and by where they stand; keys that came with them are
//! kept, replaced and forgotten, and what was imported can be deleted.

use countersign_core::certificate::{Lifetime, RevocationReason};
use countersign_store::{
    Origin, RevocationRow, SealedServiceKey, ServiceCertificateFilter, ServiceCertificateRow, ServiceKey,
    ServiceState,
};

use super::fixture::{DAY, Fixture, HOUR, device_ca, issuer, now, random, read, write};
use super::service_certificates::server;

async fn recorded(fixture: &Fixture, row: ServiceCertificateRow) -> ServiceCertificateRow {
    let written = row.clone();
    write!(fixture.store, |w| w.insert_service_certificate(&written)).unwrap();
    row
}

fn imported() -> ServiceCertificateRow {
    ServiceCertificateRow { origin: Origin::Imported, ..server("brought") }
}

fn key_of(row: &ServiceCertificateRow) -> SealedServiceKey {
    SealedServiceKey { id: row.id, spki: row.spki, sealed_key: vec![3, 4] }
}

async fn labels(fixture: &Fixture, filter: ServiceCertificateFilter) -> Vec<String> {
    let filter = ServiceCertificateFilter { limit: 10, ..filter };
    let page = read!(fixture.store, |r| r.service_certificate_page(&filter)).unwrap();
    assert_eq!(page.next, None);
    page.certificates.into_iter().map(|one| one.row.label.unwrap().to_string()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_even_among_those_of_one_moment() {
    let fixture = Fixture::new().await;
    for label in ["a", "b", "c", "d", "e"] {
        recorded(&fixture, server(label)).await;
    }
    let later = Lifetime { issued_at: now() + HOUR, expires_at: now() + DAY * 2 };
    let newest = recorded(&fixture, ServiceCertificateRow { lifetime: later, ..server("f") }).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = ServiceCertificateFilter { after, limit: 2, ..Default::default() };
        let page = read!(fixture.store, |r| r.service_certificate_page(&filter)).unwrap();
        assert!(page.certificates.len() <= 2);
        seen.extend(page.certificates.into_iter().map(|one| one.row.id));
        let Some(next) = page.next else { break };
        after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!((seen.len(), seen.first()), (6, Some(&newest.id)));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn they_are_found_by_where_they_stand_when_they_end_and_where_their_key_is() {
    let fixture = Fixture::new().await;
    recorded(&fixture, server("web")).await;
    recorded(&fixture, ServiceCertificateRow { state: ServiceState::Superseded, ..server("old") }).await;
    let later = Lifetime { issued_at: now() + HOUR, expires_at: now() + DAY * 90 };
    let kept = recorded(&fixture, ServiceCertificateRow { lifetime: later, ..imported() }).await;
    let kept = key_of(&kept);
    assert!(write!(fixture.store, |w| w.keep_service_key(&kept)).unwrap());
    let state = Some(ServiceState::Superseded);
    assert_eq!(labels(&fixture, ServiceCertificateFilter { state, ..Default::default() }).await, ["old"]);
    let ends_before = Some(now() + DAY * 30);
    let ending = labels(&fixture, ServiceCertificateFilter { ends_before, ..Default::default() }).await;
    assert!(ending.len() == 2 && !ending.contains(&"brought".to_owned()), "{ending:?}");
    let key = Some(ServiceKey::Here);
    assert_eq!(labels(&fixture, ServiceCertificateFilter { key, ..Default::default() }).await, ["brought"]);
    let key = Some(ServiceKey::Elsewhere);
    assert_eq!(labels(&fixture, ServiceCertificateFilter { key, ..Default::default() }).await.len(), 2);
}

#[tokio::test]
async fn a_key_is_kept_for_its_certificate_alone_and_replaced_and_forgotten() {
    let fixture = Fixture::new().await;
    let row = recorded(&fixture, imported()).await;
    let (id, key) = (row.id, key_of(&row));
    let found = async || read!(fixture.store, |r| r.service_certificate(id)).unwrap().unwrap();
    assert_eq!((found().await.row, found().await.key), (row.clone(), ServiceKey::Elsewhere));
    let wrong = SealedServiceKey { spki: random().into(), ..key_of(&row) };
    assert!(!write!(fixture.store, |w| w.keep_service_key(&wrong)).unwrap());
    let kept = key.clone();
    assert!(write!(fixture.store, |w| w.keep_service_key(&kept)).unwrap());
    assert!(write!(fixture.store, |w| w.set_service_chain(id, "a chain")).unwrap());
    assert_eq!((found().await.key, found().await.chain.as_deref()), (ServiceKey::Here, Some("a chain")));
    assert_eq!(read!(fixture.store, |r| r.sealed_service_key(id)).unwrap(), Some(key.clone()));
    assert!(!format!("{:?}", key_of(&row)).contains("[3, 4]"));

    let anew = SealedServiceKey { sealed_key: vec![5], ..key };
    let kept = anew.clone();
    assert!(write!(fixture.store, |w| w.keep_service_key(&kept)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.sealed_service_keys()).unwrap(), std::slice::from_ref(&anew));
    let reference = row.reference.clone();
    let by_reference = read!(fixture.store, |r| r.service_certificate_of(&reference)).unwrap().unwrap();
    assert_eq!(by_reference.row.id, id);
    assert!(write!(fixture.store, |w| w.forget_service_key(id)).unwrap());
    assert!(!write!(fixture.store, |w| w.forget_service_key(id)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.sealed_service_key(id)).unwrap(), None);
}

#[tokio::test]
async fn what_was_issued_here_is_never_deleted_and_loses_its_key_when_it_is_revoked() {
    let fixture = Fixture::new().await;
    let ca = device_ca(issuer(), "service");
    write!(fixture.store, |w| w.insert_issuer(&ca)).unwrap();
    let (made, brought) = (recorded(&fixture, server("web")).await, recorded(&fixture, imported()).await);
    let (made_id, brought_id, kept, late) = (made.id, brought.id, key_of(&made), key_of(&made));
    assert!(write!(fixture.store, |w| w.keep_service_key(&kept)).unwrap());
    assert!(!write!(fixture.store, |w| w.set_service_chain(made_id, "a chain")).unwrap());
    assert!(!write!(fixture.store, |w| w.delete_imported_service(made_id)).unwrap());
    assert!(write!(fixture.store, |w| w.delete_imported_service(brought_id)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.service_certificate(brought_id)).unwrap(), None);

    let revocation = RevocationRow {
        reference: made.reference.clone(),
        spki: Some(made.spki),
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        expires_at: made.lifetime.expires_at,
    };
    assert!(write!(fixture.store, |w| w.revoke_service_certificate(&revocation)).unwrap().is_some());
    assert_eq!(read!(fixture.store, |r| r.sealed_service_keys()).unwrap(), []);
    assert!(!write!(fixture.store, |w| w.keep_service_key(&late)).unwrap(), "revoked");
}
