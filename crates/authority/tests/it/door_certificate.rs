//! The doors get a certificate of the service CA, which no door takes for a device's.

use countersign_authority::door_certificate::DoorNames;
use countersign_core::audit::AuditEvent;
use countersign_store::{AuditFilter, ChainScope};
use der::Decode as _;
use x509_cert::Certificate;

use super::house::{DAY, House};

#[tokio::test]
async fn it_comes_with_its_chain_up_to_the_root_and_is_written_down() {
    let house = House::new().await;
    let names = DoorNames { dns: vec!["door.example".into()], ips: vec!["192.0.2.1".parse().unwrap()] };
    let one = house.authority.issue_door_certificate(&names).await.unwrap();
    let two = house.authority.issue_door_certificate(&names).await.unwrap();
    assert_eq!(one.lifetime.expires_at, house.now() + DAY * 365);
    assert_ne!(one.key, two.key, "a key of its own each time");
    let [leaf, service, root] =
        <[Vec<u8>; 3]>::try_from(one.chain).unwrap().map(|der| Certificate::from_der(&der).unwrap());
    assert_eq!(leaf.tbs_certificate().issuer(), service.tbs_certificate().subject());
    assert_eq!(service.tbs_certificate().issuer(), root.tbs_certificate().subject());
    let devices: Vec<_> = house.authority.snapshot().device_issuers.iter().cloned().collect();
    let [device_ca] = devices.as_slice() else { panic!("{} device CAs", devices.len()) };
    let device_ca = Certificate::from_der(&device_ca.certificate).unwrap();
    assert_ne!(device_ca.tbs_certificate().subject(), service.tbs_certificate().subject());
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty());
    let event = Some(AuditEvent::DoorCertificateIssued);
    let filter = AuditFilter { scope: ChainScope::Platform, event, ..AuditFilter::default() };
    assert_eq!(house.audit(filter).await.len(), 2);
}
