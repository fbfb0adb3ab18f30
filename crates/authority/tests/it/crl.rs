//! CRLs carry what was revoked, their numbers rise, and they are signed anew before they get old.

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::{IssuerKeyId, SerialNumber};
use countersign_store::CrlRow;
use der::Decode as _;
use x509_cert::crl::CertificateList;

use super::house::{DAY, HOUR, House, SECOND, fresh_key};

impl House {
    /// The CRL of the device CA: the issuer of some device's certificate.
    async fn crl(&self, issuer: IssuerKeyId) -> CrlRow {
        self.authority.latest_crl(issuer).await.unwrap().unwrap()
    }
}

fn serials(crl: &CrlRow) -> Vec<SerialNumber> {
    let list: CertificateList = CertificateList::from_der(&crl.der).unwrap();
    let entries = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    entries.iter().map(|one| SerialNumber::from_be_bytes(one.serial_number.as_bytes()).unwrap()).collect()
}

#[tokio::test]
async fn every_ca_has_one_and_revoked_serials_are_in_the_next() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    for (issuer, _pem) in house.authority.ca_certificates() {
        let crl = house.crl(issuer).await;
        assert_eq!((crl.number, serials(&crl).len()), (1, 0));
        assert_eq!(crl.next_update, house.now() + DAY);
    }
    let device = house.device("pump").await;
    let first = house.in_state(device.id, CertificateState::Active).await.reference;
    let pending = house.renew(&device, &fresh_key()).await.unwrap();
    let second = house.certificate(pending.id).await.reference;
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    house.pass(SECOND);
    house.authority.refresh_crls().await.unwrap();
    let crl = house.crl(first.issuer).await;
    assert_eq!(crl.number, 2);
    let mut expected = vec![first.serial, second.serial];
    let mut listed = serials(&crl);
    expected.sort_by_key(ToString::to_string);
    listed.sort_by_key(ToString::to_string);
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn numbers_rise_over_restarts_and_entries_stay_until_one_list_after_their_end() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let issuer = row.reference.issuer;
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    let mut last = 0;
    for (pass, listed) in [(HOUR, true), (DAY * 89, true), (DAY * 2, true), (HOUR, false)] {
        house.pass(pass);
        let next = house.reopened(countersign_authority::IssuerMode::Embedded).await;
        next.refresh_crls().await.unwrap();
        let crl = house.crl(issuer).await;
        assert!(crl.number > last);
        last = crl.number;
        assert_eq!(serials(&crl).contains(&row.reference.serial), listed, "{}", house.now());
    }
}

#[tokio::test]
async fn one_that_is_young_is_left_and_one_at_two_thirds_of_its_life_is_not() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    let root = house.authority.ca_certificates().remove(0).0;
    for (pass, number) in [(HOUR * 16 - SECOND, 1), (SECOND, 2), (HOUR, 2)] {
        house.pass(pass);
        house.authority.refresh_crls().await.unwrap();
        assert_eq!(house.crl(root).await.number, number);
    }
}

#[tokio::test]
async fn a_revocation_has_it_signed_soon() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let task = tokio::spawn(std::sync::Arc::clone(&house.authority).publish_crls());
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    let listed = async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
        while !serials(&house.crl(row.reference.issuer).await).contains(&row.reference.serial) {
            look.tick().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), listed).await.unwrap();
    task.abort();
}
