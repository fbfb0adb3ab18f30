//! Denied keys are refused everywhere, denied traits within their tenant.

use countersign_core::ids::SpkiSha256;
use countersign_store::{DeniedKeyRow, TraitKind, Traits};

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
