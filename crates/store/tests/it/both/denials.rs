//! Denied keys are refused everywhere, denied traits within their tenant.

use countersign_core::certificate::CertificateState;
use countersign_core::ids::SpkiSha256;
use countersign_store::{DeniedKeyFilter, DeniedKeyRow, TraitKind, Traits};

use super::fixture::{Fixture, insert_tenant, now, read, write};

#[tokio::test]
async fn a_denied_key_is_known_and_stays() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let spki = SpkiSha256::from([3; 32]);
    assert!(!read!(fixture.store, |r| r.is_key_denied(spki)).unwrap());
    let row = DeniedKeyRow { spki, tenant: device.tenant, device: device.id, at: now() };
    for _ in 0..2 {
        write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    }
    assert!(read!(fixture.store, |r| r.is_key_denied(spki)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.denied_keys()).unwrap(), [spki]);
}

#[tokio::test]
async fn a_look_alike_is_recognised_by_either_trait_in_its_tenant_alone() {
    let fixture = Fixture::new().await;
    let (other, _site) = insert_tenant(&fixture.store, "other").await;
    let (mine, theirs) = (fixture.tenant.id, other.id);
    for _ in 0..2 {
        write!(fixture.store, |w| w.insert_denied_trait(mine, TraitKind::Hostname, " Evil-PC ")).unwrap();
        write!(fixture.store, |w| w.insert_denied_trait(mine, TraitKind::HardwareSerial, "SN-666")).unwrap();
    }
    let cases = [
        (mine, "evil-pc", None, true),
        (mine, "EVIL-PC", Some("SN-1"), true),
        (mine, "good-pc", Some("sn-666 "), true),
        (mine, "good-pc", Some("SN-1"), false),
        (mine, "good-pc", None, false),
        (mine, "sn-666", Some("evil-pc"), false),
        (theirs, "evil-pc", Some("SN-666"), false),
    ];
    let machines = cases.map(|(tenant, hostname, serial, _expected)| Traits {
        tenant,
        hostname: hostname.to_owned(),
        hardware_serial: serial.map(str::to_owned),
    });
    let expected = cases.map(|(_tenant, _hostname, _serial, expected)| expected);
    assert_eq!(read!(fixture.store, |r| r.resembling_denied(&machines)).unwrap(), expected);
}

#[tokio::test]
async fn a_lifted_denial_is_heard_of_and_can_be_made_again() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await, fixture.device("d2").await);
    let spki = SpkiSha256::from([3; 32]);
    let row = DeniedKeyRow { spki, tenant: device.tenant, device: device.id, at: now() };
    write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.denied_key(spki)).unwrap(), Some(row));
    assert!(write!(fixture.store, |w| w.lift_denied_key(spki, now())).unwrap());
    assert!(!write!(fixture.store, |w| w.lift_denied_key(spki, now())).unwrap());
    assert!(!read!(fixture.store, |r| r.is_key_denied(spki)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.denied_key(spki)).unwrap(), None);
    assert!(read!(fixture.store, |r| r.denied_keys()).unwrap().is_empty());
    let before = read!(fixture.store, |r| r.snapshot_version()).unwrap();
    let id = device.id;
    write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();
    let changes = read!(fixture.store, |r| r.trust_changes_since(before.epoch)).unwrap();
    assert_eq!((&changes.devices[0].denied_keys, &changes.devices[0].lifted_keys), (&vec![], &vec![spki]));

    let again = DeniedKeyRow { device: other.id, ..row };
    write!(fixture.store, |w| w.insert_denied_key(&again)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.denied_key(spki)).unwrap(), Some(again));
    write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    assert_eq!(read!(fixture.store, |r| r.denied_key(spki)).unwrap(), Some(again), "the first counts");
}

#[tokio::test]
async fn a_lifted_key_of_a_revoked_certificate_is_not_heard_of() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let certificate = fixture.certificate(&device, CertificateState::Active).await;
    fixture.revoke(&certificate).await;
    let spki = certificate.spki;
    let row = DeniedKeyRow { spki, tenant: device.tenant, device: device.id, at: now() };
    write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    write!(fixture.store, |w| w.lift_denied_key(spki, now())).unwrap();
    let id = device.id;
    write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();
    let changes = read!(fixture.store, |r| r.trust_changes_since(0)).unwrap();
    assert!(changes.devices[0].lifted_keys.is_empty());
    assert_eq!(read!(fixture.store, |r| r.denied_keys()).unwrap(), [spki]);
}

#[tokio::test]
async fn lists_are_by_tenant_and_page_by_page() {
    let fixture = Fixture::new().await;
    let (other, _site) = insert_tenant(&fixture.store, "other").await;
    let device = fixture.device("d1").await;
    for number in 0..3 {
        let spki = SpkiSha256::from([number; 32]);
        let row = DeniedKeyRow { spki, tenant: device.tenant, device: device.id, at: now() };
        write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    }
    let mut filter = DeniedKeyFilter { limit: 2, ..DeniedKeyFilter::default() };
    let mut seen = Vec::new();
    loop {
        let asked = filter.clone();
        let page = read!(fixture.store, |r| r.list_denied_keys(&asked)).unwrap();
        seen.extend(page.keys.iter().map(|key| (key.spki, key.device_name.to_string())));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = [2, 1, 0].map(|number| (SpkiSha256::from([number; 32]), "d1".to_owned())).to_vec();
    assert_eq!(seen, expected);
    let filter = DeniedKeyFilter { tenant: Some(other.id), limit: 9, ..DeniedKeyFilter::default() };
    assert!(read!(fixture.store, |r| r.list_denied_keys(&filter)).unwrap().keys.is_empty());

    let mine = fixture.tenant.id;
    write!(fixture.store, |w| w.insert_denied_trait(mine, TraitKind::Hostname, "Evil")).unwrap();
    let traits = read!(fixture.store, |r| r.list_denied_traits(None)).unwrap();
    assert_eq!((traits.len(), traits[0].value.as_str()), (1, "evil"));
    assert!(read!(fixture.store, |r| r.list_denied_traits(Some(other.id))).unwrap().is_empty());
    assert!(
        !write!(fixture.store, |w| w.remove_denied_trait(other.id, TraitKind::Hostname, "evil")).unwrap()
    );
    assert!(write!(fixture.store, |w| w.remove_denied_trait(mine, TraitKind::Hostname, " EVIL")).unwrap());
    let machine = [Traits { tenant: mine, hostname: "evil".into(), hardware_serial: None }];
    assert_eq!(read!(fixture.store, |r| r.resembling_denied(&machine)).unwrap(), [false]);
}
